//! A shell's `izba run ... &`, and `fg`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fs;

use support::{Ground, User, run};

/// The caller's terminal stays the shell's while izba is in the background, and what is typed goes to the program when it has come
/// to the foreground, not before.
#[test]
fn a_program_in_the_background_leaves_the_terminal_to_the_shell() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory(&format!("dir-{user:?}"), user);
        let script = dir.join("person.py");
        fs::write(&script, PERSON).unwrap();
        let mut person = ground.command("/usr/bin/python3", user);
        person.arg(&script).current_dir(&dir).env("PS1", "ready> ").env("IZBA", ground.path("izba"));
        let ended = run(&mut person);
        assert_eq!((ended.status, ended.stdout.as_str()), (0, "content\n"), "{user:?}: {}", ended.stderr);
    }
}

const PERSON: &str = r#"
import os, pty, select, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/dash", ["dash", "-i"])
seen = b""

def wait_for(text):
    global seen
    while text not in seen:
        if not select.select([terminal], [], [], 100)[0]:
            sys.exit("no %r in %r" % (text, seen))
        seen += os.read(terminal, 4096)
    seen = seen.split(text, 1)[1]

def enter(text):
    os.write(terminal, text + b"\n")

# What is typed is echoed, so the answers are written in another way than what is asked.
wait_for(b"ready> ")
enter(b"stty -g > before; mkfifo up")
wait_for(b"ready> ")
enter(b"$IZBA run -v .:/work host sh -c 'echo > /work/up; read word; echo \"got <$word>\"' &")
wait_for(b"ready> ")
enter(b"read line < up; stty -g > after; cmp before after && echo sa''me")
wait_for(b"\nsame\r\n")
enter(b"jobs")
wait_for(b"Running")
enter(b"fg")
wait_for(b"sh -c")
enter(b"hello")
wait_for(b"got <hello>")
wait_for(b"ready> ")
enter(b"stty -g > after; cmp before after && echo sti''ll")
wait_for(b"\nstill\r\n")
enter(b"exit")
os.waitpid(pid, 0)
print("content")
"#;

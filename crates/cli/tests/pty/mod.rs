//! izba at a real pseudo-terminal, driven from its other end.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs;

use crate::support::{Ended, Ground, User, run};

/// Runs a Python script that drives `izba ARGUMENTS` at a pseudo-terminal of its own, with the functions of [`DRIVER`].
pub fn drive(ground: &Ground, user: User, arguments: &[&str], script: &str) -> Ended {
    let driver = ground.path("driver.py");
    fs::write(&driver, format!("{DRIVER}\n{script}\n")).unwrap();
    let mut python = ground.command("python3", user);
    ground.izba(user);
    run(python.env("TERM", "dumb").arg(&driver).arg(ground.path("izba")).args(arguments))
}

/// `start(*words)` runs izba at a new terminal of 33 lines and 99 characters, `expect(text)` reads until there is such a text,
/// `send(text)` types it, `status()` is how it ended, and `modes()` are the terminal's.
const DRIVER: &str = r#"
import fcntl, os, pty, select, signal, struct, sys, termios
IZBA = sys.argv[1:]
master, slave = pty.openpty()
seen = ''
child = None

def resize(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

def modes():
    return termios.tcgetattr(slave)

def start(*words, stdin=None, stdout=None):
    global child
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        os.dup2(slave if stdin is None else stdin, 0)
        os.dup2(slave if stdout is None else stdout, 1)
        os.dup2(slave, 2)
        os.closerange(3, 50)
        os.execv(IZBA[0], IZBA + list(words))

def expect(text):
    global seen
    while text not in seen:
        ready, _, _ = select.select([master], [], [], 60)
        if not ready:
            sys.exit(f'waited in vain for {text!r} in {seen!r}')
        seen += os.read(master, 4096).decode(errors='replace')
    before, seen = seen.split(text, 1)
    return before

def send(text):
    os.write(master, text.encode())

def status():
    while True:
        pid, how = os.waitpid(child, os.WNOHANG)
        # What was written last is there still when the writer has ended.
        while select.select([master], [], [], 0.01)[0]:
            try:
                globals()['seen'] += os.read(master, 4096).decode(errors='replace')
            except OSError:
                break
        if pid:
            return os.waitstatus_to_exitcode(how)

resize(33, 99)
before = modes()
"#;

//! Terminals: izba at a real pseudo-terminal.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod pty;
mod support;

use support::{Ended, Ground, User, run};

/// `izba run OPTIONS host`, with the words that the script starts it with.
fn drive(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    pty::drive(ground, user, &[&["run"], &support::MARK[..], options, &["host"]].concat(), script)
}

#[test]
fn the_program_gets_a_new_terminal_of_the_same_size() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "start('sh', '-c', 'tty; stty size; ps -o tty= -p $$; echo end')\n\
                      shown = expect('end')\nassert status() == 0\nprint(shown.split())\nassert modes() == before";
        assert_eq!(drive(&ground, user, &[], script).text(), "['/dev/pts/0', '33', '99', 'pts/0']", "{user:?}");
    }
}

#[test]
fn the_size_follows_the_callers_terminal() {
    let ground = Ground::new();
    let program = "trap 'stty size' WINCH; echo up; while [ \"$(stty size)\" != '40 120' ]; do :; done; echo end";
    for user in User::ALL {
        let script = format!(
            "start('sh', '-c', {program:?})\nexpect('up')\nresize(40, 120)\nexpect('40 120')\nexpect('end')\nprint(status())"
        );
        assert_eq!(drive(&ground, user, &[], &script).text(), "0", "{user:?}");
    }
}

#[test]
fn control_c_ends_the_foreground_program_and_not_the_shell() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "start('sh', '-i')\nsend('echo re\"\"ady; cat\\n')\nexpect('ready')\nsend('still\\n')\nexpect('still\\r\\nstill')\n\
                      send('\\x03')\nexpect('^C')\nexpect('# ')\nsend('echo status:$?\\n')\nexpect('status:130')\nsend('exit 6\\n')\nprint(status(), modes() == before)";
        assert_eq!(drive(&ground, user, &[], script).text(), "6 True", "{user:?}");
    }
}

#[test]
fn jobs_are_stopped_and_continued() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "start('bash', '--norc', '--noediting', '-i')\nsend('echo re\"\"ady; cat\\n')\nexpect('ready')\nsend('one\\n')\nexpect('one\\r\\none')\n\
                      send('\\x1a')\nexpect('Stopped')\nexpect('bash')\nsend('fg\\n')\nexpect('cat\\r\\n')\nsend('two\\n')\nexpect('two\\r\\ntwo')\n\
                      send('\\x04')\nsend('exit 9\\n')\nprint(status(), modes() == before)";
        assert_eq!(drive(&ground, user, &[], script).text(), "9 True", "{user:?}");
    }
}

#[test]
fn the_terminal_is_restored_on_every_way_out() {
    let ground = Ground::new();
    for user in User::ALL {
        for (program, action, expected) in [
            ("stty raw -echo; exit 3", "pass", 3),
            ("stty raw -echo; kill -KILL $$", "pass", 137),
            ("echo up; read line", "expect('up'); os.kill(child, signal.SIGTERM)", 143),
            ("echo up; read line", "expect('up'); os.kill(child, signal.SIGHUP)", 129),
            ("echo up; read line", "expect('up'); send('\\x03')", 130),
            ("echo up; read line; exit 4", "expect('up'); send('\\x04')", 4),
        ] {
            let script = format!("start('sh', '-c', {program:?})\n{action}\nprint(status(), modes() == before)");
            assert_eq!(
                drive(&ground, user, &[], &script).text(),
                format!("{expected} True"),
                "{user:?} {program} {action}"
            );
        }
        let script = "start('/no/such/program')\nprint(status(), modes() == before)";
        assert_eq!(drive(&ground, user, &[], script).text(), "127 True", "{user:?}");
    }
}

#[test]
fn the_callers_terminal_is_raw_while_the_program_runs() {
    let ground = Ground::new();
    let script = "start('sh', '-c', 'echo up; read line; echo got:$line')\nexpect('up')\n\
                  assert not modes()[3] & termios.ICANON and not modes()[3] & termios.ECHO\nsend('word\\n')\nexpect('got:word')\nprint(status(), modes() == before)";
    for user in User::ALL {
        assert_eq!(drive(&ground, user, &[], script).text(), "0 True", "{user:?}");
    }
}

#[test]
fn suspending_izba_restores_the_terminal_and_goes_on() {
    let ground = Ground::new();
    let script = "start('sh', '-c', 'echo up; read line; echo got:$line')\nexpect('up')\nraw = modes()\nos.kill(child, signal.SIGTSTP)\n\
                  os.waitpid(child, os.WUNTRACED)\nassert modes() == before\nos.kill(child, signal.SIGCONT)\n\
                  send('on\\n')\nexpect('got:on')\nprint(status(), raw != before, modes() == before)";
    for user in User::ALL {
        assert_eq!(drive(&ground, user, &[], script).text(), "0 True True", "{user:?}");
    }
}

#[test]
fn no_tty_leaves_the_streams_as_they_are() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "start('sh', '-c', 'tty; [ -t 1 ] && echo streams; (: < /dev/tty) 2>/dev/null || echo no control; echo end')\n\
                      print(expect('end').split(), status(), modes() == before)";
        let ended = drive(&ground, user, &["--no-tty"], script);
        assert!(ended.text().ends_with("'streams', 'no', 'control'] 0 True"), "{user:?}: {ended:?}");
    }
}

#[test]
fn a_redirected_stream_means_no_terminal_unless_asked_for() {
    let ground = Ground::new();
    for user in User::ALL {
        let script = "read, write = os.pipe()\nos.set_inheritable(write, True)\nstart('sh', '-c', 'tty; [ -t 0 ] && echo in; [ -t 1 ] || echo piped', stdout=write)\n\
                      os.close(write)\ncode = status()\nprint(os.read(read, 1000).decode().split()[-2:], code)";
        assert_eq!(drive(&ground, user, &[], script).text(), "['in', 'piped'] 0", "{user:?}");
        assert_eq!(drive(&ground, user, &["--tty"], script).text(), "['/dev/pts/0', 'in'] 0", "{user:?}");
    }
}

#[test]
fn input_from_a_pipe_reaches_a_program_at_a_new_terminal() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut shell = ground.command("sh", user);
        ground.izba(user);
        let script = "printf 'one\\ntwo' | \"$0\" run --tty host sh -c 'stty -echo; tty; cat; echo; echo end'";
        let ended = run(shell.args(["-c", script]).arg(ground.path("izba")));
        let text = ended.text().replace('\r', "");
        let (_, shown) = text.split_once("/dev/pts/0\n").unwrap();
        assert_eq!(shown.trim_end(), "one\ntwo\nend", "{user:?}");
    }
}

#[test]
fn the_last_of_tty_and_no_tty_wins() {
    let ground = Ground::new();
    let tty = |options: &[&str]| ground.sh(User::OneId, options, "host", "tty || true").text().trim().to_owned();
    assert_eq!(tty(&["--no-tty", "--tty"]), "/dev/pts/0");
    assert_eq!(tty(&["--tty", "--no-tty"]), "not a tty");
}

#[test]
fn all_output_arrives_before_izba_ends() {
    let ground = Ground::new();
    for user in User::ALL {
        let ended = ground.sh(user, &["--tty"], "host", "seq 1 20000");
        assert_eq!(ended.text().lines().map(str::trim_end).next_back(), Some("20000"), "{user:?}");
        assert_eq!(ended.stdout.lines().count(), 20_000, "{user:?}");
    }
}

#[test]
fn input_cannot_be_pushed_into_the_callers_terminal() {
    let ground = Ground::new();
    let push = "import fcntl, termios\nfor fd in (0, 1, 2):\n try: fcntl.ioctl(fd, termios.TIOCSTI, b'x')\n except OSError as error: print('refused')";
    for user in User::ALL {
        let script = format!("start('python3', '-c', {push:?})\nfor _ in range(3): expect('refused')\nprint(status())");
        assert_eq!(drive(&ground, user, &["--no-tty"], &script).text(), "0", "{user:?}");
    }
}

//! /proc/PID/status and /proc/PID/cmdline, as text: proc_pid_status(5), proc_pid_cmdline(5).

/// What matters of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The name: of the program file, cut after 15 bytes, or what the process calls itself.
    pub name: String,
    /// The parent's id in the PID namespace of the procfs; 0 where it isn't in it.
    pub parent: i32,
    /// The id in the PID namespace of the procfs and in every one from there inwards.
    pub pids: Vec<i32>,
}

impl Status {
    /// Takes the whole text. What is missing or no number stays empty: a kernel before Linux 4.1 has no NSpid. A line that doesn't
    /// end was cut, and so may be its last number: it is left out.
    pub fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (key, value) in lines(text).filter_map(|line| line.split_once(':')) {
            let value = value.trim_start();
            match key {
                "Name" => status.name = unescape(value),
                "PPid" => status.parent = value.parse().unwrap_or(0),
                "NSpid" => status.pids = value.split_ascii_whitespace().map_while(|id| id.parse().ok()).collect(),
                _ => {}
            }
        }
        status
    }

    /// How ps(1) and lsns(8) show it: the arguments, or the name in brackets where there are none.
    pub fn command(&self, cmdline: &[u8]) -> String {
        // What a process writes over its arguments can end in any number of zero bytes.
        let end = cmdline.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if end == 0 {
            return format!("[{}]", self.name);
        }
        String::from_utf8_lossy(&cmdline[..end]).replace('\0', " ")
    }
}

/// Those that end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

/// The kernel writes a line end as `\n` and a backslash as `\\`.
fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('\\')) => plain.push('\\'),
            _ => {
                plain.push(c);
                continue;
            }
        }
        rest.next();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tnested\\\\n\\n: x\nState:\tS (sleeping)\nTgid:\t4635\nPid:\t4635\nPPid:\t4634\n\
        NStgid:\t4635\t2\t1\nNSpid:\t4635\t2\t1\nThreads:\t1\n";

    #[test]
    fn a_status_is_read() {
        let status = Status::parse(TEXT);
        assert_eq!(status, Status { name: "nested\\n\n: x".into(), parent: 4634, pids: vec![4635, 2, 1] });
    }

    #[test]
    fn what_is_missing_stays_empty() {
        assert_eq!(Status::parse(""), Status::default());
        assert_eq!(Status::parse("PPid:\tx\nNSpid:\t1\tx\t3\nrubbish").pids, [1]);
        assert!(Status::parse("NSpid:\t4635\t2").pids.is_empty(), "it may have been 4635 and 21");
    }

    #[test]
    fn a_command_is_its_arguments_or_its_name() {
        let status = Status { name: "sh".into(), ..Status::default() };
        assert_eq!(status.command(b"sh\0-c\0echo \xff\0\0\0"), "sh -c echo \u{fffd}");
        assert_eq!(status.command(b"nginx: worker"), "nginx: worker");
        assert_eq!(status.command(b"\0\0"), "[sh]");
        assert_eq!(status.command(b""), "[sh]");
    }
}

//! Texts of processes and interfaces, made fit to be shown: anybody chooses the name of a process.

use izba_sandbox::survey::SeenProcess;

/// The text with everything that doesn't stand for itself as an escape: control characters, what turns the direction of
/// writing, what can't be seen, and what XML has no place for.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if misleads(c) => clean.extend(c.escape_unicode()),
            _ => clean.push(c),
        }
    }
    clean
}

fn misleads(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || matches!(code, 0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff)
        || matches!(code, 0xfff9..=0xfffb | 0xe0000..=0xe007f)
        || code & 0xfffe == 0xfffe
}

/// At most so many characters, with an ellipsis for the rest.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `4711 → 12 → 1`: the ids of a process from the caller's PID namespace inwards.
pub fn pids(process: &SeenProcess) -> String {
    let inner = process.pids.iter().skip_while(|&&pid| pid == process.pid && process.pids.len() == 1);
    let chain: Vec<String> = inner.map(ToString::to_string).collect();
    if chain.is_empty() { process.pid.to_string() } else { chain.join(" → ") }
}

/// The command with its program's file name instead of the whole path.
pub fn command(process: &SeenProcess) -> String {
    let text = clean(&process.command);
    let (program, rest) = match text.split_once(' ') {
        Some((program, rest)) => (program, format!(" {rest}")),
        None => (text.as_str(), String::new()),
    };
    let name = if program.starts_with('/') { program.rsplit('/').next().unwrap_or(program) } else { program };
    format!("{name}{rest}")
}

/// The program's name alone.
pub fn program(process: &SeenProcess) -> String {
    let command = command(process);
    let name = if command.starts_with('[') { command.as_str() } else { command.split(' ').next().unwrap_or("") };
    short(name.trim_end_matches(':'), 20)
}

/// `1 process`, `3 processes`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(command: &str, pids: &[i32]) -> SeenProcess {
        let namespaces = [None; 8];
        let command = command.to_owned();
        SeenProcess { pid: pids[0], parent: 0, pids: pids.to_vec(), uid: 0, command, namespaces, for_children: vec![] }
    }

    #[test]
    fn what_misleads_is_escaped() {
        assert_eq!(clean("a\u{1b}[31m\n\0b"), "a\\u{1b}[31m\\u{a}\\u{0}b");
        assert_eq!(clean("exe\u{202e}gpj\u{feff}\u{ffff}"), "exe\\u{202e}gpj\\u{feff}\\u{ffff}");
        assert_eq!(clean("<b> \"é\" 漢字 →"), "<b> \"é\" 漢字 →");
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(short("abcdef", 6), "abcdef");
        assert_eq!(short("äbcdefg", 6), "äbcde…");
    }

    #[test]
    fn a_process_is_known_by_its_ids_and_its_program() {
        assert_eq!(pids(&process("x", &[7])), "7");
        assert_eq!(pids(&process("x", &[7, 3, 1])), "7 → 3 → 1");
        assert_eq!(command(&process("/usr/sbin/nginx -g x/y", &[1])), "nginx -g x/y");
        assert_eq!(program(&process("/usr/sbin/nginx: worker", &[1])), "nginx");
        assert_eq!(program(&process("[kworker/0:1 x]", &[1])), "[kworker/0:1 x]");
    }
}

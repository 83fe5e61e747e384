//! `-e NAME=VALUE`, `-e NAME`, and files of such lines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What is to happen to one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// It gets this value.
    Set(Vec<u8>, Vec<u8>),
    /// It gets the caller's value, if the caller has one.
    Copy(Vec<u8>),
}

/// Reads an option's value.
pub fn parse_assignment(text: &OsStr) -> Result<Assignment, String> {
    assignment(text.as_bytes())
}

/// Reads a file as container engines do: one assignment on a line, taken literally; `#` starts a comment line.
pub fn parse_file(content: &[u8]) -> Result<Vec<Assignment>, String> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let lines = content.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
        .map(|(number, line)| file_line(line).map_err(|why| format!("line {number}: {why}")))
        .collect()
}

fn file_line(line: &[u8]) -> Result<Assignment, String> {
    let assignment = assignment(line)?;
    let (Assignment::Set(name, _) | Assignment::Copy(name)) = &assignment;
    if name.iter().any(u8::is_ascii_whitespace) {
        return Err(format!("the name {:?} holds a space", String::from_utf8_lossy(name)));
    }
    Ok(assignment)
}

fn assignment(text: &[u8]) -> Result<Assignment, String> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        Some(equals) => (&text[..equals], Some(&text[equals + 1..])),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(format!("{:?} names no variable: write NAME=VALUE or NAME", String::from_utf8_lossy(text)));
    }
    if text.contains(&0) {
        return Err(format!("the variable {:?} holds a NUL byte", String::from_utf8_lossy(name)));
    }
    Ok(match value {
        Some(value) => Assignment::Set(name.to_vec(), value.to_vec()),
        None => Assignment::Copy(name.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Assignment {
        Assignment::Set(name.into(), value.into())
    }

    #[test]
    fn assignments_are_read() {
        let read = |text: &str| parse_assignment(text.as_ref());
        assert_eq!(read("A=b=c"), Ok(set("A", "b=c")));
        assert_eq!(read("A="), Ok(set("A", "")));
        assert_eq!(read("A"), Ok(Assignment::Copy(b"A".to_vec())));
        assert!(read("").is_err());
        assert!(read("=x").is_err());
        assert!(read("a\0=x").is_err());
    }

    #[test]
    fn files_are_taken_literally() {
        let file = b"\xef\xbb\xbf# comment\n\nA=\"quoted\"\r\n  B=x # not a comment \nC\n  # indented\nD=1";
        let expected = vec![
            set("A", "\"quoted\""),
            set("B", "x # not a comment "),
            Assignment::Copy(b"C".to_vec()),
            set("D", "1"),
        ];
        assert_eq!(parse_file(file), Ok(expected));
    }

    #[test]
    fn mistakes_in_files_have_a_line() {
        assert!(parse_file(b"A=1\nexport B=2\n").unwrap_err().contains("line 2"));
        assert!(parse_file(b"=1").unwrap_err().contains("line 1"));
        assert!(parse_file(b"\0").is_err());
    }
}

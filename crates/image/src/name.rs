//! The names that entries may have.

use crate::error::UnpackError;

/// The kernel's PATH_MAX without the final NUL: a longer name could not be opened from inside the root either.
const LONGEST: usize = 4095;

/// An entry's place beneath the root: components joined by single slashes, none of them empty, `.` or `..`.
/// The root itself is the empty name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    bytes: Vec<u8>,
}

impl Name {
    /// Checks a name from an archive. Leading slashes and `.` components are dropped, as GNU tar does; `..` is refused,
    /// for it has no honest use in an archive and may leave the root.
    pub(crate) fn parse(raw: &[u8], deepest: usize) -> Result<Name, UnpackError> {
        if raw.is_empty() {
            return Err(UnpackError::refused(raw, "its name is empty"));
        }
        if raw.contains(&0) {
            return Err(UnpackError::refused(raw, "its name holds a NUL byte"));
        }
        let mut bytes = Vec::with_capacity(raw.len());
        let mut depth = 0;
        for part in raw.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")) {
            if part == b".." {
                return Err(UnpackError::refused(raw, "its name has a '..' component, which could leave the root"));
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(part);
            depth += 1;
        }
        if bytes.len() > LONGEST {
            return Err(UnpackError::too_large(raw, format!("{LONGEST} bytes for a name")));
        }
        if depth > deepest {
            return Err(UnpackError::too_large(raw, format!("{deepest} nested directories")));
        }
        Ok(Name { bytes })
    }

    /// The whole name.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is the root itself.
    pub(crate) fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The directory's name and the last component.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.bytes.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&self.bytes[..slash], &self.bytes[slash + 1..]),
            None => (b"", &self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Option<String> {
        Name::parse(raw.as_bytes(), 8).ok().map(|name| String::from_utf8(name.bytes).unwrap())
    }

    #[test]
    fn names_are_normalised() {
        for (raw, name) in [
            ("a", "a"),
            ("./a/b", "a/b"),
            ("/a//b/", "a/b"),
            ("///a/./b", "a/b"),
            ("./", ""),
            ("/", ""),
            ("a..b/...", "a..b/..."),
        ] {
            assert_eq!(parse(raw).as_deref(), Some(name), "{raw}");
        }
    }

    #[test]
    fn names_that_could_leave_the_root_are_refused() {
        for raw in ["", "..", "a/..", "../a", "a/../b", "/..", "./..", "a\0b", "\0"] {
            assert_eq!(parse(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn deep_and_long_names_are_refused() {
        assert_eq!(parse("a/b/c/d/e/f/g/h").as_deref(), Some("a/b/c/d/e/f/g/h"));
        assert_eq!(parse("a/b/c/d/e/f/g/h/i"), None);
        assert!(Name::parse(&[b'x'; 4095], 8).is_ok());
        assert!(Name::parse(&[b'x'; 4096], 8).is_err());
    }

    #[test]
    fn splitting_gives_directory_and_last_component() {
        let split = |raw: &str| {
            let name = Name::parse(raw.as_bytes(), 8).unwrap();
            let (dir, last) = name.split();
            (String::from_utf8(dir.to_vec()).unwrap(), String::from_utf8(last.to_vec()).unwrap())
        };
        assert_eq!(split("a/b/c"), ("a/b".into(), "c".into()));
        assert_eq!(split("a"), (String::new(), "a".into()));
    }
}

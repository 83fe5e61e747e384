//! Slices, and the names of units: systemd.slice(5), systemd.unit(5).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A slice: `a-b.slice` is in `a.slice`, which is in the root slice, `-.slice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice(String);

impl Slice {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Where it is below its manager's own group.
    ///
    /// ```
    /// # use izba_sandbox::cgroup::systemd::Slice;
    /// let slice: Slice = "a-b.slice".parse()?;
    /// assert_eq!(slice.path(), std::path::Path::new("a.slice/a-b.slice"));
    /// # Ok::<(), String>(())
    /// ```
    pub fn path(&self) -> PathBuf {
        let Some(stem) = self.0.strip_suffix(".slice").filter(|stem| *stem != "-") else { return PathBuf::new() };
        let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
        ends.map(|end| format!("{}.slice", &stem[..end])).collect()
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let why = |problem: &str| format!("{name:?} is no slice: {problem}; write a-b.slice for a slice in a.slice");
        let stem = name.strip_suffix(".slice").ok_or_else(|| why("its name doesn't end in .slice"))?;
        if stem != "-" && stem.split('-').any(str::is_empty) {
            return Err(why("something has to stand before, between and after dashes"));
        }
        match is_unit_name(name) {
            true => Ok(Self(name.to_owned())),
            false => {
                Err(why("only ASCII letters, digits and :-_.\\ may stand in a name, and no more than 255 of them"))
            }
        }
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// systemd.unit(5): "valid unit name characters". `@` would make an instance of a template, which no transient unit is here.
pub fn is_unit_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\".contains(&byte);
    name.len() <= 255 && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_slice_is_in_those_that_its_name_starts_with() {
        let path = |name: &str| name.parse::<Slice>().map(|slice| slice.path());
        assert_eq!(path("test-a-b.slice").unwrap(), Path::new("test.slice/test-a.slice/test-a-b.slice"));
        assert_eq!(path("system.slice").unwrap(), Path::new("system.slice"));
        assert_eq!(path("-.slice").unwrap(), Path::new(""));
    }

    #[test]
    fn names_that_systemd_would_refuse_are_refused() {
        for name in [
            "",
            ".slice",
            "a",
            "a.scope",
            "a/b.slice",
            "/a.slice",
            "../a.slice",
            "-a.slice",
            "a-.slice",
            "a--b.slice",
            "--.slice",
            "a b.slice",
            "a@b.slice",
            "é.slice",
        ] {
            assert!(name.parse::<Slice>().unwrap_err().contains("no slice"), "{name}");
        }
        assert!(format!("{}.slice", "a".repeat(250)).parse::<Slice>().is_err());
    }
}

//! Where it is written down what runs: a directory that goes with the machine's next boot.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Once;

use izba_sys::Errno;

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::{output, private_dir};

/// The directory, open.
#[derive(Debug)]
pub struct RuntimeDir {
    pub path: PathBuf,
    pub fd: OwnedFd,
}

/// The first place that can be used, made if it is missing.
pub fn open(caller: &Caller) -> Result<RuntimeDir> {
    let mut tried = Vec::new();
    for path in places(caller) {
        match private_dir::open_or_make(&path, caller.uid) {
            Ok(fd) => return Ok(RuntimeDir { path, fd }),
            Err(errno) => tried.push(format!("{}: {}", path.display(), why(errno))),
        }
    }
    let failure = Failure::new("there is no place for the records of what runs");
    let failure = tried.into_iter().fold(failure, Failure::because);
    Err(failure.remedy("IZBA_RUNTIME_DIR with a directory of your own, closed to others (chmod 700)"))
}

/// All that are there: a run that was started without XDG_RUNTIME_DIR is found in a session that has it. Makes none.
pub fn existing(caller: &Caller) -> Vec<RuntimeDir> {
    let opened = |path: PathBuf| match private_dir::open(&path, caller.uid) {
        Ok(fd) => Some(RuntimeDir { path, fd }),
        Err(Errno::NOENT) => None,
        Err(errno) => {
            // Every look passes here.
            static SAID: Once = Once::new();
            SAID.call_once(|| output::note(format!("{} isn't looked into: {}", path.display(), why(errno))));
            None
        }
    };
    places(caller).into_iter().filter_map(opened).collect()
}

fn why(errno: Errno) -> String {
    match errno {
        Errno::PERM => "it is somebody else's, or open to others".to_owned(),
        other => other.to_string(),
    }
}

/// By the XDG base directory specification; and a place that is always there. A variable leaves no other.
fn places(caller: &Caller) -> Vec<PathBuf> {
    if let Some(dir) = caller.variable("IZBA_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        return vec![caller.absolute(dir)];
    }
    let usual = if caller.uid == 0 {
        Some(PathBuf::from("/run/izba"))
    } else {
        let dir = caller.variable("XDG_RUNTIME_DIR").map(Path::new).filter(|dir| dir.is_absolute());
        dir.map(|dir| dir.join("izba"))
    };
    usual.into_iter().chain([PathBuf::from(format!("/tmp/izba-{}", caller.uid))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uid: u32, variables: &[(&str, &str)]) -> Vec<PathBuf> {
        places(&Caller { uid, ..crate::lower::environment::tests::caller(variables) })
    }

    #[test]
    fn the_usual_places() {
        assert_eq!(of(0, &[("XDG_RUNTIME_DIR", "/x")]), [Path::new("/run/izba"), Path::new("/tmp/izba-0")]);
        assert_eq!(of(7, &[("XDG_RUNTIME_DIR", "/x")]), [Path::new("/x/izba"), Path::new("/tmp/izba-7")]);
        assert_eq!(of(7, &[("XDG_RUNTIME_DIR", "x")]), [Path::new("/tmp/izba-7")]);
        assert_eq!(of(7, &[]), [Path::new("/tmp/izba-7")]);
    }

    #[test]
    fn a_named_place_is_the_only_one() {
        assert_eq!(of(0, &[("IZBA_RUNTIME_DIR", "r")]), [Path::new("/cwd/r")]);
        assert_eq!(of(7, &[("IZBA_RUNTIME_DIR", "")]), [Path::new("/tmp/izba-7")]);
    }

    #[test]
    fn without_a_place_each_is_named_with_its_cause() {
        let caller = crate::lower::environment::tests::caller(&[("IZBA_RUNTIME_DIR", "/proc/none")]);
        let failure = open(&caller).unwrap_err();
        assert!(failure.causes[0].starts_with("/proc/none: ") && failure.remedies.len() == 1, "{failure}");
        assert!(existing(&caller).is_empty());
    }
}

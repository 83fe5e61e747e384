//! Where unpacked archives are kept.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use izba_image::{Cache, Error};

use crate::args::cache::CachePlace;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::private_dir;

/// The cache, and its directory.
pub fn open(place: &CachePlace, caller: &Caller) -> Result<(Cache, PathBuf)> {
    if let Some(dir) = named(place, caller) {
        return Cache::open(&dir).map(|cache| (cache, dir)).map_err(|error| Failure::from_error(&error));
    }
    let usual = usual(caller);
    for dir in &usual {
        match Cache::open(dir) {
            Ok(cache) => return Ok((cache, dir.clone())),
            Err(Error::Cache { source, .. }) if is_no_place(source.kind()) => {}
            Err(error) => return Err(Failure::from_error(&error)),
        }
    }
    temporary(&usual, caller.uid)
}

/// The cache that is there already. Makes nothing.
pub fn existing(place: &CachePlace, caller: &Caller) -> Option<PathBuf> {
    if let Some(dir) = named(place, caller) {
        return dir.is_dir().then_some(dir);
    }
    let mut temporary = TEMPORARY.map(|top| private_path(top, caller.uid)).into_iter();
    let found = usual(caller).into_iter().find(|dir| dir.is_dir());
    found.or_else(|| temporary.find(|dir| private_dir::open(dir, caller.uid).is_ok()))
}

/// The option, or the variable.
fn named(place: &CachePlace, caller: &Caller) -> Option<PathBuf> {
    let variable = || caller.variable("IZBA_CACHE").filter(|value| !value.is_empty()).map(PathBuf::from);
    place.dir.clone().or_else(variable).map(|dir| caller.absolute(dir))
}

/// By the XDG base directory specification.
fn usual(caller: &Caller) -> Vec<PathBuf> {
    if caller.uid == 0 {
        return vec!["/var/cache/izba".into()];
    }
    let xdg = caller.variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = caller.home().map(Path::to_owned).or_else(|| caller.account().and_then(|account| account.home));
    xdg.into_iter().chain(home.map(|home| home.join(".cache"))).map(|dir| dir.join("izba")).collect()
}

/// A home directory that isn't there or can't be written to: services and containers have such.
fn is_no_place(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory
    )
}

const TEMPORARY: [&str; 2] = ["/var/tmp", "/tmp"];

fn private_path(top: &str, uid: u32) -> PathBuf {
    Path::new(top).join(format!("izba-cache-{uid}"))
}

/// A directory where everybody may make some: it has to be ours.
fn temporary(tried: &[PathBuf], uid: u32) -> Result<(Cache, PathBuf)> {
    for top in TEMPORARY {
        let dir = private_path(top, uid);
        if private_dir::open_or_make(&dir, uid).is_ok()
            && let Ok(cache) = Cache::open(&dir)
        {
            return Ok((cache, dir));
        }
    }
    let tried: Vec<String> =
        tried.iter().map(|dir| dir.display().to_string()).chain(TEMPORARY.map(String::from)).collect();
    Err(Failure::new(format!("there is no place for unpacked archives: {} can't be used", tried.join(", ")))
        .remedy("--cache DIR, or IZBA_CACHE, with a directory of your own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, variables: &[(&str, &str)]) -> Caller {
        Caller { uid, ..crate::lower::environment::tests::caller(variables) }
    }

    #[test]
    fn the_usual_places() {
        assert_eq!(usual(&caller(0, &[("HOME", "/root")])), [Path::new("/var/cache/izba")]);
        let ann = caller(1000, &[("XDG_CACHE_HOME", "/x"), ("HOME", "/home/ann")]);
        assert_eq!(usual(&ann), [Path::new("/x/izba"), Path::new("/home/ann/.cache/izba")]);
        assert_eq!(usual(&caller(1000, &[("XDG_CACHE_HOME", "x"), ("HOME", "/h")])), [Path::new("/h/.cache/izba")]);
    }

    #[test]
    fn a_named_place_wins() {
        let ann = caller(1000, &[("IZBA_CACHE", "c")]);
        assert_eq!(named(&CachePlace::default(), &ann), Some("/cwd/c".into()));
        assert_eq!(named(&CachePlace { dir: Some("/o".into()) }, &ann), Some("/o".into()));
        assert_eq!(named(&CachePlace::default(), &caller(1000, &[("IZBA_CACHE", "")])), None);
    }
}

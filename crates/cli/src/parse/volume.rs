//! `-v SRC:DST[:OPTIONS]`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::escape;
use super::mount_request::{Flags, MountRequest, Wanted};
use super::path;

/// Reads one. A colon that belongs to a path is written `\:`.
pub fn parse(text: &OsStr) -> Result<MountRequest, String> {
    let mut fields = escape::split(text.as_bytes(), b':').into_iter();
    let (Some(source), Some(target)) = (fields.next(), fields.next()) else {
        return Err(format!("{text:?} names no place inside: write SRC:DST, such as .:/work"));
    };
    let options = fields.next();
    if fields.next().is_some() {
        return Err(format!("{text:?} has too many colons: write one that belongs to a path as \\:"));
    }
    if source.is_empty() {
        return Err(format!("{text:?} names nothing of the host: write SRC:DST, such as .:/work"));
    }
    let mut request = MountRequest {
        target: path::mount_target(OsStr::from_bytes(&target))?,
        what: Wanted::Bind { source: OsString::from_vec(source), recursive: true, idmap: false },
        flags: Flags::default(),
    };
    for word in options.iter().flat_map(|options| options.split(|&byte| byte == b',')).filter(|word| !word.is_empty()) {
        take_option(&mut request, word)?;
    }
    Ok(request)
}

fn take_option(request: &mut MountRequest, word: &[u8]) -> Result<(), String> {
    if request.flags.take(word) {
        return Ok(());
    }
    if let Wanted::Bind { recursive, idmap, .. } = &mut request.what {
        match word {
            b"idmap" => *idmap = true,
            b"norecurse" | b"bind" => *recursive = false,
            b"recurse" | b"rbind" => *recursive = true,
            // Private propagation is what every mount gets.
            b"private" | b"rprivate" => {}
            _ => {
                return Err(format!(
                    "{:?} is no option of -v: use ro, rw, idmap, norecurse, [no]suid, [no]dev, [no]exec",
                    String::from_utf8_lossy(word)
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MountRequest, String> {
        parse(text.as_ref())
    }

    #[test]
    fn source_target_and_options_are_read() {
        let request = read(".:/work//x/:ro,idmap,norecurse,dev").unwrap();
        assert_eq!(request.target.as_os_str(), "/work/x");
        assert_eq!(request.what, Wanted::Bind { source: ".".into(), recursive: false, idmap: true });
        assert_eq!(request.flags, Flags { read_only: true, dev: Some(true), ..Flags::default() });
        assert!(!read("a:/b:ro,rw").unwrap().flags.read_only);
    }

    #[test]
    fn colons_in_paths_are_escaped() {
        let request = read(r"a\:b:/c\:d:ro").unwrap();
        assert_eq!(request.target.as_os_str(), "/c:d");
        assert!(matches!(request.what, Wanted::Bind { source, .. } if source == "a:b"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in
            ["", "/a", ":", ":/b", "/a:", "/a:b", "/a:../b", "/a:/b/../c", "/a:/", "/a:/b:ro:x", "/a:/b:z", "/a:/b:RO"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

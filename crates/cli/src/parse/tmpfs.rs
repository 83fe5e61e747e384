//! `--tmpfs DST[:OPTIONS]`, and the options of a tmpfs wherever they are written.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::escape;
use super::mount_request::{Flags, MountRequest, Wanted};
use super::path;
use super::size::Size;

/// Reads one.
pub fn parse(text: &OsStr) -> Result<MountRequest, String> {
    let mut fields = escape::split(text.as_bytes(), b':').into_iter();
    let target = path::mount_target(OsStr::from_bytes(&fields.next().unwrap_or_default()))?;
    let options = fields.next();
    if fields.next().is_some() {
        return Err(format!("{text:?} has too many colons: write DST:OPTIONS, and a colon that belongs to DST as \\:"));
    }
    let mut flags = Flags::default();
    let mut own = Vec::new();
    for word in options.iter().flat_map(|options| options.split(|&byte| byte == b',')).filter(|word| !word.is_empty()) {
        if !flags.take(word) {
            own.push(option(word)?);
        }
    }
    let what = Wanted::Filesystem { fstype: "tmpfs".to_owned(), source: None, options: with_mode(own) };
    Ok(MountRequest { target, what, flags })
}

/// One option of tmpfs(5), checked as far as a mistake would otherwise come back as a bare EINVAL.
pub fn option(word: &[u8]) -> Result<(String, Option<OsString>), String> {
    let text = String::from_utf8_lossy(word);
    let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
    let known =
        ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "noswap", "inode64", "inode32"];
    if !known.contains(&name) {
        return Err(format!(
            "{text:?} is no option of a tmpfs: use size=, mode=, nr_inodes=, uid=, gid=, ro, [no]exec, ..."
        ));
    }
    let value = match (name, value) {
        ("size", Some(size)) => Some(size.parse::<Size>()?.tmpfs()),
        ("mode", Some(mode)) => Some(octal(mode)?),
        ("size" | "mode", None) => return Err(format!("{name} needs a value: {name}=...")),
        (_, value) => value.map(str::to_owned),
    };
    Ok((name.to_owned(), value.map(|value| OsString::from_vec(value.into_bytes()))))
}

/// A new tmpfs is for everybody, as /tmp is, unless a mode is asked for: its own default would be 0777, without the sticky bit.
pub fn with_mode(mut options: Vec<(String, Option<OsString>)>) -> Vec<(String, Option<OsString>)> {
    if !options.iter().any(|(name, _)| name == "mode") {
        options.push(("mode".to_owned(), Some("1777".into())));
    }
    options
}

fn octal(mode: &str) -> Result<String, String> {
    match u32::from_str_radix(mode, 8) {
        Ok(bits) if bits <= 0o7777 && mode.bytes().all(|byte| byte.is_ascii_digit()) => Ok(format!("{bits:04o}")),
        _ => Err(format!("{mode:?} is no mode: write it in octal, such as 1777")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MountRequest, String> {
        parse(text.as_ref())
    }

    #[test]
    fn options_and_flags_are_told_apart() {
        let request = read("/tmp:size=64m,noexec,mode=700,ro").unwrap();
        let options = vec![("size".to_owned(), Some("67108864".into())), ("mode".to_owned(), Some("0700".into()))];
        assert_eq!(request.what, Wanted::Filesystem { fstype: "tmpfs".to_owned(), source: None, options });
        assert_eq!(request.flags, Flags { read_only: true, exec: Some(false), ..Flags::default() });
    }

    #[test]
    fn a_plain_one_is_like_tmp() {
        let Wanted::Filesystem { options, .. } = read("/x").unwrap().what else { panic!("a tmpfs") };
        assert_eq!(options, [("mode".to_owned(), Some("1777".into()))]);
    }

    #[test]
    fn mistakes_are_named() {
        for bad in
            ["", "tmp", "/", "/a:size=big", "/a:mode=9", "/a:mode=+7", "/a:mode", "/a:colour=red", "/a:ro:b", "/a/../b"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

//! `--mount type=TYPE,source=SRC,target=DST,...`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::mount_request::{Flags, MountRequest, Wanted};
use super::{escape, path, tmpfs};

/// What has been read so far.
#[derive(Default)]
struct Fields {
    fstype: Option<String>,
    source: Option<OsString>,
    target: Option<PathBuf>,
    recursive: bool,
    idmap: bool,
    flags: Flags,
    own: Vec<(String, Option<OsString>)>,
}

/// Reads one. A comma that belongs to a value is written `\,`.
pub fn parse(text: &OsStr) -> Result<MountRequest, String> {
    let mut fields = Fields { recursive: true, ..Fields::default() };
    for field in escape::split(text.as_bytes(), b',').iter().filter(|field| !field.is_empty()) {
        fields.take(field)?;
    }
    fields.finish().map_err(|why| format!("{text:?}: {why}"))
}

impl Fields {
    fn take(&mut self, field: &[u8]) -> Result<(), String> {
        if self.flags.take(field) {
            return Ok(());
        }
        let (name, value) = match field.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&field[..equals], Some(OsString::from_vec(field[equals + 1..].to_vec()))),
            None => (field, None),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        match (name.as_str(), value) {
            ("type", Some(value)) => set(&mut self.fstype, word(&value)?, "type"),
            ("source" | "src", Some(value)) => set(&mut self.source, value, "source"),
            ("target" | "dst" | "destination", Some(value)) => {
                set(&mut self.target, path::mount_target(&value)?, "target")
            }
            ("readonly" | "ro", value) => switch(&name, value.as_deref()).map(|on| self.flags.read_only = on),
            ("idmap", value) => switch(&name, value.as_deref()).map(|on| self.idmap = on),
            ("norecurse" | "bind-nonrecursive", value) => {
                switch(&name, value.as_deref()).map(|on| self.recursive = !on)
            }
            ("type" | "source" | "src" | "target" | "dst" | "destination", None) => {
                Err(format!("{name} needs a value: {name}=..."))
            }
            (_, value) => {
                self.own.push((name, value));
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<MountRequest, String> {
        let target = self.target.ok_or("it names no place inside: add target=DST")?;
        let fstype = self.fstype.unwrap_or_else(|| "bind".to_owned());
        let what = match fstype.as_str() {
            "bind" => {
                let source = self.source.filter(|source| !source.is_empty()).ok_or("a bind mount needs source=SRC")?;
                if let Some((name, _)) = self.own.first() {
                    return Err(format!("{name:?} is no option of a bind mount"));
                }
                Wanted::Bind { source, recursive: self.recursive, idmap: self.idmap }
            }
            "volume" => return Err("there are no named volumes: use type=bind with a directory".to_owned()),
            _ if self.idmap || !self.recursive => return Err("idmap and norecurse are for type=bind".to_owned()),
            "tmpfs" => Wanted::Filesystem { fstype, source: self.source, options: tmpfs_options(self.own)? },
            _ => Wanted::Filesystem { fstype, source: self.source, options: self.own },
        };
        Ok(MountRequest { target, what, flags: self.flags })
    }
}

fn set<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    if place.replace(value).is_some() { Err(format!("{name} is given twice")) } else { Ok(()) }
}

/// The name of a file system, which goes to fsopen(2).
fn word(value: &OsStr) -> Result<String, String> {
    match value.to_str() {
        Some(word) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(word.to_owned()),
        _ => Err(format!("{value:?} is no type of file system: see /proc/filesystems")),
    }
}

fn switch(name: &str, value: Option<&OsStr>) -> Result<bool, String> {
    match value.map(OsStr::as_bytes) {
        None | Some(b"true" | b"1") => Ok(true),
        Some(b"false" | b"0") => Ok(false),
        Some(_) => Err(format!("{name} is true or false, not {value:?}")),
    }
}

/// Container engines write `tmpfs-size=` and `tmpfs-mode=`.
fn tmpfs_options(own: Vec<(String, Option<OsString>)>) -> Result<Vec<(String, Option<OsString>)>, String> {
    let checked = own.into_iter().map(|(name, value)| {
        let mut word = name.strip_prefix("tmpfs-").unwrap_or(&name).as_bytes().to_vec();
        if let Some(value) = value {
            word.push(b'=');
            word.extend_from_slice(value.as_bytes());
        }
        tmpfs::option(&word)
    });
    checked.collect::<Result<_, _>>().map(tmpfs::with_mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MountRequest, String> {
        parse(text.as_ref())
    }

    #[test]
    fn a_bind_mount_is_read_in_every_spelling() {
        for text in [
            "type=bind,source=/a,target=/b,readonly",
            "src=/a,dst=/b,ro",
            "destination=/b,type=bind,src=/a,readonly=true",
        ] {
            let request = read(text).unwrap();
            assert_eq!(request.what, Wanted::Bind { source: "/a".into(), recursive: true, idmap: false }, "{text}");
            assert!(request.flags.read_only, "{text}");
        }
        assert!(!read("src=/a,dst=/b,readonly=false").unwrap().flags.read_only);
    }

    #[test]
    fn commas_in_values_are_escaped() {
        assert!(matches!(read(r"src=/a\,b,dst=/c").unwrap().what, Wanted::Bind { source, .. } if source == "/a,b"));
    }

    #[test]
    fn a_file_system_keeps_its_own_options() {
        let request = read("type=overlay,lowerdir=/a:/b,target=/m,nosuid,volatile").unwrap();
        let options = vec![("lowerdir".to_owned(), Some("/a:/b".into())), ("volatile".to_owned(), None)];
        assert_eq!(request.what, Wanted::Filesystem { fstype: "overlay".to_owned(), source: None, options });
        assert_eq!(request.flags.suid, Some(false));
    }

    #[test]
    fn engines_words_for_a_tmpfs_are_known() {
        let Wanted::Filesystem { options, .. } = read("type=tmpfs,dst=/t,tmpfs-size=1k,tmpfs-mode=755").unwrap().what
        else {
            panic!("a tmpfs")
        };
        assert_eq!(options, [("size".to_owned(), Some("1024".into())), ("mode".to_owned(), Some("0755".into()))]);
    }

    #[test]
    fn mistakes_are_named() {
        for (bad, why) in [
            ("", "target"),
            ("type=bind,target=/b", "source"),
            ("source=/a", "target"),
            ("source=/a,target=b", "absolute"),
            ("source=/a,target=/b,target=/c", "twice"),
            ("source=/a,target=/b,color=red", "color"),
            ("type=volume,source=v,target=/b", "named volumes"),
            ("type=tmpfs,target=/b,idmap", "type=bind"),
            ("type,target=/b", "value"),
            ("source=/a,target=/b,ro=maybe", "true or false"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}

//! `-v`, `--mount` and `--tmpfs`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use izba_sandbox::namespace::{Kind, Namespaces};
use izba_sandbox::rootfs::{Mount, MountSource};
use izba_sys::mount::MountAttributes;

use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::parse::mount_request::{Flags, MountRequest, Wanted};
use crate::parse::path::on_host;

/// In an order in which none hides another: what is higher up comes first, whatever order the options have.
pub fn lower(args: &RunArgs, caller: &Caller, namespaces: &Namespaces) -> Result<Vec<Mount>> {
    let wanted = &args.mounts;
    let mut requests: Vec<&MountRequest> = wanted.volumes.iter().chain(&wanted.mounts).chain(&wanted.tmpfs).collect();
    requests.sort_by_key(|request| request.target.components().count());
    if let Some(twice) = requests
        .iter()
        .enumerate()
        .find(|(index, one)| requests[..*index].iter().any(|other| other.target == one.target))
    {
        return Err(Failure::new(format!("two mounts can't both be at {}", twice.1.target.display())));
    }
    let mounts = requests.into_iter().map(|request| one(request, caller, namespaces));
    rescue_mounts(args).map(Ok).chain(mounts).collect()
}

/// Tools that repair a boot loader or an initramfs ask udev and LVM, which keep their knowledge in /run.
fn rescue_mounts(args: &RunArgs) -> impl Iterator<Item = Mount> {
    let run = Path::new("/run");
    let wanted = args.root.repair && run.is_dir();
    let source = MountSource::Bind { path: run.to_owned(), directory: true, recursive: true, idmap: false };
    wanted.then(|| Mount { target: run.to_owned(), source, attributes: MountAttributes::empty() }).into_iter()
}

fn one(request: &MountRequest, caller: &Caller, namespaces: &Namespaces) -> Result<Mount> {
    let target = request.target.clone();
    match &request.what {
        Wanted::Bind { source, recursive, idmap } => {
            if *idmap {
                allow_idmap(&target, caller, namespaces)?;
            }
            let path = on_host(source, &caller.cwd, caller.home()).map_err(Failure::new)?;
            let (directory, device) = look(&path)?;
            let source = MountSource::Bind { path, directory, recursive: *recursive, idmap: *idmap };
            Ok(Mount { target, source, attributes: attributes(request.flags, device) })
        }
        Wanted::Filesystem { fstype, source, options } => {
            let source = source.clone().unwrap_or_else(|| fstype.into());
            let devices = matches!(fstype.as_str(), "devpts" | "devtmpfs");
            let options = options.iter().map(|(name, value)| option(fstype, name, value.as_ref(), caller)).collect();
            let source = MountSource::Filesystem { fstype: fstype.clone(), source, options };
            Ok(Mount { target, source, attributes: attributes(request.flags, devices) })
        }
    }
}

/// Is it a directory, is it a device?
fn look(path: &Path) -> Result<(bool, bool)> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        let failure = Failure::new(format!("cannot mount {shown}")).caused_by(&error);
        if error.kind() == std::io::ErrorKind::NotFound { failure.remedy(format!("mkdir -p {shown}")) } else { failure }
    })?;
    let kind = metadata.file_type();
    Ok((kind.is_dir(), kind.is_char_device() || kind.is_block_device()))
}

/// Files of the host get no say about users, and devices none about the machine, unless one was mounted by name.
fn attributes(flags: Flags, device: bool) -> MountAttributes {
    let mut set = MountAttributes::empty();
    set.set(MountAttributes::MOUNT_ATTR_RDONLY, flags.read_only);
    set.set(MountAttributes::MOUNT_ATTR_NOSUID, !flags.suid.unwrap_or(false));
    set.set(MountAttributes::MOUNT_ATTR_NODEV, !flags.dev.unwrap_or(device));
    set.set(MountAttributes::MOUNT_ATTR_NOEXEC, !flags.exec.unwrap_or(true));
    set
}

fn allow_idmap(target: &Path, caller: &Caller, namespaces: &Namespaces) -> Result<()> {
    let problem = |why| Failure::new(format!("idmap, for {}: {why}", target.display()));
    if !namespaces.is_new(Kind::User) {
        return Err(
            problem("there is no new user namespace whose ids could be mapped").remedy("--userns, or leave out idmap")
        );
    }
    if !caller.privileged {
        return Err(problem("the kernel lets only the host's root show files with other ids")
            .remedy("leave out idmap: what is yours outside is root's inside"));
    }
    Ok(())
}

/// The directories in overlay's options are the host's, and relative ones are relative to the caller's working directory.
fn option(fstype: &str, name: &str, value: Option<&OsString>, caller: &Caller) -> (String, Option<OsString>) {
    let value = value.map(|value| match (fstype, name) {
        ("overlay", "lowerdir") => absolute_list(value, &caller.cwd),
        ("overlay", "upperdir" | "workdir" | "lowerdir+" | "datadir+") => caller.absolute(value).into_os_string(),
        _ => value.clone(),
    });
    (name.to_owned(), value)
}

/// Overlay's own list: a colon that belongs to a name has a backslash before it, and an empty part ("::") a meaning.
fn absolute_list(value: &OsStr, cwd: &Path) -> OsString {
    let mut list: Vec<u8> = Vec::new();
    let mut previous = b':';
    for &byte in value.as_bytes() {
        if previous == b':' && byte != b'/' && byte != b':' {
            list.extend(escaped(cwd));
        }
        list.push(byte);
        previous = if previous == b'\\' { 0 } else { byte };
    }
    OsString::from_vec(list)
}

fn escaped(cwd: &Path) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    for &byte in PathBuf::from(cwd).as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    if !text.ends_with(b"/") {
        text.push(b'/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use crate::lower::environment::tests::caller;
    use clap::Parser;
    use izba_sandbox::namespace::Namespaces;

    fn lowered(options: &[&str]) -> Result<Vec<Mount>> {
        let line = ["izba", "run"].into_iter().chain(options.iter().copied()).chain(["host"]);
        let Verb::Run(args) = Cli::try_parse_from(line).unwrap().verb else { panic!("run") };
        lower(&args, &caller(&[("HOME", "/")]), &Namespaces::isolated())
    }

    #[test]
    fn what_is_higher_up_comes_first() {
        let mounts = lowered(&["-v", "/usr:/a/b/c", "--mount", "type=tmpfs,target=/a/b", "--tmpfs", "/a"]).unwrap();
        let targets: Vec<_> = mounts.iter().map(|mount| mount.target.as_os_str()).collect();
        assert_eq!(targets, ["/a", "/a/b", "/a/b/c"]);
    }

    #[test]
    fn sources_are_looked_at() {
        let mounts = lowered(&["-v", "/etc/passwd:/p:ro", "-v", "~:/h", "-v", "/dev/null:/n"]).unwrap();
        let show = |mount: &Mount| match &mount.source {
            MountSource::Bind { path, directory, .. } => (path.display().to_string(), *directory, mount.attributes),
            other => panic!("{other:?}"),
        };
        let guarded = MountAttributes::MOUNT_ATTR_NOSUID | MountAttributes::MOUNT_ATTR_NODEV;
        assert_eq!(show(&mounts[0]), ("/etc/passwd".into(), false, guarded | MountAttributes::MOUNT_ATTR_RDONLY));
        assert_eq!(show(&mounts[1]), ("/".into(), true, guarded));
        assert_eq!(show(&mounts[2]), ("/dev/null".into(), false, MountAttributes::MOUNT_ATTR_NOSUID));
        let failure = lowered(&["-v", "/nonexistent:/x"]).unwrap_err();
        assert!(failure.remedies[0].contains("mkdir -p /nonexistent"));
    }

    #[test]
    fn one_place_has_one_mount() {
        assert!(lowered(&["-v", "/usr:/a", "--tmpfs", "/a/"]).unwrap_err().problem.contains("/a"));
    }

    #[test]
    fn ids_are_mapped_only_where_that_can_be() {
        assert!(lowered(&["-v", "/usr:/a:idmap"]).unwrap_err().remedies[0].contains("--userns"));
    }

    #[test]
    fn overlays_find_their_directories() {
        let list = |value: &str| absolute_list(value.as_ref(), Path::new("/c:d")).into_string().unwrap();
        assert_eq!(list("a:/b:c"), r"/c\:d/a:/b:/c\:d/c");
        assert_eq!(list(r"a\:b:/c::/d"), r"/c\:d/a\:b:/c::/d");
        let mounts = lowered(&["--mount", "type=overlay,lowerdir=a:/b,upperdir=u,target=/m"]).unwrap();
        let MountSource::Filesystem { options, .. } = &mounts[0].source else { panic!("an overlay") };
        assert_eq!(options[0].1.as_deref(), Some("/cwd/a:/b".as_ref()));
        assert_eq!(options[1].1.as_deref(), Some("/cwd/u".as_ref()));
    }

    #[test]
    fn rescue_work_sees_run() {
        assert_eq!(lowered(&["--repair"]).unwrap()[0].target.as_os_str(), "/run");
    }
}

//! The root file system: opened, attached, and made the root.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::path::{Path, PathBuf};

use izba_sys::mount::{MountAttributes, Propagation};
use izba_sys::path::OFlags;

use super::{Planner, c_path, in_root};
use crate::call::{At, Call, Resolve, Slot};
use crate::namespace::Kind;
use crate::rootfs::{CallerRoot, Entry, Root, SystemMounts, Writes};
use crate::text::quoted;

/// The new root is attached over the caller's "/": there is always such a directory, paths that start there still reach the
/// old root below it, and pivot_root(2) then makes the topmost mount the root.
fn over_old_root() -> At {
    At::Host(c"/".to_owned())
}

impl Planner<'_> {
    /// Opens the root. From here to the pivot no path of the host is used.
    pub(super) fn open_root(&mut self) {
        self.make_staging();
        let root = match &self.sandbox.root {
            Root::Caller(_) => return,
            Root::Directory { path, writes } => self.directory(path, writes),
            Root::Assembled { entries, size } => self.assembled(entries, *size),
        };
        self.root = Some(root);
    }

    /// A tmpfs that goes with the old root: overlay layers, provided files, and the empty directory that hides others.
    fn make_staging(&mut self) {
        let size = match &self.sandbox.root {
            Root::Directory { writes: Writes::DiscardedFromMemory { size }, .. } => *size,
            _ => 16 << 20,
        };
        let staging = self.staging;
        let attributes = MountAttributes::MOUNT_ATTR_NODEV;
        let options = [option("size", size.to_string()), option("mode", "0755")];
        let mut calls = self.new_filesystem("tmpfs", "izba".as_ref(), options, attributes, staging);
        // Over "/" it would lie on top of the old root when that is let go; nothing needs the old /proc any more.
        calls.push(Call::MoveMount { mount: staging, target: At::Host(c"/proc".to_owned()) });
        calls.push(Call::Mkdir { dir: staging, path: c"empty".to_owned(), mode: 0o555 });
        self.step(
            "make a staging area that goes with the old root",
            format!("mount -t tmpfs -o size={size} izba /proc"),
            calls,
        );
    }

    fn directory(&mut self, path: &Path, writes: &Writes) -> Slot {
        let missing = self.lacks_mount_points();
        match writes {
            Writes::InPlace if !missing || self.facts.root.writable => self.plain(path, false),
            Writes::Refused if !missing => self.plain(path, true),
            Writes::InPlace | Writes::Refused => self.with_mount_points(path, writes),
            Writes::DiscardedFromMemory { .. } => self.overlay(path, self.staging, ""),
            Writes::DiscardedFromDisk { dir } => self.on_disk(path, dir),
        }
    }

    fn plain(&mut self, path: &Path, read_only: bool) -> Slot {
        let root = self.root_source;
        let mut calls = Vec::new();
        let read_only_flag = if read_only { MountAttributes::MOUNT_ATTR_RDONLY } else { MountAttributes::empty() };
        let set = read_only_flag | self.no_devices();
        if !set.is_empty() {
            calls.push(set_attributes(root, set));
        }
        calls.push(Call::MoveMount { mount: root, target: over_old_root() });
        let option = if read_only { " -o ro" } else { "" };
        self.step("attach the root", format!("mount --rbind{option} {} /newroot", quoted(path)), calls);
        root
    }

    /// The mount points that the directory lacks are made in an overlay, which is read-only afterwards, as nothing could be kept.
    fn with_mount_points(&mut self, path: &Path, writes: &Writes) -> Slot {
        if *writes == Writes::InPlace {
            let shown = path.display();
            self.notes.push(format!("{shown} is read-only here: it lacks mount points, and you can't make them in it"));
        }
        self.protected = true;
        self.overlay(path, self.staging, "")
    }

    /// Makes a root read-only that had to be written to until now.
    pub(super) fn protect_root(&mut self) {
        if let (true, Some(root)) = (self.protected, self.root) {
            let set = MountAttributes::MOUNT_ATTR_RDONLY;
            let call = Call::MountSetattr { at: At::Slot(root), recursive: false, set, propagation: None, idmap: None };
            self.step("make the root read-only", "mount -o remount,bind,ro /newroot".to_owned(), vec![call]);
        }
    }

    /// Writes go to `upper` below the directory that `layers` holds, which `prefix` names relative to the staging area.
    fn overlay(&mut self, path: &Path, layers: Slot, prefix: &str) -> Slot {
        let make = ["upper", "work"].map(|name| Call::Mkdir { dir: layers, path: c_path(name), mode: 0o755 });
        self.step("make the layer that takes the writes", None, make.to_vec());
        let lower = if self.layer_of_files() { "files:lower" } else { "lower" };
        let mut options = vec![
            option("lowerdir", lower),
            option("upperdir", format!("{prefix}upper")),
            option("workdir", format!("{prefix}work")),
        ];
        if !prefix.is_empty() {
            // What is thrown away needn't reach the disk: overlayfs.rst, "Volatile mount".
            options.push(flag("volatile"));
        }
        self.mount_overlay(path, options, MountAttributes::empty())
    }

    /// Files are provided in a layer of their own where the directory that they belong in is somebody else's, in which a user
    /// namespace gives no right to make anything.
    fn layer_of_files(&mut self) -> bool {
        let closed = &self.facts.root.closed;
        let files: Vec<_> = self.sandbox.files.iter().filter(|file| closed.get(&file.path) == Some(&true)).collect();
        if files.is_empty() {
            return false;
        }
        let (staging, layer) = (self.staging, self.slot("layer of files"));
        let (at, flags) = (At::In(staging, c"files".to_owned()), OFlags::PATH | OFlags::DIRECTORY);
        let mut calls = vec![Call::Mkdir { dir: staging, path: c"files".to_owned(), mode: 0o755 }];
        calls.push(Call::Open { at, flags, resolve: Resolve::NoLinks, to: layer });
        let mut made = BTreeSet::new();
        for file in files {
            calls.extend(make_parents(layer, &file.path, &mut made));
            let (path, content) = (in_root(&file.path), file.content.clone());
            calls.push(Call::MakeFile { dir: layer, path, mode: 0o644, content });
            self.layered.insert(file.path.clone());
        }
        self.step("make a layer with the files that the root lacks", None, calls);
        true
    }

    fn on_disk(&mut self, path: &Path, dir: &Path) -> Slot {
        let staging = self.staging;
        let Some(disk) = self.sources.scratch else { return self.overlay(path, staging, "") };
        let attach = vec![
            Call::Mkdir { dir: staging, path: c"disk".to_owned(), mode: 0o755 },
            Call::MoveMount { mount: disk, target: At::In(staging, c"disk".to_owned()) },
        ];
        self.step(
            "attach the directory that takes the writes",
            format!("mount --bind {} /staging/disk", quoted(dir)),
            attach,
        );
        self.overlay(path, disk, "disk/")
    }

    /// Layers are named relative to the staging area, so that no character of the user's paths means anything to overlayfs.
    fn mount_overlay(&mut self, path: &Path, mut options: Vec<FsOption>, attributes: MountAttributes) -> Slot {
        let (staging, lower, root) = (self.staging, self.root_source, self.slot("root"));
        if !self.facts.root.submounts.is_empty() {
            let hidden = self.facts.root.submounts.join(", ");
            self.notes.push(format!("an overlay doesn't show what is mounted below the root: {hidden} (-v shows it)"));
        }
        // Without CAP_SYS_ADMIN outside, overlayfs may keep its marks in user.* attributes only: overlayfs.rst.
        if !self.facts.initial_user_namespace || !self.sandbox.namespaces.is_shared(Kind::User) {
            options.push(flag("userxattr"));
        }
        let shown: Vec<String> = options.iter().map(shown_option).collect();
        let mut calls = vec![
            Call::Mkdir { dir: staging, path: c"lower".to_owned(), mode: 0o755 },
            Call::MoveMount { mount: lower, target: At::In(staging, c"lower".to_owned()) },
            Call::Fchdir { dir: staging },
        ];
        calls.extend(self.new_filesystem("overlay", "izba".as_ref(), options, attributes | self.no_devices(), root));
        calls.push(Call::MoveMount { mount: root, target: over_old_root() });
        let shell = format!("mount -t overlay -o {} izba /newroot   # lower is {}", shown.join(","), quoted(path));
        self.step("attach the root, with an overlay", shell, calls);
        root
    }

    fn assembled(&mut self, entries: &[Entry], size: u64) -> Slot {
        let root = self.slot("root");
        let options = [option("size", size.to_string()), option("mode", "0755")];
        let attributes = MountAttributes::MOUNT_ATTR_NODEV;
        let mut calls = self.new_filesystem("tmpfs", "izba".as_ref(), options, attributes, root);
        calls.push(Call::MoveMount { mount: root, target: over_old_root() });
        self.step("attach the root, an empty tmpfs", format!("mount -t tmpfs -o size={size} izba /newroot"), calls);
        let sources = std::mem::take(&mut self.sources.entries);
        let mut made = BTreeSet::new();
        for (entry, source) in entries.iter().zip(sources) {
            self.entry(root, entry, source, &mut made);
        }
        root
    }

    fn entry(&mut self, root: Slot, entry: &Entry, source: Option<Slot>, made: &mut BTreeSet<PathBuf>) {
        match (entry, source) {
            (Entry::Bind { source: from, path, directory }, Some(mount)) => {
                let mut calls = make_parents(root, path, made);
                calls.push(make_target(root, path, *directory));
                calls.push(set_attributes(
                    mount,
                    MountAttributes::MOUNT_ATTR_RDONLY | MountAttributes::MOUNT_ATTR_NODEV,
                ));
                calls.push(Call::MoveMount { mount, target: At::In(root, in_root(path)) });
                let shell = format!("mount --rbind -o ro {} /newroot{}", quoted(from), quoted(path));
                self.step(format!("bind {}", path.display()), shell, calls);
            }
            (Entry::Symlink { target, path }, _) => {
                let mut calls = make_parents(root, path, made);
                calls.push(Call::Symlink { target: c_path(target), dir: root, path: in_root(path) });
                self.step(
                    format!("link {}", path.display()),
                    format!("ln -s {} /newroot{}", quoted(target), quoted(path)),
                    calls,
                );
            }
            (Entry::Directory { path, mode, owner }, _) => {
                let mut calls = make_parents(root, path, made);
                calls.push(Call::Mkdir { dir: root, path: in_root(path), mode: *mode });
                if let Some((uid, gid)) = *owner {
                    calls.push(Call::Chown { at: At::In(root, in_root(path)), uid, gid: Some(gid) });
                }
                self.step(
                    format!("make the directory {}", path.display()),
                    format!("mkdir -m {mode:o} /newroot{}", quoted(path)),
                    calls,
                );
            }
            (Entry::Bind { .. }, None) => {}
        }
    }

    /// Makes the new root the root of the mount namespace, and lets the old one go.
    pub(super) fn change_root(&mut self) {
        let Some(dir) = self.root else { return };
        if let Root::Caller(CallerRoot { chroot: Some(path), .. }) = &self.sandbox.root {
            let shell = format!("chroot {}", quoted(path));
            self.step("change the root directory", shell, vec![Call::Fchdir { dir }, Call::Chroot]);
            return;
        }
        if self.sandbox.no_pivot {
            self.step("change the root", "chroot /newroot".to_owned(), vec![Call::Fchdir { dir }, Call::Chroot]);
            self.notes.push(
                "the old root stays mounted below the new one (--no-pivot): a privileged program can reach it"
                    .to_owned(),
            );
            return;
        }
        let calls = vec![Call::Fchdir { dir }, Call::PivotRoot, Call::DetachOldRoot];
        self.step(
            "make it the root, and let the old one go",
            "cd /newroot; pivot_root . .; umount -l .".to_owned(),
            calls,
        );
    }

    /// Private: nothing that is mounted here may reach the host, and nothing that the host mounts later may come in.
    pub(super) fn propagate(&mut self, propagation: Propagation) {
        let (set, idmap) = (MountAttributes::empty(), None);
        let call =
            Call::MountSetattr { at: over_old_root(), recursive: true, set, propagation: Some(propagation), idmap };
        let word = propagation.word();
        self.step(format!("make every mount {word}"), format!("mount --make-r{word} /"), vec![call]);
    }

    /// Device files in a root are somebody else's data: only those of our own /dev can be opened.
    fn no_devices(&self) -> MountAttributes {
        match self.sandbox.system {
            SystemMounts::Private => MountAttributes::MOUNT_ATTR_NODEV,
            SystemMounts::Caller | SystemMounts::None => MountAttributes::empty(),
        }
    }

    /// The calls that make a file system and a detached mount of it.
    pub(super) fn new_filesystem(
        &mut self,
        fstype: &str,
        source: &OsStr,
        options: impl IntoIterator<Item = FsOption>,
        attributes: MountAttributes,
        to: Slot,
    ) -> Vec<Call> {
        let fs = self.slot(format!("new {fstype}"));
        let mut calls = vec![Call::FsOpen { fstype: c_path(fstype), to: fs }];
        calls.push(Call::FsConfig { fs, key: c"source".to_owned(), value: Some(c_path(source)) });
        calls.extend(options.into_iter().map(|(key, value)| Call::FsConfig { fs, key, value }));
        calls.push(Call::FsCreate { fs });
        calls.push(Call::FsMount { fs, attributes, to });
        calls
    }
}

/// An option of a file system, as fsconfig(2) takes it: a flag has no value.
pub(super) type FsOption = (CString, Option<CString>);

pub(super) fn option(key: &str, value: impl AsRef<OsStr>) -> FsOption {
    (c_path(key), Some(c_path(value)))
}

pub(super) fn flag(key: &str) -> FsOption {
    (c_path(key), None)
}

/// As mount(8) takes it.
pub(super) fn shown_option((key, value): &FsOption) -> String {
    match value {
        Some(value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
        None => key.to_string_lossy().into_owned(),
    }
}

/// Changes a mount and all below it.
pub(super) fn set_attributes(mount: Slot, set: MountAttributes) -> Call {
    Call::MountSetattr { at: At::Slot(mount), recursive: true, set, propagation: None, idmap: None }
}

/// The directories above `path` that haven't been made yet, in a tree of our own.
fn make_parents(root: Slot, path: &Path, made: &mut BTreeSet<PathBuf>) -> Vec<Call> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|parent| parent.iter().count() > 1).collect();
    above.retain(|parent| made.insert(parent.to_path_buf()));
    above.reverse();
    made.insert(path.to_path_buf());
    above.into_iter().map(|parent| Call::Mkdir { dir: root, path: in_root(parent), mode: 0o755 }).collect()
}

/// An empty directory or file to mount on.
fn make_target(dir: Slot, path: &Path, directory: bool) -> Call {
    let path = in_root(path);
    if directory {
        Call::Mkdir { dir, path, mode: 0o755 }
    } else {
        Call::MakeFile { dir, path, mode: 0o644, content: Vec::new() }
    }
}

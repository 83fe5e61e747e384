//! What the user wants mounted, and the files that are laid over the root. Each mount is made detached before the root
//! is opened, and attached by descriptor afterwards.

use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};

use izba_sys::mount::Propagation;
use izba_sys::path::{OFlags, PROC_MAGIC};

use super::root::{FsOption, set_attributes, shown_option};
use super::{PlanError, Planner, c_path, in_root};
use crate::call::{At, Call, Resolve, Slot};
use crate::rootfs::{Entry, Mount, MountSource, Root, SystemMounts, Writes};
use crate::text::quoted;

/// Detached mounts that wait for their places.
#[derive(Default)]
pub(super) struct Sources {
    pub scratch: Option<Slot>,
    pub entries: Vec<Option<Slot>>,
    pub mounts: Vec<Slot>,
    pub devices: Vec<Slot>,
    pub proc: Option<Slot>,
    pub dev: Option<Slot>,
    pub sys: Option<Slot>,
    pub mqueue: Option<Slot>,
}

impl Planner<'_> {
    /// Opens everything that comes from the host; the root last.
    pub(super) fn open_sources(&mut self) -> Result<(), PlanError> {
        self.propagate(Propagation::Private);
        for mount in &self.sandbox.mounts {
            let slot = self.wanted_source(mount);
            self.sources.mounts.push(slot);
        }
        self.system_sources()?;
        match &self.sandbox.root {
            Root::Caller(_) => {}
            Root::Assembled { entries, .. } => self.entry_sources(entries),
            Root::Directory { path, writes } => self.directory_source(path, writes),
        }
        Ok(())
    }

    fn wanted_source(&mut self, mount: &Mount) -> Slot {
        let target = mount.target.display();
        let to = self.slot(format!("mount for {target}"));
        match &mount.source {
            MountSource::Bind { path, recursive, idmap, .. } => {
                self.source_step(format!("copy the mount {}", path.display()), path, *recursive, *idmap, to);
            }
            MountSource::Filesystem { fstype, source, options } => {
                let calls = self.new_filesystem(fstype, source, fs_options(options), mount.attributes, to);
                self.step(format!("make a {fstype} for {target}"), None, calls);
            }
        }
        to
    }

    /// Copies a mount of the host, here or, where the rights for it stay outside, in the parent.
    pub(super) fn source_step(&mut self, title: String, path: &Path, recursive: bool, idmap: bool, to: Slot) {
        if let Some(call) = self.copy_mount(path, recursive, idmap, to) {
            self.step(title, None, vec![call]);
        }
    }

    fn entry_sources(&mut self, entries: &[Entry]) {
        let mut calls = Vec::new();
        for entry in entries {
            let slot = match entry {
                Entry::Bind { source, .. } => {
                    let to = self.slot(source.display().to_string());
                    calls.extend(self.copy_mount(source, true, true, to));
                    Some(to)
                }
                Entry::Symlink { .. } | Entry::Directory { .. } => None,
            };
            self.sources.entries.push(slot);
        }
        self.step("copy the mounts that the root is assembled from", None, calls);
    }

    fn directory_source(&mut self, path: &Path, writes: &Writes) {
        if let Writes::DiscardedFromDisk { dir } = writes {
            let to = self.slot("scratch directory");
            self.sources.scratch = Some(to);
            self.source_step(format!("open {}", dir.display()), dir, false, true, to);
        }
        self.source_step(format!("open the root {}", path.display()), path, true, true, self.root_source);
    }

    /// Attaches the user's mounts in the order in which they were given.
    pub(super) fn mount_wanted(&mut self) {
        let slots = std::mem::take(&mut self.sources.mounts);
        for (mount, slot) in self.sandbox.mounts.iter().zip(slots) {
            let (mut calls, place) = self.target(&mount.target, is_directory(&mount.source), Resolve::InRoot);
            // A link in a hostile root may lead a target into procfs, where a mount could fake what is written there:
            // CVE-2019-19921. Who names /proc means it.
            if !mount.target.starts_with("/proc") {
                calls.push(Call::RefuseFilesystem { slot: place, magic: PROC_MAGIC });
            }
            if matches!(mount.source, MountSource::Bind { .. }) && !mount.attributes.is_empty() {
                calls.push(set_attributes(slot, mount.attributes));
            }
            calls.push(Call::MoveMount { mount: slot, target: At::Slot(place) });
            self.mounted = true;
            self.step(format!("mount {}", mount.target.display()), shell(mount), calls);
        }
    }

    /// Lays small files over the root. Where its writes are thrown away they are simply written.
    pub(super) fn provide_files(&mut self) {
        let Some(root) = self.root else { return };
        for (index, file) in self.sandbox.files.iter().enumerate() {
            let dangling = self.facts.root.dangling.contains(&file.path);
            let missing = self.existing(&file.path) + 1 < file.path.iter().count();
            if self.layered.contains(&file.path) {
                continue;
            }
            if (dangling && !self.root_is_private()) || (missing && self.facts.root.closed.contains_key(&file.path)) {
                self.notes.push(format!("{} can't be provided in this root", file.path.display()));
                continue;
            }
            let mut calls;
            // Nothing is mounted over what needn't be there: programs may replace the file.
            if dangling || matches!(self.sandbox.root, Root::Assembled { .. }) {
                calls = self.parents_in_root(&file.path);
                let dir = self.slot(format!("directory of {}", file.path.display()));
                let parent = in_root(file.path.parent().unwrap_or(Path::new("/")));
                let name = c_path(file.path.file_name().unwrap_or_default());
                calls.push(Call::Open {
                    at: At::In(root, parent),
                    flags: OFlags::PATH | OFlags::DIRECTORY,
                    resolve: Resolve::InRoot,
                    to: dir,
                });
                calls.push(Call::Unlink { dir, name: name.clone() });
                calls.push(Call::MakeFile { dir, path: name, mode: 0o644, content: file.content.clone() });
            } else {
                let (staging, name) = (self.staging, c_path(format!("file{index}")));
                let mount = self.slot(format!("mount for {}", file.path.display()));
                let place;
                (calls, place) = self.target(&file.path, false, Resolve::InRoot);
                calls.push(Call::MakeFile {
                    dir: staging,
                    path: name.clone(),
                    mode: 0o644,
                    content: file.content.clone(),
                });
                calls.push(Call::OpenTree { from: At::In(staging, name), recursive: false, to: mount });
                calls.push(Call::RefuseFilesystem { slot: place, magic: PROC_MAGIC });
                calls.push(Call::MoveMount { mount, target: At::Slot(place) });
            }
            self.step(format!("provide {}", file.path.display()), None, calls);
        }
    }

    fn root_is_private(&self) -> bool {
        match &self.sandbox.root {
            Root::Assembled { .. } => true,
            Root::Directory { writes, .. } => {
                matches!(writes, Writes::DiscardedFromMemory { .. } | Writes::DiscardedFromDisk { .. })
                    || self.protected
            }
            Root::Caller(_) => false,
        }
    }

    /// The calls that make what is missing at a target and open it, and the slot that it is opened in.
    pub(super) fn target(&mut self, path: &Path, directory: bool, resolve: Resolve) -> (Vec<Call>, Slot) {
        let to = self.slot(format!("target {}", path.display()));
        let mut calls = Vec::new();
        let Some(root) = self.root else { return (calls, to) };
        let components = path.iter().count();
        if self.existing(path) + 1 < components {
            calls = self.parents_in_root(path);
            let dir = self.slot("parent");
            let parent = in_root(path.parent().unwrap_or(Path::new("/")));
            let name = c_path(path.file_name().unwrap_or_default());
            calls.push(self.open_parent(root, parent, dir, path));
            calls.push(if directory {
                Call::Mkdir { dir, path: name, mode: 0o755 }
            } else {
                Call::MakeFile { dir, path: name, mode: 0o644, content: Vec::new() }
            });
        }
        let kind = if directory { OFlags::DIRECTORY } else { OFlags::empty() };
        calls.push(Call::Open { at: At::In(root, in_root(path)), flags: OFlags::PATH | kind, resolve, to });
        (calls, to)
    }

    /// Makes the missing directories above `path`, each in its parent as the root resolves it.
    fn parents_in_root(&mut self, path: &Path) -> Vec<Call> {
        let Some(root) = self.root else { return Vec::new() };
        let parents: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_path_buf).collect();
        let existing = self.existing(path);
        let mut calls = Vec::new();
        for parent in parents.iter().rev().filter(|parent| parent.iter().count() > existing + 1) {
            let dir = self.slot("parent");
            calls.push(self.open_parent(root, in_root(parent.parent().unwrap_or(Path::new("/"))), dir, path));
            calls.push(Call::Mkdir { dir, path: c_path(parent.file_name().unwrap_or_default()), mode: 0o755 });
        }
        calls
    }

    /// Opens the directory in which a part of `target` is to be made. Once something of the user's is mounted, a link in a hostile
    /// root mustn't lead there, as what is made would stay; who names a path below a mount means it.
    fn open_parent(&self, root: Slot, path: CString, to: Slot, target: &Path) -> Call {
        let named = self.mount_above(target).is_some();
        let resolve = if self.mounted && !named { Resolve::InRootMount } else { Resolve::InRoot };
        Call::Open { at: At::In(root, path), flags: OFlags::PATH | OFlags::DIRECTORY, resolve, to }
    }

    /// How many leading components of a target are known to exist. Below another mount nothing is known, and making what
    /// exists is no error.
    fn existing(&self, path: &Path) -> usize {
        match self.mount_above(path) {
            Some(known) => known,
            None => self.facts.root.existing.get(path).copied().unwrap_or(0),
        }
    }

    /// The number of components of the deepest mount that a path lies below.
    fn mount_above(&self, path: &Path) -> Option<usize> {
        let system: &[&str] = if self.sandbox.system == SystemMounts::None { &[] } else { &["/proc", "/dev", "/sys"] };
        let wanted = self.sandbox.mounts.iter().map(|mount| mount.target.as_path());
        let above =
            wanted.chain(system.iter().map(Path::new)).filter(|target| path.starts_with(target) && path != *target);
        above.map(|target| target.iter().count() - 1).max()
    }

    /// Does the root directory lack a place where something is to be mounted?
    pub(super) fn lacks_mount_points(&self) -> bool {
        let known = self.facts.root.existing.iter();
        let of_the_root = known.filter(|(target, _)| self.mount_above(target).is_none());
        let needed = of_the_root.filter(|(target, _)| !self.facts.root.dangling.contains(*target));
        needed.into_iter().any(|(target, count)| count + 1 < target.iter().count())
    }
}

/// The kind of thing that is made at a missing target.
fn is_directory(source: &MountSource) -> bool {
    match source {
        MountSource::Bind { directory, .. } => *directory,
        MountSource::Filesystem { .. } => true,
    }
}

fn fs_options(options: &[(String, Option<OsString>)]) -> impl Iterator<Item = FsOption> {
    options.iter().map(|(key, value)| (c_path(key), value.as_ref().map(c_path)))
}

fn shell(mount: &Mount) -> String {
    let target = quoted(&mount.target);
    match &mount.source {
        MountSource::Bind { path, recursive, .. } => {
            let bind = if *recursive { "--rbind" } else { "--bind" };
            format!("mount {bind} {} /newroot{target}", quoted(path))
        }
        MountSource::Filesystem { fstype, source, options } => {
            let options: Vec<String> = fs_options(options).map(|option| shown_option(&option)).collect();
            let option = if options.is_empty() { String::new() } else { format!(" -o {}", options.join(",")) };
            format!("mount -t {fstype}{option} {} /newroot{target}", quoted(source))
        }
    }
}

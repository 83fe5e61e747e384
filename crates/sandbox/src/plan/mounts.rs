//! What the user wants mounted, and the files that are laid over the root. Each mount is made detached before the root
//! is opened, and attached by descriptor afterwards.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use izba_sys::path::{OFlags, PROC_MAGIC};

use super::root::{FsOption, set_attributes, shown_option};
use super::{PlanError, Planner, c_path, in_root};
use crate::call::{At, Call, Resolve, Slot};
use crate::rootfs::{Entry, Mount, MountSource, Root, Writes};
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
        self.make_private();
        for mount in &self.sandbox.mounts {
            let slot = self.wanted_source(mount);
            self.sources.mounts.push(slot);
        }
        self.system_sources()?;
        match &self.sandbox.root {
            Root::Caller => {}
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
            self.step(format!("mount {}", mount.target.display()), shell(mount), calls);
        }
    }

    /// Lays small files over the root. Where its writes are thrown away they are simply written.
    pub(super) fn provide_files(&mut self) {
        let Some(root) = self.root else { return };
        let private = self.root_is_private();
        for (index, file) in self.sandbox.files.iter().enumerate() {
            let mut calls;
            if private {
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
            }
            Root::Caller => false,
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
            calls.push(open_directory(root, parent, dir));
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
            calls.push(open_directory(root, in_root(parent.parent().unwrap_or(Path::new("/"))), dir));
            calls.push(Call::Mkdir { dir, path: c_path(parent.file_name().unwrap_or_default()), mode: 0o755 });
        }
        calls
    }

    /// How many leading components of a target are known to exist. Below another mount nothing is known, and making what
    /// exists is no error.
    fn existing(&self, path: &Path) -> usize {
        let under_mount = self
            .sandbox
            .mounts
            .iter()
            .map(|mount| &mount.target)
            .filter(|target| path.starts_with(target) && path != *target);
        match under_mount.map(|target| target.iter().count() - 1).max() {
            Some(known) => known,
            None => self.facts.root.existing.get(path).copied().unwrap_or(0),
        }
    }

    /// Targets that the root directory lacks, and whether each is a directory.
    pub(super) fn missing_targets(&self) -> Vec<(PathBuf, bool)> {
        let files: BTreeSet<&Path> = self.file_targets();
        let known = self.facts.root.existing.iter();
        let missing =
            known.filter(|(target, count)| *count + 1 < target.iter().count() && self.existing(target) == **count);
        missing.map(|(target, _)| (target.clone(), !files.contains(target.as_path()))).collect()
    }

    fn file_targets(&self) -> BTreeSet<&Path> {
        let files = self.sandbox.files.iter().map(|file| file.path.as_path());
        let binds =
            self.sandbox.mounts.iter().filter(|mount| !is_directory(&mount.source)).map(|mount| mount.target.as_path());
        files.chain(binds).collect()
    }
}

fn open_directory(root: Slot, path: std::ffi::CString, to: Slot) -> Call {
    Call::Open { at: At::In(root, path), flags: OFlags::PATH | OFlags::DIRECTORY, resolve: Resolve::InRoot, to }
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

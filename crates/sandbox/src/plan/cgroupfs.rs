//! /sys/fs/cgroup: of its control groups the program sees its own, as the root, and may not write there.

use std::path::Path;

use izba_sys::mount::MountAttributes;
use izba_sys::path::OFlags;

use super::root::{flag, option, set_attributes};
use super::system::{attach_in, inert};
use super::{Planner, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::cgroup::{Hierarchy, Version};
use crate::namespace::Kind;

/// Where every program looks: file-hierarchy(7) of systemd.
const PLACE: &str = "fs/cgroup";

/// A hierarchy of the program's own group that it is shown.
pub(super) struct Shown {
    /// The directory in /sys/fs/cgroup; none where cgroup v2 is all there is.
    name: Option<String>,
    /// Options of the mount: v1's controllers.
    controllers: Vec<&'static str>,
}

impl Shown {
    /// `None` for the v2 hierarchy of a hybrid machine, in which there are no limits to be read.
    pub(super) fn of(hierarchy: &Hierarchy) -> Option<Self> {
        let top = &hierarchy.above.first()?.path;
        if hierarchy.version == Version::V2 {
            return (top == Path::new("/sys").join(PLACE).as_path())
                .then_some(Self { name: None, controllers: Vec::new() });
        }
        let controllers = hierarchy.controllers.iter().filter_map(|controller| controller.name(Version::V1)).collect();
        Some(Self { name: Some(top.file_name()?.to_string_lossy().into_owned()), controllers })
    }
}

impl Planner<'_> {
    /// Mounts them over what a sysfs has there, which is nothing, or, in a copy of the caller's, the caller's groups.
    pub(super) fn cgroupfs(&mut self, sys: Slot) {
        let shown = std::mem::take(&mut self.shown_groups);
        // Seen from a shared namespace, what is mounted is the whole hierarchy.
        if shown.is_empty() || !self.is_new(Kind::Cgroup) {
            return;
        }
        let place = self.slot("place of /sys/fs/cgroup");
        let open = Call::Open {
            at: At::In(sys, c_path(PLACE)),
            flags: OFlags::PATH | OFlags::DIRECTORY,
            resolve: Resolve::NoLinks,
            to: place,
        };
        let (mount, mut calls, shell) = match shown.iter().find(|shown| shown.name.is_none()) {
            Some(unified) => {
                let (mount, calls) = self.new_cgroupfs(unified);
                (mount, calls, "mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup2 /newroot/sys/fs/cgroup")
            }
            None => {
                let (mount, calls) = self.v1_cgroupfs(&shown);
                (mount, calls, "mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=755 cgroup /newroot/sys/fs/cgroup")
            }
        };
        calls.extend([open, Call::MoveMount { mount, target: At::Slot(place) }]);
        self.step("mount /sys/fs/cgroup", shell.to_owned(), calls);
    }

    fn new_cgroupfs(&mut self, shown: &Shown) -> (Slot, Vec<Call>) {
        let (fstype, name) = match &shown.name {
            None => ("cgroup2", "cgroup2"),
            Some(name) => ("cgroup", name.as_str()),
        };
        let mount = self.slot(format!("cgroupfs {name}"));
        let options = shown.controllers.iter().map(|controller| flag(controller));
        let attributes = inert() | MountAttributes::MOUNT_ATTR_RDONLY;
        (mount, self.new_filesystem(fstype, fstype.as_ref(), options, attributes, mount))
    }

    /// A directory for each hierarchy, as v1 has always been mounted.
    fn v1_cgroupfs(&mut self, shown: &[Shown]) -> (Slot, Vec<Call>) {
        let tmpfs = self.slot("cgroup hierarchies");
        let options = [option("mode", "0755"), option("size", "65536")];
        let mut calls = self.new_filesystem("tmpfs", "cgroup".as_ref(), options, inert(), tmpfs);
        for shown in shown {
            let (mount, made) = self.new_cgroupfs(shown);
            calls.extend(made);
            attach_in(tmpfs, shown.name.as_deref().unwrap_or_default(), mount, &mut calls);
        }
        calls.push(set_attributes(tmpfs, MountAttributes::MOUNT_ATTR_RDONLY));
        (tmpfs, calls)
    }
}

//! What the parent does while the child waits: id maps, and mounts that only it has the rights to make.

use std::path::Path;

use izba_sys::mount::{MountAttributes, Propagation};

use super::{Planner, Step, c_path};
use crate::call::{At, Call, Slot};
use crate::idmap::{IdMap, IdMaps, MapWriter};
use crate::namespace::{Kind, Namespace};

impl Planner<'_> {
    /// The child waits first of all, until its ids are mapped. What the parent sends is known only at the end, so the
    /// list is filled in by [`Planner::mount_outside`].
    pub(super) fn receive_from_parent(&mut self) {
        if let Namespace::New(maps) = &self.sandbox.namespaces.user {
            self.map_ids(maps);
        }
        if self.waits_for_parent() {
            let title = match self.is_new(Kind::User) {
                true => "wait until the parent has mapped the ids",
                false => "wait until systemd has made the group",
            };
            self.step(title, None, vec![Call::AwaitParent { receive: Vec::new() }]);
        }
    }

    fn waits_for_parent(&self) -> bool {
        self.is_new(Kind::User) || self.waits_for_systemd()
    }

    fn map_ids(&mut self, maps: &IdMaps) {
        if maps.deny_setgroups {
            self.outside(
                "give up setgroups(2)",
                "echo deny > /proc/$PID/setgroups".to_owned(),
                Call::WriteMap { file: "setgroups", content: b"deny".to_vec() },
            );
        }
        let files = [("uid_map", "newuidmap", &maps.uids), ("gid_map", "newgidmap", &maps.gids)];
        for (file, helper, map) in files.into_iter().filter(|(_, _, map)| !map.ranges().is_empty()) {
            let call = match maps.writer {
                MapWriter::Direct => Call::WriteMap { file, content: map.to_string().into_bytes() },
                MapWriter::Helpers => Call::RunMapHelper { helper, args: numbers(map) },
            };
            let shell = match maps.writer {
                MapWriter::Direct => format!("echo '{}' > /proc/$PID/{file}", map.to_string().trim_end()),
                MapWriter::Helpers => format!("{helper} $PID {}", numbers(map).join(" ")),
            };
            self.outside(&format!("write the {file}"), shell, call);
        }
    }

    fn outside(&mut self, title: &str, shell: String, call: Call) {
        self.outside.push(Step { title: title.to_owned(), shell: Some(shell), calls: vec![call] });
    }

    /// A copy of a mount for the child: made by the child itself, or, where the child loses the rights over its source,
    /// by the parent, which can also shift the ids.
    pub(super) fn copy_mount(&mut self, source: &Path, recursive: bool, idmap: bool, to: Slot) -> Option<Call> {
        let open = Call::OpenTree { from: At::Host(c_path(source)), recursive, to };
        if !self.privileged_outside() {
            return Some(open);
        }
        let mut calls = vec![open];
        let idmap_to = idmap.then(|| self.child_user_namespace(&mut calls));
        // A copy stays a peer of its source, which would carry mounts made inside to the host.
        let propagation = Some(Propagation::Private);
        let set = MountAttributes::empty();
        calls.push(Call::MountSetattr { at: At::Slot(to), recursive, set, propagation, idmap: idmap_to });
        let shown = source.display();
        self.outside.push(Step {
            title: format!("copy the mount {shown}{}", if idmap { ", ids shifted" } else { "" }),
            shell: None,
            calls,
        });
        self.received.push(to);
        None
    }

    /// Opened once.
    fn child_user_namespace(&mut self, calls: &mut Vec<Call>) -> Slot {
        if let Some(opened) = self.child_user {
            return opened;
        }
        let to = self.slot("the child's user namespace");
        calls.push(Call::OpenChildNamespace { kind: Kind::User.proc_name(), to });
        self.child_user = Some(to);
        to
    }

    /// Ends the parent's part: it sends what the child waits for.
    pub(super) fn release_child(&mut self) {
        if !self.waits_for_parent() {
            return;
        }
        let received = std::mem::take(&mut self.received);
        for step in &mut self.inside {
            for call in &mut step.calls {
                if let Call::AwaitParent { receive } = call {
                    receive.clone_from(&received);
                }
            }
        }
        self.outside.push(Step {
            title: "let the child go on".to_owned(),
            shell: None,
            calls: vec![Call::ReleaseChild { send: received }],
        });
    }
}

fn numbers(map: &IdMap) -> Vec<String> {
    map.ranges()
        .iter()
        .flat_map(|range| [range.inside, range.outside, range.count])
        .map(|number| number.to_string())
        .collect()
}

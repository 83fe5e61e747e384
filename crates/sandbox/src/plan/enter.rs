//! The first steps of the child: namespaces that can't come by clone3(2), and its place among processes.

use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;

use super::{Planner, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::idmap::IdMap;
use crate::namespace::{Kind, Namespace};
use crate::sandbox::User;

impl Planner<'_> {
    /// Joins, clocks, and what has to be written to the caller's procfs while it is there.
    pub(super) fn enter_namespaces(&mut self) {
        self.leave_session();
        self.umask();
        self.oom_score();
        self.join_groups();
        self.open_outer_places();
        self.joins();
        self.cgroup_namespace();
        self.time();
        self.ids_for_set_up();
        // Between here and execve(2) nobody may look into us or our descriptors: CVE-2016-9962.
        self.step("hide from ptrace(2)", None, vec![Call::SetDumpable(false)]);
    }

    /// Signals of the caller's terminal come through the caller, once, and not to us as well.
    fn leave_session(&mut self) {
        self.step("leave the caller's session", "setsid".to_owned(), vec![Call::Setsid]);
        let name = if self.is_new(Kind::Pid) && !self.forks_early() { c"izba-init" } else { c"izba-watch" };
        self.step("hear of children that end", None, vec![Call::HearOfChildren]);
        self.step("show no arguments of the caller's", None, vec![Call::ReplaceArguments(name.to_owned())]);
    }

    fn umask(&mut self) {
        self.step("clear the umask", "umask 0".to_owned(), vec![Call::ClearUmask]);
    }

    fn oom_score(&mut self) {
        let Some(score) = self.sandbox.process.oom_score_adj else { return };
        let at = At::Host(c"/proc/self/oom_score_adj".to_owned());
        let write = Call::WriteSetting { at, content: score.to_string().into_bytes() };
        self.step("set the OOM score", format!("echo {score} > /proc/self/oom_score_adj"), vec![write]);
    }

    fn joins(&mut self) {
        let mut kinds: Vec<Kind> =
            Kind::ALL.into_iter().filter(|&kind| self.sandbox.namespaces.joined(kind).is_some()).collect();
        // Who has rights over the others keeps them by entering the user namespace last; who gets them there enters it first.
        if self.facts.may("SYS_ADMIN") {
            let user_is_first = kinds.first() == Some(&Kind::User);
            kinds.rotate_left(usize::from(user_is_first));
        }
        if kinds.contains(&Kind::User)
            && self.facts.joined_denies_setgroups
            && !self.facts.denies_setgroups
            && self.facts.may("SETGID")
        {
            self.step("leave the caller's groups, as it can't be done inside", None, vec![Call::SetGroups(Vec::new())]);
        }
        if !kinds.is_empty() {
            // Who is inside may hold rights over us as soon as we are in: CVE-2016-9962.
            self.step("hide from who is inside", None, vec![Call::SetDumpable(false)]);
        }
        let opened: Vec<_> = kinds.iter().filter_map(|&kind| self.open_namespace(kind)).collect();
        if let Some(pidfd) = self.sandbox.requires {
            self.step("make sure that it is the same process still", None, vec![Call::RequireRunning { pidfd }]);
        }
        for (kind, namespace, path) in opened {
            let call = Call::Setns { namespace, kind: kind.clone_flag() };
            self.step(format!("join the {kind} namespace"), format!("nsenter --{kind}={path}"), vec![call]);
        }
    }

    /// All are opened before the first is entered: a joined mount namespace has another /proc.
    fn open_namespace(&mut self, kind: Kind) -> Option<(Kind, Slot, String)> {
        let path = self.sandbox.namespaces.joined(kind)?;
        let shown = path.display().to_string();
        let slot = self.slot(format!("{kind} namespace"));
        let at = At::Host(c_path(path));
        let open = Call::Open { at, flags: OFlags::RDONLY, resolve: Resolve::Freely, to: slot };
        self.step(format!("open the {kind} namespace {shown}"), None, vec![open]);
        Some((kind, slot, shown))
    }

    fn time(&mut self) {
        let Namespace::New(offsets) = self.sandbox.namespaces.time else { return };
        let content = format!("monotonic {} 0\nboottime {} 0\n", offsets.monotonic, offsets.boottime);
        let at = At::Host(c"/proc/self/timens_offsets".to_owned());
        let shell = format!("unshare --time --monotonic {} --boottime {}", offsets.monotonic, offsets.boottime);
        let write = Call::WriteSetting { at, content: content.into_bytes() };
        self.step(
            "make a time namespace, which the next process enters",
            shell,
            vec![Call::Unshare(CloneFlags::NEWTIME), write],
        );
    }

    /// Root outside is nobody in a new user namespace until it takes an id there; what it makes needs a mapped owner.
    fn ids_for_set_up(&mut self) {
        if self.sandbox.process.user == User::Kept {
            return;
        }
        let unmapped = match &self.sandbox.namespaces.user {
            Namespace::Share => false,
            Namespace::New(maps) => !maps_outer(&maps.uids, self.facts.uid) || !maps_outer(&maps.gids, self.facts.gid),
            // Whom the kernel let in is root there, if there is one.
            Namespace::Join(_) => self.facts.uid == 0 && self.facts.joined_has_root,
        };
        if unmapped {
            self.step("become root of the user namespace", None, vec![Call::SetGid(0), Call::SetUid(0)]);
        }
    }

    /// Some namespaces are only entered by a child: it is made before anything is mounted.
    pub(super) fn fork_early(&mut self) {
        if self.forks_early() {
            let title = "make a process in the namespaces; this one stays outside to watch it";
            self.step(title, None, vec![Call::Fork { namespaces: self.flags_of_early_fork(), group: None }]);
            self.die_with_supervisor();
            if self.forks_late() && self.is_new(Kind::Pid) {
                let name = c"izba-init".to_owned();
                self.step("show what it is", None, vec![Call::ReplaceArguments(name)]);
            }
        }
    }

    /// The supervisor watches the caller. Should it be killed itself, the kernel kills its child. Our init needs no such
    /// help: with it the whole PID namespace goes.
    pub(super) fn die_with_supervisor(&mut self) {
        self.step("die with the supervisor", None, vec![Call::DieWithParent]);
    }
}

fn maps_outer(map: &IdMap, id: u32) -> bool {
    map.ranges().iter().any(|range| range.outside <= id && id - range.outside < range.count)
}

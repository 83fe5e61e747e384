//! Which hierarchies there are, where a new group would be in them, and what the caller may do there: facts for a plan.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use izba_sys::Errno;
use izba_sys::credential::geteuid;
use izba_sys::path::{Access, AtFlags, CGROUP_MAGIC, CGROUP2_MAGIC, CWD, accessat, statfs};

use super::{Controller, Driver, Manager, NewGroup, NumberList, Parent, Version, Weighing, memberships};

/// Where all systems mount control groups: file-hierarchy(7) of systemd, and every container engine.
const MOUNTED: &str = "/sys/fs/cgroup";

/// The hierarchies that a new group needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// cgroup v2.
    pub unified: Option<Hierarchy>,
    /// v1, as far as the group's limits need it.
    pub v1: Vec<Hierarchy>,
    /// What /proc/devices says, which systemd's rules for devices need.
    pub drivers: String,
    /// What follows I/O weights; looked at only where there is one.
    pub weighing: Weighing,
}

/// One hierarchy, and the way down to where the new group would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which interface it has.
    pub version: Version,
    /// v1: what it has. v2: what its top group has; looked at only where something is limited.
    pub controllers: BTreeSet<Controller>,
    /// Every group from the top of what is mounted down to the new group's parent.
    pub above: Vec<Above>,
    /// May the caller make groups in the last of these that exists, and processes in them?
    pub writable: bool,
    /// The CPUs that a group in the last of these that exists can have, if they matter.
    pub cpus: Option<NumberList>,
    /// Its memory nodes.
    pub mems: Option<NumberList>,
}

/// A group above the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    /// Its directory, absolute.
    pub path: PathBuf,
    /// Does it exist?
    pub exists: bool,
    /// Which controllers its children have: `cgroup.subtree_control` (v2).
    pub handed_on: BTreeSet<Controller>,
    /// May the caller change that?
    pub writable: bool,
    /// Has it processes of its own, and isn't the root of all? Then it can't be made to hand more on: cgroups(7).
    pub occupied: bool,
}

impl Layout {
    /// Looks at the machine, as far as `new` makes it matter.
    pub fn look(new: &NewGroup) -> Self {
        let mut layout = Self::of_hierarchies(new);
        if new.limits.weigh_disks() {
            layout.weighing = Weighing::look(layout.version(Controller::Io));
        }
        layout
    }

    fn of_hierarchies(new: &NewGroup) -> Self {
        let own = own_groups();
        let needed: BTreeSet<Controller> = new.limits.controllers().union(&new.controllers).copied().collect();
        let parent = match &new.driver {
            Driver::Files(parent) => parent,
            Driver::Systemd { bus, .. } => return Self::of_systemd(bus.manager(), new, &needed),
        };
        let unified = unified_hierarchy(&own, parent, !needed.is_empty());
        let missing = needed.into_iter().filter(|&controller| match &unified {
            // Every group of v2 can be stopped.
            Some(unified) if controller == Controller::Freezer => !unified.writable,
            Some(unified) => !unified.controllers.contains(&controller),
            None => true,
        });
        let v1 = v1_hierarchies(missing.collect(), &own, parent);
        Self { unified, v1, ..Self::default() }
    }

    /// systemd makes the group, and hands on what it has itself.
    fn of_systemd(manager: Manager, new: &NewGroup, needed: &BTreeSet<Controller>) -> Self {
        // On a hybrid machine the limits are on v1, where scopes have none of ours.
        let unified = unified_mount().filter(|_| is_unified()).map(|top| {
            let mut unified = unified(&top, Path::new("/"), !needed.is_empty());
            let service = match manager {
                Manager::System => top,
                Manager::User => top.join(user_service()),
            };
            let handed_on = words(&service.join("cgroup.controllers"));
            // Where there is no such service the bus will say so.
            let exists = service.is_dir();
            unified.above.iter_mut().for_each(|above| above.handed_on.clone_from(&unified.controllers));
            unified.above.push(Above { path: service, exists, handed_on, writable: !exists, occupied: false });
            Hierarchy { writable: true, ..unified }
        });
        let drivers = match new.limits.devices.is_empty() {
            true => String::new(),
            false => std::fs::read_to_string("/proc/devices").unwrap_or_default(),
        };
        Self { unified, drivers, ..Self::default() }
    }

    /// Where a group in `parent` would be, in every hierarchy whose controllers izba knows and in which the caller may make groups.
    pub(super) fn writable_parents(parent: &Parent) -> Vec<PathBuf> {
        let writable = all_hierarchies(parent).filter(|hierarchy| hierarchy.writable);
        writable.map(|hierarchy| hierarchy.parent().to_owned()).collect()
    }

    /// Where these hierarchies are mounted.
    pub(super) fn tops() -> Vec<PathBuf> {
        let tops = all_hierarchies(&Parent::Path("/".into()));
        tops.map(|hierarchy| hierarchy.parent().to_owned()).collect()
    }

    /// Where a controller is, if it is anywhere.
    pub fn version(&self, controller: Controller) -> Option<Version> {
        if self.v1.iter().any(|hierarchy| hierarchy.controllers.contains(&controller)) {
            return Some(Version::V1);
        }
        let unified = self.unified.as_ref()?;
        // A BPF program does it there: no controller's file.
        let has = controller == Controller::Devices || unified.controllers.contains(&controller);
        has.then_some(Version::V2)
    }
}

impl Hierarchy {
    /// The group in which the new one would be made.
    pub fn parent(&self) -> &Path {
        self.above.last().map_or(Path::new(MOUNTED), |above| &above.path)
    }
}

/// Is cgroup v2 all there is? systemd's scopes are for that.
pub fn is_unified() -> bool {
    is_mounted(Path::new(MOUNTED), CGROUP2_MAGIC)
}

/// May the caller make a process in this cgroup v2 group? Whose the group is doesn't decide: who puts a process elsewhere has to have the right to
/// write the `cgroup.procs` of the nearest group above both its own and the other one. cgroups(7), "delegation containment".
pub fn may_enter(group: &Path) -> bool {
    let own = own_groups();
    let Some(own) = unified_mount().map(|top| top.join(unified_path(&own).trim_start_matches('/'))) else {
        return false;
    };
    let above = group.ancestors().find(|above| own.starts_with(above));
    above.is_some_and(|above| may_write(&above.join("cgroup.procs")) == Some(true))
}

/// The directory of a group of the cgroup v2 hierarchy.
pub(super) fn unified_group(path: &Path) -> Option<PathBuf> {
    unified_mount().map(|top| top.join(path.strip_prefix("/").unwrap_or(path)))
}

/// Is this cgroup v2 group frozen, or one above it? `frozen` of cgroup.events, "Core Interface Files" of cgroup-v2.rst.
pub(crate) fn is_frozen(group: &Path) -> bool {
    let events = std::fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1")
}

fn own_groups() -> String {
    std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// The caller's group in the cgroup v2 hierarchy.
fn unified_path(own: &str) -> &str {
    memberships(own).find(|(hierarchy, _)| hierarchy.is_empty()).map_or("/", |(_, path)| path)
}

/// Of a pure cgroup v2 system, or of a hybrid one.
pub(super) fn unified_mount() -> Option<PathBuf> {
    let places = [PathBuf::from(MOUNTED), Path::new(MOUNTED).join("unified")];
    places.into_iter().find(|place| is_mounted(place, CGROUP2_MAGIC))
}

/// Where the caller's own systemd is: user@.service(5).
fn user_service() -> PathBuf {
    let uid = geteuid().as_raw();
    format!("user.slice/user-{uid}.slice/user@{uid}.service").into()
}

fn is_mounted(place: &Path, magic: u64) -> bool {
    statfs(place).is_ok_and(|found| u64::try_from(found.f_type) == Ok(magic))
}

/// The new group's parent in a hierarchy. In a container the caller's group may lie outside of what is mounted.
fn below<'a>(top: &Path, parent: &'a Parent, nearest: &'a Path) -> &'a Path {
    match parent {
        Parent::Nearest if top.join(nearest.strip_prefix("/").unwrap_or(nearest)).is_dir() => nearest,
        Parent::Nearest => Path::new("/"),
        Parent::Path(path) => path,
    }
}

/// Those whose controllers izba knows.
fn all_hierarchies(parent: &Parent) -> impl Iterator<Item = Hierarchy> + use<> {
    let own = own_groups();
    let v1 = v1_hierarchies(Controller::all().collect(), &own, parent);
    unified_hierarchy(&own, parent, false).into_iter().chain(v1)
}

fn unified_hierarchy(own: &str, parent: &Parent, limited: bool) -> Option<Hierarchy> {
    let top = unified_mount()?;
    let above = Path::new(unified_path(own)).parent().unwrap_or(Path::new("/"));
    Some(unified(&top, below(&top, parent, above), limited))
}

fn unified(top: &Path, parent: &Path, limited: bool) -> Hierarchy {
    let mut hierarchy = hierarchy(Version::V2, top, parent);
    if limited {
        hierarchy.controllers = words(&top.join("cgroup.controllers"));
        hierarchy.above.iter_mut().filter(|above| above.exists).for_each(look_at);
        set_cpus(&mut hierarchy, "cpuset.cpus.effective", "cpuset.mems.effective");
    }
    hierarchy
}

fn look_at(above: &mut Above) {
    let subtree_control = above.path.join("cgroup.subtree_control");
    let Some(writable) = may_write(&subtree_control) else {
        above.exists = false;
        return;
    };
    above.writable = writable;
    above.handed_on = words(&subtree_control);
    // The root of all has no cgroup.events.
    above.occupied = above.path.join("cgroup.events").exists()
        && std::fs::read(above.path.join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty());
}

fn v1_hierarchies(mut needed: Vec<Controller>, own: &str, parent: &Parent) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    while let Some(controller) = needed.pop() {
        let Some((controllers, own, top)) = v1_hierarchy(controller, own) else { continue };
        needed.retain(|other| !controllers.contains(other));
        let mut hierarchy = hierarchy(Version::V1, &top, below(&top, parent, Path::new(own)));
        if controllers.contains(&Controller::Cpuset) {
            set_cpus(&mut hierarchy, "cpuset.effective_cpus", "cpuset.effective_mems");
        }
        found.push(Hierarchy { controllers, ..hierarchy });
    }
    found
}

/// What is mounted together with this controller, the caller's group there, and where.
fn v1_hierarchy(controller: Controller, own: &str) -> Option<(BTreeSet<Controller>, &str, PathBuf)> {
    let name = controller.name(Version::V1)?;
    let (names, own) = memberships(own).find(|(names, _)| names.split(',').any(|other| other == name))?;
    // Together they are mounted at their names, with links from each one's own.
    let top = [names, name].map(|name| Path::new(MOUNTED).join(name));
    let top = top.into_iter().find(|place| is_mounted(place, CGROUP_MAGIC))?;
    Some((names.split(',').filter_map(|name| name.parse().ok()).collect(), own, top))
}

/// The way from `top` to `parent`, which is a path in the hierarchy.
fn hierarchy(version: Version, top: &Path, parent: &Path) -> Hierarchy {
    let mut path = top.to_owned();
    let mut above = vec![Above::at(top)];
    for part in parent.components().filter(|part| matches!(part, Component::Normal(_))) {
        path.push(part);
        above.push(Above::at(&path));
    }
    let writable = may_make_in_last(version, &mut above);
    Hierarchy { version, controllers: BTreeSet::new(), above, writable, cpus: None, mems: None }
}

/// May the caller make groups in the last that exists, and processes in them? Another run may be removing those that it made above its own.
fn may_make_in_last(version: Version, above: &mut [Above]) -> bool {
    for above in above.iter_mut().rev().filter(|above| above.exists) {
        // Where a process is made in a group of v2, its maker needs the right to move it there from its own.
        let moves = match version {
            Version::V1 => Some(true),
            Version::V2 => may_write(&above.path.join("cgroup.procs")),
        };
        match (may_write(&above.path), moves) {
            (Some(makes), Some(moves)) => return makes && moves,
            _ => above.exists = false,
        }
    }
    false
}

impl Above {
    fn at(path: &Path) -> Self {
        let exists = path.is_dir();
        Self { path: path.to_owned(), exists, handed_on: BTreeSet::new(), writable: false, occupied: false }
    }
}

/// Of the nearest group that has the files: where cpuset isn't handed on, a group has what the one above it has. One of v1 that another run has
/// just made has nothing in them yet.
fn set_cpus(hierarchy: &mut Hierarchy, cpus: &str, mems: &str) {
    let nearest = |file: &str| {
        let mut above = hierarchy.above.iter().rev().map(|above| above.path.join(file));
        above
            .find_map(|file| std::fs::read_to_string(file).ok().filter(|list| !list.trim().is_empty()))?
            .trim()
            .parse()
            .ok()
    };
    (hierarchy.cpus, hierarchy.mems) = (nearest(cpus), nearest(mems));
}

/// Controllers that izba knows, from a file such as cgroup.controllers.
fn words(file: &Path) -> BTreeSet<Controller> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// As the kernel would judge: read-only mounts too. `None` where it doesn't exist, or not any more.
pub(super) fn may_write(path: &Path) -> Option<bool> {
    match accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Err(Errno::NOENT) => None,
        judged => Some(judged.is_ok()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_another_run_has_just_removed_is_no_refusal() {
        let top = std::env::temp_dir().join(format!("izba-test-removed-{}", std::process::id()));
        std::fs::create_dir_all(&top).unwrap();
        let seen = |path: PathBuf| Above { exists: true, ..Above::at(&path) };
        let mut above = [seen(top.clone()), seen(top.join("removed"))];
        let may_make = may_make_in_last(Version::V1, &mut above);
        let mut removed = seen(top.join("removed"));
        look_at(&mut removed);
        std::fs::remove_dir_all(&top).unwrap();
        assert!(may_make && above[0].exists && !above[1].exists && !removed.exists);
    }

    #[test]
    fn where_cpuset_is_not_handed_on_a_group_has_the_cpus_of_the_one_above() {
        let top = std::env::temp_dir().join(format!("izba-test-layout-{}", std::process::id()));
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/cpus"), "0-1\n").unwrap();
        std::fs::write(top.join("a/b/cpus"), "\n").unwrap();
        std::fs::write(top.join("cpus"), "0-7\n").unwrap();
        std::fs::write(top.join("mems"), "0\n").unwrap();
        let mut below = hierarchy(Version::V2, &top, Path::new("/a/b/new"));
        set_cpus(&mut below, "cpus", "mems");
        std::fs::remove_dir_all(&top).unwrap();
        assert_eq!(below.cpus, Some("0-1".parse().unwrap()));
        assert_eq!(below.mems, Some("0".parse().unwrap()));
    }
}

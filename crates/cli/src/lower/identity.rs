//! Whose ids the program has: the user namespace and its maps.

use std::path::PathBuf;

use izba_sandbox::idmap::{IdMap, IdMaps, IdRange, MapWriter, full_map, subordinate_ranges};
use izba_sandbox::namespace::{Kind, Namespace};
use izba_sandbox::sandbox::Ids;

use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};

/// What `--userns` maps where /etc/subuid gives nothing to izba or root: beyond the ids that people and subuid(5) have, and
/// below 2^31, which some programs take for negative.
const BASE: u32 = 0x7000_0000;
const COUNT: u32 = 65_536;

/// Whose ids the program has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Those of the caller's user namespace.
    Shared,
    /// Those of an existing user namespace.
    Joined(PathBuf),
    /// The caller's own one, under the number that the program's user has inside.
    OneId,
    /// The caller's own and its subordinate ones: newuidmap(1) allows them.
    Subordinate {
        /// As (first id, count), from /etc/subuid.
        uids: Vec<(u32, u32)>,
        /// From /etc/subgid.
        gids: Vec<(u32, u32)>,
    },
    /// These.
    Mapped(IdMaps),
}

/// Decides, from the options and from what the caller may do.
pub fn choose(args: &RunArgs, caller: &Caller) -> Result<Identity> {
    let by_hand = !args.ids.uidmap.is_empty() || !args.ids.gidmap.is_empty();
    let joined = args.namespaces.join.iter().find(|join| join.kind == Kind::User);
    let shared = args.namespaces.share.contains(&Kind::User) || args.root.repair;
    if (by_hand || args.ids.userns) && (shared || joined.is_some()) {
        return Err(Failure::new(
            "--userns, --uidmap and --gidmap make a new user namespace, and another option keeps or joins one",
        )
        .remedy("leave one of them out"));
    }
    if args.root.repair && !caller.privileged {
        return Err(Failure::new("--repair works with the machine's real ids and devices, which takes root")
            .remedy("run it as root: sudo izba run --repair ..."));
    }
    match joined {
        Some(join) => Ok(Identity::Joined(caller.absolute(&join.path))),
        None if shared => Ok(Identity::Shared),
        None if by_hand => map_by_hand(&args.ids.uidmap, &args.ids.gidmap, caller).map(Identity::Mapped),
        None if caller.privileged && !args.ids.userns => Ok(Identity::Shared),
        None if caller.privileged => mapped_for_root().map(Identity::Mapped),
        None => Ok(of_ordinary_user(caller)),
    }
}

/// What an ordinary user gets without asking: all ids that it has.
pub fn of_ordinary_user(caller: &Caller) -> Identity {
    let (subuid, subgid) = (read("/etc/subuid"), read("/etc/subgid"));
    if subuid.is_empty() || subgid.is_empty() {
        return Identity::OneId;
    }
    let name = caller.account().and_then(|account| account.name).unwrap_or_default();
    let uids = subordinate_ranges(&subuid, &name, caller.uid);
    let gids = subordinate_ranges(&subgid, &name, caller.uid);
    let helped = || caller.program("newuidmap").is_some() && caller.program("newgidmap").is_some();
    if uids.is_empty() || gids.is_empty() || !helped() { Identity::OneId } else { Identity::Subordinate { uids, gids } }
}

/// The maps under which this caller's archives have been unpacked, where that takes a user namespace.
pub fn usual_unpacking_maps(caller: &Caller) -> Result<Option<IdMaps>> {
    if caller.privileged { Ok(None) } else { of_ordinary_user(caller).unpacking_maps(caller) }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn mapped_for_root() -> Result<IdMaps> {
    Ok(IdMaps {
        uids: range_for_root(&read("/etc/subuid"))?,
        gids: range_for_root(&read("/etc/subgid"))?,
        writer: MapWriter::Direct,
        deny_setgroups: false,
    })
}

/// The ranges that the file reserves for izba or else for root, end to end from 0 on.
fn range_for_root(text: &str) -> Result<IdMap> {
    let reserved = ["izba", "root"].map(|name| subordinate_ranges(text, name, 0));
    let ranges = reserved.into_iter().find(|ranges| !ranges.is_empty()).unwrap_or_else(|| vec![(BASE, COUNT)]);
    let mut inside = 0_u32;
    let mut map = Vec::new();
    for (outside, count) in ranges {
        let count = count.min(u32::MAX - inside);
        map.push(IdRange { inside, outside, count });
        inside += count;
    }
    IdMap::new(map).map_err(Failure::new)
}

/// Given alone, either option stands for both; but the own group has its own number.
pub fn map_by_hand(uids: &[IdRange], gids: &[IdRange], caller: &Caller) -> Result<IdMaps> {
    let other = |ranges: &[IdRange], own: u32, others: u32| match *ranges {
        [IdRange { inside, outside, count: 1 }] if outside == own => vec![IdRange::one(inside, others)],
        _ => ranges.to_vec(),
    };
    let (uid_ranges, gid_ranges) = match (uids, gids) {
        (uids, []) => (uids.to_vec(), other(uids, caller.uid, caller.gid)),
        ([], gids) => (other(gids, caller.gid, caller.uid), gids.to_vec()),
        (uids, gids) => (uids.to_vec(), gids.to_vec()),
    };
    let map = |option: &str, ranges| IdMap::new(ranges).map_err(|why| Failure::new(format!("--{option}: {why}")));
    let (uids, gids) = (map("uidmap", uid_ranges)?, map("gidmap", gid_ranges)?);
    let own = uids.is_only(caller.uid) && gids.is_only(caller.gid);
    let writer = if caller.privileged || own { MapWriter::Direct } else { MapWriter::Helpers };
    Ok(IdMaps { uids, gids, writer, deny_setgroups: own && !caller.privileged })
}

impl Identity {
    /// The user namespace of a program that runs with `ids`, as seen inside.
    ///
    /// With subordinate ids root inside is the caller, whoever `ids` are: so the files of a root that the same maps made keep
    /// their owners. `host` has no such files, and there, as with one id, the caller is whom `ids` name.
    pub fn namespace(&self, caller: &Caller, ids: &Ids, host: bool) -> Result<Namespace<IdMaps>> {
        let maps = match self {
            Self::Shared => return Ok(Namespace::Share),
            Self::Joined(path) => return Ok(Namespace::Join(path.clone())),
            Self::OneId => IdMaps::own_ids((ids.uid, ids.gid), (caller.uid, caller.gid)),
            Self::Subordinate { uids, gids } => {
                let own = if host { (ids.uid, ids.gid) } else { (0, 0) };
                subordinate_maps(own, caller, uids, gids)?
            }
            Self::Mapped(maps) => maps.clone(),
        };
        for (id, map, word) in [(ids.uid, &maps.uids, "user"), (ids.gid, &maps.gids, "group")] {
            if map.outside_of(id).is_none() {
                return Err(unmapped(word, id));
            }
        }
        Ok(Namespace::New(maps))
    }

    /// The maps under which an archive's files get their owners, where that takes a user namespace.
    pub fn unpacking_maps(&self, caller: &Caller) -> Result<Option<IdMaps>> {
        match self {
            Self::Subordinate { uids, gids } => subordinate_maps((0, 0), caller, uids, gids).map(Some),
            Self::Mapped(maps) if !caller.privileged && maps.writer == MapWriter::Helpers => Ok(Some(maps.clone())),
            Self::Shared | Self::Joined(_) | Self::OneId | Self::Mapped(_) => Ok(None),
        }
    }
}

/// The caller's own ids, as `own` names them inside, and its subordinate ones.
pub fn subordinate_maps(own: (u32, u32), caller: &Caller, uids: &[(u32, u32)], gids: &[(u32, u32)]) -> Result<IdMaps> {
    Ok(IdMaps {
        uids: full_map(own.0, caller.uid, uids).map_err(Failure::new)?,
        gids: full_map(own.1, caller.gid, gids).map_err(Failure::new)?,
        writer: MapWriter::Helpers,
        deny_setgroups: false,
    })
}

fn unmapped(word: &str, id: u32) -> Failure {
    let (file, option) = if word == "user" { ("/etc/subuid", "--uidmap") } else { ("/etc/subgid", "--gidmap") };
    Failure::new(format!("{word} {id} can't run the program: the user namespace doesn't map it"))
        .remedy(format!("{option} with a range that has {id} in it, or a larger range in {file}"))
}

/// Takes away the supplementary groups that setgroups(2) would refuse.
pub fn fit_groups(ids: &mut Ids, user: &Namespace<IdMaps>, notes: &mut Vec<String>) {
    let Namespace::New(maps) = user else { return };
    if maps.deny_setgroups {
        ids.groups.clear();
        return;
    }
    let (mapped, others): (Vec<u32>, Vec<u32>) =
        ids.groups.iter().partition(|&&gid| maps.gids.outside_of(gid).is_some());
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(u32::to_string).collect();
        notes.push(format!(
            "the program isn't in the groups {}: the user namespace doesn't map them",
            others.join(", ")
        ));
    }
    ids.groups = mapped;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32) -> Caller {
        let (privileged, cwd, environment) = (uid == 0, "/".into(), Vec::new());
        Caller { uid, gid: uid, privileged, cwd, environment }
    }

    fn ids(uid: u32, gid: u32) -> Ids {
        Ids { uid, gid, groups: vec![gid, 7] }
    }

    fn maps(identity: &Identity, uid: u32, host: bool) -> IdMaps {
        match identity.namespace(&caller(1000), &ids(uid, uid), host).unwrap() {
            Namespace::New(maps) => maps,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_one_id_is_whoever_runs_inside() {
        let maps = maps(&Identity::OneId, 33, false);
        assert_eq!((maps.uids.to_string().as_str(), maps.deny_setgroups), ("33 1000 1\n", true));
    }

    #[test]
    fn subordinate_ids_keep_the_owners_of_a_root() {
        let identity = Identity::Subordinate { uids: vec![(100_000, 65_536)], gids: vec![(100_000, 65_536)] };
        assert_eq!(maps(&identity, 33, false).uids.outside_of(0), Some(1000));
        assert_eq!(maps(&identity, 33, true).uids.outside_of(33), Some(1000));
        assert_eq!(maps(&identity, 33, true).uids.outside_of(0), Some(100_000));
        let failure = identity.namespace(&caller(1000), &ids(70_000, 0), false).unwrap_err();
        assert!(failure.problem.contains("70000") && failure.remedies[0].contains("/etc/subuid"), "{failure}");
    }

    #[test]
    fn root_gets_what_is_reserved_or_a_fixed_range() {
        let show = |text| range_for_root(text).unwrap().to_string();
        assert_eq!(show(""), "0 1879048192 65536\n");
        assert_eq!(show("ann:100000:65536\nroot:200000:10\nroot:300000:10\n"), "0 200000 10\n10 300000 10\n");
        assert_eq!(show("root:200000:10\nizba:300000:10\n"), "0 300000 10\n");
    }

    #[test]
    fn one_option_stands_for_both_maps() {
        let range = |text: &str| text.parse::<IdRange>().unwrap();
        let mut ann = caller(1000);
        ann.gid = 50;
        let own = map_by_hand(&[range("5:1000:1")], &[], &ann).unwrap();
        assert_eq!((own.uids.to_string().as_str(), own.gids.to_string().as_str()), ("5 1000 1\n", "5 50 1\n"));
        assert_eq!((own.writer, own.deny_setgroups), (MapWriter::Direct, true));
        let more = map_by_hand(&[], &[range("0:100000:10")], &ann).unwrap();
        assert_eq!((more.uids == more.gids, more.writer), (true, MapWriter::Helpers));
        let root = map_by_hand(&[range("0:100000:10")], &[], &caller(0)).unwrap();
        assert_eq!((root.writer, root.deny_setgroups), (MapWriter::Direct, false));
        assert!(map_by_hand(&[range("0:1:2"), range("1:9:1")], &[], &ann).unwrap_err().problem.contains("--uidmap"));
    }

    #[test]
    fn groups_that_cannot_be_set_are_left_out_and_said() {
        let mut notes = Vec::new();
        let mut own = ids(0, 0);
        let user = Namespace::New(IdMaps::own_ids((0, 0), (1000, 1000)));
        fit_groups(&mut own, &user, &mut notes);
        assert!(own.groups.is_empty() && notes.is_empty());
        let gids = IdMap::new(vec![IdRange { inside: 0, outside: 5000, count: 5 }]).unwrap();
        let user = Namespace::New(IdMaps { gids, deny_setgroups: false, ..IdMaps::own_ids((0, 0), (1000, 1000)) });
        let mut some = ids(0, 0);
        fit_groups(&mut some, &user, &mut notes);
        assert_eq!(some.groups, [0]);
        assert!(notes[0].contains('7'));
    }
}

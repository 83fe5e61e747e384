//! Which capabilities the program may have.

use izba_sandbox::capability::Capabilities;

use crate::args::run::{CapabilityWord, RightsArgs};
use crate::failure::{Failure, Result};

/// ALL is taken first, wherever it is written; then single ones are added, then taken away, so that what is named in both
/// is gone: `--cap-drop ALL --cap-add CHOWN` is CAP_CHOWN alone, as in other container tools.
pub fn lower(args: &RightsArgs, everything: bool) -> Result<Capabilities> {
    let (adds_all, drops_all) =
        (args.cap_add.contains(&CapabilityWord::All), args.cap_drop.contains(&CapabilityWord::All));
    if adds_all && drops_all {
        return Err(Failure::new("--cap-add ALL and --cap-drop ALL contradict each other"));
    }
    let mut set = match (adds_all, drops_all) {
        (true, _) => Capabilities::all(),
        (_, true) => Capabilities::NONE,
        _ if everything => Capabilities::all(),
        _ => Capabilities::small(),
    };
    single(&args.cap_add).for_each(|capability| set.insert(capability));
    if !drops_all {
        single(&args.cap_drop).for_each(|capability| set.remove(capability));
    }
    Ok(set)
}

fn single(words: &[CapabilityWord]) -> impl Iterator<Item = izba_sandbox::capability::Capability> {
    words.iter().filter_map(|word| match word {
        CapabilityWord::All => None,
        CapabilityWord::One(capability) => Some(*capability),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Result<Capabilities> {
        let words = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        lower(&RightsArgs { cap_add: words(add), cap_drop: words(drop), new_privs: false }, false)
    }

    fn named(names: &[&str]) -> Capabilities {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn additions_and_removals_meet_as_elsewhere() {
        assert_eq!(set(&[], &[]).unwrap(), Capabilities::small());
        assert_eq!(set(&["chown"], &["ALL"]).unwrap(), named(&["CHOWN"]));
        assert_eq!(set(&["all"], &[]).unwrap(), Capabilities::all());
        assert!(!set(&["ALL"], &["SYS_ADMIN"]).unwrap().contains("SYS_ADMIN".parse().unwrap()));
        assert!(!set(&["SYS_TIME"], &["SYS_TIME"]).unwrap().contains("SYS_TIME".parse().unwrap()));
        assert!(set(&["ALL"], &["ALL"]).is_err());
    }

    #[test]
    fn rescue_work_has_all_but_what_is_dropped() {
        let rights = RightsArgs { cap_drop: vec!["SYS_BOOT".parse().unwrap()], ..RightsArgs::default() };
        let set = lower(&rights, true).unwrap();
        assert_eq!(set.iter().count(), Capabilities::all().iter().count() - 1);
    }
}

//! Are disks divided by the weights of groups?

use izba_sandbox::cgroup::{IoWeight, Limits, Version, Weighing};
use izba_sandbox::probe::{Finding, State};

/// `io` is the version that the io controller can be used on.
pub fn finding(io: Option<Version>, weighing: &Weighing) -> Finding {
    let finding =
        |state, detail: String, remedy| Finding { name: "I/O weights", state, detail, remedy, essential: false };
    let missing = |detail: &str, remedy| finding(State::Missing, detail.to_owned(), Some(remedy));
    let Some(version) = io else {
        return missing("the io controller can't be used", "what helps with the limits".to_owned());
    };
    // As a run would be told that asks for one.
    let mut limits = Limits::default();
    limits.io.weight = Some(IoWeight::Io(50));
    let asked = limits.settings(&|_| Some(version)).and_then(|lowered| weighing.check(&lowered.strict()?));
    match asked {
        Ok(()) => finding(State::Works, followed(weighing), None),
        Err(error) => missing("nothing follows them, on any disk", error.remedy),
    }
}

fn followed(weighing: &Weighing) -> String {
    let by = |(&device, disk): (&(u32, u32), &izba_sandbox::cgroup::Disk)| match (disk.bfq, weighing.has_cost(device)) {
        (true, _) => Some(format!("{} by BFQ", disk.name)),
        (false, true) => Some(format!("{} by io.cost", disk.name)),
        (false, false) => None,
    };
    weighing.disks.iter().filter_map(by).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::cgroup::Disk;

    fn machine(bfq: bool, cost: bool) -> Weighing {
        let disk = |name: &str, bfq| Disk { name: name.to_owned(), bfq };
        let disks = [((8, 0), disk("sda", bfq)), ((8, 16), disk("sdb", false))].into();
        Weighing { disks, cost: cost.then(|| [(8, 16)].into()) }
    }

    #[test]
    fn the_disks_are_named_with_what_divides_them() {
        let detail = |version, weighing| {
            let found = finding(Some(version), &weighing);
            (found.state, found.detail)
        };
        assert_eq!(detail(Version::V1, machine(true, false)), (State::Works, "sda by BFQ".into()));
        assert_eq!(detail(Version::V2, machine(true, true)), (State::Works, "sda by BFQ, sdb by io.cost".into()));
        assert_eq!(detail(Version::V2, machine(false, false)).0, State::Missing);
    }

    #[test]
    fn what_is_missing_has_a_remedy() {
        let nothing = finding(Some(Version::V1), &machine(false, false)).remedy.unwrap();
        assert!(nothing.contains("echo bfq"), "{nothing}");
        let closed = finding(None, &machine(true, true));
        assert!(closed.state == State::Missing && closed.detail.contains("io controller") && closed.remedy.is_some());
    }
}

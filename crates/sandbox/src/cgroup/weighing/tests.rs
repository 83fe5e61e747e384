#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use super::*;
use crate::cgroup::{Bound, DeviceWeight, IoWeight, Throttle};

const SDA: (u32, u32) = (8, 0);
const SDB: (u32, u32) = (8, 16);

/// A machine with two disks: which of them BFQ schedules, and for which io.cost is enabled, if that is shown.
fn machine(bfq: &[(u32, u32)], cost: Option<&[(u32, u32)]>) -> Weighing {
    let disk = |device, name: &str| (device, Disk { name: name.to_owned(), bfq: bfq.contains(&device) });
    Weighing {
        disks: [disk(SDA, "sda"), disk(SDB, "sdb")].into(),
        cost: cost.map(|cost| cost.iter().copied().collect()),
    }
}

fn settings(limits: &Limits, version: Version) -> Vec<Setting> {
    limits.settings(&|_| Some(version)).unwrap().strict().unwrap()
}

fn weight(weight: IoWeight) -> Limits {
    let mut limits = Limits::default();
    limits.io.weight = Some(weight);
    limits
}

fn of_disk(device: (u32, u32), weight: u16) -> Limits {
    let mut limits = Limits::default();
    limits.io.weight_devices = vec![DeviceWeight { device, weight: Some(IoWeight::Io(weight)), leaf_weight: None }];
    limits
}

fn by_name(file: &str, value: &str) -> Limits {
    Limits { unified: vec![(file.to_owned(), value.to_owned())], ..Limits::default() }
}

fn judge(machine: &Weighing, limits: &Limits, version: Version) -> Option<Unfollowed> {
    let settings = settings(limits, version);
    assert!(limits.weigh_disks() && settings.len() == 1, "{settings:?}");
    machine.unfollowed(&settings[0])
}

#[test]
fn a_weight_of_all_disks_needs_one_that_somebody_divides() {
    let half = weight(IoWeight::Io(50));
    for (machine, v1, v2) in [
        (machine(&[], Some(&[])), false, false),
        (machine(&[SDB], Some(&[])), true, true),
        (machine(&[SDB], None), true, true),
        // io.cost is v2's only.
        (machine(&[], Some(&[SDB])), false, true),
    ] {
        for (version, followed) in [(Version::V1, v1), (Version::V2, v2)] {
            let found = judge(&machine, &half, version);
            assert_eq!(found.is_none(), followed, "{machine:?} {version:?}");
            assert!(found.is_none_or(|found| found.taken), "the kernel takes it anyhow");
        }
    }
}

#[test]
fn a_weight_of_one_disk_needs_that_one() {
    let (own, other) = (machine(&[SDA], Some(&[])), machine(&[SDB], Some(&[SDB])));
    for version in [Version::V1, Version::V2] {
        assert_eq!(judge(&own, &of_disk(SDA, 50), version), None);
        let refused = judge(&other, &of_disk(SDA, 50), version).unwrap();
        assert!(!refused.taken && refused.error.problem.contains("the disk sda"), "{refused:?}");
        assert!(refused.error.remedy.contains("echo bfq > /sys/block/sda/queue/scheduler"), "{refused:?}");
    }
    assert_eq!(judge(&machine(&[], Some(&[SDA])), &of_disk(SDA, 50), Version::V2), None);
    // A partition, or nothing at all: the kernel says so.
    assert_eq!(judge(&machine(&[], None), &of_disk((8, 1), 50), Version::V2), None);
}

#[test]
fn what_every_group_has_needs_nobody_but_for_one_disk_the_kernel_wants_somebody() {
    let nobody = machine(&[], Some(&[]));
    assert_eq!(judge(&nobody, &weight(IoWeight::Io(100)), Version::V1), None);
    assert_eq!(judge(&nobody, &weight(IoWeight::Io(100)), Version::V2), None);
    assert_eq!(judge(&nobody, &weight(IoWeight::Blkio(100)), Version::V1), None);
    // The same for BFQ, and nine times as much for io.cost.
    assert!(judge(&nobody, &weight(IoWeight::Blkio(100)), Version::V2).is_some());
    assert!(judge(&nobody, &of_disk(SDA, 100), Version::V2).is_some());
}

#[test]
fn a_file_by_its_name_is_followed_by_who_reads_it() {
    let (bfq, cost) = (machine(&[SDA], Some(&[])), machine(&[], Some(&[SDA])));
    let followed = |machine, file, value| judge(machine, &by_name(file, value), Version::V2).is_none();
    for value in ["50", "default 50", "8:0 50"] {
        assert!(followed(&cost, "io.weight", value) && !followed(&cost, "io.bfq.weight", value), "{value}");
        assert!(!followed(&bfq, "io.weight", value) && followed(&bfq, "io.bfq.weight", value), "{value}");
    }
    assert!(followed(&cost, "io.bfq.weight", "default 100") && followed(&bfq, "io.weight", "8:0 default"));
    let refused = judge(&machine(&[], None), &by_name("io.weight", "50"), Version::V2).unwrap().error;
    assert!(refused.problem.contains("no io.cost.qos") && refused.remedy.contains("its own option"), "{refused:?}");
}

#[test]
fn why_and_what_to_do_are_those_of_the_version() {
    let said = |machine: Weighing, version| judge(&machine, &weight(IoWeight::Io(50)), version).unwrap().error;
    assert_eq!(
        said(machine(&[], None), Version::V1),
        LimitError::new(
            "nothing follows the I/O weight (blkio.bfq.weight: 50): BFQ schedules no disk",
            "as root: echo bfq > /sys/block/DISK/queue/scheduler",
        )
    );
    assert_eq!(
        said(machine(&[], Some(&[])), Version::V2),
        LimitError::new(
            "nothing follows the I/O weight (io.weight: 50): BFQ schedules no disk, and io.cost is enabled for no disk",
            "as root: echo bfq > /sys/block/DISK/queue/scheduler, or echo MAJOR:MINOR enable=1 > io.cost.qos, in the root of all groups",
        )
    );
    // In a container.
    let hidden = said(Weighing::default(), Version::V2);
    assert!(hidden.problem.contains("/sys/block shows no disk, and there is no io.cost.qos here"), "{hidden}");
    assert!(!hidden.remedy.contains("io.cost"), "{hidden:?}");
}

#[test]
fn other_limits_are_no_weights() {
    let mut limits = by_name("io.max", "8:0 rbps=max");
    limits.io.read_bps = vec![Throttle { device: SDA, rate: Bound::At(1) }];
    limits.io.weight_devices = vec![DeviceWeight { device: SDA, weight: None, leaf_weight: None }];
    limits.pids = Some(Bound::At(5));
    assert!(!limits.weigh_disks());
    assert_eq!(machine(&[], None).check(&settings(&limits, Version::V2)), Ok(()));
}

#[test]
fn what_the_kernel_shows_is_read() {
    assert!(is_bfq("none mq-deadline kyber [bfq]\n") && is_bfq("[bfq] none\n"));
    assert!(!is_bfq("[none] mq-deadline kyber bfq\n") && !is_bfq("none\n") && !is_bfq(""));
    let text =
        "8:0 enable=1 ctrl=auto rpct=0.00 rlat=250000\n8:16 enable=0 ctrl=user rpct=95.00\n253:1 enable=1 ctrl=user\n";
    assert_eq!(enabled(text), [SDA, (253, 1)].into());
}

#[test]
fn the_disks_of_this_machine_are_seen() {
    let seen = Weighing::look(None);
    assert_eq!(seen.cost, None);
    if seen.disks.is_empty() {
        println!("skipped: this machine has no disk");
    }
    for (&device, disk) in &seen.disks {
        let link = fs::read_link(format!("/sys/dev/block/{}", numbers(device))).unwrap();
        assert_eq!(link.file_name().unwrap().to_str(), Some(disk.name.as_str()), "{seen:?}");
    }
}

#[test]
fn a_disk_of_no_size_has_nothing_to_be_divided() {
    let dir = std::env::temp_dir().join(format!("izba-test-weighing-{}", std::process::id())).join("loop0");
    fs::create_dir_all(dir.join("queue")).unwrap();
    let write = |file: &str, text: &str| fs::write(dir.join(file), text).unwrap();
    write("dev", "7:0\n");
    write("queue/scheduler", "none [bfq]\n");
    let seen = ["0\n", "2048\n"].map(|size| {
        write("size", size);
        disk(&dir)
    });
    fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    assert_eq!(seen, [None, Some(((7, 0), Disk { name: "loop0".to_owned(), bfq: true }))]);
}

//! I/O weights hold where something follows them, and else it is said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod support;

use std::fs;
use std::process::Command;

use disk::Disk;
use group::{Limited, izba, pure_v2};
use support::{Background, Ended, Ground, User, run};

const SLEEP: &str = "echo up; read end";

/// Other tests, and the machine itself, may have disks with BFQ: here none is to be seen, and no io.cost.
const NO_DISKS: &str = r#"mount -t tmpfs none /sys/block || exit 1
cost=/sys/fs/cgroup/io.cost.qos
[ ! -e $cost ] || mount --bind /dev/null $cost || exit 1
exec "$@""#;

fn without_disks(ground: &Ground, arguments: &[&str]) -> Command {
    let mut unshare = ground.command("unshare", User::Root);
    unshare.args(["--mount", "sh", "-c", NO_DISKS, "sh"]).arg(ground.path("izba")).args(arguments);
    unshare
}

/// What the group's files say of weights.
fn weights(run: &Limited<'_>) -> Vec<String> {
    let group = run.group("io");
    let files = ["io.weight", "io.bfq.weight", "blkio.bfq.weight", "blkio.bfq.weight_device"];
    let texts = files.iter().filter_map(|file| fs::read_to_string(group.join(file)).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn says(run: &Limited<'_>, weight: u16) -> bool {
    let weights = weights(run);
    let own = weights.iter().filter(|line| !line.contains(':'));
    !weights.is_empty() && own.into_iter().all(|line| line.trim_start_matches("default ") == weight.to_string())
}

#[test]
fn a_weight_that_nothing_follows_is_refused_or_said() {
    let ground = Ground::new();
    let ended = |options: &[&str]| run(&mut without_disks(&ground, &[&["run"], options, &["host", "true"]].concat()));
    let refused = ended(&["--io-weight", "50"]);
    let said = refused.refusal();
    assert!(said.contains("nothing follows the I/O weight") && said.contains("queue/scheduler"), "{said}");
    assert!(said.contains("--best-effort"), "{said}");
    let best = ended(&["--best-effort", "--io-weight", "50"]);
    assert!(best.status == 0 && best.stderr.contains("note: without effect for now: nothing follows"), "{best:?}");
    // What every group has.
    let usual = ended(&["--io-weight", "100"]);
    assert_eq!((usual.text(), usual.stderr.as_str()), ("", ""));
}

#[test]
fn what_has_no_effect_yet_is_set_for_later_and_a_change_is_refused() {
    let ground = Ground::new();
    let options = ["run", "--no-tty", "--name", "web", "--best-effort", "--io-weight", "50"];
    let program = ["host", "sh", "-c", SLEEP];
    let (process, line) = Background::start(&mut without_disks(&ground, &[&options[..], &program].concat()));
    assert_eq!(line, "up");
    let web = Limited { ground: &ground, user: User::Root, process };
    assert!(says(&web, 50), "{:?}", weights(&web));
    let change = |weight| run(&mut without_disks(&ground, &["update", "web", "--io-weight", weight]));
    let refused = change("60");
    let said = refused.refusal();
    assert!(said.contains("nothing follows the I/O weight") && !said.contains("--best-effort"), "{said}");
    assert!(says(&web, 50), "{:?}", weights(&web));
    assert_eq!(change("100").text(), "");
    assert!(says(&web, 100), "{:?}", weights(&web));
}

/// A run of a program that does nothing, with a weight of one disk.
fn of_disk(ground: &Ground, options: &[&str], disk: &Disk) -> Ended {
    let weight = format!("{}:200", disk.device);
    izba(ground, &[&["run"], options, &["--io-weight-device", &weight, "host", "true"]].concat())
}

#[test]
fn the_weight_of_a_disk_is_for_its_own_scheduler() {
    let ground = Ground::new();
    let mut disk = Disk::new(&ground, 1);
    disk.schedule("none");
    let refused = of_disk(&ground, &[], &disk);
    let way = format!("echo bfq > /sys/block/{}/queue/scheduler", disk.name());
    assert!(refused.refusal().contains(&way), "{refused:?}");
    let best = of_disk(&ground, &["--best-effort"], &disk);
    let note = format!("note: left out: nothing follows an I/O weight of the disk {}", disk.name());
    assert!(best.status == 0 && best.stderr.contains(&note), "{best:?}");
    // The remedy is one.
    disk.schedule("bfq");
    let (number, weight) = (disk.number(), format!("{}:200", disk.device));
    let web = Limited::start(&ground, &["--io-weight", "50", "--io-weight-device", &weight], SLEEP);
    assert!(says(&web, 50) && weights(&web).contains(&format!("{number} 109")), "{:?}", weights(&web));
    let change = || izba(&ground, &["update", "web", "--io-weight-device", &format!("{}:10000", disk.device)]);
    assert_eq!(change().text(), "");
    assert!(weights(&web).contains(&format!("{number} 1000")), "{:?}", weights(&web));
    disk.schedule("none");
    let change = izba(&ground, &["update", "web", "--io-weight-device", &weight]);
    assert!(change.refusal().contains(&format!("the disk {}", disk.name())), "{change:?}");
}

/// BFQ would forget it.
#[test]
fn a_disks_own_weight_outlives_a_new_one_of_the_group() {
    let ground = Ground::new();
    let mut disk = Disk::new(&ground, 1);
    disk.schedule("bfq");
    let weight = |weight: u16| format!("{}:{weight}", disk.device);
    let web = Limited::start(&ground, &["--io-weight-device", &weight(200)], SLEEP);
    let has = |group: u16, own: u16| {
        assert!(
            says(&web, group) && weights(&web).contains(&format!("{} {own}", disk.number())),
            "{:?}",
            weights(&web)
        );
    };
    has(100, 109);
    for option in ["--io-weight", "--blkio-weight"] {
        assert_eq!(izba(&ground, &["update", "web", option, "50"]).text(), "");
        let weights = weights(&web);
        assert!(weights.contains(&format!("{} 109", disk.number())), "{option}: {weights:?}");
    }
    let both = ["update", "web", "--io-weight", "60", "--io-weight-device", &weight(10_000)];
    assert_eq!(izba(&ground, &both).text(), "");
    has(60, 1000);
}

/// io.cost of one disk, off again at the end.
struct Cost(String);

impl Cost {
    const FILE: &str = "/sys/fs/cgroup/io.cost.qos";

    fn enable(disk: &Disk) -> Self {
        fs::write(Self::FILE, format!("{} enable=1", disk.number())).unwrap();
        Self(disk.number())
    }
}

impl Drop for Cost {
    fn drop(&mut self) {
        let _disabled = fs::write(Self::FILE, format!("{} enable=0", self.0));
    }
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn io_cost_follows_weights_where_it_is_enabled() {
    assert!(pure_v2(), "io.cost is cgroup v2's");
    let ground = Ground::new();
    let mut disk = Disk::new(&ground, 1);
    disk.schedule("none");
    let cost = Cost::enable(&disk);
    let weight = format!("{}:200", disk.device);
    let web = Limited::start(&ground, &["--io-weight", "50", "--io-weight-device", &weight], SLEEP);
    assert!(weights(&web).contains(&format!("{} 200", disk.number())), "{:?}", weights(&web));
    drop(web);
    drop(cost);
    // The kernel would go on taking it.
    let refused = of_disk(&ground, &[], &disk);
    assert!(refused.refusal().contains("io.cost isn't enabled for it"), "{refused:?}");
}

//! What limits become in the files of the group: the values that runc writes for the same numbers, and those of controllers that few machines have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod disk;
mod group;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::Disk;
use group::{Limited, izba, pure_v2};
use serde_json::{Value, json};
use support::{Background, Ground, User, run};

const SLEEP: &str = "echo up; read end";

/// A container of runc's in a group of its own at the top. Dropping it removes both.
struct Runc<'a> {
    ground: &'a Ground,
    name: String,
    process: Background,
}

impl<'a> Runc<'a> {
    /// `enter` is what runc is executed by: nothing, or a program that goes somewhere else first.
    fn start(ground: &'a Ground, enter: &[String], resources: &Value) -> Self {
        let name = format!("izba-test-hold-{}", std::process::id());
        let bundle = ground.directory("bundle", User::Root);
        ground.busybox_root("bundle/rootfs", User::Root);
        run(ground.command("runc", User::Root).args(["spec", "--bundle"]).arg(&bundle)).text();
        let config = bundle.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["sh", "-c", SLEEP]);
        spec["linux"]["cgroupsPath"] = json!(format!("/{name}"));
        spec["linux"]["resources"] = resources.clone();
        fs::write(&config, spec.to_string()).unwrap();
        let words = [enter, &["runc".to_owned()]].concat();
        let mut runc = ground.command(&words[0], User::Root);
        runc.args(&words[1..]).arg("--root").arg(ground.path("runc"));
        let (process, line) = Background::start(runc.args(["run", "--bundle"]).arg(&bundle).arg(&name));
        assert_eq!(line, "up");
        Self { ground, name, process }
    }

    fn file(&self, controller: &str, file: &str) -> String {
        let hierarchy = match controller {
            _ if pure_v2() => "",
            "io" => "blkio",
            other => other,
        };
        // As it is seen where runc is.
        let top = format!("/proc/{}/root/sys/fs/cgroup", self.process.pid());
        read(&Path::new(&top).join(hierarchy).join(&self.name).join(file))
    }
}

impl Drop for Runc<'_> {
    fn drop(&mut self) {
        drop(self.process.child.stdin.take());
        if !std::thread::panicking() {
            self.process.status();
        }
        let mut runc = self.ground.command("runc", User::Root);
        run(runc.arg("--root").arg(self.ground.path("runc")).args(["delete", "--force", &self.name]));
    }
}

fn read(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim().to_owned()
}

/// Files of v1 with their controllers, and what the options below become.
const V1: [(&str, &str, &str); 17] = [
    ("cpu", "cpu.shares", "512"),
    ("cpu", "cpu.cfs_quota_us", "70000"),
    ("cpu", "cpu.cfs_period_us", "100000"),
    ("cpu", "cpu.rt_runtime_us", "10000"),
    ("cpu", "cpu.rt_period_us", "500000"),
    ("cpuset", "cpuset.cpus", "1"),
    ("cpuset", "cpuset.mems", "0"),
    ("memory", "memory.limit_in_bytes", "67108864"),
    ("memory", "memory.memsw.limit_in_bytes", "134217728"),
    ("memory", "memory.soft_limit_in_bytes", "33554432"),
    ("memory", "memory.swappiness", "10"),
    ("pids", "pids.max", "20"),
    ("io", "blkio.throttle.read_bps_device", "DISK 1048576"),
    ("io", "blkio.throttle.write_bps_device", "DISK 2097152"),
    ("io", "blkio.throttle.read_iops_device", "DISK 30"),
    ("io", "blkio.throttle.write_iops_device", "DISK 40"),
    ("io", "blkio.bfq.weight", "200"),
];

const V2: [(&str, &str, &str); 9] = [
    ("cpu", "cpu.weight", "20"),
    ("cpu", "cpu.max", "70000 100000"),
    ("cpuset", "cpuset.cpus", "1"),
    ("cpuset", "cpuset.mems", "0"),
    ("memory", "memory.max", "67108864"),
    ("memory", "memory.swap.max", "67108864"),
    ("memory", "memory.low", "33554432"),
    ("pids", "pids.max", "20"),
    ("io", "io.max", "DISK rbps=1048576 wbps=2097152 riops=30 wiops=40"),
];

const OPTIONS: &str = "--cpu-shares 512 --cpu-quota 70000 --cpu-period 100000 --cpuset-cpus 1 --cpuset-mems 0 --memory 64M --memory-swap 128M \
    --memory-reservation 32M --pids-limit 20 --blkio-weight 200 --device-read-bps DISK:1m --device-write-bps DISK:2m --device-read-iops DISK:30 --device-write-iops DISK:40";

const ON_V1: &str = " --memory-swappiness 10 --cpu-rt-runtime 10000 --cpu-rt-period 500000";

/// The same for runc.
fn resources(minor: u64) -> Value {
    let rate = |rate: u64| json!([{ "major": 7, "minor": minor, "rate": rate }]);
    let mut resources = json!({
        "cpu": { "shares": 512, "quota": 70000, "period": 100_000, "cpus": "1", "mems": "0" },
        "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 },
        "pids": { "limit": 20 },
        "blockIO": {
            "weight": 200,
            "throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
            "throttleReadIOPSDevice": rate(30), "throttleWriteIOPSDevice": rate(40),
        },
    });
    if !pure_v2() {
        resources["memory"]["swappiness"] = json!(10);
        resources["cpu"]["realtimeRuntime"] = json!(10000);
        resources["cpu"]["realtimePeriod"] = json!(500_000);
    }
    resources
}

#[test]
fn the_values_are_those_that_runc_writes() {
    let ground = Ground::new();
    let mut disk = Disk::new(&ground, 1);
    disk.schedule("bfq");
    let number = disk.number();
    let (more, files) = if pure_v2() { ("", &V2[..]) } else { (ON_V1, &V1[..]) };
    let options = format!("{OPTIONS}{more}").replace("DISK", &number);
    let own = Limited::start(&ground, &options.split_whitespace().collect::<Vec<_>>(), SLEEP);
    let minor = number.split_once(':').unwrap().1.parse().unwrap();
    let runc = Runc::start(&ground, &[], &resources(minor));
    for (controller, file, value) in files {
        let ours = read(&own.group(controller).join(file));
        assert_eq!(
            (&ours, ours.as_str()),
            (&runc.file(controller, file), value.replace("DISK", &number).as_str()),
            "{file}"
        );
    }
}

#[test]
fn weights_are_written_in_the_scale_of_the_version() {
    let ground = Ground::new();
    let mut disk = Disk::new(&ground, 1);
    disk.schedule("bfq");
    let run = Limited::start(&ground, &["--cpu-weight", "50", "--io-weight", "50"], SLEEP);
    let (cpu, io) = (run.group("cpu"), run.group("io"));
    if !pure_v2() {
        assert_eq!((read(&cpu.join("cpu.shares")), read(&io.join("blkio.bfq.weight"))), ("512".into(), "50".into()));
        return;
    }
    assert_eq!(read(&cpu.join("cpu.weight")), "50");
    // Which of them there are is the kernel's choice of what divides a disk's time.
    let there = ["io.weight", "io.bfq.weight"].map(|file| io.join(file)).into_iter().filter(|file| file.exists());
    let said: Vec<String> = there.map(|file| read(&file)).collect();
    assert!(!said.is_empty() && said.iter().all(|weight| weight == "default 50"), "{said:?}");
}

#[test]
fn an_idle_group_has_no_weight() {
    let ground = Ground::new();
    let run = Limited::start(&ground, &["--cpu-idle"], SLEEP);
    assert_eq!(read(&run.group("cpu").join("cpu.idle")), "1");
}

#[test]
fn huge_pages_are_limited_where_there_are_some() {
    let ground = Ground::new();
    let unified = if pure_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
    let controllers = read(&Path::new(unified).join("cgroup.controllers"));
    let options = ["--hugetlb", "2MB=4m"];
    if controllers.split(' ').any(|controller| controller == "hugetlb") {
        let run = Limited::start(&ground, &options, SLEEP);
        assert_eq!(read(&run.group("hugetlb").join("hugetlb.2MB.max")), (4 << 20).to_string());
    } else {
        let refused = ground.sh(User::Root, &options, "host", "true");
        assert!(refused.refusal().contains("hugetlb"), "{refused:?}");
    }
}

/// What v2 hasn't is refused there.
#[test]
fn what_only_v1_has_is_refused_on_v2() {
    if !pure_v2() {
        return;
    }
    let ground = Ground::new();
    for options in [
        &["--cpu-rt-runtime", "10000"][..],
        &["--net-class", "10:1"],
        &["--net-prio", "lo=2"],
        &["--memory-swappiness", "10", "-m", "64m"],
    ] {
        let refused = izba(&ground, &[&["run"], options, &["host", "true"]].concat());
        assert!(
            refused.refusal().contains("cgroup v2") || refused.refusal().contains("can't be used here"),
            "{refused:?}"
        );
    }
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn rdma_is_limited_for_each_device() {
    let controllers = read(Path::new("/sys/fs/cgroup/cgroup.controllers"));
    if !controllers.split(' ').any(|controller| controller == "rdma") {
        println!("this kernel was built without the rdma controller: {controllers}");
        return;
    }
    let ground = Ground::new();
    let rdma = |arguments: &str| run(ground.command("rdma", User::Root).args(arguments.split(' ')));
    rdma("link add izba0 type siw netdev lo").text();
    let limited = Limited::start(&ground, &["--rdma", "izba0:handles=3,objects=4"], SLEEP);
    let written = read(&limited.group("rdma").join("rdma.max"));
    drop(limited);
    rdma("link delete izba0").text();
    assert_eq!(written, "izba0 hca_handle=3 hca_object=4");
}

/// The hierarchies as they are, and one for networks, in a mount namespace of its own; then a program there. Distributions mount the two together.
const WITH_NETWORK: &str = r#"set -e
dir=$1; shift
mount -t tmpfs hierarchies "$dir"
for hierarchy in /sys/fs/cgroup/*/; do
    mkdir "$dir/${hierarchy#/sys/fs/cgroup/}"
    mount --bind "$hierarchy" "$dir/${hierarchy#/sys/fs/cgroup/}"
done
mkdir "$dir/net_cls,net_prio"
mount -t cgroup -o net_cls,net_prio network "$dir/net_cls,net_prio"
ln -s net_cls,net_prio "$dir/net_cls"
ln -s net_cls,net_prio "$dir/net_prio"
mount --move "$dir" /sys/fs/cgroup
exec "$@""#;

/// The number of the hierarchy that a controller is on.
fn hierarchy_of(controller: &str) -> String {
    let all = fs::read_to_string("/proc/cgroups").unwrap();
    let line = all.lines().find(|line| line.split('\t').next() == Some(controller)).unwrap();
    line.split('\t').nth(1).unwrap().to_owned()
}

#[test]
fn packets_get_their_class_and_priority_as_with_runc() {
    if pure_v2() {
        return;
    }
    let ground = Ground::new();
    let before = hierarchy_of("net_cls");
    let dir = ground.directory("hierarchies", User::Root).display().to_string();
    let enter: Vec<String> =
        ["unshare", "-m", "--propagation", "private", "sh", "-c", WITH_NETWORK, "sh", &dir].map(str::to_owned).into();
    let izba = ground.izba(User::Root);
    let mut limited = Command::new(&enter[0]);
    limited.args(&enter[1..]).arg(izba.get_program()).env_clear();
    limited.envs(izba.get_envs().filter_map(|(key, value)| Some((key, value?))));
    limited.args(["run", "--name", "web", "--net-class", "10:1", "--net-prio", "lo=2", "host", "sh", "-c", SLEEP]);
    let (process, line) = Background::start(&mut limited);
    assert_eq!(line, "up");
    let mut own = Limited { ground: &ground, user: User::Root, process };
    let network = json!({ "classID": 0x0010_0001, "priorities": [{ "name": "lo", "priority": 2 }] });
    let runc = Runc::start(&ground, &enter, &json!({ "network": network }));
    for (controller, file) in [("net_cls", "net_cls.classid"), ("net_prio", "net_prio.ifpriomap")] {
        let group: PathBuf = own.group(controller).strip_prefix("/").unwrap().into();
        let root = format!("/proc/{}/root", own.process.pid());
        let ours = read(&Path::new(&root).join(group).join(file));
        assert_eq!(ours, runc.file(controller, file), "{file}");
        assert!(ours == "1048577" || ours.lines().any(|line| line == "lo 2"), "{ours}");
    }
    // From outside nobody could end it as a whole, as its group isn't seen there.
    drop(own.process.child.stdin.take());
    own.process.status();
    drop((own, runc));
    // The kernel keeps a hierarchy of which a group was there, or was still going, when it was unmounted the last time; and it takes a while.
    let again = format!(
        "mount -t cgroup -o net_cls,net_prio network {dir} && find {dir} -mindepth 1 -type d; umount {dir}; sleep 0.5"
    );
    ground.wait_for("the hierarchy is gone", || {
        let mut look = ground.command("unshare", User::Root);
        hierarchy_of("net_cls") == before
            || (run(look.args(["-m", "--propagation", "private", "sh", "-c", &again])).text().is_empty()
                && hierarchy_of("net_cls") == before)
    });
}

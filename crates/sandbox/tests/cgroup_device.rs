//! Device rules in force, on v1 and v2. Needs root, as CI has it, and /sys/fs/cgroup.
//!
//! The kernel is asked by access(2), for which it looks at the rules as for open(2) and wakes no driver, and by mknod(2). A whole process is in a
//! group, so one test at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use izba_sandbox::cgroup::device::{
    NodeKind, Program, allows, attach, list_refusal, program_refusal, replace, settings, standard, transition, within,
};
use izba_sandbox::cgroup::{DeviceAccess, DeviceRule, Setting};
use izba_sys::path::{Access, AtFlags, CWD, FileType, Mode, accessat, makedev, mknodat};
use izba_sys::{Errno, bpf};

fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

const V1: &str = "/sys/fs/cgroup/devices";

/// A machine with v2 only has nothing of v1 to test.
fn has_v1() -> bool {
    Path::new(V1).exists()
}

/// The v2 hierarchy, wherever it is.
fn v2() -> &'static str {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    places.into_iter().find(|place| Path::new(place).join("cgroup.controllers").exists()).unwrap()
}

/// A group with this process in it. Dropping it takes the process out and removes the group.
struct Group {
    before: PathBuf,
    dir: PathBuf,
}

impl Group {
    fn new(root: &str) -> Self {
        let hierarchy = if root == V1 { "devices" } else { "" };
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(hierarchy)?.strip_prefix(":/"));
        let before = Path::new(root).join(own.unwrap());
        let dir = before.join(format!("izba-test-device-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let group = Self { before, dir };
        fs::write(group.dir.join("cgroup.procs"), "0").unwrap();
        group
    }

    fn write(&self, settings: &[Setting]) {
        for setting in settings {
            fs::write(self.dir.join(&setting.file), &setting.value).unwrap();
        }
    }

    fn list(&self) -> String {
        fs::read_to_string(self.dir.join("devices.list")).unwrap()
    }

    fn open(&self) -> fs::File {
        fs::File::open(&self.dir).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::write(self.before.join("cgroup.procs"), "0").unwrap();
        fs::remove_dir(&self.dir).unwrap();
    }
}

/// Numbers that no driver has.
const MAJORS: [u32; 3] = [4001, 4002, 4003];
const MINORS: [u32; 3] = [70_001, 70_002, 70_003];

/// Nodes of all these numbers, and of some that drivers have. Dropping it removes them.
struct Nodes {
    dir: PathBuf,
    devices: Vec<(NodeKind, u32, u32)>,
}

impl Nodes {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("izba-test-device-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let numbers = MAJORS.into_iter().flat_map(|major| MINORS.map(|minor| (major, minor)));
        let numbers = numbers.chain([(1, 3), (1, 5), (1, 7), (5, 1), (136, 99)]);
        let devices =
            numbers.flat_map(|(major, minor)| [NodeKind::Block, NodeKind::Char].map(|kind| (kind, major, minor)));
        let nodes = Self { dir, devices: devices.collect() };
        nodes.devices.iter().for_each(|device| make(&nodes.path(*device), *device).unwrap());
        nodes
    }

    fn path(&self, (kind, major, minor): (NodeKind, u32, u32)) -> PathBuf {
        self.dir.join(format!("{kind:?}.{major}.{minor}"))
    }

    /// What the kernel says of reading and writing together, reading, writing, and making.
    fn asked(&self, device: (NodeKind, u32, u32)) -> [bool; 4] {
        let may = |access| verdict(accessat(CWD, self.path(device), access, AtFlags::empty()));
        let made = self.dir.join("made");
        let making = verdict(make(&made, device));
        if making {
            fs::remove_file(made).unwrap();
        }
        [may(Access::READ_OK | Access::WRITE_OK), may(Access::READ_OK), may(Access::WRITE_OK), making]
    }

    fn assert_follow(&self, rules: &[DeviceRule]) {
        for &device in &self.devices {
            let expected = ["rw", "r", "w", "m"].map(|access| allows(rules, device, access.parse().unwrap()));
            let texts: Vec<String> = rules.iter().map(DeviceRule::to_string).collect();
            assert_eq!(self.asked(device), expected, "rw, r, w, m of {device:?} by {texts:?}");
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn make(path: &Path, (kind, major, minor): (NodeKind, u32, u32)) -> Result<(), Errno> {
    let kind = if kind == NodeKind::Block { FileType::BlockDevice } else { FileType::CharacterDevice };
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(major, minor))
}

fn verdict(result: Result<(), Errno>) -> bool {
    match result {
        Ok(()) => true,
        Err(Errno::PERM) => false,
        Err(other) => panic!("{other}"),
    }
}

fn rules(texts: &[&str]) -> Vec<DeviceRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What both interfaces can say.
fn lists() -> Vec<Vec<DeviceRule>> {
    let mut with_more = standard();
    with_more.extend(rules(&["c 4001:70001 rw", "b 4002:* r", "deny c 1:5 w"]));
    let mut lists = vec![standard(), with_more];
    lists.extend(
        [
            &[][..],
            &["a *:* rwm"],
            &["a *:* rwm", "deny c 4001:* w", "deny b *:70002 m", "deny a 4003:70003 rwm"],
            &["c 4001:70001 rwm", "c 4001:70002 r", "deny c 4001:70001 w"],
            &["c 4001:70001 rwm", "c 4002:70002 r", "deny c 4001:* rwm"],
            &["c 4001:* r", "c *:70001 w"],
            &["a *:* m", "a 4002:70002 rw", "b 4003:* w"],
            &["a *:* rwm", "deny a *:* rwm", "b 1:3 r"],
            &["c *:* rm", "b *:* rwm", "deny c 4001:70001 r"],
        ]
        .map(rules),
    );
    lists
}

/// What only a program can say.
fn lists_with_holes() -> Vec<Vec<DeviceRule>> {
    let lists: [&[&str]; 3] = [
        &["c 4001:* rwm", "deny c 4001:70001 w"],
        &["a *:* rwm", "deny c *:* rw", "c 4001:* rw", "deny c *:70002 w", "deny a 1:* m"],
        &["b *:* r", "b 4002:* w", "deny b 4002:70003 r", "c 4001:70001 m"],
    ];
    lists.map(rules).to_vec()
}

#[test]
fn a_v1_group_follows_its_rules() {
    let _alone = alone();
    if !has_v1() {
        return;
    }
    let nodes = Nodes::new();
    for rules in lists() {
        let group = Group::new(V1);
        group.write(&settings(&rules).unwrap());
        nodes.assert_follow(&rules);
    }
    for rules in lists_with_holes() {
        assert!(settings(&rules).is_err(), "{rules:?}");
    }
}

#[test]
fn a_v1_group_goes_from_any_rules_to_any_others() {
    let _alone = alone();
    if !has_v1() {
        return;
    }
    let nodes = Nodes::new();
    let group = Group::new(V1);
    for (index, before) in lists().iter().enumerate() {
        for then in lists().iter().skip(index) {
            for rules in [before, then] {
                group.write(&transition(&group.list(), rules).unwrap());
            }
            nodes.assert_follow(then);
        }
    }
}

#[test]
fn a_v1_group_can_do_no_more_than_the_one_above() {
    let _alone = alone();
    if !has_v1() {
        return;
    }
    let group = Group::new(V1);
    group.write(&settings(&standard()).unwrap());
    let below = group.dir.join("below");
    fs::create_dir(&below).unwrap();
    let mut more = standard();
    more.extend(rules(&["c 4001:* rw"]));
    let write = |dir: &Path, setting: &Setting| fs::write(dir.join(&setting.file), &setting.value);
    let written: Result<(), _> = settings(&more).unwrap().iter().try_for_each(|setting| write(&below, setting));
    let anew = write(&group.dir, &settings(&more).unwrap()[0]);
    fs::remove_dir(&below).unwrap();
    let errno = |result: std::io::Result<()>| Errno::from_raw_os_error(result.unwrap_err().raw_os_error().unwrap());
    let cause = |errno| list_refusal(errno).unwrap().cause;
    assert!(cause(errno(written)).contains("the group above"));
    assert!(cause(errno(anew)).contains("sub-groups"));
    assert!(within(&group.list(), &more).unwrap_err().problem.contains("c 4001:* rw"));
    assert_eq!(within(&group.list(), &standard()), Ok(()));
}

#[test]
fn a_v2_group_follows_its_rules() {
    let _alone = alone();
    let nodes = Nodes::new();
    for rules in lists().into_iter().chain(lists_with_holes()) {
        let group = Group::new(v2());
        attach(group.open().as_fd(), &Program::compile(&rules)).unwrap();
        nodes.assert_follow(&rules);
    }
}

/// Opens what is named, in a process of its own, which is in the group as its maker is.
fn opens(redirection: &str) -> bool {
    let script = format!("exec 3{redirection}");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_started_program_opens_what_it_may() {
    let _alone = alone();
    let mut but_full = standard();
    but_full.extend(rules(&["deny c 1:7 rw", "deny c 1:5 w"]));
    for root in [V1, v2()] {
        if root == V1 && !has_v1() {
            continue;
        }
        let group = Group::new(root);
        assert!(opens("</dev/full") && opens(">/dev/zero") && opens("<>/dev/null"));
        match root == V1 {
            true => group.write(&settings(&but_full).unwrap()),
            false => replace(group.open().as_fd(), &Program::compile(&but_full)).unwrap(),
        }
        let opened = ["</dev/full", ">/dev/full", "</dev/zero", ">/dev/zero", "<>/dev/null"].map(opens);
        assert_eq!(opened, [false, false, true, false, true], "{root}");
    }
}

#[test]
fn a_program_takes_the_place_of_the_one_before() {
    let _alone = alone();
    let nodes = Nodes::new();
    let group = Group::new(v2());
    for rules in lists().into_iter().chain(lists_with_holes()) {
        replace(group.open().as_fd(), &Program::compile(&rules)).unwrap();
        nodes.assert_follow(&rules);
        assert_eq!(bpf::attached(group.open().as_fd()).unwrap().len(), 1);
    }
}

#[test]
fn programs_of_others_stay() {
    let _alone = alone();
    let nodes = Nodes::new();
    let group = Group::new(v2());
    let directory = group.open();
    let readers = Program::compile(&rules(&["a *:* r"]));
    let of_systemd = bpf::load(c"sd_devices", c"GPL", readers.instructions()).unwrap();
    bpf::attach(directory.as_fd(), of_systemd.as_fd(), None).unwrap();
    for _ in 0..2 {
        attach(directory.as_fd(), &Program::compile(&[])).unwrap();
    }
    nodes.assert_follow(&[]);
    replace(directory.as_fd(), &Program::compile(&rules(&["c 4001:* rwm"]))).unwrap();
    nodes.assert_follow(&rules(&["c 4001:* r"]));
    assert_eq!(bpf::attached(directory.as_fd()).unwrap().len(), 2);
}

#[test]
fn the_verifier_takes_a_thousand_rules() {
    let _alone = alone();
    let nodes = Nodes::new();
    let accesses: Vec<DeviceAccess> =
        ["rw", "r", "w", "m", "rwm", "rm", "wm"].map(|text| text.parse().unwrap()).to_vec();
    let rule = |(number, access): (u32, &DeviceAccess)| DeviceRule {
        allow: !number.is_multiple_of(3),
        access: *access,
        minor: Some(69_500 + number),
        ..rules(&["c 4001:1 r"])[0]
    };
    for accesses in [&accesses[..1], &accesses[..]] {
        let many: Vec<DeviceRule> = (0..1000).zip(accesses.iter().cycle()).map(rule).collect();
        let group = Group::new(v2());
        attach(group.open().as_fd(), &Program::compile(&many)).unwrap();
        nodes.assert_follow(&many);
    }
}

#[test]
fn without_privilege_a_program_is_refused_and_the_reason_known() {
    let _alone = alone();
    let group = Group::new(v2());
    let before = bpf::attached(group.open().as_fd()).unwrap();
    // A thread of its own gives its capabilities up.
    let directory = group.open();
    let refused = std::thread::spawn(move || {
        izba_sys::credential::set_capabilities(
            None,
            izba_sys::credential::CapabilitySets {
                effective: izba_sys::credential::CapabilitySet::empty(),
                permitted: izba_sys::credential::CapabilitySet::empty(),
                inheritable: izba_sys::credential::CapabilitySet::empty(),
            },
        )
        .unwrap();
        attach(directory.as_fd(), &Program::compile(&standard())).unwrap_err().raw_os_error()
    });
    let errno = Errno::from_raw_os_error(refused.join().unwrap().unwrap());
    assert_eq!(errno, Errno::PERM);
    assert!(program_refusal(errno).unwrap().cause.contains("CAP_SYS_ADMIN"));
    assert_eq!(bpf::attached(group.open().as_fd()).unwrap(), before);
}

/// A bundle whose container runc makes and never starts. Dropping it removes both.
struct Container {
    bundle: PathBuf,
    name: String,
}

impl Container {
    /// With runc's own default rules, and these.
    fn new(devices: &str) -> Self {
        let name = format!("izba-test-device-runc-{}", std::process::id());
        let bundle = std::env::temp_dir().join(&name);
        fs::create_dir_all(bundle.join("root/proc")).unwrap();
        fs::create_dir_all(bundle.join("root/dev")).unwrap();
        // It is looked for and never run.
        fs::write(bundle.join("root/none"), "").unwrap();
        fs::set_permissions(bundle.join("root/none"), fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            r#"{{"ociVersion": "1.0.2", "root": {{"path": "root"}}, "process": {{"cwd": "/", "args": ["/none"], "user": {{"uid": 0, "gid": 0}}}},
            "mounts": [{{"destination": "/proc", "type": "proc", "source": "proc"}}, {{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}}],
            "linux": {{"cgroupsPath": "/{name}", "resources": {{"devices": [{devices}]}},
            "namespaces": [{{"type": "mount"}}, {{"type": "pid"}}, {{"type": "ipc"}}, {{"type": "uts"}}]}}}}"#
        );
        fs::write(bundle.join("config.json"), config).unwrap();
        Self { bundle, name }
    }

    fn runc(&self, arguments: &[&str]) {
        let mut command = Command::new("runc");
        command.args(arguments).arg(&self.name).stdin(Stdio::null()).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "runc {arguments:?}");
    }

    fn list(&self) -> String {
        fs::read_to_string(Path::new(V1).join(&self.name).join("devices.list")).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.runc(&["delete", "--force"]);
        fs::remove_dir_all(&self.bundle).unwrap();
    }
}

#[test]
fn runc_writes_the_same_list() {
    let _alone = alone();
    if !has_v1() {
        return;
    }
    let more = r#"{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": true, "type": "b", "major": 8, "access": "r"}, {"allow": true, "type": "c", "minor": 7, "access": "w"}"#;
    let container = Container::new(more);
    container.runc(&["create", "--bundle", container.bundle.to_str().unwrap()]);
    let mut ours = rules(&["deny a *:* rwm", "c 10:229 rw", "b 8:* r", "c *:7 w"]);
    ours.extend(standard());
    let group = Group::new(V1);
    group.write(&settings(&ours).unwrap());
    assert_eq!(sorted(&group.list()), sorted(&container.list()));
    assert_eq!(transition(&container.list(), &ours), Ok(vec![]));
}

fn sorted(list: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    lines
}

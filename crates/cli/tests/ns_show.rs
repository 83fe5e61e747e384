//! `izba ns show`: what is in namespaces, beside the programs that look from within.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{Background, Ground, User, run};
use target::{NAMES, child, inode};

/// A process in new namespaces, which lives until it is dropped.
struct Target {
    pid: i32,
    _process: Background,
}

impl Target {
    /// In new ones of all kinds, with a user namespace for ordinary users. The script prints "up" when all is as it should be, and waits.
    fn start(ground: &Ground, user: User, more: &[&str], script: &str) -> Self {
        let mut unshare = ground.command("unshare", user);
        if user != User::Root {
            unshare.args(["-U", "-r"]);
        }
        unshare.args(["-m", "-p", "-n", "-i", "-u", "-C", "-T", "--fork", "--kill-child"]);
        Self::fork(unshare.args(more).args(["sh", "-c", &format!("{script}; echo up; read end")]))
    }

    /// What a program that forks has forked.
    fn fork(command: &mut Command) -> Self {
        let (process, line) = Background::start(command);
        assert_eq!(line, "up");
        Self { pid: child(process.pid()), _process: process }
    }

    fn inode(&self, kind: &str) -> u64 {
        inode(self.pid, kind)
    }

    /// A program in its namespaces, as whoever made them.
    fn within(&self, ground: &Ground, user: User, program: &[&str]) -> String {
        let mut nsenter = ground.command("nsenter", user);
        nsenter.args(["-t", &self.pid.to_string(), "-m", "-n", "-i", "-u", "-C"]);
        if user != User::Root {
            nsenter.args(["-U", "--preserve-credentials"]);
        }
        run(nsenter.args(program)).text().to_owned()
    }
}

fn show(ground: &Ground, user: User, target: &str, options: &[&str]) -> String {
    run(ground.izba(user).args(["ns", "show", target]).args(options)).text().to_owned()
}

fn json(ground: &Ground, user: User, target: &str, kind: &str) -> Value {
    serde_json::from_str(&show(ground, user, target, &["-t", kind, "--format", "json"])).unwrap()
}

fn of(ground: &Ground, user: User, target: &Target, kind: &str) -> Value {
    let value = json(ground, user, &target.pid.to_string(), kind);
    assert_eq!((value["type"].as_str(), value["id"].as_u64()), (Some(kind), Some(target.inode(kind))), "{user:?}");
    value
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

const NETWORK: &str = "ip link set lo up; ip link add left type veth peer name right; ip link add bridge type bridge; \
                       ip link set right master bridge; ip addr add 10.9.8.7/24 dev left; ip link set left up; \
                       ip addr add 10.9.8.1 peer 10.9.8.2/32 dev bridge; ip addr add fd00:9::7/64 dev left nodad";

#[test]
fn interfaces_are_as_ip_shows_them_from_within() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user, &[], NETWORK);
        let shown = of(&ground, user, &target, "net");
        let ours = shown["contents"]["interfaces"].as_array().unwrap();
        let theirs: Value = serde_json::from_str(&target.within(&ground, user, &["ip", "-j", "-d", "addr"])).unwrap();
        let theirs = theirs.as_array().unwrap();
        assert_eq!((ours.len(), theirs.len()), (4, 4), "{user:?}: {shown:#}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours["index"], theirs["ifindex"]);
            assert_eq!((&ours["name"], &ours["address"]), (&theirs["ifname"], &theirs["address"]));
            assert_eq!(ours["kind"], theirs["linkinfo"]["info_kind"]);
            let flags = strings(&theirs["flags"]);
            assert_eq!(ours["up"].as_bool().unwrap(), flags.contains("UP"), "{ours:#}");
            let addresses = theirs["addr_info"].as_array().unwrap().iter();
            let addresses = addresses.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"]));
            assert_eq!(strings(&ours["addresses"]), addresses.collect(), "{user:?}");
        }
        let named = |name: &str| ours.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(named("right")["master"], named("bridge")["index"]);
        assert_eq!(named("left")["peer"]["index"], named("right")["index"]);
        assert_eq!(named("left")["peer"]["namespace"].as_u64(), Some(target.inode("net")));
    }
}

#[test]
fn the_other_end_of_a_veth_is_found_in_another_namespace() {
    let ground = Ground::new();
    let (one, other) =
        (Target::start(&ground, User::Root, &[], "true"), Target::start(&ground, User::Root, &[], "true"));
    let add = ["ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", &other.pid.to_string()];
    run(Command::new("nsenter").args(["-t", &one.pid.to_string(), "-n"]).args(add)).text();
    for (from, to) in [(&one, &other), (&other, &one)] {
        let shown = of(&ground, User::Root, from, "net");
        let peer = &shown["contents"]["interfaces"][1]["peer"];
        assert_eq!(peer["namespace"].as_u64(), Some(to.inode("net")), "{shown:#}");
    }
    let text = show(&ground, User::Root, &one.pid.to_string(), &["-t", "net"]);
    assert!(text.contains(&format!("2 in net:[{}]", other.inode("net"))), "{text}");
}

#[test]
fn ipc_objects_are_as_ipcs_shows_them_from_within() {
    let ground = Ground::new();
    let script = "ipcmk -M 12288 >/dev/null; ipcmk -S 5 >/dev/null; ipcmk -Q >/dev/null; \
                  mkdir -p q; mount -t mqueue mqueue q; : > q/letters";
    for user in User::ALL {
        let dir = ground.directory(&format!("{user:?}"), user);
        let target = Target::start(&ground, user, &[], &format!("cd {}; {script}", dir.display()));
        let shown = of(&ground, user, &target, "ipc");
        let contents = &shown["contents"];
        for (option, field, what) in
            [("-m", "sharedMemory", "bytes"), ("-s", "semaphores", "count"), ("-q", "queues", "bytes")]
        {
            let table = target.within(&ground, user, &["ipcs", option]);
            let row = table.lines().find(|line| line.starts_with("0x")).unwrap();
            let fields: Vec<&str> = row.split_whitespace().collect();
            let object = &contents[field][0];
            assert_eq!(
                (object["id"].to_string(), object[what].to_string()),
                (fields[1].to_owned(), fields[4].to_owned()),
                "{user:?}: {row}"
            );
            assert_eq!(contents[field].as_array().unwrap().len(), 1);
        }
        assert_eq!(strings(&contents["posixQueues"]), BTreeSet::from(["letters".to_owned()]), "{user:?}");
    }
}

#[test]
fn names_clocks_and_maps_are_as_the_kernel_shows_them() {
    let ground = Ground::new();
    for user in User::ALL {
        let more = ["--boottime", "86400", "--monotonic", "500"];
        let target = Target::start(&ground, user, &more, "hostname inner; domainname yard");
        let uts = of(&ground, user, &target, "uts");
        assert_eq!((&uts["contents"]["hostname"], &uts["contents"]["domainname"]), (&"inner".into(), &"yard".into()));
        let time = of(&ground, user, &target, "time");
        assert_eq!(
            (time["contents"]["boottime"].as_i64(), time["contents"]["monotonic"].as_i64()),
            (Some(86_400), Some(500))
        );
        let maps = of(&ground, user, &target, "user");
        let map = fs::read_to_string(format!("/proc/{}/uid_map", target.pid)).unwrap();
        let fields: Vec<u64> = map.split_whitespace().map(|field| field.parse().unwrap()).collect();
        let range = &maps["contents"]["uids"][0];
        // Both are read in the initial user namespace.
        assert_eq!(["inside", "outside", "count"].map(|name| range[name].as_u64().unwrap()), fields[..]);
        assert_eq!(maps["contents"]["setgroups"].as_bool(), Some(user == User::Root), "{user:?}");
    }
}

#[test]
fn mounts_and_their_propagation_are_as_findmnt_shows_them() {
    let ground = Ground::new();
    let script = "mkdir -p 'a b' c d; mount -t tmpfs none 'a b'; mount --make-shared 'a b'; mount --bind 'a b' c; \
                  mount --make-slave c; mount -t tmpfs none d; mount --make-unbindable d";
    for user in User::ALL {
        let dir = ground.directory(&format!("{user:?}"), user);
        let target =
            Target::start(&ground, user, &["--propagation", "private"], &format!("cd {}; {script}", dir.display()));
        let shown = of(&ground, user, &target, "mnt");
        let task = target.pid.to_string();
        let columns = ["-o", "TARGET,FSTYPE,PROPAGATION"];
        let table = run(Command::new("findmnt").args(["--task", &task, "--list", "--json"]).args(columns));
        let table: Value = serde_json::from_str(table.text()).unwrap();
        let rows = table["filesystems"].as_array().unwrap();
        let mounts = shown["contents"]["mounts"].as_array().unwrap();
        assert_eq!(mounts.len(), rows.len(), "{user:?}");
        let key = |point: &Value, fstype: &Value, propagation: String| format!("{point} {fstype} {propagation}");
        let ours: BTreeSet<String> =
            mounts.iter().map(|mount| key(&mount["point"], &mount["fstype"], word(&mount["propagation"]))).collect();
        let theirs =
            rows.iter().map(|row| key(&row["target"], &row["fstype"], row["propagation"].as_str().unwrap().to_owned()));
        assert_eq!(ours, theirs.collect(), "{user:?}");
    }
}

/// As findmnt(8) says it.
fn word(tags: &Value) -> String {
    let has = |start: &str| tags.as_array().unwrap().iter().any(|tag| tag.as_str().unwrap().starts_with(start));
    let base = if has("shared:") { "shared" } else { "private" };
    let more = [("master:", ",slave"), ("unbindable", ",unbindable")];
    more.into_iter().filter(|(tag, _)| has(tag)).fold(base.to_owned(), |text, (_, word)| text + word)
}

#[test]
fn the_root_of_a_cgroup_namespace_is_where_its_maker_was() {
    let ground = Ground::new();
    let target = Target::start(&ground, User::Root, &[], "true");
    let shown = of(&ground, User::Root, &target, "cgroup");
    let roots = shown["contents"]["roots"].as_array().unwrap().iter();
    let roots: BTreeMap<_, _> =
        roots.map(|root| (root["controllers"].as_str().unwrap(), root["root"].as_str().unwrap())).collect();
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", target.pid)).unwrap();
    let expected = cgroups.lines().map(|line| line.split_once(':').unwrap().1.split_once(':').unwrap()).collect();
    assert_eq!(roots, expected);
}

#[test]
fn namespaces_without_a_process_are_read_by_going_there() {
    let ground = Ground::new();
    for (kind, set_up, expected) in [
        ("uts", "hostname alone", "alone"),
        ("ipc", "ipcmk -S 7", "7 in the set"),
        ("net", "ip link add solo type bridge", "solo"),
        ("time", "true", "+77 s"),
    ] {
        let kept = ground.path(kind);
        fs::write(&kept, "").unwrap();
        let mut unshare = Command::new("unshare");
        unshare.arg(format!("--{kind}={}", kept.display()));
        if kind == "time" {
            unshare.args(["--boottime", "77", "--fork"]);
        }
        run(unshare.args(["sh", "-c", set_up])).text();
        let path = kept.to_str().unwrap();
        let text = show(&ground, User::Root, path, &[]);
        let closed = show(&ground, User::OneId, path, &[]);
        // Another test's izba may have it open for a moment: EBUSY.
        run(Command::new("umount").arg("--lazy").arg(&kept)).text();
        assert!(text.contains(expected) && text.contains(&format!("bind mount {path}")), "{kind}: {text}");
        assert!(closed.contains("can't be read: cannot enter it") && closed.contains(path), "{kind}: {closed}");
        assert!(!closed.contains(expected), "{kind}: {closed}");
    }
}

#[test]
fn processes_have_their_ids_inside_and_outside() {
    let ground = Ground::new();
    for user in User::ALL {
        let target = Target::start(&ground, user, &["--mount-proc"], "true");
        let shown = of(&ground, user, &target, "pid");
        let member = &shown["members"][0];
        assert_eq!((member["pid"].as_i64(), member["pidInside"].as_i64()), (Some(target.pid.into()), Some(1)));
        assert_eq!(
            shown["parents"][0].as_u64(),
            Some(inode(i32::try_from(std::process::id()).unwrap(), "pid")),
            "{user:?}"
        );
        let text = show(&ground, user, &target.pid.to_string(), &["-t", "pid"]);
        let row = text.lines().find(|line| line.trim_start().starts_with(&target.pid.to_string())).unwrap();
        assert_eq!(row.split_whitespace().nth(1), Some("1"), "{text}");
    }
}

#[test]
fn every_way_to_name_a_namespace_leads_to_it() {
    let ground = Ground::new();
    let target = Target::start(&ground, User::Root, &[], "true");
    let id = target.inode("uts");
    let path = format!("/proc/{}/ns/uts", target.pid);
    let whole = |name: &str| {
        let mut value: Value = serde_json::from_str(&show(&ground, User::Root, name, &["--format", "json"])).unwrap();
        // Other tests' processes come and go, and an izba among them has every namespace open for a moment.
        value["unreadable"] = Value::Null;
        value["holders"].as_array_mut().unwrap().retain(|holder| holder["kind"] != "descriptor");
        value
    };
    let first = whole(&path);
    let unique = first["unique"].as_u64();
    let named = [Some(id.to_string()), Some(format!("uts:[{id}]")), unique.map(|unique| format!("id:{unique}"))];
    for name in named.into_iter().flatten() {
        assert_eq!(whole(&name), first, "{name}");
    }
    let short = show(&ground, User::Root, &target.pid.to_string(), &[]);
    let kinds: Vec<&str> = short.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(kinds, NAMES);
    let all: Value =
        serde_json::from_str(&show(&ground, User::Root, &target.pid.to_string(), &["--format", "json"])).unwrap();
    assert_eq!(all["namespaces"].as_array().unwrap().len(), 8);
}

#[test]
fn what_is_no_target_is_refused() {
    let ground = Ground::new();
    let own = std::process::id().to_string();
    for (target, options, expected) in [
        ("4194303", vec![], "no process 4194303"),
        ("4294967295", vec![], "no namespace 4294967295"),
        ("net:[1]", vec![], "no namespace net:[1]"),
        ("id:18446744073709551615", vec![], "no namespace id:18446744073709551615"),
        ("/etc/passwd", vec![], "stands for no namespace"),
        ("/nonexistent", vec![], "/nonexistent"),
        ("nobody-has-this-name", vec![], "nobody-has-this-name"),
        ("/proc/self/ns/uts", vec!["-t", "net"], "is no net namespace"),
        (own.as_str(), vec!["-t", "disk"], "disk"),
    ] {
        let refused = run(ground.izba(User::Root).args(["ns", "show", target]).args(&options));
        assert!(refused.refusal().contains(expected), "{target}: {refused:?}");
    }
    let refused = run(ground.izba(User::OneId).args(["ns", "show", &own]));
    assert!(refused.refusal().contains("may not be read"), "{refused:?}");
}

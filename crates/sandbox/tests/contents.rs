//! What is in many network namespaces at once, on real ones. Needs root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use izba_sandbox::contents::{
    Contents, Door, Interface, Unreadable, interfaces_of_all, interfaces_seen, read, read_seen,
};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Detail, Id, Survey};

/// Network namespaces with names of ip-netns(8), removed at the end.
struct Networks(Vec<String>);

impl Networks {
    fn new(test: &str, count: usize) -> Self {
        let name = |number| format!("izba-{test}-{}-{number}", std::process::id());
        let names = Self((0..count).map(name).collect());
        names.0.iter().for_each(|name| ip(&["netns", "add", name]));
        names
    }

    fn path(&self, number: usize) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.0[number])
    }

    fn id(&self, number: usize) -> Id {
        id(&self.path(number))
    }

    fn doors(&self) -> Vec<(Id, Door)> {
        (0..self.0.len()).map(|number| (self.id(number), Door::Path(self.path(number)))).collect()
    }

    /// A veth from one to another.
    fn join(&self, one: usize, other: usize) {
        let (here, there) = (&self.0[one], &self.0[other]);
        let (name, peer) = (format!("to{other}"), format!("to{one}"));
        ip(&["-n", here, "link", "add", &name, "type", "veth", "peer", "name", &peer, "netns", there]);
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| ip(&["netns", "delete", name]));
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

fn id(path: &PathBuf) -> Id {
    Id { kind: Kind::Net, inode: std::fs::metadata(path).unwrap().ino() }
}

/// To which of the namespaces the interface `to{number}` leads.
fn leads_to(interfaces: &[Interface], number: usize) -> Option<Id> {
    let name = format!("to{number}");
    interfaces.iter().find(|interface| interface.name == name).unwrap().peer.unwrap().namespace
}

#[test]
fn pairs_that_look_alike_are_told_apart() {
    // Interface 2 of each leads to interface 2 of another.
    let networks = Networks::new("alike", 24);
    for one in (0..24).step_by(2) {
        networks.join(one, one + 1);
    }
    let all = interfaces_of_all(&networks.doors());
    for number in 0..24 {
        let other = number ^ 1;
        let interfaces = all[&networks.id(number)].as_ref().unwrap();
        assert_eq!(leads_to(interfaces, other), Some(networks.id(other)), "{number}");
    }
}

#[test]
fn a_star_and_one_without_a_known_other_end() {
    let networks = Networks::new("star", 14);
    for leaf in 1..14 {
        networks.join(0, leaf);
    }
    let mut doors = networks.doors();
    let (hidden, _) = doors.pop().unwrap();
    let all = interfaces_of_all(&doors);
    let hub = all[&networks.id(0)].as_ref().unwrap();
    for leaf in 1..13 {
        assert_eq!(leads_to(hub, leaf), Some(networks.id(leaf)));
        assert_eq!(leads_to(all[&networks.id(leaf)].as_ref().unwrap(), 0), Some(networks.id(0)));
    }
    assert_eq!(leads_to(hub, 13), None, "nobody said where {hidden} is");
    let Ok(Contents::Net(alone)) = read(networks.id(0), &doors[0].1, &[], &networks.doors()) else { panic!() };
    for leaf in 1..14 {
        assert_eq!(leads_to(&alone, leaf), Some(networks.id(leaf)));
    }
}

#[test]
fn what_stands_on_a_device_elsewhere_leads_there() {
    let networks = Networks::new("stack", 3);
    networks.join(0, 1);
    let (base, away) = (&networks.0[0], &networks.0[2]);
    ip(&["-n", base, "link", "add", "to0", "link", "to1", "netns", away, "type", "macvlan"]);
    let all = interfaces_of_all(&networks.doors());
    assert_eq!(leads_to(all[&networks.id(2)].as_ref().unwrap(), 0), Some(networks.id(0)));
    assert_eq!(leads_to(all[&networks.id(0)].as_ref().unwrap(), 1), Some(networks.id(1)));
}

#[test]
fn a_path_that_leads_elsewhere_by_now_is_gone() {
    let networks = Networks::new("gone", 1);
    let own = id(&PathBuf::from("/proc/self/ns/net"));
    for path in [networks.path(0), PathBuf::from("/etc/passwd"), PathBuf::from("/nonexistent")] {
        assert_eq!(read(own, &Door::Path(path), &[], &[]), Err(Unreadable::Gone));
    }
}

#[test]
fn a_member_that_ends_after_the_survey_closes_no_other_way() {
    let networks = Networks::new("ended", 1);
    let mut member = Command::new("ip");
    member.args(["netns", "exec", &networks.0[0], "sh", "-c", "echo up; read end"]);
    let mut member = member.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(member.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let survey = Survey::take(Detail::Leaders).unwrap();
    drop(member.stdin.take());
    member.wait().unwrap();
    let id = networks.id(0);
    assert_eq!(survey.namespaces[&id].members.len(), 1);
    let Contents::Net(alone) = read_seen(&survey, id).unwrap() else { panic!("{id}") };
    assert_eq!(alone[0].name, "lo");
    assert_eq!(interfaces_seen(&survey)[&id].as_ref(), Ok(&alone));
}

#[test]
fn one_name_that_is_no_text_hides_no_mount_table() {
    let mut member = Command::new("unshare");
    let script =
        "d=/tmp/izba-raw-$(printf '\\377')-$$; mkdir $d; mount -t tmpfs raw $d; echo up; read end; umount $d; rmdir $d";
    member.args(["--mount", "sh", "-c", script]);
    let mut member = member.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(member.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pid = i32::try_from(member.id()).unwrap();
    let survey = Survey::take(Detail::Leaders).unwrap();
    let id = survey.processes[&pid].namespace(Kind::Mount).unwrap();
    let contents = read_seen(&survey, id);
    drop(member.stdin.take());
    member.wait().unwrap();
    let Ok(Contents::Mount(mounts)) = contents else { panic!("{contents:?}") };
    assert!(mounts.iter().any(|mount| mount.source == "raw"), "{mounts:?}");
}

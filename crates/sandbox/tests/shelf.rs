//! Names of namespaces beside those of ip-netns(8). Needs root, as CI has it, and ip(8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use izba_sandbox::keep::{KeepError, Kept, Shelf, Way, netns};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, identify, open_namespace};
use izba_sys::path::{FlockOperation, flock};

/// Two directories of names, and a name that nobody else has. Dropping it removes them.
struct Ground {
    dir: PathBuf,
    name: String,
}

impl Ground {
    fn new(test: &str) -> Self {
        let name = format!("izba-{test}-{}", std::process::id());
        let dir = Path::new("/tmp").join(&name);
        for place in ["one", "other"] {
            fs::create_dir_all(dir.join(place)).unwrap();
        }
        Self { dir, name }
    }

    fn shelf(&self, place: &str) -> Shelf {
        Shelf::new(self.dir.join(place).join("ns"))
    }

    fn ip_netns(&self, verb: &str) -> bool {
        Command::new("ip").args(["netns", verb, &self.name]).status().unwrap().success()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for place in ["one", "other"] {
            let _unknown = self.shelf(place).release(&self.name);
        }
        let _unknown = netns::release(&self.name);
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn own(kind: Kind) -> (Kind, OwnedFd) {
    (kind, open_namespace(&Path::new("/proc/self/ns").join(kind.proc_name())).unwrap())
}

fn kinds(kept: Option<Kept>) -> Vec<Kind> {
    kept.into_iter().flat_map(|kept| kept.namespaces).map(|(id, _)| id.kind).collect()
}

/// A new network namespace, and nothing else that keeps it.
fn network() -> (Id, OwnedFd) {
    let script = "echo up; read end";
    let mut command = Command::new("unshare");
    let pipe = std::process::Stdio::piped;
    let mut child = command.args(["--net", "sh", "-c", script]).stdin(pipe()).stdout(pipe()).spawn().unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let network = open_namespace(Path::new(&format!("/proc/{}/ns/net", child.id()))).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    (identify(network.as_fd()).unwrap(), network)
}

#[test]
fn a_name_of_ip_netns_is_on_no_shelf() {
    let ground = Ground::new("apart");
    let (one, other) = (ground.shelf("one"), ground.shelf("other"));
    other.keep(&ground.name, &[own(Kind::Uts)], Way::Process).unwrap();
    assert!(ground.ip_netns("add"));
    assert_eq!(kinds(one.find(&ground.name)), []);
    assert_eq!(kinds(other.find(&ground.name)), [Kind::Uts]);
    assert_eq!(kinds(netns::find(&ground.name)), [Kind::Net]);
    assert!(one.all().is_empty() && netns::all().iter().any(|kept| kept.name == ground.name));
    assert!(matches!(one.release(&ground.name), Err(KeepError::Unknown(_))));
    other.release(&ground.name).unwrap();
    assert_eq!(kinds(netns::find(&ground.name)), [Kind::Net]);
    let taken = other.keep(&ground.name, &[own(Kind::Uts)], Way::Mounts);
    assert!(matches!(taken, Err(KeepError::Taken(_))), "{taken:?}");
    netns::release(&ground.name).unwrap();
    assert!(matches!(netns::release(&ground.name), Err(KeepError::Unknown(_))));
}

#[test]
fn a_shelf_knows_its_own_network() {
    let ground = Ground::new("network");
    let (one, other) = (ground.shelf("one"), ground.shelf("other"));
    let (id, network) = network();
    other.keep(&ground.name, &[(Kind::Net, network), own(Kind::Uts)], Way::Mounts).unwrap();
    assert_eq!(kinds(one.find(&ground.name)), []);
    assert!(other.find(&ground.name).unwrap().namespaces.iter().any(|(kept, _)| *kept == id));
    // Another takes the name.
    assert!(ground.ip_netns("delete") && ground.ip_netns("add"));
    assert_eq!(kinds(other.find(&ground.name)), [Kind::Uts]);
    other.release(&ground.name).unwrap();
    assert_eq!(kinds(netns::find(&ground.name)), [Kind::Net]);
    assert!(!ground.dir.join("other/ns").exists());
}

#[test]
fn what_is_no_name_is_not_said_to_be_taken() {
    let ground = Ground::new("invalid");
    for name in ["", ".", "..", "a/b"] {
        let kept = ground.shelf("one").keep(name, &[own(Kind::Uts)], Way::Process);
        assert!(matches!(kept, Err(KeepError::Invalid(_))), "{kept:?}");
        assert!(ground.shelf("one").find(name).is_none() && netns::find(name).is_none());
    }
}

/// As a stopped izba or a stopped holder that nobody knows of would have it.
#[test]
fn a_lock_that_never_comes_free_is_told() {
    let ground = Ground::new("locked");
    let shelf = ground.shelf("one");
    let held = ground.dir.join("one/ns").join(&ground.name);
    fs::create_dir_all(&held).unwrap();
    for locked in [ground.dir.join("one"), held] {
        let lock = File::open(&locked).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let kept = shelf.keep(&ground.name, &[own(Kind::Uts)], Way::Process);
        assert!(matches!(&kept, Err(KeepError::Busy(path)) if *path == locked), "{kept:?}");
        assert!(shelf.find(&ground.name).is_none());
    }
    shelf.keep(&ground.name, &[own(Kind::Uts)], Way::Process).unwrap();
    shelf.release(&ground.name).unwrap();
}

//! Machines that don't exist: of any size, with everything that a picture may show, the same for the same seed.

use std::collections::BTreeMap;

use izba_sandbox::contents::{Interface, Peer};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, Link, SeenNamespace, SeenProcess, Survey};

use super::about::About;
use super::compose::{Seen, compose};
use super::picture::Picture;

/// What was "seen".
#[derive(Default)]
pub struct Machine {
    pub survey: Survey,
    pub interfaces: BTreeMap<Id, Vec<Interface>>,
    pub names: BTreeMap<Id, String>,
    pub about: BTreeMap<Id, About>,
    chance: Chance,
    next_inode: u64,
    next_pid: i32,
}

/// A linear congruential generator: Knuth's MMIX constants.
#[derive(Default)]
pub struct Chance(u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

type Set = [Option<Id>; 8];

const PROGRAMS: [&str; 10] = [
    "/usr/sbin/nginx -g daemon off;",
    "/usr/bin/python3 /srv/app/manage.py runserver 0.0.0.0:8000 --settings=production",
    "postgres: checkpointer",
    "/bin/sh -c while true; do sleep 10; done",
    "redis-server *:6379",
    "/opt/java/bin/java -Xmx2g -jar /srv/service.jar",
    "node server.js",
    "/usr/bin/dbus-daemon --system",
    "sleep 3600",
    "/usr/local/bin/envoy -c /etc/envoy.yaml",
];
const NAMES: [&str; 8] = ["web", "db", "cache", "worker", "ingress", "metrics", "ci", "mail"];

impl Machine {
    /// A machine with at least so many namespaces.
    pub fn new(namespaces: usize, seed: u64) -> Self {
        let mut machine = Self { chance: Chance(seed), next_inode: 4_026_532_200, next_pid: 200, ..Self::default() };
        let host = machine.host(8 + namespaces / 4);
        let bridges = 1 + u32::try_from(namespaces / 400).unwrap();
        for bridge in 0..bridges {
            machine.interface(
                host[Kind::Net as usize].unwrap(),
                10 + bridge,
                &format!("br{bridge}"),
                Some("bridge"),
                None,
            );
        }
        while machine.survey.namespaces.len() < namespaces {
            machine.something(&host, bridges);
        }
        machine
    }

    /// What is drawn of it.
    pub fn picture(&self) -> Picture {
        let Self { survey, interfaces, names, about, .. } = self;
        compose(&Seen { survey, interfaces, names, about, host: "somewhere" })
    }

    fn host(&mut self, processes: usize) -> Set {
        let host = Kind::ALL.map(|kind| {
            let id = Id { kind, inode: 4_026_531_832 + kind as u64 };
            self.add(id, Link::None, Link::None);
            Some(id)
        });
        for id in host.iter().flatten().filter(|id| id.kind != Kind::User) {
            self.survey.namespaces.get_mut(id).unwrap().owner = Link::To(host[0].unwrap());
        }
        for pid in 1..=3 {
            self.process(&host, vec![pid], ["/sbin/init", "[kthreadd]", "[rcu_gp]"][usize::try_from(pid - 1).unwrap()]);
        }
        for _ in 0..processes {
            self.member(&host, 1);
        }
        let net = host[Kind::Net as usize].unwrap();
        self.interface(net, 1, "lo", None, Some("127.0.0.1/8"));
        self.interface(net, 2, "eth0", None, Some("192.0.2.17/24"));
        host
    }

    fn something(&mut self, host: &Set, bridges: u32) {
        match self.chance.below(10) {
            0..=4 => self.container(host, bridges),
            5 => self.nested_pids(host),
            6 => self.kept(host),
            7 => self.user_in_user(host),
            8 => self.service(host),
            _ => {
                let user = self.fresh(host, Kind::User);
                self.container(&user, bridges);
            }
        }
    }

    /// All but a time namespace, a wire to the host, and processes.
    fn container(&mut self, outer: &Set, bridges: u32) {
        let kinds = [Kind::Pid, Kind::Mount, Kind::Net, Kind::Ipc, Kind::Uts, Kind::Cgroup];
        let set = kinds.into_iter().fold(*outer, |set, kind| self.fresh(&set, kind));
        let first = self.member(&set, 2);
        for _ in 0..self.chance.below(40) / (1 + self.chance.below(12)) {
            self.member(&set, 2);
        }
        if self.chance.below(2) == 0 {
            let name = format!("{}-{first}", self.chance.one(&NAMES));
            let uts = set[Kind::Uts as usize].unwrap();
            self.about.insert(uts, About { line: Some(name.clone()), details: vec![] });
            self.names.extend(kinds.map(|kind| (set[kind as usize].unwrap(), name.clone())));
        }
        let bridge = 10 + u32::try_from(self.chance.below(u64::from(bridges))).unwrap();
        self.wire(set[Kind::Net as usize].unwrap(), bridge);
    }

    fn nested_pids(&mut self, host: &Set) {
        let mut set = *host;
        for depth in 2..=4 {
            set = self.fresh(&set, Kind::Pid);
            self.member(&set, depth);
            self.member(&set, depth);
        }
    }

    /// A network namespace without processes, and another kind under the same name.
    fn kept(&mut self, host: &Set) {
        let name = format!("{}-net", self.chance.one(&NAMES));
        let net = self.fresh(host, Kind::Net)[Kind::Net as usize].unwrap();
        let uts = self.fresh(host, Kind::Uts)[Kind::Uts as usize].unwrap();
        for id in [net, uts] {
            self.names.insert(id, format!("{name}{}", net.inode % 1000));
        }
        self.interface(net, 1, "lo", None, None);
        self.wire(net, 10);
    }

    fn user_in_user(&mut self, host: &Set) {
        let mut set = *host;
        for _ in 0..=self.chance.below(3) {
            set = self.fresh(&set, Kind::User);
            set = self.fresh(&set, Kind::Mount);
            self.member(&set, 1);
        }
    }

    /// As systemd hardens one: a mount namespace only.
    fn service(&mut self, host: &Set) {
        let set = self.fresh(host, Kind::Mount);
        self.member(&set, 1);
    }

    fn fresh(&mut self, outer: &Set, kind: Kind) -> Set {
        self.next_inode += 1;
        let id = Id { kind, inode: self.next_inode };
        let parent = if matches!(kind, Kind::User | Kind::Pid) { outer[kind as usize] } else { None };
        self.add(id, Link::To(outer[0].unwrap()), parent.map_or(Link::None, Link::To));
        let mut set = *outer;
        set[kind as usize] = Some(id);
        set
    }

    fn add(&mut self, id: Id, owner: Link, parent: Link) {
        let seen = SeenNamespace { id, unique: None, owner, parent, owner_uid: None, members: vec![], pins: vec![] };
        self.survey.namespaces.insert(id, seen);
    }

    fn member(&mut self, set: &Set, depth: i32) -> i32 {
        self.next_pid += 1 + i32::try_from(self.chance.below(40)).unwrap();
        let pid = self.next_pid;
        let program = self.chance.one(&PROGRAMS).to_owned();
        self.process(set, (0..depth).map(|level| (pid >> (3 * level)).max(1)).collect(), &program);
        pid
    }

    /// A process in these namespaces.
    pub fn process(&mut self, set: &Set, pids: Vec<i32>, command: &str) {
        let pid = pids[0];
        for id in set.iter().flatten() {
            let members = &mut self.survey.namespaces.get_mut(id).unwrap().members;
            members.insert(members.partition_point(|&other| other < pid), pid);
        }
        let namespaces = set.map(|id| id.map(|id| id.inode));
        let process = SeenProcess { pid, pids, command: command.to_owned(), namespaces, ..SeenProcess::default() };
        self.survey.processes.insert(pid, process);
    }

    fn interface(&mut self, net: Id, index: u32, name: &str, kind: Option<&str>, address: Option<&str>) {
        let address = address.and_then(|text| text.split_once('/'));
        self.interfaces.entry(net).or_default().push(Interface {
            index,
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            up: index % 7 != 3,
            address: None,
            addresses: address.map(|(ip, length)| (ip.parse().unwrap(), length.parse().unwrap())).into_iter().collect(),
            master: None,
            peer: None,
        });
    }

    /// A veth pair to a bridge of the host.
    fn wire(&mut self, net: Id, bridge: u32) {
        let host = Id { kind: Kind::Net, inode: 4_026_531_832 + Kind::Net as u64 };
        let index = 100 + u32::try_from(self.interfaces[&host].len()).unwrap();
        self.interface(host, index, &format!("veth{index}"), Some("veth"), None);
        self.interface(net, 2, "eth0", Some("veth"), Some(&format!("10.0.{}.{}/16", index / 250, index % 250)));
        let end = self.interfaces.get_mut(&host).unwrap().last_mut().unwrap();
        end.master = Some(bridge);
        end.peer = Some(Peer { index: 2, namespace: Some(net) });
        let other = self.interfaces.get_mut(&net).unwrap().last_mut().unwrap();
        other.peer = Some(Peer { index, namespace: Some(host) });
    }
}

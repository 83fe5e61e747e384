//! Resources as OCI has them: made up, written as JSON for runc, and lowered for izba.

use std::fmt::Write;

use izba_sandbox::cgroup::{
    Bound, CpuLimits, CpuWeight, DeviceWeight, HugetlbLimit, IoLimits, IoWeight, Limits, MemoryLimits, NetworkLimits,
    RdmaLimit, Throttle,
};

/// `linux.resources` without devices, in the types of config-linux.md.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) shares: Option<u64>,
    pub(crate) quota: Option<i64>,
    pub(crate) period: Option<u64>,
    pub(crate) realtime_runtime: Option<i64>,
    pub(crate) realtime_period: Option<u64>,
    pub(crate) cpus: &'static str,
    pub(crate) mems: &'static str,
    pub(crate) limit: Option<i64>,
    pub(crate) swap: Option<i64>,
    pub(crate) reservation: Option<i64>,
    pub(crate) kernel_tcp: Option<i64>,
    pub(crate) swappiness: Option<u64>,
    pub(crate) disable_oom_killer: bool,
    pub(crate) pids: Option<i64>,
    pub(crate) weight: Option<u16>,
    pub(crate) leaf_weight: Option<u16>,
    /// Minor number, weight, leaf weight.
    pub(crate) weight_devices: Vec<(u32, u16, u16)>,
    /// Minor number and rate: bytes read and written, reads and writes.
    pub(crate) throttles: [Vec<(u32, u64)>; 4],
    pub(crate) hugetlb: Vec<(&'static str, u64)>,
    pub(crate) rdma: Vec<(&'static str, Option<u32>, Option<u32>)>,
    pub(crate) class_id: Option<u32>,
    pub(crate) priorities: Vec<(&'static str, u32)>,
    pub(crate) unified: Vec<(&'static str, &'static str)>,
}

/// Marsaglia's xorshift: the same cases at each run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % from.len() as u64).unwrap()]
    }

    fn maybe<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.one_in(2).then(|| self.pick(from))
    }

    /// Mostly something within, now and then an edge.
    fn number(&mut self, first: u64, last: u64, edges: &[u64]) -> Option<u64> {
        match self.next() % 8 {
            0..=3 => Some(first + self.next() % (last - first + 1)),
            4 => Some(self.pick(edges)),
            _ => None,
        }
    }

    fn signed(&mut self, first: u64, last: u64, edges: &[u64]) -> Option<i64> {
        if self.one_in(12) { Some(-1) } else { self.number(first, last, edges).map(u64::cast_signed) }
    }

    fn small(&mut self, first: u64, last: u64, edges: &[u64]) -> Option<u16> {
        self.number(first, last, edges).map(|number| u16::try_from(number).unwrap())
    }

    fn several<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.next() % 3).map(|_| one(self)).collect()
    }
}

const MAX: u64 = i64::MAX.cast_unsigned();

impl Case {
    /// One or two topics, so that one wrong value doesn't hide the others.
    pub(crate) fn random(random: &mut Random) -> Self {
        let mut case = Self::default();
        for _ in 0..=random.next() % 2 {
            let topics =
                [Self::cpu, Self::memory, Self::weights, Self::throttles, Self::counted, Self::network, Self::unified];
            random.pick(&topics)(&mut case, random);
        }
        case
    }

    fn cpu(&mut self, random: &mut Random) {
        self.shares = random.number(2, 262_144, &[0, 1, 2, 1024, 262_144, 262_145, u64::MAX]);
        self.quota = random.signed(1000, 400_000, &[0, 1, 999, 1000, (1 << 44) - 1, 1 << 44, MAX]);
        self.period = random.number(1000, 1_000_000, &[0, 1, 999, 1000, 1_000_000, 1_000_001, u64::MAX]);
        if random.one_in(3) {
            self.realtime_runtime = random.signed(1, 900_000, &[0, 1, 1_000_000, MAX]);
            self.realtime_period = random.number(1, 1_000_000, &[0, 1, 1_000_000, u64::MAX]);
        }
        self.cpus = random.pick(&["", "0", "0-1", "0,1", "0-2,4"]);
        self.mems = random.pick(&["", "", "0"]);
    }

    fn memory(&mut self, random: &mut Random) {
        self.limit = random.signed(1 << 20, 1 << 32, &[0, 1, 1 << 20, MAX]);
        self.swap = random.signed(1 << 20, 1 << 33, &[0, 1, 1 << 20, MAX]);
        if random.one_in(4) {
            self.swap = self.limit;
        }
        self.reservation = random.signed(1, 1 << 30, &[0, 1, MAX]);
        if random.one_in(4) {
            self.kernel_tcp = random.signed(1, 1 << 30, &[1, MAX]);
            self.swappiness = random.number(0, 100, &[0, 100, 101, u64::MAX - 1]);
            self.disable_oom_killer = random.one_in(2);
        }
    }

    fn weights(&mut self, random: &mut Random) {
        self.weight = random.small(10, 1000, &[0, 1, 9, 10, 1000, 1001, 65_535]);
        self.leaf_weight = random.small(10, 1000, &[0, 9, 1001]).filter(|_| random.one_in(3));
        self.weight_devices = random.several(|random| {
            let leaf = random.small(10, 1000, &[0]).filter(|_| random.one_in(3));
            let weight = random.small(10, 1000, &[0, 9, 10, 1000, 1001]);
            (random.pick(&[0, 16, 32]), weight.unwrap_or(0), leaf.unwrap_or(0))
        });
    }

    fn throttles(&mut self, random: &mut Random) {
        let edges = [0, 1, u32::MAX.into(), 1 << 32, u64::MAX];
        self.throttles = [(); 4].map(|()| {
            random.several(|random| (random.pick(&[0, 16, 32, 48]), random.number(1, 1 << 31, &edges).unwrap_or(1024)))
        });
    }

    fn counted(&mut self, random: &mut Random) {
        self.pids = random.signed(1, 5000, &[0, 1, 4_194_304, 4_194_305, MAX]);
        self.hugetlb = random.several(|random| {
            let limit = random.number(0, 1 << 32, &[0, 1, 2 << 20, MAX, MAX + 1, u64::MAX]).unwrap_or(0);
            (random.pick(&["2MB", "1GB", "64KB", "2MB", "1GB", "64KB", "2M", "0MB"]), limit)
        });
        self.rdma = random.several(|random| {
            let numbers = [0, 1, 2000, u32::MAX];
            (random.pick(&["mlx5_0", "mlx5_1"]), random.maybe(&numbers), random.maybe(&numbers))
        });
        self.rdma.dedup_by_key(|limit| limit.0);
    }

    fn network(&mut self, random: &mut Random) {
        self.class_id = random.maybe(&[0, 1, 0x0010_0001, u32::MAX]);
        self.priorities = random.several(|random| {
            let name = random.pick(&["eth0", "eth1", "lo", "a-name-of-fifteen", ""]);
            (name, random.pick(&[0, 5, u32::MAX]))
        });
    }

    fn unified(&mut self, random: &mut Random) {
        let files = [
            ("memory.high", "1048576"),
            ("memory.max", "4096"),
            ("pids.max", "7"),
            ("cpu.weight", "1"),
            ("cgroup.max.depth", "2"),
            ("io.max", "8:64 rbps=1"),
            ("cgroup.procs", "0"),
            ("nothing.max", "1"),
            ("memory", "1"),
            ("../memory.max", "1"),
        ];
        self.unified = random.several(|random| random.pick(&files));
        self.unified.sort_unstable();
        self.unified.dedup();
    }

    pub(crate) fn json(&self) -> String {
        let cpu = object(&[
            ("shares", text(self.shares)),
            ("quota", text(self.quota)),
            ("period", text(self.period)),
            ("realtimeRuntime", text(self.realtime_runtime)),
            ("realtimePeriod", text(self.realtime_period)),
            ("cpus", Some(format!("{:?}", self.cpus))),
            ("mems", Some(format!("{:?}", self.mems))),
        ]);
        let memory = object(&[
            ("limit", text(self.limit)),
            ("swap", text(self.swap)),
            ("reservation", text(self.reservation)),
            ("kernelTCP", text(self.kernel_tcp)),
            ("swappiness", text(self.swappiness)),
            ("disableOOMKiller", Some(self.disable_oom_killer.to_string())),
        ]);
        let mut fields = vec![("cpu", Some(cpu)), ("memory", Some(memory)), ("blockIO", Some(self.block_io()))];
        fields.push(("pids", self.pids.map(|limit| format!("{{\"limit\":{limit}}}"))));
        let hugetlb = self.hugetlb.iter().map(|(size, limit)| format!("{{\"pageSize\":{size:?},\"limit\":{limit}}}"));
        fields.push(("hugepageLimits", Some(array(hugetlb))));
        let rdma = self.rdma.iter().map(|(name, handles, objects)| {
            (*name, Some(object(&[("hcaHandles", text(*handles)), ("hcaObjects", text(*objects))])))
        });
        fields.push(("rdma", Some(object(&rdma.collect::<Vec<_>>()))));
        let priorities =
            self.priorities.iter().map(|(name, priority)| format!("{{\"name\":{name:?},\"priority\":{priority}}}"));
        fields.push((
            "network",
            Some(object(&[("classID", text(self.class_id)), ("priorities", Some(array(priorities)))])),
        ));
        let unified: Vec<_> = self.unified.iter().map(|(file, value)| (*file, Some(format!("{value:?}")))).collect();
        fields.push(("unified", Some(object(&unified))));
        object(&fields)
    }

    fn block_io(&self) -> String {
        let weights = self.weight_devices.iter().map(|(minor, weight, leaf)| {
            format!("{{\"major\":8,\"minor\":{minor},\"weight\":{weight},\"leafWeight\":{leaf}}}")
        });
        let names =
            ["throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice"];
        let mut fields = vec![
            ("weight", text(self.weight)),
            ("leafWeight", text(self.leaf_weight)),
            ("weightDevice", Some(array(weights))),
        ];
        for (name, throttles) in names.into_iter().zip(&self.throttles) {
            let each =
                throttles.iter().map(|(minor, rate)| format!("{{\"major\":8,\"minor\":{minor},\"rate\":{rate}}}"));
            fields.push((name, Some(array(each))));
        }
        object(&fields)
    }

    /// As an OCI runtime lowers it: 0 isn't given, -1 is no bound, and a rate of 0 takes a limit away.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            cpu: CpuLimits {
                weight: given(self.shares).map(CpuWeight::Shares),
                quota: bound(self.quota),
                period: given(self.period),
                realtime_runtime: self.realtime_runtime.filter(|value| *value != 0),
                realtime_period: given(self.realtime_period),
                cpus: Some(self.cpus).filter(|list| !list.is_empty()).map(|list| list.parse().unwrap()),
                mems: Some(self.mems).filter(|list| !list.is_empty()).map(|list| list.parse().unwrap()),
                ..CpuLimits::default()
            },
            memory: MemoryLimits {
                limit: bound(self.limit),
                swap: bound(self.swap),
                reservation: bound(self.reservation),
                kernel_tcp: bound(self.kernel_tcp),
                swappiness: self.swappiness,
                disable_oom_killer: self.disable_oom_killer,
                ..MemoryLimits::default()
            },
            pids: bound(self.pids),
            io: self.io_limits(),
            hugetlb: self
                .hugetlb
                .iter()
                .map(|&(size, limit)| HugetlbLimit { page_size: size.into(), limit: Bound::At(limit) })
                .collect(),
            rdma: self
                .rdma
                .iter()
                .map(|&(device, handles, objects)| RdmaLimit { device: device.into(), handles, objects })
                .collect(),
            network: NetworkLimits {
                class_id: self.class_id.filter(|class| *class != 0),
                priorities: self.priorities.iter().map(|&(name, priority)| (name.into(), priority)).collect(),
            },
            unified: self.unified.iter().map(|&(file, value)| (file.into(), value.into())).collect(),
            ..Limits::default()
        }
    }

    fn io_limits(&self) -> IoLimits {
        let weight = |weight: u16| Some(weight).filter(|weight| *weight != 0);
        let throttle = |&(minor, rate): &(u32, u64)| Throttle {
            device: (8, minor),
            rate: if rate == 0 { Bound::Max } else { Bound::At(rate) },
        };
        let [read_bps, write_bps, read_iops, write_iops] =
            self.throttles.each_ref().map(|list| list.iter().map(throttle).collect());
        IoLimits {
            weight: self.weight.and_then(weight).map(IoWeight::Blkio),
            leaf_weight: self.leaf_weight.and_then(weight),
            weight_devices: (self.weight_devices.iter())
                .map(|&(minor, own, leaf)| DeviceWeight {
                    device: (8, minor),
                    weight: weight(own).map(IoWeight::Blkio),
                    leaf_weight: weight(leaf),
                })
                .collect(),
            read_bps,
            write_bps,
            read_iops,
            write_iops,
        }
    }
}

fn given(value: Option<u64>) -> Option<u64> {
    value.filter(|value| *value != 0)
}

fn bound(value: Option<i64>) -> Option<Bound> {
    let value = value.filter(|value| *value != 0)?;
    Some(u64::try_from(value).map_or(Bound::Max, Bound::At))
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn object(fields: &[(&str, Option<String>)]) -> String {
    let mut json = String::new();
    for (name, value) in fields.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        write!(json, "{}{name:?}:{value}", if json.is_empty() { "" } else { "," }).unwrap();
    }
    format!("{{{json}}}")
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

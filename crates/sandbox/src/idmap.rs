//! Maps of user and group ids into a new user namespace: user_namespaces(7), subuid(5), newuidmap(1).

use std::fmt;
use std::str::FromStr;

/// The kernel takes no more lines than this in a map.
const MOST_RANGES: usize = 340;

/// A run of ids: `count` of them, from `inside` on inside and from `outside` on outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the new namespace.
    pub inside: u32,
    /// The first id in the caller's namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    /// The one id that is mapped.
    pub fn one(inside: u32, outside: u32) -> Self {
        Self { inside, outside, count: 1 }
    }

    /// As the command line has it.
    fn option(self) -> String {
        format!("{}:{}:{}", self.inside, self.outside, self.count)
    }

    fn inside_end(self) -> u64 {
        u64::from(self.inside) + u64::from(self.count)
    }

    fn outside_end(self) -> u64 {
        u64::from(self.outside) + u64::from(self.count)
    }

    fn overlaps(self, other: Self) -> bool {
        let meet = |start: u32, end: u64, other_start: u32, other_end: u64| {
            u64::from(start) < other_end && u64::from(other_start) < end
        };
        meet(self.inside, self.inside_end(), other.inside, other.inside_end())
            || meet(self.outside, self.outside_end(), other.outside, other.outside_end())
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

impl FromStr for IdRange {
    type Err = String;

    /// Takes `INSIDE:OUTSIDE:COUNT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<u32> = text
            .split(':')
            .map(|field| field.parse().map_err(|_| format!("{text:?} is no id range: {field:?} is no 32-bit number")))
            .collect::<Result<_, _>>()?;
        let [inside, outside, count] = fields[..] else {
            return Err(format!("{text:?} is no id range: write INSIDE:OUTSIDE:COUNT"));
        };
        let range = Self { inside, outside, count };
        // (uid_t)-1 means "unchanged" to setresuid(2), so the kernel maps no range that reaches it.
        if count == 0 || range.inside_end() > u64::from(u32::MAX) || range.outside_end() > u64::from(u32::MAX) {
            return Err(format!("{text:?} is no id range: the count is 0 or the range ends beyond 4294967294"));
        }
        Ok(range)
    }
}

/// A map of ids, as /proc/PID/uid_map and gid_map take it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap(Vec<IdRange>);

impl IdMap {
    /// # Errors
    /// No range, too many, or two that overlap, inside or outside.
    pub fn new(ranges: Vec<IdRange>) -> Result<Self, String> {
        if ranges.is_empty() || ranges.len() > MOST_RANGES {
            return Err(format!("an id map has 1 to {MOST_RANGES} ranges, not {}", ranges.len()));
        }
        for (index, range) in ranges.iter().enumerate() {
            if let Some(other) = ranges[..index].iter().find(|other| other.overlaps(*range)) {
                return Err(format!("the id ranges {} and {} overlap", other.option(), range.option()));
            }
        }
        Ok(Self(ranges))
    }

    /// The one id that is mapped.
    pub fn one(inside: u32, outside: u32) -> Self {
        Self(vec![IdRange::one(inside, outside)])
    }

    /// The ranges.
    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }

    /// The outer id of an inner one.
    pub fn outside_of(&self, inside: u32) -> Option<u32> {
        let range = self.0.iter().find(|range| range.inside <= inside && u64::from(inside) < range.inside_end())?;
        Some(range.outside + (inside - range.inside))
    }

    /// The inner id of an outer one.
    pub fn inside_of(&self, outside: u32) -> Option<u32> {
        let range = self.0.iter().find(|range| range.outside <= outside && u64::from(outside) < range.outside_end())?;
        Some(range.inside + (outside - range.outside))
    }

    /// Does it map no id but this one?
    pub fn is_only(&self, outside: u32) -> bool {
        matches!(self.0[..], [range] if range.count == 1 && range.outside == outside)
    }
}

impl fmt::Display for IdMap {
    /// The text that the kernel's file takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|range| writeln!(f, "{range}"))
    }
}

impl FromStr for IdMap {
    type Err = String;

    /// Takes the text of /proc/PID/uid_map or gid_map. It is empty where nobody has written a map yet.
    fn from_str(text: &str) -> Result<Self, String> {
        let ranges = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(":").parse());
        ranges.collect::<Result<_, String>>().map(Self)
    }
}

/// Who writes the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapWriter {
    /// We: with CAP_SETUID in the caller's namespace, or for the caller's own id alone.
    Direct,
    /// newuidmap(1) and newgidmap(1), which are set-user-ID and check /etc/subuid and /etc/subgid.
    Helpers,
}

/// The maps of a new user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// Users.
    pub uids: IdMap,
    /// Groups.
    pub gids: IdMap,
    /// Who writes them.
    pub writer: MapWriter,
    /// setgroups(2) has to be given up before an ordinary user may map its own group: user_namespaces(7).
    pub deny_setgroups: bool,
}

impl IdMaps {
    /// No ids at all: everybody is nobody inside until somebody maps some, user_namespaces(7).
    pub fn none() -> Self {
        Self { uids: IdMap::default(), gids: IdMap::default(), writer: MapWriter::Direct, deny_setgroups: false }
    }

    /// An ordinary user's own ids and nothing else, with no helper and no set-up.
    pub fn own_ids(inside: (u32, u32), outside: (u32, u32)) -> Self {
        Self {
            uids: IdMap::one(inside.0, outside.0),
            gids: IdMap::one(inside.1, outside.1),
            writer: MapWriter::Direct,
            deny_setgroups: true,
        }
    }
}

/// The subordinate ranges that a file such as /etc/subuid gives to a user, as (first id, count): subuid(5).
/// Lines that can't be read are skipped, as newuidmap(1) does.
pub fn subordinate_ranges(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let start = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            let ours = (owner == name && !name.is_empty()) || owner == number;
            (ours && count > 0 && u64::from(start) + u64::from(count) <= u64::from(u32::MAX)).then_some((start, count))
        })
        .collect()
}

/// The whole map of an ordinary user: its own id becomes `own_inside`, the subordinate ranges fill the other ids from 0 on.
pub fn full_map(own_inside: u32, own_outside: u32, subordinate: &[(u32, u32)]) -> Result<IdMap, String> {
    let mut ranges = vec![IdRange::one(own_inside, own_outside)];
    let mut inside = 0;
    for &(start, count) in subordinate {
        fill(&mut ranges, &mut inside, own_inside, (start, count));
    }
    IdMap::new(ranges)
}

/// Lays one subordinate range over the inner ids from `inside` on, stepping over the user's own.
fn fill(ranges: &mut Vec<IdRange>, inside: &mut u32, own_inside: u32, (mut start, mut count): (u32, u32)) {
    while count > 0 {
        if *inside == own_inside {
            *inside += 1;
        }
        let room = if *inside < own_inside { own_inside - *inside } else { u32::MAX - *inside };
        let taken = count.min(room);
        if taken == 0 {
            return;
        }
        ranges.push(IdRange { inside: *inside, outside: start, count: taken });
        *inside += taken;
        start += taken;
        count -= taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!("0:1000:1".parse(), Ok(IdRange::one(0, 1000)));
        for bad in ["", "0", "0:1", "0:1:0", "0:1:2:3", "0:4294967295:1", "-1:0:1", "0:0:4294967296", "a:b:c"] {
            assert!(bad.parse::<IdRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kernels_own_maps_are_read() {
        let map: IdMap = "         0          0 4294967295\n".parse().unwrap();
        assert_eq!((map.outside_of(1000), map.inside_of(1000)), (Some(1000), Some(1000)));
        let map: IdMap = "0 1000 1\n1 100000 65536\n".parse().unwrap();
        assert_eq!((map.inside_of(1000), map.inside_of(100_032), map.inside_of(7)), (Some(0), Some(33), None));
        assert_eq!("".parse(), Ok(IdMap::default()));
        assert!("0 1\n".parse::<IdMap>().is_err());
    }

    #[test]
    fn overlaps_are_refused_inside_and_outside() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        assert!(IdMap::new(vec![range(0, 0, 10), range(9, 100, 1)]).is_err());
        assert!(IdMap::new(vec![range(0, 0, 10), range(10, 9, 1)]).is_err());
        assert!(IdMap::new(vec![range(0, 0, 10), range(10, 10, 1)]).is_ok());
        assert!(IdMap::new(Vec::new()).is_err());
    }

    #[test]
    fn subordinate_ranges_are_found_by_name_and_number() {
        let text = "ann:100000:65536\nbob:165536:65536\n1000:300000:10\nann:x:1\nann:4294967290:10\n";
        assert_eq!(subordinate_ranges(text, "ann", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert!(subordinate_ranges(text, "eve", 7).is_empty());
    }

    #[test]
    fn root_inside_is_the_user_and_the_rest_is_subordinate() {
        let map = full_map(0, 1000, &[(100_000, 65_536)]).unwrap();
        assert_eq!(map.to_string(), "0 1000 1\n1 100000 65536\n");
        assert_eq!(map.outside_of(33), Some(100_032));
        assert_eq!(map.outside_of(70_000), None);
    }

    #[test]
    fn a_user_that_keeps_its_id_splits_the_range() {
        let map = full_map(1000, 1000, &[(100_000, 65_536)]).unwrap();
        assert_eq!(map.to_string(), "1000 1000 1\n0 100000 1000\n1001 101000 64536\n");
    }
}

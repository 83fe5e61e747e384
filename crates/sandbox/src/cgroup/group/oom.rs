//! Has the group run out of memory?

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::path::{OFlags, pread};

use super::directory::{Directory, if_there};
use super::interface::{flat, number};
use super::{Group, GroupError, walk};
use crate::cgroup::{Bound, Controller, Version};

/// What the end of a run is explained with. `None`: the group doesn't count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oom {
    /// Processes that were killed for lack of memory. The lack may have been that of a group above, or of the machine: compare the other two.
    pub kills: Option<u64>,
    /// The most bytes that the group may have.
    pub limit: Option<Bound>,
    /// The most bytes that it had.
    pub peak: Option<u64>,
}

/// The three files of one version.
struct Names {
    events: &'static str,
    limit: &'static str,
    peak: &'static str,
}

const V2: Names = Names { events: "memory.events", limit: "memory.max", peak: "memory.peak" };
const V1: Names =
    Names { events: "memory.oom_control", limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" };

fn names(version: Version) -> &'static Names {
    match version {
        Version::V1 => &V1,
        Version::V2 => &V2,
    }
}

/// In both versions the key of this number.
const KILLS: &str = "oom_kill";

impl Group {
    /// Reads the three numbers, sub-groups included.
    ///
    /// # Errors
    /// [`Gone`](GroupError::Gone), or a file may not be read.
    pub fn oom(&self) -> Result<Oom, GroupError> {
        let Some(directory) = self.of(Controller::Memory) else { return Ok(Oom::default()) };
        let names = names(directory.version);
        let kills = match directory.version {
            Version::V1 => kills_v1(directory)?,
            Version::V2 => directory.get(names.events)?.and_then(|events| flat(&events, KILLS)),
        };
        let oom = Oom { kills, limit: directory.bound(names.limit)?, peak: directory.number(names.peak)? };
        if directory.is_gone() { Err(GroupError::Gone(directory.path.clone())) } else { Ok(oom) }
    }

    /// Opens the files of these numbers, for a group that somebody else removes as soon as it is empty, as systemd does. `None` where the
    /// group doesn't count memory.
    ///
    /// # Errors
    /// A file may not be opened.
    pub fn watch(&self) -> Result<Option<Watch>, GroupError> {
        let Some(directory) = self.of(Controller::Memory) else { return Ok(None) };
        let names = names(directory.version);
        let open = |name| if_there(directory.file(name, OFlags::RDONLY));
        let Some(events) = open(names.events)? else { return Ok(None) };
        let mut watch =
            Watch { events, limit: open(names.limit)?, peak: open(names.peak)?, known: Oom::default(), gone: false };
        watch.update();
        Ok(Some(watch))
    }
}

/// v1 counts for each group alone. What sub-groups counted that have been removed isn't known.
pub(super) fn kills_v1(directory: &Directory) -> Result<Option<u64>, GroupError> {
    let mut kills = None;
    walk::each(directory, &mut |group| {
        let here = group.get(V1.events)?.and_then(|events| flat(&events, KILLS));
        kills = here.map_or(kills, |here| Some(kills.unwrap_or(0) + here));
        Ok(())
    })?;
    Ok(kills)
}

/// The open files of [`Oom`]. Keeps what they said last, as a removed group says nothing more.
///
/// The descriptor is that of memory.events: poll(2) tells by POLLPRI that it has changed, on cgroup v2, and then an [`update`](Self::update)
/// is due. On v1 nothing tells, and sub-groups aren't in it.
#[derive(Debug)]
pub struct Watch {
    events: OwnedFd,
    limit: Option<OwnedFd>,
    peak: Option<OwnedFd>,
    known: Oom,
    gone: bool,
}

impl Watch {
    /// Reads again, and returns the newest numbers that are known.
    pub fn update(&mut self) -> Oom {
        let events = reread(&self.events);
        self.gone = events.is_none();
        let kills = events.and_then(|events| flat(&events, KILLS));
        let limit = self.limit.as_ref().and_then(reread).and_then(|text| Bound::of_file(&text));
        let peak = self.peak.as_ref().and_then(reread).and_then(|text| number(&text));
        self.known = Oom {
            kills: kills.or(self.known.kills),
            limit: limit.or(self.known.limit),
            peak: peak.or(self.known.peak),
        };
        self.known
    }

    /// Had the group been removed at the last look? Then nothing changes any more, though poll(2) says so.
    pub fn is_gone(&self) -> bool {
        self.gone
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// These files are short. `None` where the group has been removed.
fn reread(file: &OwnedFd) -> Option<String> {
    let mut buffer = [0; 512];
    let length = pread(file, &mut buffer, 0).ok()?;
    Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
}

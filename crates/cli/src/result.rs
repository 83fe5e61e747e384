//! `--result FILE`: how a run has ended, for scripts. A file comes by rename, so that it is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use izba_sandbox::cgroup::Bound;
use izba_sandbox::cgroup::group::{Oom, Usage};
use izba_sys::Errno;
use izba_sys::path::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat, renameat, unlinkat};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::progress::bytes;
use crate::record::Name;

/// The layout of the document: a new number for a change that readers would stumble over.
const VERSION: u32 = 1;

/// A run that didn't start, or was ended by izba, has an error. `status` is what izba ends with, and `signal` the one that it stands for: a
/// program may end with such a status by itself. What the group didn't count is null.
pub fn document(name: Option<&Name>, ended: &Result<u8>, used: Option<&Usage>, time: Duration) -> Value {
    let status = ended.as_ref().map_or_else(|failure| failure.status, |&status| status);
    let memory = used.map(|used| &used.memory);
    let kills = memory.and_then(|memory| memory.events.killed);
    json!({
        "version": VERSION,
        "name": name.map(Name::as_str),
        "status": status,
        "signal": status.checked_sub(128).filter(|signal| (1..=64).contains(signal)).filter(|_| ended.is_ok()),
        "error": ended.as_ref().err().map(|failure| &failure.problem),
        "oomKilled": kills.map(|kills| kills > 0),
        "oomKills": kills,
        "memoryLimitBytes": memory.and_then(|memory| memory.limit).map(bound),
        "memoryPeakBytes": memory.and_then(|memory| memory.peak),
        "pidsPeak": used.and_then(|used| used.pids.peak),
        "pidsRefused": used.and_then(|used| used.pids.refused),
        "cpuMicroseconds": used.and_then(|used| used.cpu.total).map(microseconds),
        "throttledMicroseconds": used.and_then(|used| used.cpu.throttling).map(|cpu| microseconds(cpu.throttled)),
        "wallMicroseconds": microseconds(time),
    })
}

/// What is said of a run that the kernel has ended processes of.
pub fn out_of_memory(oom: Oom) -> Option<String> {
    let kills = oom.kills.filter(|&kills| kills > 0)?;
    let processes = if kills == 1 { "a process".to_owned() } else { format!("{kills} processes") };
    let limit = match oom.limit {
        Some(Bound::At(limit)) => format!("limit {}", bytes(limit)),
        Some(Bound::Max) | None => "no limit of its own".to_owned(),
    };
    let peak = oom.peak.map(|peak| format!(", peak {}", bytes(peak))).unwrap_or_default();
    Some(format!("the kernel ended {processes} of this run for want of memory: {limit}{peak}"))
}

/// A number, or "max" where there is no limit.
pub fn bound(bound: Bound) -> Value {
    match bound {
        Bound::Max => "max".into(),
        Bound::At(most) => most.into(),
    }
}

pub fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Where the result is written to.
#[derive(Debug)]
pub struct ResultFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A file of this directory, which is there or isn't.
    Member(OwnedFd),
    /// What has to stay what it is: a link such as /dev/stderr, a FIFO, a device.
    Open(File),
}

impl ResultFile {
    /// Looks whether the file can be written, before anything is started. Changes nothing.
    pub fn open(path: &Path) -> Result<Self> {
        let problem = || Failure::new(format!("--result {}: it can't be written", path.display()));
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => problem().caused_by(&error).remedy("a file in a directory that is there"),
            _ => problem().caused_by(&error),
        };
        let target = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(problem().because("it is a directory")),
            Ok(metadata) if !metadata.is_file() => Target::Open(open(path).map_err(failed)?),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            Ok(_) | Err(_) => Target::Member(directory(path).map_err(|errno| failed(errno.into()))?),
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Writes it, whole.
    pub fn write(self, document: &Value) -> Result<()> {
        let text = format!("{document:#}\n");
        let written = match self.target {
            Target::Open(mut file) => file.write_all(text.as_bytes()),
            Target::Member(directory) => replace(&directory, &self.path, text.as_bytes()),
        };
        written.map_err(|error| {
            Failure::new(format!("cannot write the result to {}", self.path.display())).caused_by(&error)
        })
    }
}

/// A FIFO that nobody reads is refused instead of waited for.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

fn directory(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    path.file_name().ok_or(Errno::NOENT)?;
    let opened = openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    accessat(&opened, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(opened)
}

fn replace(directory: &OwnedFd, path: &Path, text: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let new = format!(".izba-result-{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // As the caller's umask has it.
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    let file = openat(directory, &*new, flags, mode).or_else(|errno| match errno {
        // An izba that was killed has left it.
        Errno::EXIST => {
            unlinkat(directory, &*new, AtFlags::empty()).and_then(|()| openat(directory, &*new, flags, mode))
        }
        errno => Err(errno),
    })?;
    let written = File::from(file).write_all(text).and_then(|()| Ok(renameat(directory, &*new, directory, name)?));
    written.inspect_err(|_| {
        let _left = unlinkat(directory, &*new, AtFlags::empty());
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("izba-result-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_script_can_tell_a_lack_of_memory_from_another_137() {
        let uncounted = document(None, &Ok(137), None, Duration::from_secs(2));
        assert!(uncounted["oomKilled"].is_null() && uncounted["oomKills"].is_null());
        let mut used = Usage::default();
        used.memory.events.killed = Some(0);
        let plain = document(None, &Ok(137), Some(&used), Duration::from_secs(2));
        assert_eq!((&plain["status"], &plain["signal"], &plain["oomKilled"]), (&json!(137), &json!(9), &json!(false)));
        assert!(plain["oomKills"] == json!(0) && plain["error"].is_null());
        used.memory.events.killed = Some(1);
        (used.memory.limit, used.memory.peak) = (Some(Bound::At(64 << 20)), Some(64 << 20));
        let killed = document(None, &Ok(137), Some(&used), Duration::from_secs(2));
        assert_eq!((&killed["oomKilled"], &killed["oomKills"]), (&json!(true), &json!(1)));
        assert_eq!((&killed["memoryLimitBytes"], &killed["wallMicroseconds"]), (&json!(67_108_864), &json!(2_000_000)));
    }

    #[test]
    fn a_lack_of_memory_is_said_with_limit_and_peak() {
        let oom = Oom { kills: Some(1), limit: Some(Bound::At(64 << 20)), peak: Some(64 << 20) };
        let note = "the kernel ended a process of this run for want of memory: limit 64.0 MiB, peak 64.0 MiB";
        assert_eq!(out_of_memory(oom).as_deref(), Some(note));
        for none in [None, Some(0)] {
            assert_eq!(out_of_memory(Oom { kills: none, ..oom }), None);
        }
    }

    #[test]
    fn a_start_that_failed_has_an_error() {
        let failed = document(None, &Err(Failure::new("no").status(127)), None, Duration::ZERO);
        assert_eq!((&failed["status"], &failed["error"], &failed["signal"]), (&json!(127), &json!("no"), &Value::Null));
        let limit = document(None, &Ok(200), None, Duration::ZERO);
        assert!(limit["signal"].is_null());
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left() {
        let dir = scratch("file");
        let path = dir.join("result.json");
        fs::write(&path, "old").unwrap();
        fs::write(dir.join(format!(".izba-result-{}", std::process::id())), "of a killed one").unwrap();
        let result = ResultFile::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        result.write(&json!({ "status": 7 })).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap(), json!({ "status": 7 }));
        assert_eq!(names(&dir), ["result.json"]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_written() {
        let dir = scratch("link");
        fs::write(dir.join("target"), "").unwrap();
        std::os::unix::fs::symlink("target", dir.join("link")).unwrap();
        ResultFile::open(&dir.join("link")).unwrap().write(&json!({})).unwrap();
        assert_eq!(fs::read_to_string(dir.join("target")).unwrap(), "{}\n");
        assert!(dir.join("link").is_symlink());
        ResultFile::open(Path::new("/dev/null")).unwrap().write(&json!({})).unwrap();
        assert!(!Path::new("/dev/null").is_file());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_said_before() {
        let dir = scratch("bad");
        for bad in [dir.clone(), dir.join("none/result"), dir.join(".."), PathBuf::new()] {
            let failure = ResultFile::open(&bad).unwrap_err();
            assert!(failure.problem.starts_with(&format!("--result {}: ", bad.display())), "{failure}");
        }
        assert!(names(&dir).is_empty());
        fs::remove_dir_all(&dir).unwrap();
    }
}

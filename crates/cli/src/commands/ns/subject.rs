//! The namespaces of a survey that TARGET stands for.

use std::ffi::OsStr;

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, SeenNamespace};

use super::look::Look;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::target::{Process, Target, resolve};

/// Which namespaces are meant, and of which process they are, if it is one's.
pub struct Subject {
    pub process: Option<i32>,
    pub namespaces: Vec<Id>,
}

impl Subject {
    /// Finds out what is meant. A namespace that the survey hasn't seen yet is added to it.
    pub fn find(look: &mut Look, target: &OsStr) -> Result<Self> {
        if let Some(id) = by_number(look, &target.to_string_lossy())? {
            return Ok(Self { process: None, namespaces: vec![id] });
        }
        match resolve(target, &Caller::of_this_process())? {
            Target::Process(process) => Self::of_process(look, &process),
            Target::Namespaces(places) => {
                let seen = places.iter().map(|place| {
                    let failed =
                        |error| Failure::new(format!("cannot open {}", place.path.display())).caused_by(&error);
                    look.survey.look_at(&place.path).map_err(failed)
                });
                Ok(Self { process: None, namespaces: seen.collect::<Result<_>>()? })
            }
        }
    }

    fn of_process(look: &Look, process: &Process) -> Result<Self> {
        let pid = process.pid;
        if let Some(seen) = look.survey.processes.get(&pid) {
            let namespaces = Kind::ALL.into_iter().filter_map(|kind| seen.namespace(kind)).collect();
            return Ok(Self { process: Some(pid), namespaces });
        }
        if look.survey.unreadable.contains(&pid) {
            let problem = format!("the namespaces of process {pid} may not be read");
            let cause = "it takes the rights to trace it: ptrace(2), PTRACE_MODE_READ";
            return Err(Failure::new(problem).because(cause).remedy("try it as its user, or as root"));
        }
        Err(Failure::new(format!("process {pid} has ended")).remedy("izba ns list"))
    }

    /// The one of this kind.
    pub fn of_kind(&self, kind: Kind) -> Result<Id> {
        let found = self.namespaces.iter().copied().find(|id| id.kind == kind);
        found.ok_or_else(|| match self.namespaces[..] {
            [id] if self.process.is_none() => {
                Failure::new(format!("{id} is no {kind} namespace")).remedy("leave out --type")
            }
            _ => Failure::new(format!("TARGET has no {kind} namespace that can be seen")),
        })
    }
}

/// What is written like `net:[4026531833]`, `4026531833` or `id:8123`. Inode numbers are larger than any process id.
fn by_number(look: &Look, text: &str) -> Result<Option<Id>> {
    let found: Option<&SeenNamespace> = if let Ok(id) = text.parse::<Id>() {
        look.survey.namespaces.get(&id)
    } else if let Some(unique) = text.strip_prefix("id:").and_then(|number| number.parse::<u64>().ok()) {
        look.survey.by_unique(unique)
    } else {
        match text.parse::<u64>() {
            Ok(inode) if i32::try_from(inode).is_err() => look.survey.by_inode(inode),
            _ => return Ok(None),
        }
    };
    let unknown = || Failure::new(format!("no namespace {text} can be seen")).remedy("izba ns list");
    found.map(|seen| Some(seen.id)).ok_or_else(unknown)
}

//! One look at the machine, for the commands that show it: namespaces and processes, the names of what is kept, the names of users.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

use izba_sandbox::account::{Accounts, UserSpec, Who};
use izba_sandbox::survey::holder::Search;
use izba_sandbox::survey::{Detail, Id, Survey};
use izba_sys::path::{CWD, Mode, OFlags, openat};
use izba_sys::rlimit::{Resource, Rlimit, getrlimit, setrlimit};

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::{Run, State};
use crate::{kept, output};

/// What was seen, and what it is called.
pub struct Look {
    pub survey: Survey,
    /// One namespace can have several names.
    pub names: BTreeMap<Id, BTreeSet<String>>,
    pub users: Users,
}

/// Looks.
pub fn look(detail: Detail) -> Result<Look> {
    make_room();
    Survey::take(detail).map(Look::at).map_err(|error| unread(&error))
}

/// Looks, and into every descriptor and mount table too: what only these keep is seen as well.
pub fn search(detail: Detail) -> Result<(Look, Search)> {
    make_room();
    Search::run(detail).map(|(survey, search)| (Look::at(survey), search)).map_err(|error| unread(&error))
}

fn unread(error: &std::io::Error) -> Failure {
    Failure::new("cannot read the processes in /proc").caused_by(error)
}

/// The survey has namespaces open meanwhile, as many as the limit allows: there is no reason to be modest with ours.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let _best_effort = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// What a run has made is called as the run is.
fn names_of_runs(caller: &Caller) -> BTreeMap<Id, BTreeSet<String>> {
    let (runs, _unreadable) = Run::all(caller);
    let records = runs.into_iter().filter_map(|run| match run.state {
        State::Running(record) => Some(record),
        State::Starting => None,
    });
    let mut names = BTreeMap::<Id, BTreeSet<String>>::new();
    for record in records {
        for id in record.made() {
            names.entry(id).or_default().insert(record.name.clone());
        }
    }
    names
}

impl Look {
    fn at(mut survey: Survey) -> Self {
        let caller = Caller::of_this_process();
        let mut names = names_of_runs(&caller);
        for kept in kept::all(&caller) {
            for (id, path) in kept.namespaces {
                // One that a process of ours holds may be in nobody else's sight. If it has gone meanwhile, it isn't there.
                if survey.look_at(&path).is_ok() {
                    names.entry(id).or_default().insert(kept.name.clone());
                }
            }
        }
        Self { names, users: Users::read(), survey }
    }

    /// Is this one of its names?
    pub fn is_named(&self, id: Id, name: &str) -> bool {
        self.names.get(&id).is_some_and(|names| names.contains(name))
    }

    /// All its names, as people read them.
    pub fn name(&self, id: Id) -> Option<String> {
        self.names.get(&id).map(|names| names.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    }

    /// Says on stderr what couldn't be seen: a table doesn't show it.
    pub fn say_unreadable(&self) {
        if self.survey.hides_processes {
            output::note("/proc hides the processes of others (hidepid), and their namespaces with them");
        }
        let remedy = if izba_sys::credential::geteuid().is_root() { "" } else { "; root sees more" };
        let which = match self.survey.unreadable[..] {
            [] => return,
            [pid] => format!("process {pid}"),
            ref many => format!("{} processes", many.len()),
        };
        output::note(format!("the namespaces of {which} may not be read{remedy}"));
    }
}

/// The users of the host's /etc/passwd, if there is one.
pub struct Users(Option<Accounts>);

impl Users {
    fn read() -> Self {
        let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Self(root.ok().and_then(|root| Accounts::read(root.as_fd()).ok()))
    }

    /// The name of a user, or the number.
    pub fn name(&self, uid: u32) -> String {
        self.0.as_ref().and_then(|users| users.name_of(uid)).unwrap_or_else(|| uid.to_string())
    }

    /// The number of a user.
    pub fn uid(&self, text: &str) -> Result<u32> {
        let who: Who = text.parse().map_err(Failure::new)?;
        if let Who::Id(uid) = who {
            return Ok(uid);
        }
        let accounts =
            self.0.as_ref().ok_or_else(|| Failure::new("/etc/passwd can't be read").remedy("give the number"))?;
        let account = accounts.find(&UserSpec { user: who, group: None });
        account
            .map(|account| account.ids.uid)
            .map_err(|_| Failure::new(format!("/etc/passwd has no user {text:?}")).remedy("give the number"))
    }
}

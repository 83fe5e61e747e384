//! Groups that systemd makes: scopes, over D-Bus. "Control Group APIs and Delegation" and "New Control Group Interfaces" of systemd's
//! documentation; systemd.scope(5), org.freedesktop.systemd1(5). systemd 244 and later.
//!
//! systemd makes no scope without a process, so a waiting one is put into its scope before it runs its program. What there is a property
//! for is asked of systemd, which would undo a mere write to a file at its next reload. Then all is written to the scope's files, as for any
//! other group: what has no property, and what systemd has rounded.
//!
//! An ordinary user asks the own systemd, which asks PID 1 where the process to be moved is in a group that isn't delegated to the user,
//! such as a login's. No write to a file could do that: cgroups(7), "Delegation containment".
//!
//! The client is our own: D-Bus needs a few hundred lines for the few messages that are sent here.

mod address;
mod bus;
mod devices;
mod error;
mod message;
mod properties;
mod property;
mod slice;
#[cfg(test)]
mod tests;
mod wire;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

pub use address::Address;
pub use devices::device_properties;
pub use error::SystemdError;
pub use properties::properties;
pub use property::{Property, Value};
pub use slice::Slice;

use bus::{Answer, Bus};
use message::{Call, Incoming};
use slice::is_unit_name;
use wire::{Malformed, Writer};

use super::Manager;

const NAME: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// As long as runc waits for systemd.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Is systemd PID 1, and does it mean the same by a process's id and a group's path as the caller? Then there is /run/systemd/system, as
/// sd_booted(3) has it, and the caller is in its PID and cgroup namespaces: elsewhere it would move another process.
pub fn is_systemd_running() -> bool {
    let booted = std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|metadata| metadata.is_dir());
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    booted && is_own_proc() && is_manager(&read("/proc/1/comm"), &read("/proc/1/cgroup"))
}

/// A /proc of another PID namespace knows the caller by another id.
fn is_own_proc() -> bool {
    let own = std::fs::read_link("/proc/self");
    own.is_ok_and(|own| own == Path::new(&std::process::id().to_string()))
}

/// What process 1's files say. Seen from a cgroup namespace a group outside of it begins with `/..`: cgroup_namespaces(7).
fn is_manager(comm: &str, cgroup: &str) -> bool {
    let unified = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    let seen = unified.is_some_and(|path| !Path::new(path).components().any(|part| part == Component::ParentDir));
    comm.trim_end() == "systemd" && seen
}

/// A scope to be started.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// Its name: `izba-web.scope`.
    pub unit: &'a str,
    /// Which slice it goes into; without one `system.slice`, or a user's `user.slice`, as runc has it.
    pub slice: Option<&'a Slice>,
    /// What people read of it in systemctl(1).
    pub description: &'a str,
    /// The processes that are put into it, one at least, by their ids in systemd's own PID namespace.
    pub pids: &'a [u32],
    /// Its limits: [`properties()`], [`device_properties`].
    pub properties: &'a [Property],
}

/// A connection to systemd: PID 1 on the system's bus, `systemd --user` on a user's.
///
/// ```no_run
/// use izba_sandbox::cgroup::systemd::{Address, PATIENCE, Scope, Systemd, properties};
/// use izba_sandbox::cgroup::{Bound, Limits, Version};
///
/// let variable = std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS");
/// let mut systemd = Systemd::connect(&Address::system(variable.as_deref())?, PATIENCE)?;
/// let limits = Limits { pids: Some(Bound::At(64)), ..Limits::default() };
/// let properties = properties(&limits.settings(&|_| Some(Version::V2))?.strict()?);
/// let unit = "izba-web.scope";
/// let scope = Scope { unit, slice: None, description: "web", pids: &[1234], properties: &properties };
/// assert_eq!(systemd.start_scope(&scope)?, std::path::Path::new("/system.slice/izba-web.scope"));
/// systemd.stop(unit)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
    manager: Manager,
}

impl Systemd {
    /// Connects to the bus that it is on. Nothing that is asked through the connection waits for longer than `patience`.
    ///
    /// # Errors
    /// Nobody listens there, refuses us, or answers in time.
    pub fn connect(address: &Address, patience: Duration) -> Result<Self, SystemdError> {
        Ok(Self { bus: Bus::connect(address, patience)?, manager: address.manager })
    }

    /// Makes a scope, puts the processes into it, and says where it is: its path as in /proc/PID/cgroup. It is delegated, it is removed when
    /// no process is left in it, and its use of CPU time, memory, block devices and tasks is counted.
    ///
    /// # Errors
    /// [`SystemdError::UnitExists`], or systemd couldn't.
    pub fn start_scope(&mut self, scope: &Scope<'_>) -> Result<PathBuf, SystemdError> {
        if !scope.unit.ends_with(".scope") || !is_unit_name(scope.unit) {
            return Err(SystemdError::BadName { unit: scope.unit.to_owned() });
        }
        self.bus.restart_clock();
        self.expect_jobs(scope.unit)?;
        let mut body = Writer::default();
        body.string(scope.unit);
        body.string("fail");
        property::write(&mut body, &self.all_properties(scope));
        // Auxiliary units: none.
        body.array(8, &[(); 0], |_, ()| {});
        let job = self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body).map_err(|error| error.on(scope.unit))?;
        self.wait_for(&job, scope.unit)?;
        self.control_group(scope.unit)
    }

    /// What every scope has, and what this one has.
    fn all_properties(&self, scope: &Scope<'_>) -> Vec<Property> {
        let slice = scope.slice.map_or(self.default_slice(), Slice::name);
        let on = |name| Property::new(name, Value::Bool(true));
        let mut all = vec![
            Property::text("Description", scope.description),
            Property::text("Slice", slice),
            Property::new("PIDs", Value::Processes(scope.pids.to_vec())),
            on("Delegate"),
            // It is forgotten even if it fails, so that its name is free again.
            Property::text("CollectMode", "inactive-or-failed"),
            Property::new("DefaultDependencies", Value::Bool(false)),
            on("CPUAccounting"),
            on("MemoryAccounting"),
            on("IOAccounting"),
            on("TasksAccounting"),
        ];
        all.extend_from_slice(scope.properties);
        all
    }

    fn default_slice(&self) -> &'static str {
        match self.manager {
            Manager::System => "system.slice",
            Manager::User => "user.slice",
        }
    }

    /// Changes limits of a unit until it ends.
    ///
    /// # Errors
    /// There is no such unit, or systemd refuses a value.
    pub fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        self.bus.restart_clock();
        let mut body = Writer::default();
        body.string(unit);
        // At runtime only: nothing is written to /etc.
        body.bool(true);
        property::write(&mut body, properties);
        self.call("SetUnitProperties", "sba(sv)", body).map(drop).map_err(|error| error.on(unit))
    }

    /// Moves processes into a unit's group, or into one below it: `/inner`. An empty path is the unit's own group. The caller has to own the
    /// processes.
    ///
    /// # Errors
    /// There is no such unit or group, or it isn't the caller's.
    pub fn attach(&mut self, unit: &str, below: &str, pids: &[u32]) -> Result<(), SystemdError> {
        self.bus.restart_clock();
        let mut body = Writer::default();
        body.string(unit);
        body.string(below);
        body.array(4, pids, |body, pid| body.u32(*pid));
        self.call("AttachProcessesToUnit", "ssau", body).map(drop).map_err(|error| error.on(unit))
    }

    /// Ends a unit and whatever runs in it. One that has ended already is no error.
    ///
    /// # Errors
    /// systemd couldn't.
    pub fn stop(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.bus.restart_clock();
        self.expect_jobs(unit)?;
        let mut body = Writer::default();
        body.string(unit);
        body.string("replace");
        let stopped = match self.call("StopUnit", "ss", body) {
            Ok(job) => self.wait_for(&job, unit),
            Err(error) => Err(error.on(unit)),
        };
        stopped.and_then(|()| self.reset_failed(unit)).or_else(|error| match error {
            SystemdError::NoSuchUnit { .. } => Ok(()),
            error => Err(error),
        })
    }

    /// A unit that failed keeps its name until somebody has taken notice.
    fn reset_failed(&mut self, unit: &str) -> Result<(), SystemdError> {
        let mut body = Writer::default();
        body.string(unit);
        self.call("ResetFailedUnit", "s", body).map(drop).map_err(|error| error.on(unit))
    }

    /// Asks to be told when a job of the unit ends. It has to be asked before the job is made, or it could be missed.
    fn expect_jobs(&mut self, unit: &str) -> Result<(), SystemdError> {
        let mut body = Writer::default();
        body.string(&format!("type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved',arg2='{unit}'"));
        self.bus.call_bus("AddMatch", "s", body.into_bytes()).map(drop)
    }

    /// Waits until a job ends, which `reply` names. Anybody may send signals; that this one comes from who has made the job, the bus says.
    fn wait_for(&mut self, reply: &Incoming, unit: &str) -> Result<(), SystemdError> {
        let job = self.text_of(reply, "o")?;
        let removed = self.bus.signal(|signal| {
            let of_job = |(path, _): &(String, String)| *path == job;
            signal.sender == reply.sender && removed_job(signal).as_ref().is_ok_and(of_job)
        })?;
        let (_, result) = removed_job(&removed).map_err(|why| self.bus.malformed(why))?;
        match result.as_str() {
            "done" => Ok(()),
            _ => Err(SystemdError::Job { unit: unit.to_owned(), result }),
        }
    }

    /// Where a unit's group is, as in /proc/PID/cgroup.
    ///
    /// # Errors
    /// There is no such unit, or nothing runs in it any more.
    pub fn control_group(&mut self, unit: &str) -> Result<PathBuf, SystemdError> {
        let mut body = Writer::default();
        body.string(unit);
        let loaded = self.call("GetUnit", "s", body).map_err(|error| error.on(unit))?;
        let path = self.text_of(&loaded, "o")?;
        let mut body = Writer::default();
        body.string("org.freedesktop.systemd1.Scope");
        body.string("ControlGroup");
        let interface = "org.freedesktop.DBus.Properties";
        let reply = self.call_object(&path, interface, "Get", "ss", body).map_err(|error| error.on(unit))?;
        let group = variant_text(&reply).map_err(|why| self.bus.malformed(why))?;
        match group.as_str() {
            "" => Err(SystemdError::NoSuchUnit { unit: unit.to_owned() }),
            path if is_group(Path::new(path)) => Ok(group.into()),
            _ => Err(self.bus.malformed(Malformed("a group has no absolute path"))),
        }
    }

    fn call(&mut self, member: &str, signature: &str, body: Writer) -> Result<Incoming, SystemdError> {
        self.call_object("/org/freedesktop/systemd1", MANAGER, member, signature, body)
    }

    fn call_object(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Incoming, SystemdError> {
        let call = Call { destination: NAME, path, interface, member, signature, body: body.into_bytes() };
        match self.bus.call(&call)? {
            Answer::Returned(message) => Ok(message),
            Answer::Failed { name, text } => Err(SystemdError::Call { call: member.to_owned(), name, text }),
        }
    }

    /// A body that is one string or object path.
    fn text_of(&self, message: &Incoming, signature: &str) -> Result<String, SystemdError> {
        let text = message.body(signature).and_then(|mut body| body.string().map(str::to_owned));
        text.map_err(|why| self.bus.malformed(why))
    }
}

/// Path and result of the job that a JobRemoved tells of: its number, its path, its unit and its result.
fn removed_job(signal: &Incoming) -> Result<(String, String), Malformed> {
    if signal.member != "JobRemoved" {
        return Err(Malformed("it is another signal"));
    }
    let mut body = signal.body("uoss")?;
    body.u32()?;
    let path = body.string()?.to_owned();
    body.string()?;
    Ok((path, body.string()?.to_owned()))
}

/// A variant that holds a string.
fn variant_text(reply: &Incoming) -> Result<String, Malformed> {
    let mut body = reply.body("v")?;
    match body.signature()? {
        "s" => body.string().map(str::to_owned),
        _ => Err(Malformed("a property is no string")),
    }
}

/// What a group's path looks like, which is about to be joined to where the hierarchy is mounted.
fn is_group(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

//! Why systemd doesn't do what it is asked.

use std::path::PathBuf;
use std::time::Duration;

use izba_sys::Errno;

use crate::cgroup::Manager;

/// Why systemd doesn't do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemdError {
    /// An address can't be used.
    #[error("{address:?} is no address of a bus: {problem}")]
    BadAddress {
        /// The whole.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody listens there.
    #[error("connecting to {} at {address}: {errno}", bus_of(*.manager))]
    NoBus {
        /// Whose bus it would be.
        manager: Manager,
        /// Where it was looked for.
        address: String,
        /// What connect(2) said last.
        errno: Errno,
    },
    /// The bus lets somebody else in.
    #[error("the bus at {address} doesn't let us in: it answers {answer:?}")]
    Rejected {
        /// Where it is.
        address: String,
        /// What it said.
        answer: String,
    },
    /// There was no answer.
    #[error("no answer from the bus at {address}, or from systemd behind it, within {patience:?}")]
    TimedOut {
        /// Where it is.
        address: String,
        /// How long was waited.
        patience: Duration,
    },
    /// The connection broke.
    #[error("the connection to the bus at {address} broke: {errno}")]
    Lost {
        /// Where it is.
        address: String,
        /// What reading or writing said.
        errno: Errno,
    },
    /// What came makes no sense.
    #[error("the bus at {address} has sent something that is no answer: {why}")]
    Malformed {
        /// Where it is.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// A scope can't have this name.
    #[error("{unit:?} is no name of a scope")]
    BadName {
        /// The name.
        unit: String,
    },
    /// There is such a unit already.
    #[error("systemd has a unit {unit} already")]
    UnitExists {
        /// Its name.
        unit: String,
    },
    /// There is no such unit, or nothing runs in it any more.
    #[error("systemd has no unit {unit}, or nothing runs in it any more")]
    NoSuchUnit {
        /// Its name.
        unit: String,
    },
    /// A method failed.
    #[error("systemd refuses {call}: {text} ({name})")]
    Call {
        /// Which.
        call: String,
        /// The error's name on the bus.
        name: String,
        /// What it says.
        text: String,
    },
    /// A process isn't where it was to be put: systemd means another one by its id, or another group by its path.
    #[error("systemd has made the scope {unit}, but process {process} isn't in its group {}", group.display())]
    Elsewhere {
        /// The scope.
        unit: String,
        /// By the caller's id.
        process: i32,
        /// The directory.
        group: PathBuf,
    },
    /// A unit was neither started nor stopped.
    #[error("systemd's job for {unit} has ended as {result:?}")]
    Job {
        /// Which unit.
        unit: String,
        /// The result: "JobRemoved" of org.freedesktop.systemd1(5).
        result: String,
    },
}

fn bus_of(manager: Manager) -> &'static str {
    match manager {
        Manager::System => "the system's bus",
        Manager::User => "the user's bus",
    }
}

impl SystemdError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::BadAddress { .. } => {
                "correct or unset DBUS_SESSION_BUS_ADDRESS, or DBUS_SYSTEM_BUS_ADDRESS as root: unix:path=/run/user/1000/bus".to_owned()
            }
            Self::NoBus { manager, .. } => no_bus(*manager).to_owned(),
            Self::Rejected { .. } => {
                "this is somebody else's bus: unset DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR, which su and sudo may have kept".to_owned()
            }
            Self::TimedOut { .. } | Self::Lost { .. } | Self::Malformed { .. } => {
                "see whether systemd answers at all, with `systemctl status`, or leave systemd out of it".to_owned()
            }
            Self::BadName { .. } => {
                "write ASCII letters, digits and :-_.\\ with .scope at the end, no more than 255 characters".to_owned()
            }
            Self::UnitExists { unit } => {
                format!("choose another name, or end it: `systemctl stop {unit}`, `systemctl reset-failed {unit}`")
            }
            Self::NoSuchUnit { unit } => format!("see what became of it: `journalctl -u {unit}`"),
            Self::Call { name, .. } => refused(name).to_owned(),
            Self::Elsewhere { .. } => {
                "--cgroup-manager cgroupfs, or run izba outside of containers: in systemd's own PID and cgroup namespaces".to_owned()
            }
            Self::Job { unit, .. } => format!("see why in the journal: `journalctl -u {unit}`"),
        }
    }

    /// The same, as an error on this unit.
    pub(super) fn on(self, unit: &str) -> Self {
        let unit = unit.to_owned();
        match self {
            Self::Call { name, .. } if name == "org.freedesktop.systemd1.UnitExists" => Self::UnitExists { unit },
            Self::Call { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit" => Self::NoSuchUnit { unit },
            other => other,
        }
    }
}

fn no_bus(manager: Manager) -> &'static str {
    match manager {
        Manager::System => "start it: `systemctl start dbus.socket`, from the package dbus",
        Manager::User => {
            "log in through PAM, or let your systemd run without a login: `loginctl enable-linger`; the packages dbus-user-session and \
             libpam-systemd have to be there; where systemd uses another directory than /run/user/UID, set XDG_RUNTIME_DIR"
        }
    }
}

/// By the error's name on the bus.
fn refused(name: &str) -> &'static str {
    match name {
        "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
            "systemd isn't on this bus: unset DBUS_SESSION_BUS_ADDRESS, which another program may have set for a bus of its own"
        }
        "org.freedesktop.DBus.Error.AccessDenied" | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
            "ask your own systemd, on the user's bus, or be root"
        }
        "org.freedesktop.DBus.Error.UnknownProperty" | "org.freedesktop.DBus.Error.PropertyReadOnly" => {
            "systemd 244 and later have what is needed"
        }
        _ => "see what systemd says in the journal: `journalctl -e`",
    }
}

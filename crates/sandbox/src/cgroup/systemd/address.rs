//! Where a bus listens: "Server Addresses" of the D-Bus specification.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use izba_sys::stream::SocketAddrUnix;

use super::SystemdError;
use crate::cgroup::Manager;

/// Where a bus listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whose bus it is.
    pub(super) manager: Manager,
    /// As it was given.
    pub(super) text: String,
    /// The sockets that it names, to be tried in this order.
    pub(super) sockets: Vec<SocketAddrUnix>,
}

impl Address {
    /// The system's bus: what `DBUS_SYSTEM_BUS_ADDRESS` says, if it is set, or the socket that every system has.
    ///
    /// # Errors
    /// [`SystemdError::BadAddress`]
    pub fn system(variable: Option<&OsStr>) -> Result<Self, SystemdError> {
        Self::parse(Manager::System, variable, Path::new("/run/dbus/system_bus_socket"))
    }

    /// A user's bus: what `DBUS_SESSION_BUS_ADDRESS` says, if it is set, or `bus` in `XDG_RUNTIME_DIR`, which is /run/user/UID where it isn't
    /// set: user@.service(5), pam_systemd(8).
    ///
    /// # Errors
    /// [`SystemdError::BadAddress`]
    ///
    /// ```
    /// use izba_sandbox::cgroup::systemd::Address;
    ///
    /// let address = Address::user(None, None, 1000)?;
    /// assert_eq!(address.to_string(), "unix:path=/run/user/1000/bus");
    /// # Ok::<(), izba_sandbox::cgroup::systemd::SystemdError>(())
    /// ```
    pub fn user(session: Option<&OsStr>, runtime_dir: Option<&OsStr>, uid: u32) -> Result<Self, SystemdError> {
        let standard = format!("/run/user/{uid}");
        let dir = runtime_dir.filter(|dir| !dir.is_empty()).map_or(Path::new(&standard), Path::new);
        Self::parse(Manager::User, session, &dir.join("bus"))
    }

    /// Is there a socket to connect to? Whether somebody listens there is another question.
    pub fn exists(&self) -> bool {
        self.sockets
            .iter()
            .any(|socket| socket.path().is_none_or(|path| Path::new(OsStr::from_bytes(path.to_bytes())).exists()))
    }

    /// Whose bus it is.
    pub fn manager(&self) -> Manager {
        self.manager
    }

    fn parse(manager: Manager, variable: Option<&OsStr>, standard: &Path) -> Result<Self, SystemdError> {
        let text = match variable.filter(|text| !text.is_empty()) {
            Some(text) => text.to_string_lossy().into_owned(),
            None => format!("unix:path={}", escaped(standard)),
        };
        let sockets = text.split(';').filter(|one| !one.is_empty()).map(socket).collect::<Result<Vec<_>, _>>();
        let problem = match sockets {
            Ok(sockets) if !sockets.is_empty() => return Ok(Self { manager, text, sockets }),
            Ok(_) => "it names nothing".to_owned(),
            Err(problem) => problem,
        };
        Err(SystemdError::BadAddress { address: text, problem })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The socket of one address: `unix:path=/run/bus,guid=...`, `unix:abstract=...`. systemd's buses are reached by no other means.
fn socket(one: &str) -> Result<SocketAddrUnix, String> {
    let pairs = one.strip_prefix("unix:").ok_or_else(|| format!("{one:?} is no Unix socket"))?;
    for pair in pairs.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no ="))?;
        let value = || unescaped(value).ok_or_else(|| format!("{value:?} has a % without two hexadecimal digits"));
        let made = match key {
            "path" => SocketAddrUnix::new(value()?),
            "abstract" => SocketAddrUnix::new_abstract_name(&value()?),
            _ => continue,
        };
        return made.map_err(|_| format!("{pair:?} is too long, or has a zero byte"));
    }
    Err(format!("{one:?} has neither path= nor abstract="))
}

/// May stand for itself: "optionally-escaped" bytes of the specification.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte)
}

fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.map(|&byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut parts = value.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(text: &str) -> Result<Vec<SocketAddrUnix>, String> {
        match Address::system(Some(OsStr::new(text))) {
            Ok(address) => Ok(address.sockets),
            Err(SystemdError::BadAddress { problem, .. }) => Err(problem),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_socket_of_a_list_is_named() {
        let path = SocketAddrUnix::new("/run/a b").unwrap();
        let name = SocketAddrUnix::new_abstract_name(b"/tmp/dbus-1").unwrap();
        assert_eq!(sockets("unix:path=/run/a%20b,guid=12;unix:abstract=/tmp/dbus-1"), Ok(vec![path.clone(), name]));
        assert_eq!(sockets("unix:guid=12,path=/run/a b;"), Ok(vec![path]));
    }

    #[test]
    fn what_is_no_address_is_an_error_that_says_why() {
        let wrong = [
            (";", "names nothing"),
            ("tcp:host=a,port=1", "no Unix socket"),
            ("/run/bus", "no Unix socket"),
            ("unix:", "no ="),
            ("unix:guid=1", "neither"),
            ("unix:path=%2", "hexadecimal"),
            ("unix:path=%+2", "hexadecimal"),
            ("unix:path=%é", "hexadecimal"),
            ("unix:path=a%00b", "zero byte"),
        ];
        for (text, why) in wrong {
            let problem = sockets(text).unwrap_err();
            assert!(problem.contains(why), "{text}: {problem}");
        }
        assert!(sockets(&format!("unix:path=/{}", "a".repeat(200))).unwrap_err().contains("too long"));
    }

    #[test]
    fn without_variables_it_is_where_systemd_has_it() {
        let user = |session: &str, dir: &str| {
            Address::user(Some(OsStr::new(session)), Some(OsStr::new(dir)), 7).unwrap().to_string()
        };
        assert_eq!(user("", ""), "unix:path=/run/user/7/bus");
        assert_eq!(user("", "/tmp/my;dir"), "unix:path=/tmp/my%3bdir/bus");
        assert_eq!(user("unix:path=/x", "/tmp"), "unix:path=/x");
        assert_eq!(Address::system(None).unwrap().to_string(), "unix:path=/run/dbus/system_bus_socket");
        let odd = Address::user(None, Some(OsStr::new("/tmp/my;dir")), 7).unwrap();
        assert_eq!(odd.sockets, [SocketAddrUnix::new("/tmp/my;dir/bus").unwrap()]);
    }
}

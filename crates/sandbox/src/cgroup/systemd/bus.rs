//! A connection to a message bus: one call at a time, and nothing waits past its deadline.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use izba_sys::Errno;
use izba_sys::stream;

use super::SystemdError;
use super::address::Address;
use super::message::{Call, FIXED, Incoming, Kind, length};
use super::wire::Malformed;

/// As much as one line of the handshake may be: "Authentication Protocol" of the specification.
const LONGEST_LINE: usize = 16 << 10;

/// A signal that nobody has asked for is somebody's mistake, or worse: no more than so many are kept.
const MOST_SIGNALS: usize = 64;

/// A connection to a message bus.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    address: Address,
    patience: Duration,
    deadline: Instant,
    /// Of the last call.
    serial: u32,
    /// Those that have come while something else was waited for.
    signals: Vec<Incoming>,
}

/// What a call came to.
pub enum Answer {
    /// What it returned.
    Returned(Incoming),
    /// The error's name, and what it says.
    Failed { name: String, text: String },
}

impl Bus {
    /// Connects, and waits for no answer longer than `patience`.
    pub fn connect(address: &Address, patience: Duration) -> Result<Self, SystemdError> {
        let deadline = Instant::now() + patience;
        let stream = first_of(address, patience)?;
        let signals = Vec::new();
        let mut bus = Self { stream, address: address.clone(), patience, deadline, serial: 0, signals };
        bus.authenticate()?;
        bus.call_bus("Hello", "", Vec::new())?;
        Ok(bus)
    }

    /// What comes after this has as much time as everything before it had.
    pub fn restart_clock(&mut self) {
        self.deadline = Instant::now() + self.patience;
    }

    /// Says who we are: EXTERNAL, by the credentials of the socket, which the kernel tells. No number is sent, as sd-bus sends none: it would
    /// be wrong in a user namespace.
    fn authenticate(&mut self) -> Result<(), SystemdError> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        let asked = self.line()?;
        let answer = if asked.starts_with("DATA") { self.line()? } else { asked };
        match answer.starts_with("OK ") {
            true => self.send(b"BEGIN\r\n"),
            false => Err(SystemdError::Rejected { address: self.address.text.clone(), answer }),
        }
    }

    /// One line of the handshake. The other side says nothing that isn't asked for, so reading byte by byte loses nothing and takes few calls.
    fn line(&mut self) -> Result<String, SystemdError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == LONGEST_LINE {
                return Err(self.malformed(Malformed("a line of its handshake doesn't end")));
            }
            let mut byte = [0];
            self.fill(&mut byte)?;
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Calls a method of the bus itself.
    pub fn call_bus(&mut self, member: &str, signature: &str, body: Vec<u8>) -> Result<Incoming, SystemdError> {
        let name = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        match self.call(&Call { destination: name, path, interface: name, member, signature, body })? {
            Answer::Returned(message) => Ok(message),
            Answer::Failed { name, text } => Err(SystemdError::Call { call: member.to_owned(), name, text }),
        }
    }

    /// Calls a method, and waits for its answer.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Answer, SystemdError> {
        self.serial += 1;
        self.send(&call.encode(self.serial))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Return if message.answers == self.serial => return Ok(Answer::Returned(message)),
                Kind::Error if message.answers == self.serial => return Ok(failed(message)),
                Kind::Signal if self.signals.len() < MOST_SIGNALS => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// The first signal that is wanted, whether it has come already or not.
    pub fn signal(&mut self, wanted: impl Fn(&Incoming) -> bool) -> Result<Incoming, SystemdError> {
        if let Some(found) = self.signals.drain(..).find(&wanted) {
            return Ok(found);
        }
        loop {
            let message = self.receive()?;
            if message.kind == Kind::Signal && wanted(&message) {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self) -> Result<Incoming, SystemdError> {
        let mut fixed = [0; FIXED];
        self.fill(&mut fixed)?;
        let whole = length(&fixed).map_err(|why| self.malformed(why))?;
        let mut message = fixed.to_vec();
        message.resize(whole, 0);
        self.fill(&mut message[FIXED..])?;
        Incoming::parse(&message).map_err(|why| self.malformed(why))
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), SystemdError> {
        while !bytes.is_empty() {
            self.wait_at_most_the_rest()?;
            let sent = stream::send(self.stream.as_fd(), bytes).map_err(|errno| self.broken(errno))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), SystemdError> {
        while !buffer.is_empty() {
            self.wait_at_most_the_rest()?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(self.broken(Errno::CONNRESET)),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
            }
        }
        Ok(())
    }

    fn wait_at_most_the_rest(&self) -> Result<(), SystemdError> {
        let rest = self.deadline.saturating_duration_since(Instant::now());
        match rest.is_zero() {
            true => Err(self.broken(Errno::AGAIN)),
            // The kernel counts in its own ticks, and would round a last microsecond down to for ever.
            false => stream::wait_at_most(self.stream.as_fd(), rest.max(Duration::from_millis(10)))
                .map_err(|errno| self.broken(errno)),
        }
    }

    fn broken(&self, errno: Errno) -> SystemdError {
        let address = self.address.text.clone();
        match errno {
            Errno::AGAIN => SystemdError::TimedOut { address, patience: self.patience },
            errno => SystemdError::Lost { address, errno },
        }
    }

    /// The bus, or who speaks through it, has sent something that it shouldn't.
    pub fn malformed(&self, why: Malformed) -> SystemdError {
        SystemdError::Malformed { address: self.address.text.clone(), why: why.to_string() }
    }
}

/// Connects to the first socket of an address that takes us.
fn first_of(address: &Address, patience: Duration) -> Result<UnixStream, SystemdError> {
    let mut last = Errno::NOENT;
    for socket in &address.sockets {
        match stream::connect(socket, patience) {
            Ok(stream) => return Ok(stream),
            Err(errno) => last = errno,
        }
    }
    let (manager, text) = (address.manager, address.text.clone());
    match last {
        Errno::AGAIN => Err(SystemdError::TimedOut { address: text, patience }),
        errno => Err(SystemdError::NoBus { manager, address: text, errno }),
    }
}

/// An error's first argument is its text, if it has one.
fn failed(message: Incoming) -> Answer {
    let text = message.body("s").and_then(|mut body| body.string().map(str::to_owned)).unwrap_or_default();
    Answer::Failed { name: message.error, text }
}

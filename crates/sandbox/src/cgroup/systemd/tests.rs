//! Buses that are dead, hang, lie or are somebody else's, and one that answers as systemd does.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use super::message::{FIXED, Incoming, length};
use super::wire::{NATIVE_ORDER, Writer};
use super::*;

/// For a bus that answers; its own waits are short.
const LONG: Duration = Duration::from_secs(60);
/// For one that doesn't.
const SHORT: Duration = Duration::from_millis(40);

/// A bus that does what `serve` does with its first client.
struct FakeBus {
    address: Address,
    thread: JoinHandle<()>,
}

impl FakeBus {
    fn new(serve: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let name = format!("izba-fake-bus-{}-{:?}", std::process::id(), std::thread::current().id());
        let server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let address = Address::system(Some(OsStr::new(&format!("unix:abstract={name}")))).unwrap();
        let thread = std::thread::spawn(move || serve(server.accept().unwrap().0));
        Self { address, thread }
    }

    /// What connecting to it fails with.
    fn error(self, patience: Duration) -> SystemdError {
        let error = Systemd::connect(&self.address, patience).unwrap_err();
        self.thread.join().unwrap();
        error
    }
}

/// Reads until the client hangs up.
fn swallow(mut client: UnixStream) {
    let _whatever_it_says = client.read_to_end(&mut Vec::new());
}

/// Sends some bytes for whatever comes.
fn say(bytes: &'static [u8]) -> FakeBus {
    FakeBus::new(move |mut client| {
        client.write_all(bytes).unwrap();
        swallow(client);
    })
}

#[test]
fn a_bus_that_never_answers_is_given_up() {
    assert!(matches!(FakeBus::new(swallow).error(SHORT), SystemdError::TimedOut { patience: SHORT, .. }));
    assert!(matches!(say(b"OK 1234\r\n").error(SHORT), SystemdError::TimedOut { .. }));
}

#[test]
fn a_bus_that_always_says_something_is_given_up_too() {
    for (greeting, endless) in [(&b""[..], &b"x"[..]), (b"OK 1\r\n", b"l\x04\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0")] {
        let bus = FakeBus::new(move |mut client| {
            client.write_all(greeting).unwrap();
            while client.write_all(endless).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let error = bus.error(SHORT);
        assert!(matches!(error, SystemdError::TimedOut { .. }), "{error}");
    }
}

#[test]
fn a_bus_that_hangs_up_is_an_error() {
    let error = FakeBus::new(drop).error(LONG);
    assert!(matches!(error, SystemdError::Lost { .. }), "{error}");
    let error = FakeBus::new(|mut client| client.write_all(b"OK 1\r\nl\x02").unwrap()).error(LONG);
    assert!(matches!(error, SystemdError::Lost { .. }), "{error}");
}

#[test]
fn a_bus_that_is_somebody_elses_says_so() {
    let error = say(b"REJECTED EXTERNAL\r\n").error(LONG);
    assert!(matches!(&error, SystemdError::Rejected { answer, .. } if answer == "REJECTED EXTERNAL"), "{error}");
    assert!(error.remedy().contains("sudo"));
    let error = say(b"DATA\r\n\xff\r\n").error(LONG);
    assert!(matches!(error, SystemdError::Rejected { .. }), "{error}");
}

#[test]
fn what_is_no_message_is_an_error() {
    static ENDLESS_LINE: [u8; 20 << 10] = [b'x'; 20 << 10];
    for bytes in [
        &ENDLESS_LINE[..],
        b"OK 1\r\nHTTP/1.1 400 Bad Request\r\n",
        b"OK 1\r\nl\x02\0\x02\0\0\0\0\x01\0\0\0\0\0\0\0",
        b"OK 1\r\nl\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
        b"OK 1\r\nl\x02\0\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01(\0\0\0\0\0",
    ] {
        let error = say(bytes).error(LONG);
        assert!(matches!(error, SystemdError::Malformed { .. }), "{error}");
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn where_nobody_listens_the_error_says_what_to_install_or_start() {
    let nowhere = OsStr::new("unix:path=/nonexistent/bus;unix:abstract=izba-nobody");
    let errors = [Address::system(Some(nowhere)), Address::user(Some(nowhere), None, 0)]
        .map(|address| Systemd::connect(&address.unwrap(), LONG).unwrap_err());
    assert!(matches!(errors[0], SystemdError::NoBus { manager: Manager::System, .. }), "{}", errors[0]);
    assert!(errors[0].remedy().contains("dbus.socket"));
    assert!(errors[1].remedy().contains("enable-linger") && errors[1].remedy().contains("dbus-user-session"));
}

/// The other end of a connection, with what the client has called.
struct Client(BufReader<UnixStream>);

impl Client {
    /// Lets it in, as dbus-daemon does.
    fn welcome(stream: UnixStream) -> Self {
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.line(), "\0AUTH EXTERNAL\r\n");
        assert_eq!(client.line(), "DATA\r\n");
        client.0.get_mut().write_all(b"DATA\r\nOK 0123\r\n").unwrap();
        assert_eq!(client.line(), "BEGIN\r\n");
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Takes a call of this method.
    fn called(&mut self, member: &str) {
        let mut message = vec![0; FIXED];
        self.0.read_exact(&mut message).unwrap();
        message.resize(length(message[..].try_into().unwrap()).unwrap(), 0);
        self.0.read_exact(&mut message[FIXED..]).unwrap();
        assert_eq!(Incoming::parse(&message).unwrap().member, member);
    }

    /// Sends a message with strings and other text as fields.
    fn send(&mut self, kind: u8, answers: u32, fields: &[(u8, &str)], signature: &str, body: Writer) {
        let body = body.into_bytes();
        let mut message = Writer::default();
        [NATIVE_ORDER, kind, 0, 1].into_iter().for_each(|byte| message.byte(byte));
        message.u32(body.len().try_into().unwrap());
        message.u32(9);
        let fields: Vec<(u8, &str)> = [(5, ""), (8, signature)].into_iter().chain(fields.iter().copied()).collect();
        message.array(8, &fields, |message, (code, value)| {
            message.align(8);
            message.byte(*code);
            message.signature(["s", "u", "g"][usize::from(*code == 5) + 2 * usize::from(*code == 8)]);
            match code {
                5 => message.u32(answers),
                8 => message.signature(value),
                _ => message.string(value),
            }
        });
        message.align(8);
        let stream = self.0.get_mut();
        stream.write_all(&message.into_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    }

    /// Answers a call with one string, or nothing.
    fn answer(&mut self, serial: u32, signature: &str, text: &str) {
        let mut body = Writer::default();
        if !signature.is_empty() {
            body.string(text);
        }
        self.send(2, serial, &[(7, ":1.1")], signature, body);
    }

    fn job_removed(&mut self, sender: &str, job: &str, result: &str) {
        let mut body = Writer::default();
        body.u32(1);
        [job, "izba.scope", result].into_iter().for_each(|text| body.string(text));
        self.send(4, 0, &[(3, "JobRemoved"), (7, sender)], "uoss", body);
    }
}

/// Starts a scope on a bus that does this once it has been asked to.
fn start(serve: impl FnOnce(&mut Client) + Send + 'static) -> Result<PathBuf, SystemdError> {
    let bus = FakeBus::new(move |stream| {
        let mut client = Client::welcome(stream);
        client.called("Hello");
        client.answer(1, "s", ":1.7");
        client.called("AddMatch");
        client.answer(2, "", "");
        client.called("StartTransientUnit");
        serve(&mut client);
        swallow(client.0.into_inner());
    });
    let mut systemd = Systemd::connect(&bus.address, LONG).unwrap();
    let scope = Scope { unit: "izba.scope", slice: None, description: "", pids: &[1], properties: &[] };
    let started = systemd.start_scope(&scope);
    drop(systemd);
    bus.thread.join().unwrap();
    started
}

fn tell_group(client: &mut Client, group: &str) {
    client.called("GetUnit");
    client.answer(4, "o", "/unit");
    client.called("Get");
    let mut body = Writer::default();
    body.signature("s");
    body.string(group);
    client.send(2, 5, &[], "v", body);
}

#[test]
fn only_who_has_made_the_job_says_that_it_is_done() {
    let started = start(|client| {
        // Before the answer: somebody else's news, other news, and another job's.
        client.job_removed(":1.66", "/job/1", "failed");
        client.send(4, 0, &[(3, "NameAcquired"), (7, ":1.1")], "", Writer::default());
        client.job_removed(":1.1", "/job/2", "failed");
        client.answer(3, "o", "/job/1");
        client.job_removed(":1.66", "/job/1", "failed");
        client.job_removed(":1.1", "/job/1", "done");
        tell_group(client, "/system.slice/izba.scope");
    });
    assert_eq!(started.as_deref(), Ok(Path::new("/system.slice/izba.scope")));
}

#[test]
fn a_job_that_ends_before_the_answer_is_not_missed() {
    let started = start(|client| {
        client.job_removed(":1.1", "/job/1", "canceled");
        client.answer(3, "o", "/job/1");
    });
    assert_eq!(started, Err(SystemdError::Job { unit: "izba.scope".to_owned(), result: "canceled".to_owned() }));
}

#[test]
fn a_group_that_leads_elsewhere_is_not_taken() {
    for group in ["relative", "/a/../../etc", "/./../x"] {
        let started = start(move |client| {
            client.job_removed(":1.1", "/job/1", "done");
            client.answer(3, "o", "/job/1");
            tell_group(client, group);
        });
        assert!(matches!(started, Err(SystemdError::Malformed { .. })), "{started:?}");
    }
}

#[test]
fn an_error_without_a_text_is_an_error() {
    let started = start(|client| {
        client.send(3, 3, &[(4, "org.freedesktop.DBus.Error.ServiceUnknown"), (7, ":1.1")], "", Writer::default());
    });
    let error = started.unwrap_err();
    assert!(error.to_string().contains("ServiceUnknown"), "{error}");
    assert!(error.remedy().contains("isn't on this bus"), "{}", error.remedy());
}

#[test]
fn only_a_systemd_in_the_callers_own_namespaces_is_asked() {
    assert!(is_manager("systemd\n", "1:name=systemd:/../x\n0::/init.scope\n"));
    assert!(!is_manager("sh\n", "0::/init.scope\n"));
    assert!(!is_manager("systemd\n", "0::/../../../init.scope\n"));
    assert!(!is_manager("systemd\n", ""));
}

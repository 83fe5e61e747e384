//! Arbitrary bytes as what a message bus says, after a handshake and two answers that are in order; and arbitrary text as addresses, slices,
//! files of cgroup v2 and /proc/devices.
#![no_main]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use izba_sandbox::cgroup::systemd::{Address, Scope, Slice, Systemd, device_properties, properties};
use izba_sandbox::cgroup::{DeviceRule, Limits, Version};
use libfuzzer_sys::fuzz_target;

/// What the bus says to its next client.
static BUS: LazyLock<Mutex<Sender<Vec<u8>>>> = LazyLock::new(|| {
    let server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name()).unwrap()).unwrap();
    let (sender, receiver) = channel::<Vec<u8>>();
    std::thread::spawn(move || receiver.iter().for_each(|bytes| serve(server.accept().unwrap().0, &bytes)));
    Mutex::new(sender)
});

fn name() -> String {
    format!("izba-fuzz-{}", std::process::id())
}

fn serve(mut client: UnixStream, bytes: &[u8]) {
    let _sent = client.write_all(bytes).and_then(|()| client.shutdown(std::net::Shutdown::Write));
    let _read = client.read_to_end(&mut Vec::new());
}

/// An empty answer to the call with this number.
fn answer(serial: u8) -> [u8; 24] {
    *[b"l\x02\0\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01u\0", &[serial, 0, 0, 0][..]].concat().first_chunk().unwrap()
}

fuzz_target!(|input: (&str, (&str, &str), &[u8])| {
    let (text, file, bytes) = input;
    let _address = Address::system(Some(OsStr::new(text)));
    if let Ok(slice) = text.parse::<Slice>() {
        assert!(slice.path().components().all(|part| matches!(part, std::path::Component::Normal(_))));
    }
    let rules: Vec<DeviceRule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let limits = Limits { unified: vec![(file.0.to_owned(), file.1.to_owned())], ..Limits::default() };
    let settings = limits.settings(&|_| Some(Version::V2)).map(|lowered| lowered.settings).unwrap_or_default();
    let properties = [properties(&settings).unwrap_or_default(), device_properties(&rules, text)].concat();

    let said = [b"DATA\r\nOK 1\r\n", &answer(1)[..], &answer(2), bytes].concat();
    BUS.lock().unwrap().send(said).unwrap();
    let address = Address::system(Some(OsStr::new(&format!("unix:abstract={}", name())))).unwrap();
    let mut systemd = Systemd::connect(&address, Duration::from_secs(60)).unwrap();
    let scope = Scope { unit: "izba.scope", slice: None, description: text, pids: &[1], properties: &properties };
    let _started = systemd.start_scope(&scope);
});

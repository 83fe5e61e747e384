//! The interfaces of a network namespace, over a socket that belongs to it: rtnetlink(7).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use izba_sys::{Errno, netlink};

use super::Interface;
use super::rtnetlink::{self, Message, Question, attributes, number, text};

/// A socket of another namespace, and what questions over it need.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The number of the last question.
    sequence: u32,
}

/// An interface, and what else is needed to find its other end.
#[derive(Clone, Debug)]
pub(super) struct FoundInterface {
    pub interface: Interface,
    /// The other end, or the device below, by its number in its own namespace.
    pub link: Option<u32>,
    /// In which namespace that is, by the number that this namespace has for it. `None` is this one.
    pub link_namespace: Option<i32>,
}

/// How often a list is asked for again that has changed while the kernel wrote it.
const TRIES: usize = 10;

impl Conversation {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, buffer: vec![0; 32 << 10], sequence: 0 }
    }

    /// All interfaces with their addresses, by index.
    pub fn interfaces(&mut self) -> io::Result<Vec<FoundInterface>> {
        let mut found = self.dump(&rtnetlink::all_links(), interface)?;
        let mut by_index: HashMap<u32, Vec<(IpAddr, u8)>> = HashMap::new();
        for (index, address) in self.dump(&rtnetlink::all_addresses(), address)? {
            by_index.entry(index).or_default().push(address);
        }
        for one in &mut found {
            one.interface.addresses = by_index.remove(&one.interface.index).unwrap_or_default();
        }
        found.sort_by_key(|one| one.interface.index);
        Ok(found)
    }

    /// What this namespace calls `other`: RTM_GETNSID. `None` where it has no number for it, and so no link to it.
    pub fn number_of(&mut self, other: BorrowedFd<'_>) -> Option<i32> {
        let question = rtnetlink::number_of_namespace(other.as_raw_fd());
        let answers = self.ask(&question, |message| message.namespace_number()).ok()?;
        answers.into_iter().next().filter(|&number| number >= 0)
    }

    /// The hardware address of interface `index` in the namespace that this one calls `namespace`: RTM_GETLINK with
    /// IFLA_TARGET_NETNSID. `None` without CAP_NET_ADMIN over it.
    pub fn address_elsewhere(&mut self, namespace: i32, index: u32) -> Option<String> {
        let answers = self.ask(&rtnetlink::link_elsewhere(namespace, index), interface).ok()?;
        answers.into_iter().next()?.interface.address
    }

    fn dump<T>(&mut self, question: &Question, read: fn(&Message<'_>) -> Option<T>) -> io::Result<Vec<T>> {
        for _ in 0..TRIES {
            match self.ask(question, read) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn ask<T>(&mut self, question: &Question, read: fn(&Message<'_>) -> Option<T>) -> io::Result<Vec<T>> {
        self.sequence = self.sequence.wrapping_add(1);
        netlink::send(self.socket.as_fd(), &question.numbered(self.sequence))?;
        let mut answer = Answer::new(self.sequence, question.wants_all());
        while !answer.is_whole {
            let length = netlink::receive(self.socket.as_fd(), &mut self.buffer)?;
            answer.take(self.buffer.get(..length).unwrap_or_default(), read)?;
        }
        if answer.has_changed { Err(io::ErrorKind::Interrupted.into()) } else { Ok(answer.found) }
    }
}

/// What has come of an answer so far.
struct Answer<T> {
    sequence: u32,
    /// Is it a list?
    wants_all: bool,
    found: Vec<T>,
    /// The list has changed while the kernel wrote it. It goes on all the same, and is read to its end: the kernel has no other one
    /// for this socket before.
    has_changed: bool,
    is_whole: bool,
}

impl<T> Answer<T> {
    fn new(sequence: u32, wants_all: bool) -> Self {
        Self { sequence, wants_all, found: Vec::new(), has_changed: false, is_whole: false }
    }

    /// Takes what belongs to the answer out of what was received.
    fn take(&mut self, received: &[u8], read: fn(&Message<'_>) -> Option<T>) -> io::Result<()> {
        for message in rtnetlink::messages(received) {
            let message = message?;
            if !message.answers(self.sequence) || self.is_whole {
                continue;
            }
            self.has_changed |= message.says_changed();
            self.is_whole = message.is_end()? || !self.wants_all;
            self.found.extend(read(&message));
        }
        Ok(())
    }
}

fn interface(message: &Message<'_>) -> Option<FoundInterface> {
    let link = message.link()?;
    let mut found = FoundInterface {
        interface: Interface {
            index: link.index,
            name: String::new(),
            kind: None,
            up: link.up,
            address: None,
            addresses: Vec::new(),
            master: None,
            peer: None,
        },
        link: None,
        link_namespace: None,
    };
    for (attribute, value) in attributes(link.attributes) {
        note(attribute, value, &mut found);
    }
    Some(found)
}

fn note(attribute: u16, value: &[u8], found: &mut FoundInterface) {
    match attribute {
        rtnetlink::IFLA_IFNAME => found.interface.name = text(value),
        rtnetlink::IFLA_ADDRESS => found.interface.address = hardware_address(value),
        rtnetlink::IFLA_MASTER => found.interface.master = number(value),
        // Tunnels say 0: it stands on nothing.
        rtnetlink::IFLA_LINK => found.link = number(value).filter(|&index| index != 0),
        rtnetlink::IFLA_LINK_NETNSID => found.link_namespace = number(value).map(u32::cast_signed),
        rtnetlink::IFLA_LINKINFO => {
            let kind = attributes(value).find(|(attribute, _)| *attribute == rtnetlink::IFLA_INFO_KIND);
            found.interface.kind = kind.map(|(_, value)| text(value));
        }
        _ => {}
    }
}

/// As ip(8) writes it: that of a tunnel is an IP address.
fn hardware_address(bytes: &[u8]) -> Option<String> {
    if let Ok(address) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(address).to_string());
    }
    if let Ok(address) = <[u8; 16]>::try_from(bytes) {
        return Some(Ipv6Addr::from(address).to_string());
    }
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (!digits.is_empty()).then(|| digits.join(":"))
}

/// An interface's own address. With a peer, IFA_ADDRESS is the peer's and IFA_LOCAL the own.
fn address(message: &Message<'_>) -> Option<(u32, (IpAddr, u8))> {
    let found = message.address()?;
    let of = |wanted| {
        let (_, value) = attributes(found.attributes).find(|(attribute, _)| *attribute == wanted)?;
        let v4 = <[u8; 4]>::try_from(value).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
        v4.or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)))).ok()
    };
    let own = of(rtnetlink::IFA_LOCAL).or_else(|| of(rtnetlink::IFA_ADDRESS))?;
    Some((found.index, (own, found.prefix_length)))
}

/// Reads any bytes as every answer.
#[cfg(fuzzing)]
pub(super) fn read_any(received: &[u8]) {
    let _links = Answer::new(0, true).take(received, interface);
    let _addresses = Answer::new(0, true).take(received, address);
    let _number = Answer::new(0, false).take(received, |message| message.namespace_number());
}

/// What a failure of a conversation is called.
pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::BADMSG, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_written_as_ip_does() {
        assert_eq!(hardware_address(&[2, 0xab, 0, 0, 0, 1]).as_deref(), Some("02:ab:00:00:00:01"));
        assert_eq!(hardware_address(&[10, 0, 0, 1]).as_deref(), Some("10.0.0.1"));
        assert_eq!(hardware_address(&[]), None);
    }

    #[test]
    fn loopback_is_found_here() {
        let found = Conversation::new(netlink::route_socket().unwrap()).interfaces().unwrap();
        let lo = &found[0].interface;
        assert_eq!((lo.index, lo.name.as_str(), lo.kind.as_deref()), (1, "lo", None));
        assert_eq!((found[0].link, found[0].link_namespace), (None, None));
    }

    #[test]
    fn malformed_answers_are_errors() {
        for bytes in [&[1_u8; 3][..], &[0; 16], &[0xff; 20]] {
            assert!(Answer::new(0, true).take(bytes, interface).is_err(), "{bytes:?}");
        }
    }

    /// A message with nothing in it but its type, its flags and its sequence.
    fn message(kind: u16, flags: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = [[20, 0, 0, 0], [0; 4], sequence.to_ne_bytes(), [0; 4], [0; 4]].concat();
        bytes[0..4].copy_from_slice(&20_u32.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_changed_list_is_read_to_its_end() {
        const CHANGED: u16 = 0x10;
        let mut answer = Answer::new(2, true);
        answer.take(&message(16, CHANGED, 2), |_| Some(())).unwrap();
        assert_eq!((answer.has_changed, answer.is_whole), (true, false));
        answer.take(&[message(16, 0, 2), message(3, 0, 2)].concat(), |_| Some(())).unwrap();
        assert!(answer.has_changed && answer.is_whole);
    }

    #[test]
    fn what_answers_another_question_is_passed_over() {
        for wants_all in [true, false] {
            let mut answer = Answer::new(2, wants_all);
            answer.take(&[message(16, 0x10, 1), message(2, 0, 1), message(3, 0, 1)].concat(), |_| Some(())).unwrap();
            assert_eq!((answer.found.len(), answer.has_changed, answer.is_whole), (0, false, false));
        }
    }
}

//! The interfaces of a network namespace, over a socket that belongs to it: rtnetlink(7).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use izba_sys::{Errno, netlink};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::Interface;

/// A socket of another namespace, and what questions over it need.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: OwnedFd,
    buffer: Vec<u8>,
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
        Self { socket, buffer: vec![0; 32 << 10] }
    }

    /// All interfaces with their addresses, by index.
    pub fn interfaces(&mut self) -> io::Result<Vec<FoundInterface>> {
        let mut links = LinkMessage::default();
        // Statistics are most of the answer.
        links.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let links = self.dump(&RouteNetlinkMessage::GetLink(links))?;
        let addresses = self.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        let mut by_index: HashMap<u32, Vec<(IpAddr, u8)>> = HashMap::new();
        for message in addresses {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                by_index.entry(message.header.index).or_default().extend(address(&message));
            }
        }
        let mut found: Vec<FoundInterface> = links.into_iter().filter_map(interface).collect();
        for one in &mut found {
            one.interface.addresses = by_index.remove(&one.interface.index).unwrap_or_default();
        }
        found.sort_by_key(|one| one.interface.index);
        Ok(found)
    }

    /// What this namespace calls `other`: RTM_GETNSID. `None` where it has no number for it, and so no link to it.
    pub fn number_of(&mut self, other: BorrowedFd<'_>) -> Option<i32> {
        let mut question = NsidMessage::default();
        question.attributes.push(NsidAttribute::Fd(other.as_raw_fd().unsigned_abs()));
        let answer = self.ask(&RouteNetlinkMessage::GetNsId(question), 0).ok()?;
        let RouteNetlinkMessage::NewNsId(answer) = answer.into_iter().next()? else { return None };
        answer.attributes.iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(id) if *id >= 0 => Some(*id),
            _ => None,
        })
    }

    /// The hardware address of interface `index` in the namespace that this one calls `namespace`: RTM_GETLINK with
    /// IFLA_TARGET_NETNSID. `None` without CAP_NET_ADMIN over it.
    pub fn address_elsewhere(&mut self, namespace: i32, index: u32) -> Option<String> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        question.attributes.push(LinkAttribute::IfNetnsId(namespace));
        let answer = self.ask(&RouteNetlinkMessage::GetLink(question), 0).ok()?;
        interface(answer.into_iter().next()?)?.interface.address
    }

    fn dump(&mut self, question: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..TRIES {
            match self.ask(question, NLM_F_DUMP) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn ask(&mut self, question: &RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut message = NetlinkMessage::from(question.clone());
        message.header.flags = NLM_F_REQUEST | flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        netlink::send(self.socket.as_fd(), &bytes)?;
        let mut answers = Vec::new();
        loop {
            let length = netlink::receive(self.socket.as_fd(), &mut self.buffer)?;
            let received = self.buffer.get(..length).unwrap_or_default();
            if take(received, &mut answers)? || flags & NLM_F_DUMP == 0 {
                return Ok(answers);
            }
        }
    }
}

/// The kernel's mark on a list that has changed while it was written: NLM_F_DUMP_INTR.
const CHANGED: u16 = 0x10;

/// Takes the messages out of what was received. True at the end of a list.
fn take(received: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let malformed = |error: netlink_packet_core::DecodeError| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut rest = received;
    while !rest.is_empty() {
        let length = NetlinkBuffer::new_checked(rest).map_err(malformed)?.length() as usize;
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(malformed)?;
        if message.header.flags & CHANGED != 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => answers.push(inner),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::Done(_) => return Ok(true),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn interface(message: RouteNetlinkMessage) -> Option<FoundInterface> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut found = FoundInterface {
        interface: Interface {
            index: message.header.index,
            name: String::new(),
            kind: None,
            up: message.header.flags.contains(LinkFlags::Up),
            address: None,
            addresses: Vec::new(),
            master: None,
            peer: None,
        },
        link: None,
        link_namespace: None,
    };
    for attribute in message.attributes {
        note(attribute, &mut found);
    }
    Some(found)
}

fn note(attribute: LinkAttribute, found: &mut FoundInterface) {
    match attribute {
        LinkAttribute::IfName(name) => found.interface.name = name,
        LinkAttribute::Address(bytes) => found.interface.address = hardware_address(&bytes),
        LinkAttribute::Controller(index) => found.interface.master = Some(index),
        // Tunnels say 0: it stands on nothing.
        LinkAttribute::Link(index) if index != 0 => found.link = Some(index),
        LinkAttribute::LinkNetNsId(namespace) => found.link_namespace = Some(namespace),
        LinkAttribute::LinkInfo(infos) => {
            found.interface.kind = infos.into_iter().find_map(|info| match info {
                LinkInfo::Kind(kind) => Some(kind.to_string()),
                _ => None,
            });
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

/// The interface's own address. With a peer, IFA_ADDRESS is the peer's and IFA_LOCAL the own.
fn address(message: &AddressMessage) -> Option<(IpAddr, u8)> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    local.or(address).map(|address| (address, message.header.prefix_len))
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
            assert!(take(bytes, &mut Vec::new()).is_err(), "{bytes:?}");
        }
    }
}

//! The few messages of rtnetlink(7) that are needed here, as bytes: netlink(7). Numbers are in the machine's own order.
//!
//! netlink-packet-route has all of them, in 300 KiB of code, which every start would map.

use std::io;

use izba_sys::Errno;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// The kernel's mark on a list that has changed while it was written.
const NLM_F_DUMP_INTR: u16 = 0x10;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
pub(super) const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
/// Statistics are most of an answer.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

pub(super) const IFA_ADDRESS: u16 = 1;
pub(super) const IFA_LOCAL: u16 = 2;

const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

const IFF_UP: u32 = 1;

/// The largest errno, negated: MAX_ERRNO of include/linux/err.h.
const LEAST_ERROR: i32 = -4095;

/// struct nlmsghdr: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// struct ifinfomsg: family, padding, type, index, flags, change.
const LINK_HEADER: usize = 16;
/// struct ifaddrmsg: family, prefix length, flags, scope, index.
const ADDRESS_HEADER: usize = 8;
/// struct rtgenmsg, padded: family.
const GENERAL_HEADER: usize = 4;

/// A question to the kernel.
#[derive(Debug)]
pub(super) struct Question {
    bytes: Vec<u8>,
    flags: u16,
}

impl Question {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let flags = NLM_F_REQUEST | flags;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        Self { bytes, flags }.measured()
    }

    /// Every attribute here is one 32-bit number.
    fn with(mut self, attribute: u16, value: u32) -> Self {
        self.bytes.extend_from_slice(&8_u16.to_ne_bytes());
        self.bytes.extend_from_slice(&attribute.to_ne_bytes());
        self.bytes.extend_from_slice(&value.to_ne_bytes());
        self.measured()
    }

    fn measured(mut self) -> Self {
        // A question has some dozens of bytes.
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// The question as it is sent under this number, which its answers have too.
    pub fn numbered(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes
    }

    /// Is a whole list wanted, and not one thing?
    pub fn wants_all(&self) -> bool {
        self.flags & NLM_F_DUMP != 0
    }
}

pub(super) fn all_links() -> Question {
    Question::new(RTM_GETLINK, NLM_F_DUMP, &[0; LINK_HEADER]).with(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
}

pub(super) fn all_addresses() -> Question {
    Question::new(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS_HEADER])
}

pub(super) fn number_of_namespace(descriptor: i32) -> Question {
    Question::new(RTM_GETNSID, 0, &[0; GENERAL_HEADER]).with(NETNSA_FD, descriptor.cast_unsigned())
}

pub(super) fn link_elsewhere(namespace: i32, index: u32) -> Question {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    Question::new(RTM_GETLINK, 0, &header).with(IFLA_TARGET_NETNSID, namespace.cast_unsigned())
}

/// One message of the kernel's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// RTM_NEWLINK
pub(super) struct Link<'a> {
    pub index: u32,
    pub up: bool,
    pub attributes: &'a [u8],
}

/// RTM_NEWADDR
pub(super) struct Address<'a> {
    pub index: u32,
    pub prefix_length: u8,
    pub attributes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Is it an answer to the question of this number? What is left of an older one is not.
    pub fn answers(&self, sequence: u32) -> bool {
        self.sequence == sequence
    }

    pub fn says_changed(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// Is it the end of a list? An error of the kernel's is one here, and so is a list that ends with one; the number 0 is an acknowledgement.
    pub fn is_end(&self) -> io::Result<bool> {
        match (self.kind, number(self.payload).map(u32::cast_signed)) {
            (NLMSG_ERROR | NLMSG_DONE, Some(errno @ LEAST_ERROR..0)) => Err(Errno::from_raw_os_error(-errno).into()),
            (NLMSG_ERROR | NLMSG_DONE, Some(..0)) => Err(malformed()),
            (NLMSG_ERROR | NLMSG_DONE, _) => Ok(true),
            _ => Ok(false),
        }
    }

    pub fn link(&self) -> Option<Link<'a>> {
        let (header, attributes) = self.body::<LINK_HEADER>(RTM_NEWLINK)?;
        let up = number(&header[8..])? & IFF_UP != 0;
        Some(Link { index: number(&header[4..])?, up, attributes })
    }

    pub fn address(&self) -> Option<Address<'a>> {
        let (header, attributes) = self.body::<ADDRESS_HEADER>(RTM_NEWADDR)?;
        Some(Address { index: number(&header[4..])?, prefix_length: header[1], attributes })
    }

    /// RTM_NEWNSID: -1 where the namespace has no number.
    pub fn namespace_number(&self) -> Option<i32> {
        let (_, rest) = self.body::<GENERAL_HEADER>(RTM_NEWNSID)?;
        let (_, value) = attributes(rest).find(|(attribute, _)| *attribute == NETNSA_NSID)?;
        number(value).map(u32::cast_signed)
    }

    fn body<const LENGTH: usize>(&self, kind: u16) -> Option<(&'a [u8; LENGTH], &'a [u8])> {
        if self.kind == kind { self.payload.split_first_chunk() } else { None }
    }
}

/// The messages that were received in one go. One that claims more bytes than there are is an error.
pub(super) fn messages(received: &[u8]) -> impl Iterator<Item = io::Result<Message<'_>>> {
    let mut rest = received;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((message, after)) = first_message(rest) else {
            rest = &[];
            return Some(Err(malformed()));
        };
        rest = after;
        Some(Ok(message))
    })
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is malformed")
}

fn first_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = number(bytes)? as usize;
    let payload = bytes.get(HEADER..length)?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let flags = u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?);
    let sequence = number(bytes.get(8..)?)?;
    Some((Message { kind, flags, sequence, payload }, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Attributes and their values: struct rtattr. What follows a malformed one is left out.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The two highest bits say how the value is to be read: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
    const TYPE: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & TYPE, value))
    })
}

/// The 32-bit number at the start.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Text up to its NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_how_long_it_is() {
        let question = link_elsewhere(-1, 7);
        let sent = question.numbered(3);
        assert_eq!((sent.len(), number(&sent), number(&sent[8..])), (40, Some(40), Some(3)));
        assert!(!question.wants_all() && all_links().wants_all());
    }

    #[test]
    fn attributes_are_aligned_and_a_malformed_one_ends_them() {
        let bytes =
            [5_u16.to_ne_bytes(), 3_u16.to_ne_bytes(), *b"a\0", [0, 0], 4_u16.to_ne_bytes(), 0x8012_u16.to_ne_bytes()];
        let mut bytes = bytes.concat();
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(3, &b"a"[..]), (18, &[])]);
        for malformed in [[0, 0, 1, 0], [200, 0, 1, 0]] {
            bytes.extend(malformed);
            assert_eq!(attributes(&bytes).count(), 2);
            bytes.truncate(12);
        }
    }

    #[test]
    fn errors_and_ends_are_told_apart() {
        let minus_one = (-1_i32).to_ne_bytes();
        let message = |kind, payload| Message { kind, flags: 0, sequence: 0, payload };
        assert!(message(NLMSG_DONE, &[]).is_end().unwrap());
        assert!(message(NLMSG_ERROR, &[0; 4]).is_end().unwrap());
        assert!(!message(RTM_NEWLINK, &[]).is_end().unwrap());
        assert_eq!(message(NLMSG_DONE, &minus_one).is_end().unwrap_err().raw_os_error(), Some(1));
        assert_eq!(message(NLMSG_ERROR, &minus_one).is_end().unwrap_err().raw_os_error(), Some(1));
        for errno in [-4096, i32::MIN] {
            let payload = &i32::to_ne_bytes(errno);
            let error = Message { kind: NLMSG_ERROR, flags: 0, sequence: 0, payload }.is_end().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{errno} is no errno");
        }
    }
}

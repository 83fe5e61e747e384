//! Messages: a header with named fields, and a body. "Message Format" of the D-Bus specification.

use super::wire::{Malformed, NATIVE_ORDER, Reader, Writer};

/// What comes before the header fields and tells how long a message is.
pub const FIXED: usize = 16;

/// The longest message that is read. What is asked here has answers of a few hundred bytes.
const LONGEST: usize = 1 << 20;

/// Codes of header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// A method to be called.
#[derive(Debug)]
pub struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    /// The types of the arguments; empty where there are none.
    pub signature: &'a str,
    pub body: Vec<u8>,
}

impl Call<'_> {
    /// The whole message.
    pub fn encode(&self, serial: u32) -> Vec<u8> {
        let fields = [
            (PATH, "o", self.path),
            (DESTINATION, "s", self.destination),
            (INTERFACE, "s", self.interface),
            (MEMBER, "s", self.member),
            (SIGNATURE, "g", self.signature),
        ];
        let mut message = Writer::default();
        // A method call without flags, of version 1 of the protocol.
        [NATIVE_ORDER, 1, 0, 1].into_iter().for_each(|byte| message.byte(byte));
        message.u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        message.u32(serial);
        message.array(8, &fields, |message, (code, kind, value)| {
            message.align(8);
            message.byte(*code);
            message.signature(kind);
            match *kind {
                "g" => message.signature(value),
                _ => message.string(value),
            }
        });
        message.align(8);
        let mut bytes = message.into_bytes();
        bytes.extend(&self.body);
        bytes
    }
}

/// What a message that has come is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer.
    Return,
    /// An answer that says why not.
    Error,
    /// News.
    Signal,
    /// Somebody calls us, or something that a later version of the protocol knows: to be passed over.
    Other,
}

/// A message that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub kind: Kind,
    /// Which of our calls it answers; 0 for none, which no call has.
    pub answers: u32,
    /// Who sent it, as the bus says.
    pub sender: String,
    /// The name of a signal.
    pub member: String,
    /// The name of an error.
    pub error: String,
    /// The types of the body.
    pub signature: String,
    order: u8,
    body: Vec<u8>,
}

impl Incoming {
    /// Takes a whole message, as long as [`length`] says.
    ///
    /// # Errors
    /// It isn't one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, bytes.first().copied().unwrap_or_default())?;
        let order = reader.byte()?;
        let kind = match reader.byte()? {
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut message = Self {
            kind,
            answers: 0,
            sender: String::new(),
            member: String::new(),
            error: String::new(),
            signature: String::new(),
            order,
            body: Vec::new(),
        };
        reader.take(FIXED - 4 - reader.at())?;
        let end = reader.u32()? as usize + FIXED;
        while reader.at() < end {
            message.field(&mut reader)?;
        }
        reader.align(8)?;
        message.body = bytes.get(reader.at()..).unwrap_or_default().to_vec();
        Ok(message)
    }

    fn field(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        reader.align(8)?;
        let code = reader.byte()?;
        match (code, reader.signature()?) {
            (MEMBER, "s") => reader.string()?.clone_into(&mut self.member),
            (ERROR_NAME, "s") => reader.string()?.clone_into(&mut self.error),
            (SENDER, "s") => reader.string()?.clone_into(&mut self.sender),
            (SIGNATURE, "g") => reader.signature()?.clone_into(&mut self.signature),
            (REPLY_SERIAL, "u") => self.answers = reader.u32()?,
            (_, other) => reader.skip(other)?,
        }
        Ok(())
    }

    /// The body, if it is of these types.
    ///
    /// # Errors
    /// It isn't.
    pub fn body(&self, signature: &str) -> Result<Reader<'_>, Malformed> {
        match self.signature == signature {
            true => Reader::new(&self.body, self.order),
            false => Err(Malformed("its body has other types than it should")),
        }
    }
}

/// How long a message is that starts with these bytes.
///
/// # Errors
/// It is no message, or too long.
pub fn length(fixed: &[u8; FIXED]) -> Result<usize, Malformed> {
    let mut reader = Reader::new(fixed, fixed[0])?;
    reader.take(3)?;
    if reader.byte()? != 1 {
        return Err(Malformed("it is of another version of the protocol"));
    }
    let body = reader.u32()? as usize;
    reader.u32()?;
    let fields = reader.u32()? as usize;
    // Each of the two alone could come near to the end of a 32-bit size.
    if body > LONGEST || fields > LONGEST {
        return Err(Malformed("it is longer than 1 MiB"));
    }
    Ok(FIXED + fields.next_multiple_of(8) + body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Vec<u8> {
        let mut body = Writer::default();
        body.string("text");
        let call = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "AddMatch",
            signature: "s",
            body: body.into_bytes(),
        };
        call.encode(3)
    }

    /// A signal from ":1.5" with the body "text", as the other byte order's machine would send it.
    fn signal() -> Vec<u8> {
        let mut bytes = b"B\x04\0\x01\0\0\0\x09\0\0\0\x07\0\0\0\x27".to_vec();
        bytes.extend(b"\x07\x01s\0\0\0\0\x04:1.5\0\0\0\0");
        bytes.extend(b"\x03\x01s\0\0\0\0\x03New\0\0\0\0\0");
        bytes.extend(b"\x08\x01g\0\x01s\0\0");
        bytes.extend(b"\0\0\0\x04text\0");
        bytes
    }

    #[test]
    fn a_call_is_as_long_as_its_header_says_and_can_be_parsed() {
        let bytes = call();
        assert_eq!(length(bytes[..FIXED].try_into().unwrap()), Ok(bytes.len()));
        let message = Incoming::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (Kind::Other, "AddMatch"));
        assert_eq!(message.body("s").unwrap().string(), Ok("text"));
        assert!(message.body("u").is_err());
    }

    #[test]
    fn a_signal_of_the_other_byte_order_is_read() {
        let bytes = signal();
        assert_eq!(length(bytes[..FIXED].try_into().unwrap()), Ok(bytes.len()));
        let message = Incoming::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.sender.as_str(), message.member.as_str()), (Kind::Signal, ":1.5", "New"));
        assert_eq!(message.body("s").unwrap().string(), Ok("text"));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_an_error_or_another_message() {
        for bytes in [call(), signal()] {
            for end in 0..bytes.len() {
                if let Ok(message) = Incoming::parse(&bytes[..end]) {
                    let _cut = message.body("s").and_then(|mut body| body.string().map(drop));
                }
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let _length = length(flipped[..FIXED].try_into().unwrap());
                if let Ok(message) = Incoming::parse(&flipped) {
                    let _other = message.body("s").and_then(|mut body| body.string().map(drop));
                }
            }
        }
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        let mut fixed: [u8; FIXED] = call()[..FIXED].try_into().unwrap();
        fixed[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(length(&fixed).is_err());
        let mut fixed: [u8; FIXED] = call()[..FIXED].try_into().unwrap();
        fixed[12..].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(length(&fixed).is_err());
    }
}

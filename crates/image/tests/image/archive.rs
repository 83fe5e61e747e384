//! Archives made by hand: with what no honest program would write.

use std::io::Write as _;

use tar::Header;

/// An archive in the making.
#[derive(Default, Clone)]
pub struct Archive {
    pub bytes: Vec<u8>,
}

impl Archive {
    /// Appends an entry whose header `change` may spoil before it gets its checksum.
    pub fn entry(mut self, kind: u8, name: &[u8], data: &[u8], change: impl FnOnce(&mut Header)) -> Archive {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkflag = [kind];
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_mtime(1_700_000_000);
        change(&mut header);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &str) -> Archive {
        self.entry(b'0', name.as_bytes(), data.as_bytes(), |_| {})
    }

    pub fn dir(self, name: &str) -> Archive {
        self.entry(b'5', name.as_bytes(), b"", |_| {})
    }

    pub fn symlink(self, name: &str, target: &str) -> Archive {
        self.link(b'2', name, target)
    }

    pub fn hard_link(self, name: &str, target: &str) -> Archive {
        self.link(b'1', name, target)
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Archive {
        self.entry(kind, name.as_bytes(), b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub fn device(self, kind: u8, name: &str, major: u32, minor: u32) -> Archive {
        self.entry(kind, name.as_bytes(), b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    /// A GNU long name ('L') or long link ('K') for the next entry.
    pub fn long(self, kind: u8, text: &[u8]) -> Archive {
        self.entry(kind, b"././@LongLink", &[text, b"\0"].concat(), |_| {})
    }

    /// A pax header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Archive {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
            write!(data, "{len} {key}=").unwrap();
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(b'x', b"PaxHeaders/x", &data, |_| {})
    }

    /// The archive with its end mark.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }
}

/// Runs `bytes` through a compressor's standard input and output.
pub fn compress(program: &str, bytes: &[u8]) -> Vec<u8> {
    compress_with(program, &[], bytes)
}

/// The same with more arguments.
pub fn compress_with(program: &str, args: &[&str], bytes: &[u8]) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut child =
        Command::new(program).arg("-c").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

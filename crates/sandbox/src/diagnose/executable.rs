//! What the first bytes of a file say about how the kernel would execute it: execve(2), elf(5). Never panics.

/// How much of a file [`recognise`] wants to see: program headers follow the ELF header at once.
pub const HEAD: usize = 4096;

/// The kernel looks no further for the end of a `#!` line: BINPRM_BUF_SIZE.
const LONGEST_LINE: usize = 256;

/// No path is longer: PATH_MAX.
const LONGEST_PATH: usize = 4096;

/// What a file is to execve(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executable {
    /// Nothing.
    Empty,
    /// A script.
    Script(Script),
    /// A program in the Executable and Linkable Format.
    Elf(Elf),
    /// Text without a `#!` line, which a shell runs but the kernel doesn't.
    Text,
    /// None of these.
    Unknown,
}

/// The `#!` line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter's path, as the kernel takes it. Empty where there is none.
    pub interpreter: Vec<u8>,
    /// The line ends as DOS ends lines, and the kernel takes the carriage return as a part of what is before it.
    pub carriage_return: bool,
}

/// The head of an ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// EM_* of elf.h
    pub machine: u16,
    /// 64-bit, or 32-bit?
    pub wide: bool,
    /// ET_EXEC or ET_DYN, so not an object file or a core dump.
    pub linked: bool,
    /// Where in the file the path of the loader is, and how long it is with its NUL.
    pub interpreter: Option<(u64, usize)>,
}

/// Reads the head of a file.
pub fn recognise(head: &[u8]) -> Executable {
    if head.is_empty() {
        Executable::Empty
    } else if let Some(line) = head.strip_prefix(b"#!") {
        Executable::Script(script(line))
    } else if let Some(elf) = elf(head) {
        Executable::Elf(elf)
    } else if head.iter().take(LONGEST_LINE).all(|&byte| (byte >= b' ' && byte != 0x7f) || byte.is_ascii_whitespace()) {
        Executable::Text
    } else {
        Executable::Unknown
    }
}

fn script(line: &[u8]) -> Script {
    let line = &line[..line.len().min(LONGEST_LINE - 2)];
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let words = line.split(blank).find(|word| !word.is_empty()).unwrap_or_default();
    let interpreter = words.split(|&byte| byte == 0).next().unwrap_or_default();
    Script { interpreter: interpreter.to_owned(), carriage_return: line.ends_with(b"\r") }
}

/// Numbers of an ELF file, in its own byte order and width.
struct Fields<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

impl Fields<'_> {
    /// `size` bytes, at most 8, as a number.
    fn number(&self, offset: usize, size: usize) -> Option<u64> {
        let field = self.bytes.get(offset..offset.checked_add(size)?)?;
        let push = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        Some(if self.big_endian { field.iter().fold(0, push) } else { field.iter().rev().fold(0, push) })
    }

    fn half(&self, offset: usize) -> Option<u16> {
        self.number(offset, 2).and_then(|number| u16::try_from(number).ok())
    }

    /// An offset or a size: 8 bytes in a 64-bit file, else 4.
    fn word(&self, narrow: usize, wide: usize) -> Option<u64> {
        if self.wide { self.number(wide, 8) } else { self.number(narrow, 4) }
    }
}

fn elf(head: &[u8]) -> Option<Elf> {
    const ET_EXEC: u16 = 2;
    const ET_DYN: u16 = 3;
    let identity = head.strip_prefix(b"\x7fELF")?;
    let wide = *identity.first()? == 2;
    let fields = Fields { bytes: head, wide, big_endian: *identity.get(1)? == 2 };
    let kind = fields.half(16)?;
    Some(Elf {
        machine: fields.half(18)?,
        wide,
        linked: matches!(kind, ET_EXEC | ET_DYN),
        interpreter: interpreter(&fields),
    })
}

/// Looks for PT_INTERP among the program headers, as far as they are in the head.
fn interpreter(fields: &Fields<'_>) -> Option<(u64, usize)> {
    const PT_INTERP: u64 = 3;
    let table = usize::try_from(fields.word(28, 32)?).ok()?;
    let (size_at, count_at) = if fields.wide { (54, 56) } else { (42, 44) };
    let size = usize::from(fields.half(size_at)?).max(1);
    let headers =
        (0..usize::from(fields.half(count_at)?)).map_while(|index| table.checked_add(index.checked_mul(size)?));
    let header = headers
        .take_while(|&start| start < fields.bytes.len())
        .find(|&start| fields.number(start, 4) == Some(PT_INTERP))?;
    let offset = fields.word(header.checked_add(4)?, header.checked_add(8)?)?;
    let length = usize::try_from(fields.word(header.checked_add(16)?, header.checked_add(32)?)?).ok()?;
    // The kernel refuses others with ENOEXEC.
    (2..=LONGEST_PATH).contains(&length).then_some((offset, length))
}

/// The common name of an EM_* number.
pub fn machine_name(machine: u16) -> String {
    let name = match machine {
        3 => "x86 (32 bit)",
        8 => "MIPS",
        20 => "PowerPC (32 bit)",
        21 => "PowerPC 64",
        22 => "IBM Z",
        40 => "ARM (32 bit)",
        43 => "SPARC V9",
        62 => "x86_64",
        183 => "AArch64",
        243 => "RISC-V",
        247 => "BPF",
        258 => "LoongArch",
        other => return format!("machine number {other}"),
    };
    name.to_owned()
}

/// The EM_* number of the machine that this was built for.
pub const NATIVE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(target_arch = "riscv64") {
    243
} else if cfg!(target_arch = "s390x") {
    22
} else if cfg!(target_arch = "powerpc64") {
    21
} else if cfg!(target_arch = "loongarch64") {
    258
} else {
    0
};

#[cfg(test)]
mod tests {
    use super::*;

    fn real() -> Vec<u8> {
        let mut bytes = std::fs::read("/bin/true").unwrap();
        bytes.truncate(HEAD);
        bytes
    }

    #[test]
    fn a_real_program_is_read() {
        let bytes = real();
        let Executable::Elf(elf) = recognise(&bytes) else { panic!("no ELF file") };
        assert!(elf.linked && elf.machine == NATIVE);
        let (offset, length) = elf.interpreter.unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(bytes[offset..offset + length].starts_with(b"/lib"));
    }

    #[test]
    fn a_32_bit_big_endian_program_is_read() {
        let mut bytes = vec![0; 52 + 32];
        bytes[..7].copy_from_slice(b"\x7fELF\x01\x02\x01");
        bytes[16..20].copy_from_slice(&[0, 2, 0, 20]);
        bytes[28..32].copy_from_slice(&[0, 0, 0, 52]);
        bytes[42..46].copy_from_slice(&[0, 32, 0, 1]);
        bytes[52..60].copy_from_slice(&[0, 0, 0, 3, 0, 0, 1, 0]);
        bytes[68..72].copy_from_slice(&[0, 0, 0, 13]);
        let expected = Elf { machine: 20, wide: false, linked: true, interpreter: Some((256, 13)) };
        assert_eq!(recognise(&bytes), Executable::Elf(expected));
    }

    #[test]
    fn scripts_are_read_as_the_kernel_does() {
        for (text, interpreter, carriage_return) in [
            (&b"#!/bin/sh\necho"[..], &b"/bin/sh"[..], false),
            (b"#! \t/bin/sh -e\n", b"/bin/sh", false),
            (b"#!/bin/sh\r\n", b"/bin/sh\r", true),
            (b"#!/usr/bin/env sh\r\n", b"/usr/bin/env", true),
            (b"#!", b"", false),
            (b"#!\n", b"", false),
        ] {
            let expected = Script { interpreter: interpreter.to_owned(), carriage_return };
            assert_eq!(recognise(text), Executable::Script(expected));
        }
    }

    #[test]
    fn what_is_no_program_is_told_apart() {
        assert_eq!(recognise(b""), Executable::Empty);
        assert_eq!(recognise(b"echo hello\n"), Executable::Text);
        assert_eq!(recognise(&[0, 1, 2]), Executable::Unknown);
        assert_eq!(recognise(b"\x7fELF"), Executable::Unknown);
    }

    /// Mutates and truncates a real head in ten thousand ways that are the same in each run.
    #[test]
    fn no_input_makes_it_panic() {
        let whole = real();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
        };
        for _ in 0..10_000 {
            let mut bytes = whole[..next(700) + 1].to_vec();
            for _ in 0..next(8) {
                let at = next(bytes.len());
                bytes[at] = [0, 0xff, 0x7f, 0x80, 3][next(5)];
            }
            if let Executable::Elf(Elf { interpreter: Some((_, length)), .. }) = recognise(&bytes) {
                assert!(length <= LONGEST_PATH);
            }
        }
    }
}

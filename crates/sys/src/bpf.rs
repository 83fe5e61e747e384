//! Programs that decide which devices the processes of a cgroup v2 group may use: bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE.
//!
//! Every descriptor that the kernel makes here is close-on-exec.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// Bits of an access, as a program finds them in the upper half of the first word of struct bpf_cgroup_dev_ctx: BPF_DEVCG_ACC_MKNOD.
pub const ACCESS_MKNOD: u8 = 1;
/// BPF_DEVCG_ACC_READ
pub const ACCESS_READ: u8 = 2;
/// BPF_DEVCG_ACC_WRITE
pub const ACCESS_WRITE: u8 = 4;
/// What is in the lower half of that word: BPF_DEVCG_DEV_BLOCK.
pub const NODE_BLOCK: u32 = 1;
/// BPF_DEVCG_DEV_CHAR
pub const NODE_CHAR: u32 = 2;

/// One instruction: struct bpf_insn, Documentation/bpf/standardization/instruction-set.rst.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and where the operand comes from.
    pub code: u8,
    /// Destination and source register, in the machine's order of bit fields.
    registers: u8,
    /// How many instructions a jump skips, or where in memory a load reads.
    pub offset: i16,
    /// The operand, if it is no register.
    pub immediate: i32,
}

/// A register: R0 is what a program returns, R1 points to its context at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Instruction {
    /// BPF_LDX | BPF_MEM | BPF_W
    pub const LOAD_WORD: u8 = 0x61;
    /// BPF_ALU | BPF_MOV | BPF_K
    pub const SET: u8 = 0xb4;
    /// BPF_ALU | BPF_MOV | BPF_X
    pub const COPY: u8 = 0xbc;
    /// BPF_ALU | BPF_AND | BPF_K
    pub const AND: u8 = 0x54;
    /// BPF_ALU | BPF_RSH | BPF_K
    pub const SHIFT_RIGHT: u8 = 0x74;
    /// BPF_ALU | BPF_XOR | BPF_K
    pub const XOR: u8 = 0xa4;
    /// BPF_JMP32 | BPF_JSET | BPF_K
    pub const SKIP_IF_ANY: u8 = 0x46;
    /// BPF_JMP | BPF_JA
    pub const SKIP: u8 = 0x05;
    /// BPF_JMP | BPF_EXIT
    pub const EXIT: u8 = 0x95;

    const fn new(code: u8, to: Register, from: Register, offset: i16, immediate: u32) -> Self {
        let registers = if cfg!(target_endian = "little") { to.0 | from.0 << 4 } else { to.0 << 4 | from.0 };
        Self { code, registers, offset, immediate: immediate.cast_signed() }
    }

    /// `to = *(u32 *)(from + offset)`
    pub const fn load_word(to: Register, from: Register, offset: i16) -> Self {
        Self::new(Self::LOAD_WORD, to, from, offset, 0)
    }

    /// `to = value`
    pub const fn set(to: Register, value: u32) -> Self {
        Self::new(Self::SET, to, Register(0), 0, value)
    }

    /// `to = from`
    pub const fn copy(to: Register, from: Register) -> Self {
        Self::new(Self::COPY, to, from, 0, 0)
    }

    /// `to &= mask`
    pub const fn and(to: Register, mask: u32) -> Self {
        Self::new(Self::AND, to, Register(0), 0, mask)
    }

    /// `to ^= value`
    pub const fn xor(to: Register, value: u32) -> Self {
        Self::new(Self::XOR, to, Register(0), 0, value)
    }

    /// `to >>= bits`
    pub const fn shift_right(to: Register, bits: u32) -> Self {
        Self::new(Self::SHIFT_RIGHT, to, Register(0), 0, bits)
    }

    /// `if (this & mask)` leave out the next `skipped` instructions.
    pub const fn skip_if_any(this: Register, mask: u32, skipped: i16) -> Self {
        Self::new(Self::SKIP_IF_ANY, this, Register(0), skipped, mask)
    }

    /// Leaves out the next `skipped` instructions.
    pub const fn skip(skipped: i16) -> Self {
        Self::new(Self::SKIP, Register(0), Register(0), skipped, 0)
    }

    /// Ends the program, which returns R0.
    pub const fn exit() -> Self {
        Self::new(Self::EXIT, Register(0), Register(0), 0, 0)
    }

    /// The destination register and the source register.
    pub const fn registers(self) -> (Register, Register) {
        let (low, high) = (Register(self.registers & 0xf), Register(self.registers >> 4));
        if cfg!(target_endian = "little") { (low, high) } else { (high, low) }
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;
/// BPF_OBJ_NAME_LEN, with the NUL.
const NAME_LENGTH: usize = 16;
/// BPF_CGROUP_MAX_PROGS of kernel/bpf/cgroup.c.
const MOST_ATTACHED: usize = 64;

/// The part of union bpf_attr that a command reads and writes. The kernel takes what is missing at its end as zeros.
///
/// # Safety
/// Pointers in it must be null or lead to what the command wants there, and be valid for as long as the call lasts.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> Result<RawFd, Errno> {
    // SAFETY: the attributes are as long as is said and outlive the call; the caller vouches for what is in them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    crate::check(result).map(|value| RawFd::try_from(value).unwrap_or(-1))
}

/// For BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LENGTH],
}

/// Has the kernel verify and load a program for devices of a group. `name`, up to 15 letters, digits, `_` and `.`, is what bpftool(8) shows. Of `license`
/// the kernel wants to know only whether it is the GPL, for helper functions that want that.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN, in the initial user namespace. EAGAIN where a signal came. EINVAL or EACCES for a program that
/// can't be verified, E2BIG for one that is too long.
pub fn load(name: &CStr, license: &CStr, instructions: &[Instruction]) -> Result<OwnedFd, Errno> {
    let mut prog_name = [0; NAME_LENGTH];
    prog_name.iter_mut().zip(name.to_bytes()).take(NAME_LENGTH - 1).for_each(|(to, from)| *to = *from);
    let mut attributes = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    // SAFETY: the kernel reads so many instructions and a license up to its NUL; both outlive the call. There is no log.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// For BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    target_fd: RawFd,
    attach_bpf_fd: RawFd,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: RawFd,
}

/// Lets the program decide, beside those that are attached to the group and above it: a use that one of them refuses is refused. `replaced`
/// is taken off in the same moment.
///
/// # Errors
/// EPERM as [`load`], or where the group or one above has a program that wants to be the only one. ENOENT where `replaced` isn't attached. E2BIG
/// where there are 64.
pub fn attach(group: BorrowedFd<'_>, program: BorrowedFd<'_>, replaced: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let replace = if replaced.is_some() { BPF_F_REPLACE } else { 0 };
    let mut attributes = Attach {
        target_fd: group.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI | replace,
        replace_bpf_fd: replaced.map_or(0, |replaced| replaced.as_raw_fd()),
    };
    // SAFETY: there are no pointers in it.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }.map(drop)
}

/// Takes the program off the group.
///
/// # Errors
/// EPERM as [`load`], ENOENT where it isn't attached.
pub fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = Attach {
        target_fd: group.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: there are no pointers in it.
    unsafe { bpf(BPF_PROG_DETACH, &mut attributes) }.map(drop)
}

/// For BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target_fd: RawFd,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// The ids of the programs for devices that are attached to the group itself, in the order in which they were.
///
/// # Errors
/// EPERM as [`load`].
pub fn attached(group: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let mut ids = vec![0_u32; MOST_ATTACHED];
    let mut attributes = Query {
        target_fd: group.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: u32::try_from(ids.len()).unwrap_or(0),
    };
    // SAFETY: the kernel stores no more than `prog_cnt` ids; the vector outlives the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    ids.truncate(usize::try_from(attributes.prog_cnt).unwrap_or(0));
    Ok(ids)
}

/// For BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct ById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The program with an id.
///
/// # Errors
/// ENOENT where there is none any more, EPERM without CAP_SYS_ADMIN in the initial user namespace.
pub fn by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = ById { prog_id: id, next_id: 0, open_flags: 0 };
    // SAFETY: there are no pointers in it.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// For BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct GetInfo {
    bpf_fd: RawFd,
    info_len: u32,
    info: u64,
}

/// The beginning of struct bpf_prog_info.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    program_type: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME_LENGTH],
}

/// Was the program loaded under this name?
///
/// # Errors
/// EBADF or EINVAL where the descriptor is no program's.
pub fn is_named(program: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let mut info = ProgramInfo::default();
    let mut attributes = GetInfo {
        bpf_fd: program.as_raw_fd(),
        info_len: u32::try_from(size_of::<ProgramInfo>()).unwrap_or(0),
        info: &raw mut info as u64,
    };
    // SAFETY: the kernel stores no more than `info_len` bytes, and as the lengths in it are zero nothing where its pointers lead.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(CStr::from_bytes_until_nul(&info.name).is_ok_and(|found| found == name))
}

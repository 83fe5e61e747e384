//! The caller's terminal and the sandbox's: pty(7), termios(3).

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::path::{read, write};
use izba_sys::process::{PollFd, PollFlags};
use izba_sys::terminal::{OptionalActions, Termios, set_nonblocking, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// What is typed goes through unchanged, so that Ctrl-C, Ctrl-Z and line editing are the inner terminal's business.
/// Dropping it restores the terminal; a panic does so too.
pub struct RawMode {
    saved: Termios,
}

impl RawMode {
    /// `None` where standard input is no terminal.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let saved = tcgetattr(&stdin)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Drain, &raw)?;
        let for_panic = saved.clone();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _best_effort = tcsetattr(io::stdin(), OptionalActions::Drain, &for_panic);
            hook(info);
        }));
        Ok(Some(Self { saved }))
    }

    /// Leaves the terminal as it is: it is another's now.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

/// Is the caller's terminal another's just now? Who reads or changes it then takes it from a shell that is being typed to.
pub fn in_background() -> bool {
    izba_sys::terminal::in_background(STDIN)
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing better can be done where it fails: the terminal is gone then.
        let _best_effort = tcsetattr(io::stdin(), OptionalActions::Drain, &self.saved);
    }
}

/// Bytes on their way, one way.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
}

/// No more than this is read ahead of what can be written. A pipe that poll(2) calls writable takes as much without blocking.
const CHUNK: usize = 4096;

/// ^D: where input ends that is no terminal, the program is told as if somebody had typed it.
const END_OF_TRANSMISSION: u8 = 4;

/// Joins the caller's standard streams with the outer end of the sandbox's terminal.
pub struct Relay {
    master: OwnedFd,
    input: Pending,
    output: Pending,
    input_open: bool,
    master_open: bool,
    at_line_start: bool,
}

impl Relay {
    /// The caller's own descriptors stay blocking: other processes share them.
    pub fn new(master: OwnedFd) -> io::Result<Self> {
        set_nonblocking(master.as_fd())?;
        Ok(Self {
            master,
            input: Pending::default(),
            output: Pending::default(),
            input_open: true,
            master_open: true,
            at_line_start: true,
        })
    }

    /// Gives the inner terminal the size of the outer one; the kernel then sends SIGWINCH inside.
    pub fn resize(&self) {
        if let Ok(size) = tcgetwinsize(io::stdin()) {
            let _best_effort = tcsetwinsize(&self.master, size);
        }
    }

    /// What to poll for: standard input where we are listening, the master, standard output; nothing is asked of what has
    /// nothing to do.
    pub fn wanted(&self, listening: bool) -> [PollFd<'_>; 3] {
        let when = |yes: bool, flag| if yes { flag } else { PollFlags::empty() };
        let stdin = when(self.input_open && self.input.bytes.is_empty(), PollFlags::IN);
        let master =
            when(self.output.bytes.is_empty(), PollFlags::IN) | when(!self.input.bytes.is_empty(), PollFlags::OUT);
        let stdout = when(!self.output.bytes.is_empty(), PollFlags::OUT);
        // A closed end is always "ready"; polling a quiet descriptor in its place keeps poll(2) from spinning.
        let (stdin_fd, stdin) =
            if self.input_open && listening { (STDIN, stdin) } else { (STDOUT, PollFlags::empty()) };
        let master_fd = if self.master_open { self.master.as_fd() } else { STDOUT };
        let master = when(self.master_open, master);
        [
            PollFd::from_borrowed_fd(stdin_fd, stdin),
            PollFd::from_borrowed_fd(master_fd, master),
            PollFd::from_borrowed_fd(STDOUT, stdout),
        ]
    }

    /// Does what [`Relay::wanted`] found ready.
    pub fn move_bytes(&mut self, found: &[PollFlags], listening: bool) {
        let [stdin, master, stdout] = found else { return };
        if listening && !stdin.is_empty() && self.input_open && self.input.bytes.is_empty() {
            self.read_input();
        }
        if master.contains(PollFlags::OUT) {
            self.write_master();
        }
        if master.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && self.output.bytes.is_empty() {
            self.read_master();
        }
        if !stdout.is_empty() && !self.output.bytes.is_empty() {
            self.write_output();
        }
    }

    fn read_input(&mut self) {
        let mut buffer = [0; CHUNK];
        match read(STDIN, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.end_input(),
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                self.at_line_start = bytes.last() == Some(&b'\n');
                self.input.bytes.extend_from_slice(bytes);
            }
        }
    }

    /// In the middle of a line the first ^D only ends the line.
    fn end_input(&mut self) {
        self.input_open = false;
        let count = if self.at_line_start { 1 } else { 2 };
        self.input.bytes.extend(std::iter::repeat_n(END_OF_TRANSMISSION, count));
    }

    fn write_master(&mut self) {
        match write(&self.master, &self.input.bytes) {
            Ok(written) => drop(self.input.bytes.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input.bytes.clear(),
        }
    }

    /// EIO says that nobody inside has the terminal open any more: it may be opened again while the program lives, but not after.
    fn read_master(&mut self) {
        let mut buffer = [0; CHUNK];
        match read(&self.master, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.master_open = false,
            Ok(length) => self.output.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }

    fn write_output(&mut self) {
        match write(STDOUT, &self.output.bytes) {
            Ok(written) => drop(self.output.bytes.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Whoever read is gone; the program learns nothing of it, as on a terminal that was closed.
            Err(_) => self.output.bytes.clear(),
        }
    }

    /// The sandbox has ended: what it still wrote is shown.
    pub fn drain(&mut self) {
        loop {
            while !self.output.bytes.is_empty() {
                self.write_output();
            }
            let before = self.output.bytes.len();
            self.read_master();
            if self.output.bytes.len() == before {
                return;
            }
        }
    }
}

const STDIN: BorrowedFd<'static> = izba_sys::terminal::STDIN;
const STDOUT: BorrowedFd<'static> = izba_sys::terminal::STDOUT;

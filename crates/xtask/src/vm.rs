//! `cargo xtask vm`: a command in a throw-away Linux with pure cgroup v2, or with systemd as PID 1: User-Mode Linux, which
//! boots in a second on any machine. It sees the host's files through an overlay. It is no security boundary: it can read
//! all of the host, so tests that must do no harm run in it, and hostile code does not.

mod boot;
mod directory;
mod guest;
mod kernel;
pub(crate) mod tests;

pub(crate) use boot::{CHORE, boot};

use crate::{Outcome, setup};
use directory::RunDirectory;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

/// What `cargo xtask vm` ends with when the command doesn't end in time, as with timeout(1).
const TIME_IS_UP: u8 = 124;
/// What it ends with when the machine itself fails.
const BROKEN: u8 = 125;

/// How often the command's output is passed on.
const TICK: Duration = Duration::from_millis(20);

/// Which machine is wanted, and what it is to do.
struct Options {
    /// systemd as PID 1, with D-Bus and logind.
    systemd: bool,
    /// Whom the command runs as, if not as root.
    user: Option<String>,
    /// Directories of the host that may be written to.
    shares: Vec<PathBuf>,
    cpus: u8,
    /// As UML's `mem=` takes it: 2G, 512M.
    memory: String,
    timeout: Duration,
    /// Whether the console is shown.
    verbose: bool,
    /// A program and its arguments, or one word: a command line for the shell.
    command: Vec<String>,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let ended = match arguments {
        [only] if only == "--build-kernel" => kernel::build().map(|kernel| {
            println!("{}", kernel.display());
            0
        }),
        [test, name, filter @ ..] if test == "--test" => tests::run(name, filter),
        _ => parse(arguments).and_then(|options| start(&options)),
    };
    ExitCode::from(ended.unwrap_or_else(|message| {
        eprintln!("xtask vm: {message}");
        BROKEN
    }))
}

fn parse(arguments: &[String]) -> Outcome<Options> {
    let Some(end) = arguments.iter().position(|argument| argument == "--") else {
        return Err("the command comes after `--`: cargo xtask vm -- uname -r".into());
    };
    let mut options = Options {
        systemd: false,
        user: None,
        shares: Vec::new(),
        cpus: 1,
        memory: "2G".into(),
        timeout: Duration::from_secs(600),
        verbose: false,
        command: arguments[end + 1..].to_vec(),
    };
    let mut rest = arguments[..end].iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--systemd" => options.systemd = true,
            "--verbose" => options.verbose = true,
            _ => {
                let value = rest.next().ok_or_else(|| format!("not understood, or without its value: {name}"))?;
                set(&mut options, name, value)?;
            }
        }
    }
    if options.command.is_empty() { Err("there is no command after `--`".into()) } else { Ok(options) }
}

fn set(options: &mut Options, name: &str, value: &str) -> Outcome {
    let number = || value.parse().map_err(|_| format!("{name} needs a number, not {value}"));
    match name {
        "--user" => options.user = Some(value.into()),
        "--share" => options.shares.push(value.into()),
        "--cpus" => options.cpus = value.parse().map_err(|_| format!("--cpus needs a small number, not {value}"))?,
        "--mem" => options.memory = value.into(),
        "--timeout" => options.timeout = Duration::from_secs(number()?),
        _ => return Err(format!("not understood: {name}")),
    }
    Ok(())
}

/// Boots a machine and follows it to the command's end; gives the exit status.
fn start(options: &Options) -> Outcome<u8> {
    if !cfg!(target_arch = "x86_64") {
        return Err("User-Mode Linux runs on x86_64 only".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("must be root: the machine starts in namespaces in which the host is read-only".into());
    }
    if let Some(user) = options.user.as_ref().filter(|user| setup::account(user).is_none()) {
        return Err(format!("there is no user {user}; `cargo xtask setup` makes {}", setup::USER_WITH_RANGES));
    }
    let shares = options.shares.iter().map(|share| real(share)).collect::<Outcome<Vec<_>>>()?;
    let kernel = kernel::obtain()?;
    let directory = RunDirectory::make()?;
    guest::prepare(options, &shares, &directory)?;
    let mut machine = boot::spawn(&kernel, options, &shares, &directory)?;
    let ended = follow(&mut machine, options, &directory);
    // With its process ends the PID namespace, and so everything that runs in it.
    let killed = machine.kill().and_then(|()| machine.wait());
    killed.map_err(|error| format!("ending the machine: {error}"))?;
    ended
}

fn real(share: &Path) -> Outcome<PathBuf> {
    share.canonicalize().map_err(|error| format!("--share {}: {error}", share.display()))
}

/// Passes the command's output on until it has ended.
fn follow(machine: &mut Child, options: &Options, directory: &RunDirectory) -> Outcome<u8> {
    let mut out = directory.open("out")?;
    let mut err = directory.open("err")?;
    let mut console = directory.open("console")?;
    let deadline = Instant::now() + options.timeout;
    loop {
        // In this order: what ended has written everything.
        let status = directory.read("status");
        let broken = machine.try_wait().map_err(|error| format!("waiting for the machine: {error}"))?.is_some();
        pass_on(&mut out, &mut io::stdout())?;
        pass_on(&mut err, &mut io::stderr())?;
        if options.verbose {
            pass_on(&mut console, &mut io::stderr())?;
        }
        if let Some(status) = status {
            return status.trim().parse().map_err(|_| format!("the machine said {status:?} for an exit status"));
        }
        if broken {
            return Err(format!("the machine ended early; the end of its console:\n{}", directory.end_of_console()));
        }
        if Instant::now() > deadline {
            let seconds = options.timeout.as_secs();
            eprintln!("xtask vm: {seconds} s are up; the end of the console:\n{}", directory.end_of_console());
            return Ok(TIME_IS_UP);
        }
        std::thread::sleep(TICK);
    }
}

/// Copies what a file has got since the last time.
fn pass_on(file: &mut File, to: &mut impl Write) -> Outcome {
    io::copy(file, to).and_then(|_| to.flush()).map_err(|error| format!("passing the output on: {error}"))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn parsed(line: &str) -> Outcome<Options> {
        parse(&line.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_end_at_the_dashes() {
        let options =
            parsed("--systemd --user ann --share /a --share /b --cpus 2 --timeout 5 -- ls --systemd").unwrap();
        assert!(options.systemd && !options.verbose);
        assert_eq!((options.user.as_deref(), options.cpus, options.timeout.as_secs()), (Some("ann"), 2, 5));
        assert_eq!(options.shares, ["/a", "/b"].map(PathBuf::from));
        assert_eq!(options.command, ["ls", "--systemd"]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, reason) in [
            ("ls", "after `--`"),
            ("--systemd --", "no command"),
            ("--user -- ls", "without its value: --user"),
            ("--cpus many -- ls", "many"),
            ("--disk 1 -- ls", "--disk"),
        ] {
            let error = parsed(line).err().unwrap();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}

//! The program: what is executed, where, and with what.

use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use izba_sandbox::account::Account;
use izba_sandbox::rlimit::Rlimit;
use izba_sandbox::sandbox::{Init, Process, Terminal, User, WorkingDirectory};
use izba_sys::terminal::{isatty, tcgetwinsize};

use super::environment::Environment;
use super::{c_string, capability};
use crate::args::run::{RunArgs, TerminalArgs};
use crate::failure::{Failure, NOT_FOUND, Result};
use crate::parse::path::in_root;

/// Where PATH isn't set, as execvp(3) has it, but without the working directory.
pub const DEFAULT_PATH: &[u8] = b"/usr/bin:/bin";

pub fn lower(args: &RunArgs, account: &Account, environment: &Environment) -> Result<Process> {
    let words = words(&args.root_and_command[1..], account);
    let path = environment.get("PATH").unwrap_or(DEFAULT_PATH);
    Ok(Process {
        candidates: candidates(words[0].as_bytes(), path)?,
        args: words.into_iter().map(|word| c_string(word.into_vec())).collect::<Result<_>>()?,
        env: environment.strings()?,
        cwd: WorkingDirectory::Path(cwd(args.process.workdir.as_deref())?),
        user: User::Become(account.ids.clone()),
        capabilities: capability::lower(&args.rights, args.root.repair)?,
        no_new_privs: !args.rights.new_privs && !args.root.repair,
        rlimits: last_of_each(&args.process.ulimits),
        oom_score_adj: args.process.oom_score_adj,
        descriptors: descriptors(&args.process.descriptors),
        terminal: terminal(args.process.terminal),
        init: if args.process.no_init { Init::Program } else { Init::Builtin },
    })
}

/// Without a command it is the user's shell. Never empty.
pub fn words(command: &[OsString], account: &Account) -> Vec<OsString> {
    // As everywhere, "--" ends the options, where they have ended already.
    let command = command.strip_prefix(&[OsString::from("--")]).unwrap_or(command);
    if command.is_empty() {
        return vec![account.shell.clone().unwrap_or_else(|| PathBuf::from("/bin/sh")).into_os_string()];
    }
    command.to_vec()
}

/// As execvp(3), but a relative part of PATH isn't searched: what lies in the working directory isn't a command.
pub fn candidates(name: &[u8], path: &[u8]) -> Result<Vec<CString>> {
    if name.is_empty() {
        return Err(Failure::new("the name of the program is empty").status(NOT_FOUND));
    }
    if name.contains(&b'/') {
        return c_string(name).map(|name| vec![name]);
    }
    let directories = path.split(|&byte| byte == b':').filter(|dir| dir.starts_with(b"/"));
    let found: Vec<CString> = directories
        .map(|dir| c_string([dir.strip_suffix(b"/").unwrap_or(dir), b"/", name].concat()))
        .collect::<Result<_>>()?;
    if found.is_empty() {
        return Err(Failure::new(format!("{:?} isn't found: PATH names no directory", String::from_utf8_lossy(name)))
            .remedy("-e PATH=/usr/bin:/bin, or the program's whole path")
            .status(NOT_FOUND));
    }
    Ok(found)
}

pub fn cwd(workdir: Option<&Path>) -> Result<PathBuf> {
    let Some(dir) = workdir else { return Ok(PathBuf::from("/")) };
    in_root(dir.as_os_str()).map_err(|why| Failure::new(format!("--workdir: {why}")))
}

/// The last limit of a resource wins.
fn last_of_each(limits: &[Rlimit]) -> Vec<Rlimit> {
    let later = |index: usize| limits[index + 1..].iter().any(|other| other.resource == limits[index].resource);
    (0..limits.len()).filter(|&index| !later(index)).map(|index| limits[index]).collect()
}

fn descriptors(wanted: &[i32]) -> Vec<i32> {
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// A new terminal where the caller sits at one, and where nothing is redirected: then the program may take it over.
pub fn terminal(args: TerminalArgs) -> Terminal {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let wanted = !args.no_tty && (args.tty || (isatty(stdin.as_fd()) && isatty(stdout.as_fd())));
    if !wanted {
        return Terminal::Inherit;
    }
    let size = tcgetwinsize(stdin.as_fd()).or_else(|_| tcgetwinsize(stdout.as_fd()));
    let (rows, columns) = size.map_or((0, 0), |size| (size.ws_row, size.ws_col));
    // A serial line doesn't know its size.
    if rows == 0 || columns == 0 { Terminal::New { rows: 24, columns: 80 } } else { Terminal::New { rows, columns } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::environment::tests::account;

    fn found(name: &str, path: &str) -> Vec<String> {
        let found = candidates(name.as_bytes(), path.as_bytes()).unwrap();
        found.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn programs_are_looked_for_in_absolute_directories() {
        assert_eq!(found("ls", "/bin/::.:x:/usr/bin:/"), ["/bin/ls", "/usr/bin/ls", "/ls"]);
        assert_eq!(found("./ls", "/bin"), ["./ls"]);
        assert_eq!(found("/x/ls", ""), ["/x/ls"]);
        assert_eq!(candidates(b"ls", b".").unwrap_err().status, NOT_FOUND);
        assert_eq!(candidates(b"", b"/bin").unwrap_err().status, NOT_FOUND);
    }

    #[test]
    fn the_shell_stands_in_for_a_command() {
        assert_eq!(words(&[], &account()), ["/bin/ash"]);
        assert_eq!(words(&[], &Account { shell: None, ..account() }), ["/bin/sh"]);
        assert_eq!(words(&["ls".into(), "-l".into()], &account()), ["ls", "-l"]);
        assert_eq!(words(&["--".into(), "ls".into(), "--".into()], &account()), ["ls", "--"]);
        assert_eq!(words(&["--".into()], &account()), ["/bin/ash"]);
    }

    #[test]
    fn the_last_limit_and_each_descriptor_once() {
        let limits: Vec<Rlimit> = ["core=0", "nofile=1", "core=5"].map(|text| text.parse().unwrap()).to_vec();
        let shown: Vec<String> = last_of_each(&limits).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["nofile=1:1", "core=5:5"]);
        assert_eq!(descriptors(&[9, 3, 9]), [3, 9]);
    }

    #[test]
    fn the_working_directory_is_a_path_of_the_root() {
        let dir = |text: &str| cwd(Some(Path::new(text)));
        assert_eq!(dir("/a/./b/").unwrap().as_os_str(), "/a/b");
        assert!(dir("a").is_err() && dir("/a/..").is_err());
    }
}

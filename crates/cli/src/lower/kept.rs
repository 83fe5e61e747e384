//! Programs that keep what the caller has: `izba ns run` and `izba ns enter`.

use std::ffi::{CString, OsString};
use std::path::PathBuf;

use izba_sandbox::capability::Capabilities;
use izba_sandbox::namespace::Namespaces;
use izba_sandbox::rootfs::{CallerRoot, Root, SystemMounts};
use izba_sandbox::sandbox::{Ids, Init, Process, Sandbox, User, WorkingDirectory};

use super::c_string;
use super::process::{DEFAULT_PATH, candidates, terminal};
use crate::args::ns::program::ProgramArgs;
use crate::caller::Caller;
use crate::failure::Result;

/// A program with the caller's environment and rights, in these namespaces.
pub fn sandbox(
    command: &[OsString],
    args: &ProgramArgs,
    namespaces: Namespaces,
    root: CallerRoot,
    caller: &Caller,
) -> Result<Sandbox> {
    let mut sandbox = Sandbox::new(Root::Caller(root), c"", &[]);
    sandbox.namespaces = namespaces;
    sandbox.system = SystemMounts::None;
    sandbox.process = process(command, args, caller)?;
    Ok(sandbox)
}

fn process(command: &[OsString], args: &ProgramArgs, caller: &Caller) -> Result<Process> {
    let words = words(command, caller);
    let path = caller.variable("PATH").map_or(DEFAULT_PATH, std::os::unix::ffi::OsStrExt::as_bytes);
    Ok(Process {
        candidates: candidates(words[0].as_encoded_bytes(), path)?,
        args: words.iter().map(|word| c_string(word.as_encoded_bytes())).collect::<Result<_>>()?,
        env: environment(&caller.environment)?,
        cwd: WorkingDirectory::Kept,
        user: user(args, caller),
        capabilities: Capabilities::all(),
        no_new_privs: false,
        rlimits: Vec::new(),
        oom_score_adj: None,
        descriptors: Vec::new(),
        terminal: terminal(args.terminal),
        init: Init::Program,
    })
}

/// Without a command it is the user's shell. Never empty.
fn words(command: &[OsString], caller: &Caller) -> Vec<OsString> {
    let command = command.strip_prefix(&[OsString::from("--")]).unwrap_or(command);
    if !command.is_empty() {
        return command.to_vec();
    }
    let shell = caller.variable("SHELL").map(PathBuf::from).filter(|shell| shell.is_absolute());
    vec![shell.unwrap_or_else(|| PathBuf::from("/bin/sh")).into_os_string()]
}

/// As execve(2) takes it.
pub fn environment(variables: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<CString>> {
    variables.iter().map(|(name, value)| c_string([name, &b"="[..], value].concat())).collect()
}

/// One number alone leaves the other as it is, as far as it is known from outside.
fn user(args: &ProgramArgs, caller: &Caller) -> User {
    match (args.setuid, args.setgid) {
        (None, None) => User::Kept,
        (uid, gid) => {
            User::Become(Ids { uid: uid.unwrap_or(caller.uid), gid: gid.unwrap_or(caller.gid), groups: Vec::new() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::environment::tests::caller;

    #[test]
    fn the_callers_shell_stands_in_for_a_command() {
        let ann = caller(&[("SHELL", "/bin/ash")]);
        assert_eq!(words(&[], &ann), ["/bin/ash"]);
        assert_eq!(words(&["--".into()], &caller(&[("SHELL", "sh")])), ["/bin/sh"]);
        assert_eq!(words(&["--".into(), "ls".into(), "--".into()], &ann), ["ls", "--"]);
    }

    #[test]
    fn ids_stay_unless_they_are_named() {
        let args = |setuid, setgid| ProgramArgs { setuid, setgid, ..ProgramArgs::default() };
        assert_eq!(user(&args(None, None), &caller(&[])), User::Kept);
        let ids = Ids { uid: 7, gid: caller(&[]).gid, groups: Vec::new() };
        assert_eq!(user(&args(Some(7), None), &caller(&[])), User::Become(ids));
    }
}

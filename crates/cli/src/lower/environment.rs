//! The program's environment.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use izba_sandbox::account::Account;

use super::c_string;
use crate::args::run::ProcessArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::parse::environment::{Assignment, parse_file};

/// Where programs are looked for, unless the user says otherwise.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file of variables is smaller than what execve(2) takes.
const LONGEST_FILE: u64 = 2 << 20;

/// Variables in the order in which they were set first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(Vec<u8>, Vec<u8>)>);

impl Environment {
    /// From strings as execve(2) has them. One without a value is none of a variable.
    pub fn of_strings<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut environment = Self::default();
        for string in strings {
            if let Some(equals) = string.iter().position(|&byte| byte == b'=') {
                environment.set(&string[..equals], &string[equals + 1..]);
            }
        }
        environment
    }

    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_vec(), value.to_vec())),
        }
    }

    /// What a variable is.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// As execve(2) takes it.
    pub fn strings(&self) -> Result<Vec<CString>> {
        self.0.iter().map(|(name, value)| c_string([name, &b"="[..], value].concat())).collect()
    }

    pub fn assign(&mut self, assignment: &Assignment, caller: &Caller) {
        match assignment {
            Assignment::Set(name, value) => self.set(name, value),
            Assignment::Copy(name) => {
                if let Some((_, value)) = caller.environment.iter().find(|(known, _)| known == name) {
                    self.set(name, value);
                }
            }
        }
    }
}

/// A clean environment or the caller's, then the files', then single variables: what comes later wins.
pub fn lower(args: &ProcessArgs, caller: &Caller, account: &Account) -> Result<Environment> {
    let mut environment = if args.keep_env { Environment(caller.environment.clone()) } else { clean(caller, account) };
    for path in &args.env_file {
        let shown = path.display();
        let content = read(path).map_err(|error| Failure::new(format!("cannot read {shown}")).caused_by(&error))?;
        let assignments = parse_file(&content).map_err(|why| Failure::new(format!("{shown}, {why}")))?;
        assignments.iter().for_each(|assignment| environment.assign(assignment, caller));
    }
    args.env.iter().for_each(|assignment| environment.assign(assignment, caller));
    Ok(environment)
}

fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST_FILE { Err(TooLong.into()) } else { Ok(content) }
}

#[derive(Debug)]
struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is longer than {LONGEST_FILE} bytes, more than an environment can be")
    }
}

impl std::error::Error for TooLong {}

impl From<TooLong> for std::io::Error {
    fn from(error: TooLong) -> Self {
        Self::new(std::io::ErrorKind::FileTooLarge, error)
    }
}

/// Of the caller's environment only the terminal and the language: the rest is the caller's business, and may hold secrets.
fn clean(caller: &Caller, account: &Account) -> Environment {
    let mut environment = Environment::default();
    environment.set(b"PATH", PATH);
    environment.set(b"HOME", account.home.as_ref().map_or(b"/", |home| home.as_os_str().as_bytes()));
    if let Some(name) = &account.name {
        environment.set(b"USER", name.as_bytes());
    }
    let kept = |name: &[u8]| name == b"TERM" || name == b"LANG" || name.starts_with(b"LC_");
    for (name, value) in caller.environment.iter().filter(|(name, _)| kept(name)) {
        environment.set(name, value);
    }
    environment
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use izba_sandbox::sandbox::Ids;

    pub fn caller(variables: &[(&str, &str)]) -> Caller {
        let environment = variables.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Caller { uid: 1000, gid: 1000, privileged: false, cwd: "/cwd".into(), environment: environment.collect() }
    }

    pub fn account() -> Account {
        Account {
            ids: Ids::default(),
            name: Some("root".into()),
            home: Some("/root".into()),
            shell: Some("/bin/ash".into()),
        }
    }

    fn show(args: &ProcessArgs, variables: &[(&str, &str)]) -> Vec<String> {
        let strings = lower(args, &caller(variables), &account()).unwrap().strings().unwrap();
        strings.into_iter().map(|string| string.into_string().unwrap()).collect()
    }

    const CALLER: [(&str, &str); 5] =
        [("HOME", "/home/ann"), ("TERM", "xterm"), ("LC_ALL", "C"), ("TOKEN", "secret"), ("LANG", "de_DE.UTF-8")];

    #[test]
    fn a_clean_environment_has_no_secrets() {
        let path = format!("PATH={}", String::from_utf8_lossy(PATH));
        let expected = [path.as_str(), "HOME=/root", "USER=root", "TERM=xterm", "LC_ALL=C", "LANG=de_DE.UTF-8"];
        assert_eq!(show(&ProcessArgs::default(), &CALLER), expected);
    }

    #[test]
    fn single_variables_win_and_copies_need_a_source() {
        let set = |name: &str, value: &str| Assignment::Set(name.into(), value.into());
        let copy = |name: &str| Assignment::Copy(name.into());
        let env = vec![set("A", "1"), set("HOME", "/x"), set("A", "2"), copy("TOKEN"), copy("NONE")];
        let shown = show(&ProcessArgs { env, ..ProcessArgs::default() }, &CALLER);
        assert_eq!(shown[1], "HOME=/x");
        assert_eq!(shown[6..], ["A=2", "TOKEN=secret"]);
    }

    #[test]
    fn the_callers_environment_can_be_kept() {
        let shown = show(&ProcessArgs { keep_env: true, ..ProcessArgs::default() }, &CALLER);
        assert_eq!(shown, ["HOME=/home/ann", "TERM=xterm", "LC_ALL=C", "TOKEN=secret", "LANG=de_DE.UTF-8"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = ProcessArgs { env_file: vec!["/nonexistent/env".into()], ..ProcessArgs::default() };
        let failure = lower(&args, &caller(&[]), &account()).unwrap_err();
        assert!(failure.problem.contains("/nonexistent/env"));
    }
}

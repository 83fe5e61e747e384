//! What the machine finds in its run directory: scripts, settings, the command.

use super::Options;
use super::directory::RunDirectory;
use crate::Outcome;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Variables that are the host's own, or the shell's.
const NOT_PASSED_ON: &[&str] =
    &["_", "SHLVL", "PWD", "OLDPWD", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
/// Variables that say who one is.
const OF_THE_CALLER: &[&str] = &["HOME", "USER", "LOGNAME"];

pub(super) fn prepare(options: &Options, shares: &[PathBuf], directory: &RunDirectory) -> Outcome {
    let start = std::env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
    let start = start.to_string_lossy();
    directory.write("settings", &settings(options, shares, &start))?;
    directory.write("command", &command(options, std::env::vars_os().filter_map(text), &start))?;
    directory.write("run", include_str!("run.sh"))?;
    for name in ["out", "err", "console"] {
        directory.write(name, "")?;
    }
    directory.write("init", include_str!("init.sh"))?;
    let executable = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory.path().join("init"), executable).map_err(|error| format!("init: {error}"))
}

/// Variables for the two scripts.
fn settings(options: &Options, shares: &[PathBuf], start: &str) -> String {
    let shares: Vec<String> = shares.iter().map(|share| quoted(&share.to_string_lossy())).collect();
    let systemd = if options.systemd { "yes" } else { "" };
    let account = quoted(options.user.as_deref().unwrap_or_default());
    format!("shares=({})\nsystemd={systemd}\naccount={account}\ndirectory={}\n", shares.join(" "), quoted(start))
}

/// A script that does what the caller would do here, with the caller's environment. One word is a command line.
fn command(options: &Options, environment: impl Iterator<Item = (String, String)>, start: &str) -> String {
    let mut script = String::new();
    for (name, value) in environment.filter(|(name, _)| passed_on(name, options.user.is_some())) {
        script.push_str(&format!("export {name}={}\n", quoted(&value)));
    }
    script.push_str(&format!("cd {} 2> /dev/null || cd /\n", quoted(start)));
    match options.command.as_slice() {
        [line] => script.push_str(line),
        words => script.push_str(&words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
    }
    script.push('\n');
    script
}

fn passed_on(name: &str, other_user: bool) -> bool {
    let plain = name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    let excluded = NOT_PASSED_ON.contains(&name) || other_user && OF_THE_CALLER.contains(&name);
    plain && !name.starts_with(|first: char| first.is_ascii_digit()) && !excluded
}

fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// One word for the shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_gives_a_quoted_word_back() {
        for word in ["", "plain", "it's $HOME `id` \"x\"\n\\"] {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn variables_that_are_no_names_or_the_hosts_own_stay_behind() {
        assert!(passed_on("PATH", true) && passed_on("HOME", false));
        assert!(!passed_on("HOME", true) && !passed_on("BASH_FUNC_x%%", false) && !passed_on("PWD", false));
    }
}

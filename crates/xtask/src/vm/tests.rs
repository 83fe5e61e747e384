//! The tests that need the machine. The beginning of a test binary's name says where it runs:
//!
//! | name | runs |
//! |---|---|
//! | `cgroup_*` | on the host, and in the machine |
//! | `v2_*` | in the machine |
//! | `systemd_*` | in a machine with systemd, as root |
//! | `systemd_user_*` | in a machine with systemd, as izba-test, with a manager and a bus of its own |
//!
//! On the host `#[ignore = "..."]` keeps the last three from running, and says so.

use super::guest::quoted;
use crate::{Outcome, command, setup};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Two CPUs, so that one can be chosen; longer than all tests of one machine need.
const OPTIONS: [&str; 4] = ["--cpus", "2", "--timeout", "900"];

/// A machine, and the test binaries that run in it.
#[derive(PartialEq)]
struct Kind {
    title: &'static str,
    prefixes: &'static [&'static str],
    options: &'static [&'static str],
}

/// The longest prefix comes first.
static KINDS: [Kind; 3] = [
    Kind {
        title: "systemd, as izba-test",
        prefixes: &["systemd_user_"],
        options: &["--systemd", "--user", setup::USER_WITH_RANGES],
    },
    Kind { title: "systemd, as root", prefixes: &["systemd_"], options: &["--systemd"] },
    Kind { title: "cgroup v2, as root", prefixes: &["cgroup_", "v2_"], options: &[] },
];

/// A test binary as cargo has built it.
#[derive(Debug, PartialEq)]
struct Binary {
    name: String,
    executable: PathBuf,
    /// The package's directory, where cargo test would start it.
    package: PathBuf,
}

/// One run of tests in one machine.
pub(crate) struct Machine {
    pub(crate) title: &'static str,
    pub(crate) command: Command,
}

/// Gets the kernel, so that it is there before the host is looked at for the first time.
pub(crate) fn prepare() -> Outcome {
    super::kernel::obtain().map(drop)
}

/// `cargo xtask vm --test NAME [FILTER]...`: one test binary in the machine that its name asks for.
pub(super) fn run(name: &str, filter: &[String]) -> Outcome<u8> {
    let machines = machines(&["--test", name], filter)?;
    let Some(mut machine) = machines.into_iter().next() else {
        return Err(format!(
            "{name} is for the host: what runs in a machine is named {}",
            prefixes().join("*, ") + "*"
        ));
    };
    eprintln!("virtual machine: {}", machine.title);
    let ended = machine.command.status().map_err(|error| format!("{}: {error}", machine.title))?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(super::BROKEN))
}

/// A run for each kind of machine that there are tests for.
pub(crate) fn machines(targets: &[&str], filter: &[String]) -> Outcome<Vec<Machine>> {
    let binaries = build(targets)?;
    let own = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let machines = KINDS.iter().filter_map(|kind| {
        let here: Vec<&Binary> = binaries.iter().filter(|binary| kind_of(&binary.name) == Some(kind)).collect();
        let mut command = Command::new(&own);
        command.current_dir(command::workspace()).arg("vm").args(kind.options).args(OPTIONS).arg("--");
        command.arg(script(&here, filter));
        (!here.is_empty()).then_some(Machine { title: kind.title, command })
    });
    Ok(machines.collect())
}

/// The workspace's test binaries; `targets` are options of cargo that choose among them.
fn build(targets: &[&str]) -> Outcome<Vec<Binary>> {
    let mut cargo = command::cargo();
    cargo
        .args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json-render-diagnostics"])
        .args(targets);
    let built = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("{}: {error}", command::shown(&cargo)))?;
    if !built.status.success() {
        return Err(format!("{}: {}", command::shown(&cargo), built.status));
    }
    Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(binary).collect())
}

fn kind_of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

fn prefixes() -> Vec<&'static str> {
    KINDS.iter().flat_map(|kind| kind.prefixes).copied().collect()
}

/// A line of `cargo test --message-format=json` that names a test's executable.
fn binary(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    let executable = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let package = Path::new(message["manifest_path"].as_str()?).parent()?;
    let name = message["target"]["name"].as_str()?;
    Some(Binary { name: name.into(), executable: executable.into(), package: package.into() })
}

/// Runs them one after the other, and goes on after a failure. One at a time: the machine's CPUs share one of
/// the host's.
fn script(binaries: &[&Binary], filter: &[String]) -> String {
    let filter: Vec<String> = filter.iter().map(|word| quoted(word)).collect();
    let mut script = String::from("status=0\n");
    for binary in binaries {
        let [executable, package] = [&binary.executable, &binary.package].map(|path| quoted(&path.to_string_lossy()));
        script.push_str(&format!("echo; echo '     Running {}'; cd {package} &&\n", binary.name));
        script.push_str(&format!("{executable} --include-ignored --test-threads=1 {} || status=1\n", filter.join(" ")));
    }
    script.push_str("exit $status");
    script
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_name_says_where_a_test_runs() {
        let title = |name| kind_of(name).map(|kind| kind.title);
        assert_eq!(title("systemd_user_machine"), Some("systemd, as izba-test"));
        assert_eq!(title("systemd_machine"), Some("systemd, as root"));
        assert_eq!(title("v2_machine"), Some("cgroup v2, as root"));
        assert_eq!(title("cgroup_cpu"), Some("cgroup v2, as root"));
        assert_eq!(title("ns_cgroup"), None);
    }

    #[test]
    fn cargo_names_the_executables() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/cli/Cargo.toml",
            "target":{"kind":["test"],"name":"v2_machine"},"profile":{"test":true},"executable":"/t/deps/v2_machine-1"}"#;
        let found = binary(line).unwrap();
        assert_eq!((found.name.as_str(), found.package.to_str()), ("v2_machine", Some("/w/crates/cli")));
        for other in ["warning: x", r#"{"reason":"build-finished"}"#, &line.replace("\"test\":true", "\"test\":false")]
        {
            assert_eq!(binary(other), None);
        }
    }

    #[test]
    fn every_binary_runs_though_one_fails() {
        let failing = Binary { name: "v2_a".into(), executable: "false".into(), package: "/".into() };
        let output = Command::new("sh").args(["-c", &script(&[&failing, &failing], &[])]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stdout).unwrap().matches("Running v2_a").count(), 2);
    }
}

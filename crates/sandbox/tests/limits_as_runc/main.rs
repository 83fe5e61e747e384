//! Limits become the files and values that they become in runc: its own libcontainer, of Debian's source package, is asked (`runc.go`) about several
//! hundred made-up resources, for v1 and for v2, with and without the BFQ scheduler. Where izba means to differ is in `differences.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod case;
mod differences;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use case::{Case, Random};
use differences::{DIFFERENCES, Effect, Kind, Writes};
use izba_sandbox::cgroup::{Controller, Lowered, Presence, Version};

const CASES: usize = 1500;

/// What became of one case in one kind of group.
#[derive(Debug, Default)]
struct Answer {
    writes: Writes,
    error: Option<String>,
}

#[test]
fn limits_become_what_they_become_in_runc() {
    let mut random = Random::new();
    let cases: Vec<Case> = (0..CASES).map(|_| Case::random(&mut random)).collect();
    let mut seen = BTreeSet::new();
    let mut compared = 0;
    for (case, answers) in cases.iter().zip(answers(&cases)) {
        for (kind, runc) in answers {
            compared += usize::from(compare(case, kind, &runc, &mut seen));
        }
    }
    let unseen: Vec<&str> =
        (0..DIFFERENCES.len()).filter(|at| !seen.contains(at)).map(|at| DIFFERENCES[at].0).collect();
    assert!(unseen.is_empty(), "no case shows these differences: {unseen:#?}");
    assert!(compared > CASES, "only {compared} of {} groups were written to by both", CASES * 3);
}

/// Says whether both wrote something.
fn compare(case: &Case, kind: Kind, runc: &Answer, seen: &mut BTreeSet<usize>) -> bool {
    let refused = applying(|effect| matches!(effect, Effect::Refused(applies) if applies(case, kind)));
    let lowered = match case.limits().settings(&|controller| on(controller, kind)) {
        Ok(lowered) => lowered,
        Err(error) => {
            assert!(!refused.is_empty() || runc.error.is_some(), "{kind:?} {case:?}: only izba says {error}");
            seen.extend(refused.iter().filter(|_| runc.error.is_none()));
            return false;
        }
    };
    assert!(refused.is_empty(), "{kind:?} {case:?}: not refused, though {}", DIFFERENCES[refused[0]].0);
    if let Some(error) = &runc.error {
        let accepted = applying(|effect| matches!(effect, Effect::Accepted(applies) if applies(case, kind)));
        assert!(
            accepted.is_empty() != lowered.refused.is_empty(),
            "{kind:?} {case:?}: runc says {error}, izba {lowered:?}"
        );
        seen.extend(accepted);
        return false;
    }
    let named =
        DIFFERENCES.iter().map(|(_, effect)| if let Effect::Named(count) = effect { count(case, kind) } else { 0 });
    assert_eq!(lowered.refused.len(), named.sum::<usize>(), "{kind:?} {case:?}: {:?}", lowered.refused);
    assert_eq!(ours(lowered, kind), expected(case, kind, &runc.writes), "{kind:?} {case:?}");
    seen.extend(applying(|effect| match effect {
        Effect::Refused(_) | Effect::Accepted(..) => false,
        Effect::Named(count) => count(case, kind) > 0,
        Effect::More(writes) | Effect::Less(writes) => !writes(case, kind).is_empty(),
    }));
    !runc.writes.is_empty()
}

fn applying(applies: impl Fn(&Effect) -> bool) -> Vec<usize> {
    (0..DIFFERENCES.len()).filter(|at| applies(&DIFFERENCES[*at].1)).collect()
}

fn on(controller: Controller, kind: Kind) -> Option<Version> {
    let version = if kind == Kind::V1 { Version::V1 } else { Version::V2 };
    controller.name(version).map(|_| version)
}

/// What izba writes where these files are there.
fn ours(lowered: Lowered, kind: Kind) -> Writes {
    let mut writes = Writes::new();
    for setting in lowered.settings {
        if let (Presence::Twin { file, value }, Kind::V2WithBfq) = (setting.presence, kind) {
            writes.push((file, value));
        }
        writes.push((setting.file, setting.value));
    }
    sorted(writes)
}

/// What runc writes, but for the differences.
fn expected(case: &Case, kind: Kind, runc: &Writes) -> Writes {
    let mut writes = sorted(runc.clone());
    for (reason, effect) in DIFFERENCES {
        match effect {
            Effect::More(more) => writes.extend(more(case, kind)),
            Effect::Less(less) => {
                for gone in less(case, kind) {
                    let at = writes.iter().position(|write| *write == gone);
                    writes.remove(at.unwrap_or_else(|| panic!("runc doesn't write {gone:?}, though: {reason}")));
                }
            }
            Effect::Refused(_) | Effect::Accepted(_) | Effect::Named(_) => {}
        }
    }
    sorted(writes)
}

/// The kernel takes the limits of a device on one line of io.max or on several.
fn sorted(writes: Writes) -> Writes {
    let split = |(file, value): (String, String)| match value.split_once(' ') {
        Some((device, limits)) if file == "io.max" => {
            limits.split(' ').map(|limit| (file.clone(), format!("{device} {limit}"))).collect()
        }
        _ => vec![(file, value)],
    };
    let mut writes: Writes = writes.into_iter().flat_map(split).collect();
    writes.sort();
    writes
}

/// What runc makes of each case, for each kind of group.
fn answers(cases: &[Case]) -> Vec<Vec<(Kind, Answer)>> {
    let lines: String = cases.iter().map(|case| case.json() + "\n").collect();
    let mut oracle = Command::new(build())
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let mut output = String::new();
    oracle.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(oracle.wait().unwrap().success());
    writer.join().unwrap().unwrap();
    let answers: Vec<_> = output.split_terminator("end\n").map(parse).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

fn parse(block: &str) -> Vec<(Kind, Answer)> {
    let mut answers = [Kind::V1, Kind::V2, Kind::V2WithBfq].map(|kind| (kind, Answer::default()));
    for line in block.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let index = ["v1", "v2", "v2-bfq"].iter().position(|name| *name == fields[0]).unwrap();
        let answer = &mut answers[index].1;
        match fields[1..] {
            ["write", file, value] => answer.writes.push((file.into(), value.trim_matches('"').into())),
            ["error", text] => answer.error = Some(text.into()),
            _ => panic!("{line}"),
        }
    }
    answers.into()
}

/// Go keeps what it compiled, so that only the first time takes seconds.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = target.join("runc-oracle");
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limits_as_runc/runc.go"));
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", target.join("go-cache"));
    go.env("GOFLAGS", "").stdin(Stdio::null());
    let problem = match go.output() {
        Ok(output) if output.status.success() => return program,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("go: {error}"),
    };
    panic!(
        "`cargo xtask setup` installs golang-go and golang-github-opencontainers-runc-dev, without which: {problem}"
    );
}

//! `cargo xtask order`: which functions of izba starts execute, and in which order, for the linker: crates/cli/build.rs.
//!
//! A page of the binary that is executed brings its neighbours into memory: faultaround in mm/memory.c, 64 KiB at a time. Where the functions of a
//! start lie scattered among those of all other verbs, nearly the whole binary becomes resident.

use crate::bench::{Ground, build_izba};
use crate::{Outcome, command, setup};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A function of the binary: its first and last address, and its name.
struct Function {
    first: u64,
    last: u64,
    name: String,
}

pub(crate) fn run() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err("run it as root: it follows starts by root".into());
    }
    setup::run()?;
    // An argument of the last call of rustc alone: as a setting of the profile it would change the names.
    let ground = Ground::prepare(&build_izba(&["-Cstrip=none"])?)?;
    let functions = functions(&ground.izba)?;
    let mut order = Vec::new();
    let mut known = HashSet::new();
    for address in addresses(&ground, &functions)? {
        let after = functions.partition_point(|function| function.first <= address);
        let found = functions[..after].last().filter(|function| address <= function.last);
        order.extend(found.map(|function| function.name.as_str()).filter(|name| known.insert(*name)));
    }
    let file = file();
    fs::write(&file, format!("{}{}\n", heading()?, order.join("\n")))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{}: {} functions of {}", file.display(), order.len(), functions.len());
    Ok(())
}

/// Says so if the order is that of another compiler, whose functions have other names.
pub(crate) fn check() -> Outcome {
    let (file, heading) = (file(), heading()?);
    let found = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if !found.starts_with(&heading) {
        let said = found.lines().next().unwrap_or_default();
        eprintln!(
            "{}: {said}, and this is another one: izba needs more memory until `cargo xtask order`",
            file.display()
        );
    }
    Ok(())
}

fn file() -> PathBuf {
    command::workspace().join("crates/cli/order.txt")
}

/// The first line.
fn heading() -> Outcome<String> {
    Ok(format!("# Made by `cargo xtask order` with {}", command::output(Command::new("rustc").arg("--version"))?))
}

/// By address: nm(1).
fn functions(binary: &Path) -> Outcome<Vec<Function>> {
    let table = command::output(Command::new("nm").args(["--numeric-sort", "--print-size"]).arg(binary))?;
    let functions: Vec<Function> = table.lines().filter_map(function).collect();
    if functions.is_empty() { Err(format!("{} has no symbols", binary.display())) } else { Ok(functions) }
}

fn function(line: &str) -> Option<Function> {
    let mut fields = line.split(' ');
    let [first, size] = [fields.next()?, fields.next()?].map(|field| u64::from_str_radix(field, 16));
    let (first, size) = (first.ok()?, size.ok()?);
    let is_function = matches!(fields.next()?, "t" | "T" | "w" | "W");
    is_function.then_some(Function { first, last: first + size.checked_sub(1)?, name: fields.next()?.to_owned() })
}

/// Of all instructions that some starts execute: the plainest first, whose functions so come to lie closest together.
fn addresses(ground: &Ground, functions: &[Function]) -> Outcome<Vec<u64>> {
    let root = ground.root_for(&setup::Account::root())?;
    let root = root.to_str().ok_or("the temporary directory has a name that isn't UTF-8")?;
    let name = format!("order-{}", std::process::id());
    let step = ground.step()?;
    let target = Target::start(ground, &name, root)?;
    let starts: [&[&str]; 5] = [
        &["run", root, "true"],
        &["run", "--memory", "64m", "--pids-limit", "20", "--cpus", "1", root, "true"],
        &["run", "host", "true"],
        &["exec", &name, "true"],
        &["ns", "run", "-m", "-p", "true"],
    ];
    let mut addresses = Vec::new();
    for start in starts {
        println!("izba {}", start.join(" "));
        addresses.extend(stepped(ground, &step, functions, start)?);
    }
    target.end()?;
    Ok(addresses)
}

fn stepped(ground: &Ground, step: &Path, functions: &[Function], start: &[&str]) -> Outcome<Vec<u64>> {
    let file = ground.directory(&format!("steps-{}", start.join("-").replace('/', "-")))?.join("addresses");
    let (Some(first), Some(last)) = (functions.first(), functions.last()) else { return Ok(Vec::new()) };
    let bounds = [first.first, last.last].map(|address| format!("{address:x}"));
    command::run(Command::new(step).arg(&file).args(bounds).arg(&ground.izba).args(start))?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.lines().filter_map(|line| u64::from_str_radix(line, 16).ok()).collect())
}

/// A run for `izba exec`, which ends with its input.
struct Target(Child);

impl Target {
    fn start(ground: &Ground, name: &str, root: &str) -> Outcome<Self> {
        let mut run = Command::new(&ground.izba);
        run.args(["run", "--name", name, root, "sh", "-c", "read line"]).stdin(Stdio::piped());
        let target = Self(run.spawn().map_err(|error| format!("{}: {error}", ground.izba.display()))?);
        for _ in 0..200 {
            if command::succeeds(Command::new(&ground.izba).args(["inspect", name])) {
                return Ok(target);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        target.end()?;
        Err(format!("the run {name} doesn't start"))
    }

    fn end(mut self) -> Outcome {
        drop(self.0.stdin.take());
        self.0.wait().map(drop).map_err(|error| format!("waitpid: {error}"))
    }
}

//! `cargo xtask bench`: izba, its peers and the kernel floor, run in turn with idle gaps (a tight loop would hide the
//! kernel's RCU waits), so that the ratios hold although the machine drifts.

mod bundle;
mod contender;
mod crowd;
mod ground;
mod limits;
mod peers;
mod table;
mod view;

use crate::{Outcome, order, setup};
use contender::Contender;
pub(crate) use ground::{Ground, build_izba};
use std::time::Duration;
use table::Heading;
use view::View;

/// How the measurement is made.
struct Options {
    runs: usize,
    idle: Duration,
}

/// What is measured.
#[derive(Clone, Copy)]
enum Subject {
    Starts,
    Listing,
    Limits,
    /// One view's part of it: what [`Subject::Limits`] runs itself for.
    LimitsIn(View),
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (subject, rest) = subject(arguments);
    let options = parse(rest)?;
    if !rustix::process::geteuid().is_root() {
        return Err("run the benchmark as root: it compares starts by root and, as other users, by them".into());
    }
    match subject {
        Subject::LimitsIn(view) => return limits::run_in(view, &options),
        Subject::Starts | Subject::Listing | Subject::Limits => setup::run()?,
    }
    order::check()?;
    match subject {
        Subject::Listing => crowd::run(&options),
        Subject::Limits => limits::run(&options),
        Subject::Starts | Subject::LimitsIn(_) => starts(&options),
    }
}

fn subject(arguments: &[String]) -> (Subject, &[String]) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).take(2).collect();
    let (subject, count) = match words[..] {
        ["ns", ..] => (Subject::Listing, 1),
        ["limits", word] if View::named(word).is_some() => {
            (View::named(word).map_or(Subject::Limits, Subject::LimitsIn), 2)
        }
        ["limits", ..] => (Subject::Limits, 1),
        _ => (Subject::Starts, 0),
    };
    (subject, arguments.get(count..).unwrap_or_default())
}

/// Starts of a program.
fn starts(options: &Options) -> Outcome {
    let ground = Ground::prepare(&build_izba(&[])?)?;
    let heading = Heading { what: "start and end of `true`", beside: "× floor", tools: &["bwrap", "unshare"] };
    compare(&ground, peers::line_up(&ground)?, &heading, options)
}

/// Measures those that work here, and prints the table and who isn't in it.
fn compare(ground: &Ground, line_up: Vec<Contender>, heading: &Heading<'_>, options: &Options) -> Outcome {
    let (contenders, absent) = peers::present(line_up);
    if contenders.is_empty() {
        return Err("nothing to measure".into());
    }
    eprintln!("bench: {} programs, {} rounds", contenders.len(), options.runs);
    let samples = measure(&contenders, options)?;
    let peaks = contenders.iter().map(|contender| contender.peak(&ground.peak)).collect::<Vec<_>>();
    table::print(heading, &contenders, &samples, &peaks);
    report_absent(&absent, ground)
}

/// A peer that isn't on this machine, or can't work here, is only named. izba has to work.
fn report_absent(absent: &[(Contender, String)], ground: &Ground) -> Outcome {
    if !absent.is_empty() {
        println!("\nNot measured:");
    }
    for (contender, reason) in absent {
        println!("- {}: {reason}", contender.name);
    }
    let broken = absent.iter().filter(|(contender, _)| contender.program == ground.izba).count();
    if broken == 0 { Ok(()) } else { Err(format!("izba failed in {broken} of its own rows, see above")) }
}

/// One row of samples per contender; element N of every row is from round N.
fn measure(contenders: &[Contender], options: &Options) -> Outcome<Vec<Vec<Duration>>> {
    let mut samples = vec![Vec::with_capacity(options.runs); contenders.len()];
    for _ in 0..options.runs {
        for (contender, row) in contenders.iter().zip(&mut samples) {
            std::thread::sleep(options.idle);
            row.push(contender.time()?);
        }
    }
    Ok(samples)
}

fn parse(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options { runs: 100, idle: Duration::from_millis(50) };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a number"))?;
        let number: u32 = value.parse().map_err(|_| format!("{name} needs a number, not {value}"))?;
        match name.as_str() {
            "--runs" if number > 0 => options.runs = number as usize,
            "--idle-ms" => options.idle = Duration::from_millis(number.into()),
            _ => return Err(format!("not understood: {name} {value}")),
        }
    }
    Ok(options)
}

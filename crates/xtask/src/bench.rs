//! `cargo xtask bench`: izba, its peers and the kernel floor, run in turn with idle gaps (a tight loop would hide the
//! kernel's RCU waits), so that the ratios hold although the machine drifts.

mod contender;
mod crowd;
mod ground;
mod peers;
mod table;

use crate::{Outcome, setup};
use contender::Contender;
use ground::Ground;
use std::time::Duration;

/// How the measurement is made.
struct Options {
    runs: usize,
    idle: Duration,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (listing, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "ns" => (true, rest),
        _ => (false, arguments),
    };
    let options = parse(arguments)?;
    if !rustix::process::geteuid().is_root() {
        return Err("run the benchmark as root: it compares starts by root and, as other users, by them".into());
    }
    setup::run()?;
    if listing { crowd::run(&options) } else { starts(&options) }
}

/// Starts of a program.
fn starts(options: &Options) -> Outcome {
    let ground = Ground::prepare()?;
    let (contenders, absent) = peers::present(peers::line_up(&ground)?);
    if contenders.is_empty() {
        return Err("nothing to measure".into());
    }
    eprintln!("bench: {} programs, {} rounds", contenders.len(), options.runs);
    let samples = measure(&contenders, options)?;
    let peaks = contenders.iter().map(|contender| contender.peak(&ground.peak)).collect::<Vec<_>>();
    table::print("start and end of `true`", "× floor", &contenders, &samples, &peaks);
    report_absent(&absent, &ground)
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

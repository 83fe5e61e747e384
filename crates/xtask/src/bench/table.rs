//! The result, as a table for the README.

use super::contender::Contender;
use super::peers;
use crate::command;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// What is said above the rows.
pub(super) struct Heading<'a> {
    /// What was done.
    pub(super) what: &'a str,
    /// What the ratios are to.
    pub(super) beside: &'a str,
    /// Programs whose versions matter.
    pub(super) tools: &'a [&'a str],
}

/// Prints the conditions and one row per contender. The first contender is what the others are compared with.
pub(super) fn print(heading: &Heading<'_>, contenders: &[Contender], samples: &[Vec<Duration>], peaks: &[Option<u64>]) {
    println!("{}\n", conditions(samples.first().map_or(0, Vec::len), heading.tools));
    println!("| {} | median, ms | p10 | p90 | {} | peak, KiB |", heading.what, heading.beside);
    println!("|---|---:|---:|---:|---:|---:|");
    for ((contender, row), peak) in contenders.iter().zip(samples).zip(peaks) {
        let times: Vec<f64> = row.iter().map(milliseconds).collect();
        let ratios = samples.first().map(|first| ratios(row, first)).unwrap_or_default();
        let peak = peak.map_or_else(|| "-".to_owned(), |kib| kib.to_string());
        let [p10, median, p90] = [0.1, 0.5, 0.9].map(|share| quantile(&times, share));
        let ratio = quantile(&ratios, 0.5);
        println!("| {} | {median:.2} | {p10:.2} | {p90:.2} | {ratio:.2} | {peak} |", contender.name);
    }
}

fn conditions(runs: usize, tools: &[&str]) -> String {
    let line = |text: String| text.trim().to_owned();
    let date = command::output(Command::new("date").args(["-u", "+%F"])).map(line).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map(line).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    // Another busy program makes every wake-up and every RCU wait longer: the reader should see it.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let versions = peers::versions(tools).join(", ");
    format!("{date}, Linux {kernel}, {cpus} CPUs, load {load}, {runs} rounds; {versions}")
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Each run against the floor's run of the same round, so that a slow moment of the machine cancels out.
fn ratios(row: &[Duration], floor: &[Duration]) -> Vec<f64> {
    row.iter().zip(floor).map(|(own, floor)| own.as_secs_f64() / floor.as_secs_f64()).collect()
}

/// The smallest sample that is not below the given share of all samples.
fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is an index")]
    let rank = (sorted.len() as f64 * share) as usize;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_small_sample() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.1, 0.5, 0.9].map(|share| quantile(&samples, share)), [1.0, 1.0, 3.0, 5.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let millis = |values: [u64; 2]| values.map(Duration::from_millis);
        assert_eq!(ratios(&millis([2, 30]), &millis([1, 10])), [2.0, 3.0]);
    }
}

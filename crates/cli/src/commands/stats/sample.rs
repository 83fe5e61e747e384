//! What runs use at one moment.

use std::time::{Duration, Instant};

use izba_sandbox::cgroup::group::{State, Usage};

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::{Name, Process, Record, Run, State as RunState};
use crate::start;

/// One run.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    /// Tells it from an earlier run of the same name.
    pub program: Process,
    pub paused: bool,
    /// Nothing is counted of a run without a group of its own.
    pub usage: Usage,
    pub at: Instant,
    /// CPU time since an earlier look, as a part of the time that has passed: 1.0 is one CPU.
    pub cpu: Option<f64>,
}

/// The runs of these names that are there; without names all. What can't be read of one run hides no other.
pub fn look(names: &[Name], caller: &Caller) -> (Vec<Sample>, Vec<Failure>) {
    let (records, mut failures) = if names.is_empty() { all(caller) } else { named(names, caller) };
    let samples = records.iter().filter_map(|record| match Sample::of(record) {
        Ok(sample) => Some(sample),
        // It has ended just now.
        Err(_) if record.open_program().is_err() => None,
        Err(failure) => {
            failures.push(failure);
            None
        }
    });
    let samples = samples.collect();
    (samples, failures)
}

fn all(caller: &Caller) -> (Vec<Record>, Vec<Failure>) {
    let (runs, failures) = Run::all(caller);
    let running = |run: Run| match run.state {
        RunState::Running(record) => Some(*record),
        RunState::Starting => None,
    };
    (runs.into_iter().filter_map(running).collect(), failures)
}

fn named(names: &[Name], caller: &Caller) -> (Vec<Record>, Vec<Failure>) {
    let (mut records, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match Run::find_if_any(name, caller) {
            Ok(found) => records.extend(found.map(|found| found.record)),
            Err(failure) => failures.push(failure),
        }
    }
    (records, failures)
}

impl Sample {
    fn of(record: &Record) -> Result<Self> {
        let mut sample = Self {
            name: record.name.clone(),
            program: record.program,
            paused: false,
            usage: Usage::default(),
            at: Instant::now(),
            cpu: None,
        };
        if record.cgroup.is_some() {
            let group = record.open_group()?;
            let failure = |error| start::group(format!("cannot read what the run {} uses", record.name), &error);
            sample.usage = group.usage().map_err(failure)?;
            sample.paused = group.state().map_err(failure)? != State::Running;
        }
        Ok(sample)
    }

    /// Compares it with an earlier look at the same run.
    pub fn since(&mut self, earlier: &[Self]) {
        let earlier = earlier.iter().find(|earlier| earlier.name == self.name && earlier.program == self.program);
        self.cpu = earlier.and_then(|earlier| {
            let used = self.usage.cpu.total?.saturating_sub(earlier.usage.cpu.total?);
            part(used, self.at.duration_since(earlier.at))
        });
    }

    /// Which part of its periods it was held back in.
    pub fn throttled(&self) -> Option<f64> {
        let throttling = self.usage.cpu.throttling?;
        let part = |part: u64, whole: u64| part as f64 / whole as f64;
        (throttling.periods > 0).then(|| part(throttling.throttled_periods, throttling.periods))
    }

    /// Bytes read and written, of all devices together.
    pub fn transferred(&self) -> Option<(u64, u64)> {
        let devices = self.usage.io.as_ref()?;
        let sum = |(read, written), device: &izba_sandbox::cgroup::group::DeviceIo| {
            (read + device.read_bytes, written + device.written_bytes)
        };
        Some(devices.iter().fold((0, 0), sum))
    }
}

fn part(of: Duration, whole: Duration) -> Option<f64> {
    (!whole.is_zero()).then(|| of.as_secs_f64() / whole.as_secs_f64())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use izba_sandbox::cgroup::group::Throttling;

    /// A run that has used so many milliseconds of CPU time, so many milliseconds after `start`.
    pub fn sample(name: &str, start: Instant, at: u64, cpu: u64) -> Sample {
        let mut usage = Usage::default();
        usage.cpu.total = Some(Duration::from_millis(cpu));
        let program = Process { pid: 7, start_time: 99 };
        let at = start + Duration::from_millis(at);
        Sample { name: name.to_owned(), program, paused: false, usage, at, cpu: None }
    }

    #[test]
    fn cpu_time_is_compared_with_the_time_that_has_passed() {
        let start = Instant::now();
        let earlier = [sample("other", start, 0, 0), sample("web", start, 0, 100)];
        let mut later = sample("web", start, 2000, 1500);
        later.since(&earlier);
        assert_eq!(later.cpu, Some(0.7));
        let mut same_moment = sample("web", start, 0, 100);
        same_moment.since(&earlier);
        assert_eq!(same_moment.cpu, None);
    }

    #[test]
    fn an_earlier_run_of_the_same_name_is_another() {
        let start = Instant::now();
        let mut earlier = sample("web", start, 0, 100);
        earlier.program.start_time = 98;
        let mut later = sample("web", start, 2000, 1500);
        later.since(&[earlier]);
        assert_eq!(later.cpu, None);
    }

    #[test]
    fn what_is_held_back_is_a_part_of_the_periods() {
        let mut sample = sample("web", Instant::now(), 0, 0);
        assert_eq!(sample.throttled(), None);
        let mut throttling = Throttling { periods: 0, throttled_periods: 0, throttled: Duration::ZERO };
        sample.usage.cpu.throttling = Some(throttling);
        assert_eq!(sample.throttled(), None);
        (throttling.periods, throttling.throttled_periods) = (4, 1);
        sample.usage.cpu.throttling = Some(throttling);
        assert_eq!(sample.throttled(), Some(0.25));
    }
}

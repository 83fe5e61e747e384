//! Files of cgroup v2 that systemd has properties for, as runc has them.

use super::properties::{bits, number, quota};
use super::property::{Property, Value};
use crate::cgroup::{Bound, LimitError};

/// Properties for what is to be written to files of cgroup v2. Files that systemd has no property for are passed over.
pub fn properties(files: &[(String, String)]) -> Result<Vec<Property>, LimitError> {
    let mut all = Vec::new();
    for (file, value) in files {
        all.extend(of_file(file, value.trim()).map_err(|problem| LimitError {
            problem: format!("{file} = {value:?}: {problem}"),
            remedy: "write what the kernel takes: Documentation/admin-guide/cgroup-v2.rst".to_owned(),
        })?);
    }
    Ok(all)
}

fn of_file(file: &str, value: &str) -> Result<Vec<Property>, String> {
    let one = |name, value| Ok(vec![Property::new(name, value)]);
    match file {
        "cpu.max" => {
            let (most, period) = value.split_once(char::is_whitespace).unwrap_or((value, "100000"));
            quota(Some(bound(most)?), Some(natural(period.trim())?)).map_err(|error| error.problem)
        }
        "cpu.weight" => one("CPUWeight", Value::Number(natural(value)?)),
        "cpuset.cpus" => one("AllowedCPUs", bits(&value.parse()?).map_err(|error| error.problem)?),
        "cpuset.mems" => one("AllowedMemoryNodes", bits(&value.parse()?).map_err(|error| error.problem)?),
        "memory.min" => one("MemoryMin", number(bound(value)?)),
        "memory.low" => one("MemoryLow", number(bound(value)?)),
        "memory.high" => one("MemoryHigh", number(bound(value)?)),
        "memory.max" => one("MemoryMax", number(bound(value)?)),
        "memory.swap.max" => one("MemorySwapMax", number(bound(value)?)),
        "pids.max" => one("TasksMax", number(bound(value)?)),
        _ => Ok(Vec::new()),
    }
}

fn bound(word: &str) -> Result<Bound, String> {
    if word == "max" { Ok(Bound::Max) } else { natural(word).map(Bound::At) }
}

fn natural(word: &str) -> Result<u64, String> {
    let digits = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| format!("{word:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, value: &str) -> Result<Vec<(&'static str, Value)>, String> {
        let all = properties(&[(file.to_owned(), value.to_owned())]).map_err(|error| error.problem)?;
        Ok(all.into_iter().map(|property| (property.name, property.value)).collect())
    }

    #[test]
    fn files_become_the_properties_that_runc_gives_them() {
        let number = |name, value| Ok(vec![(name, Value::Number(value))]);
        assert_eq!(of("memory.high", " 5\n"), number("MemoryHigh", 5));
        assert_eq!(of("pids.max", "max"), number("TasksMax", u64::MAX));
        assert_eq!(of("cpu.weight", "50"), number("CPUWeight", 50));
        assert_eq!(of("cpuset.cpus", "0-1"), Ok(vec![("AllowedCPUs", Value::Bits(vec![3]))]));
        let quota = |period, each| {
            Ok(vec![("CPUQuotaPeriodUSec", Value::Number(period)), ("CPUQuotaPerSecUSec", Value::Number(each))])
        };
        assert_eq!(of("cpu.max", "5000 10000"), quota(10_000, 500_000));
        assert_eq!(of("cpu.max", "5000"), quota(100_000, 50_000));
        assert_eq!(of("cpu.max", "max  10000"), quota(10_000, u64::MAX));
        assert_eq!(of("memory.oom.group", "1"), Ok(vec![]));
    }

    #[test]
    fn what_the_kernel_would_not_take_is_an_error_that_names_the_file() {
        for (file, value) in [
            ("cpu.max", ""),
            ("cpu.max", "1 2 3"),
            ("cpu.max", "0"),
            ("cpu.max", "1 0"),
            ("memory.max", "-1"),
            ("pids.max", "+1"),
            ("cpuset.cpus", "a"),
            ("cpu.weight", "max"),
        ] {
            assert!(of(file, value).unwrap_err().starts_with(file), "{file} {value}");
        }
    }
}

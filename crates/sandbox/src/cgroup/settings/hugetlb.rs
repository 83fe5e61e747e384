//! Huge pages: cgroup-v2.rst "HugeTLB", cgroup-v1/hugetlb.rst.

use super::LimitError;
use super::files::Files;
use super::range::{BYTES, bound_within, once};
use crate::cgroup::{HugetlbLimit, Version};

pub(super) fn check(limits: &[HugetlbLimit]) -> Result<(), LimitError> {
    once("a limit of huge pages", limits.iter().map(|limit| &limit.page_size))?;
    for HugetlbLimit { page_size, limit } in limits {
        check_size(page_size)?;
        bound_within(&format!("a limit of {page_size} pages in bytes"), Some(*limit), BYTES)?;
    }
    Ok(())
}

/// As the kernel names its files (`mem_fmt` in mm/hugetlb_cgroup.c).
fn check_size(size: &str) -> Result<(), LimitError> {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit));
    match number {
        Some(number)
            if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() && !number.starts_with('0') =>
        {
            Ok(())
        }
        _ => Err(LimitError::new(format!("{size:?} is no size of huge pages"), "write it as 64KB, 2MB or 1GB")),
    }
}

/// With the limit of what is in use comes the one of what is reserved (since Linux 5.7), as a program can map more than it may use, and gets SIGBUS then.
pub(super) fn lower(limits: &[HugetlbLimit], files: &mut Files<'_>) {
    let name = match files.version {
        Version::V1 => "limit_in_bytes",
        Version::V2 => "max",
    };
    for HugetlbLimit { page_size, limit } in limits {
        let limit = files.bound(*limit);
        files.write(&format!("hugetlb.{page_size}.{name}"), &limit);
        files.write(&format!("hugetlb.{page_size}.rsvd.{name}"), &limit);
    }
}

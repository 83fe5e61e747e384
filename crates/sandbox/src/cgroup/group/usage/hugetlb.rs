//! Huge pages: hugetlb.SIZE.* of both versions (cgroup-v1/hugetlb.rst).

use crate::cgroup::group::GroupError;
use crate::cgroup::group::directory::{Directory, if_there};
use crate::cgroup::group::interface::flat;
use crate::cgroup::{Bound, Version};

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugetlbUsage {
    /// `2MB`
    pub page_size: String,
    /// What is used now.
    pub current: Option<u64>,
    /// The most that was (v1).
    pub peak: Option<u64>,
    /// The most that may be.
    pub limit: Option<Bound>,
    /// How often a page was refused.
    pub refused: Option<u64>,
}

pub(super) fn read(directory: &Directory) -> Result<Option<Vec<HugetlbUsage>>, GroupError> {
    let suffix = match directory.version {
        Version::V1 => ".usage_in_bytes",
        Version::V2 => ".current",
    };
    let files = if_there(directory.files())?.unwrap_or_default();
    let sizes = files.iter().filter_map(|file| page_size(file, suffix));
    let usage: Vec<_> = sizes.map(|size| read_size(directory, size)).collect::<Result<_, _>>()?;
    Ok(Some(usage).filter(|usage| !usage.is_empty()))
}

/// What is only reserved (hugetlb.2MB.rsvd.current) is another thing.
fn page_size<'a>(file: &'a str, suffix: &str) -> Option<&'a str> {
    let size = file.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
    Some(size).filter(|size| !size.contains('.'))
}

fn read_size(directory: &Directory, size: &str) -> Result<HugetlbUsage, GroupError> {
    let file = |name: &str| format!("hugetlb.{size}.{name}");
    let page_size = size.to_owned();
    Ok(match directory.version {
        Version::V1 => HugetlbUsage {
            page_size,
            current: directory.number(&file("usage_in_bytes"))?,
            peak: directory.number(&file("max_usage_in_bytes"))?,
            limit: directory.bound(&file("limit_in_bytes"))?,
            refused: directory.number(&file("failcnt"))?,
        },
        Version::V2 => HugetlbUsage {
            page_size,
            current: directory.number(&file("current"))?,
            peak: None,
            limit: directory.bound(&file("max"))?,
            refused: directory.get(&file("events"))?.and_then(|events| flat(&events, "max")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_names_of_files() {
        assert_eq!(page_size("hugetlb.2MB.current", ".current"), Some("2MB"));
        assert_eq!(page_size("hugetlb.2MB.rsvd.current", ".current"), None);
        assert_eq!(page_size("hugetlb.1GB.usage_in_bytes", ".usage_in_bytes"), Some("1GB"));
        assert_eq!(page_size("memory.current", ".current"), None);
    }
}

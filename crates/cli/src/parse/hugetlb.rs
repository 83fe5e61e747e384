//! `--hugetlb SIZE=BYTES`

use izba_sandbox::cgroup::HugetlbLimit;

use super::bound;
use super::size::Size;

/// Reads one.
pub fn parse(text: &str) -> Result<HugetlbLimit, String> {
    let bad = || format!("{text:?} limits no huge pages: write PAGESIZE=SIZE, such as 2MB=64m");
    let (page_size, limit) = text.split_once('=').ok_or_else(bad)?;
    match page_size.parse() {
        Ok(Size::Bytes(bytes)) if bytes.is_power_of_two() && bytes >= 1024 => {
            Ok(HugetlbLimit { page_size: kernel_name(bytes), limit: bound::bytes(limit)? })
        }
        _ => Err(format!("{page_size:?} is no size of huge pages: write one such as 2MB or 1GB")),
    }
}

/// As the kernel names the files: mm/hugetlb_cgroup.c, mem_fmt().
fn kernel_name(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        30.. => format!("{}GB", bytes >> 30),
        20.. => format!("{}MB", bytes >> 20),
        _ => format!("{}KB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::cgroup::Bound;

    #[test]
    fn page_sizes_get_the_kernels_names() {
        for (text, name) in [("2MB=64m", "2MB"), ("2048k=64m", "2MB"), ("1G=64m", "1GB"), ("64kib=64m", "64KB")] {
            let limit = parse(text).unwrap();
            assert_eq!((limit.page_size.as_str(), limit.limit), (name, Bound::At(64 << 20)), "{text}");
        }
        assert_eq!(parse("2MB=max").unwrap().limit, Bound::Max);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "2MB", "=1", "2MB=", "3MB=1m", "2MB=0", "2MB=-5", "2MB=5%", "50%=1m", "512=1m", "../x=1m"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! How much memory there is: sysinfo(2).

use izba_sys::process::sysinfo;

use crate::parse::size::Size;

/// `None` is half of the memory, as tmpfs(5) has it.
pub fn bytes(size: Option<Size>) -> u64 {
    let info = sysinfo();
    // An unsigned long, which on other machines is not an u64.
    #[allow(clippy::useless_conversion)]
    let total = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit));
    size.unwrap_or(Size::Percent(50)).bytes(total)
}

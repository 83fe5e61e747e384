//! What a limit says of one block device: `/dev/sda:1m`, `8:0:1m`.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use izba_sandbox::cgroup::Bound;

use super::bound;
use super::number::unsigned;

/// A block device as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockDevice {
    /// By a path such as /dev/sda.
    Path(PathBuf),
    /// By its major and minor number.
    Number(u32, u32),
}

/// So much a second of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub device: BlockDevice,
    pub rate: Bound,
}

/// The share of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    pub device: BlockDevice,
    pub weight: u16,
}

/// Bytes in a second.
pub fn bytes_rate(text: &str) -> Result<Rate, String> {
    rate(text, bound::bytes)
}

/// Reads or writes in a second.
pub fn count_rate(text: &str) -> Result<Rate, String> {
    rate(text, bound::count)
}

fn rate(text: &str, read: fn(&str) -> Result<Bound, String>) -> Result<Rate, String> {
    let (device, rate) = split(text, "RATE")?;
    Ok(Rate { device, rate: read(rate)? })
}

/// In cgroup v2's scale.
pub fn io_weight(text: &str) -> Result<Weight, String> {
    weight(text, 1..=10_000)
}

/// In cgroup v1's scale.
pub fn blkio_weight(text: &str) -> Result<Weight, String> {
    weight(text, 10..=1000)
}

fn weight(text: &str, range: RangeInclusive<u16>) -> Result<Weight, String> {
    let (device, weight) = split(text, "WEIGHT")?;
    let (least, most) = (range.start(), range.end());
    match unsigned(weight).filter(|weight| range.contains(weight)) {
        Some(weight) => Ok(Weight { device, weight }),
        None => Err(format!("{weight:?} is no weight: write {least} to {most}")),
    }
}

/// The device and what is said of it: a path may hold colons, and the rest holds none.
fn split<'a>(text: &'a str, what: &str) -> Result<(BlockDevice, &'a str), String> {
    let bad = || format!("{text:?} names no device: write PATH:{what} or MAJOR:MINOR:{what}");
    let (device, rest) = text.rsplit_once(':').ok_or_else(bad)?;
    Ok((device.parse().map_err(|_| bad())?, rest))
}

impl FromStr for BlockDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(major, minor)| unsigned(major).zip(unsigned(minor)));
        match numbers {
            Some((major, minor)) => Ok(Self::Number(major, minor)),
            None if text.contains('/') && !text.contains('\0') => Ok(Self::Path(text.into())),
            None => Err(format!("{text:?} is no block device: write a path or MAJOR:MINOR")),
        }
    }
}

impl fmt::Display for BlockDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Number(major, minor) => write!(f, "{major}:{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_path_or_number() {
        let rate = |text: &str| bytes_rate(text).map(|rate| (rate.device.to_string(), rate.rate));
        assert_eq!(rate("/dev/sda:1m"), Ok(("/dev/sda".to_owned(), Bound::At(1 << 20))));
        assert_eq!(rate("8:16:max"), Ok(("8:16".to_owned(), Bound::Max)));
        let id = "/dev/disk/by-path/pci-0000:00:1f.2";
        assert_eq!(rate(&format!("{id}:4096")), Ok((id.to_owned(), Bound::At(4096))));
        assert_eq!(count_rate("./loop0:7").unwrap().rate, Bound::At(7));
        assert_eq!(io_weight("8:0:10000").unwrap().weight, 10_000);
        assert_eq!(blkio_weight("8:0:10").unwrap().device, BlockDevice::Number(8, 0));
    }

    #[test]
    fn other_text_is_refused() {
        let bad = [
            "", "/dev/sda", "8:0", "sda:1m", ":1m", "8::1m", "a:0:1m", "8:-1:1m", "8:0:0", "8:0:-2", "8:0:10%", "8:0:",
        ];
        for text in bad {
            assert!(bytes_rate(text).is_err(), "{text}");
        }
        assert!(count_rate("8:0:1m").is_err() && io_weight("8:0:0").is_err() && blkio_weight("8:0:1001").is_err());
        assert!(io_weight("8:0:+5").is_err() && io_weight("8:0:65537").is_err());
    }
}

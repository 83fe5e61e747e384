//! `--rdma DEVICE:handles=N,objects=N`

use izba_sandbox::cgroup::RdmaLimit;

use super::number::unsigned;

/// Reads one.
pub fn parse(text: &str) -> Result<RdmaLimit, String> {
    let bad = || format!("{text:?} limits no RDMA device: write DEVICE:handles=N,objects=N, or one of the two");
    let (device, limits) = text.split_once(':').ok_or_else(bad)?;
    // The kernel's file has it as the first word of a line.
    if device.is_empty() || device.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad());
    }
    let mut limit = RdmaLimit { device: device.to_owned(), handles: None, objects: None };
    for word in limits.split(',') {
        let (name, value) = word.split_once('=').ok_or_else(bad)?;
        let field = match name {
            "handles" => &mut limit.handles,
            "objects" => &mut limit.objects,
            _ => return Err(bad()),
        };
        let number =
            unsigned(value).ok_or_else(|| format!("{value:?} is no number of {name}: write 0 to {}", u32::MAX))?;
        if field.replace(number).is_some() {
            return Err(format!("{text:?} says {name} twice"));
        }
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_both_are_limited() {
        let limit = |handles, objects| RdmaLimit { device: "mlx5_0".to_owned(), handles, objects };
        assert_eq!(parse("mlx5_0:handles=2,objects=2000"), Ok(limit(Some(2), Some(2000))));
        assert_eq!(parse("mlx5_0:objects=0"), Ok(limit(None, Some(0))));
        for bad in [
            "",
            "mlx5_0",
            "mlx5_0:",
            ":handles=1",
            "mlx5_0:handles",
            "mlx5_0:handles=-1",
            "mlx5_0:handles=4294967296",
            "mlx5_0:handles=1,handles=2",
            "mlx5_0:pages=1",
            "a b:handles=1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

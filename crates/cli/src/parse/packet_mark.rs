//! How cgroup v1 marks network packets: `--net-class`, `--net-prio`.

use super::number::unsigned;

/// A class: its number, decimal or as 0x100001, or in hexadecimal as tc(8) writes it, 10:1.
pub fn class(text: &str) -> Result<u32, String> {
    let bad = || format!("{text:?} is no class of packets: write one as tc(8) does, such as 10:1, or its number");
    let hexadecimal = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| plain)
    };
    let number = match (text.split_once(':'), text.strip_prefix("0x")) {
        (Some((major, minor)), _) => {
            let half = |digits| hexadecimal(digits).filter(|&half| half <= 0xffff);
            half(major).zip(half(minor)).map(|(major, minor)| major << 16 | minor)
        }
        (None, Some(digits)) => hexadecimal(digits),
        (None, None) => unsigned(text),
    };
    number.ok_or_else(bad)
}

/// An interface and its priority.
pub fn priority(text: &str) -> Result<(String, u32), String> {
    let bad = || format!("{text:?} gives no priority: write INTERFACE=N, such as eth0=5");
    let (interface, priority) = text.split_once('=').ok_or_else(bad)?;
    // As the kernel checks names: dev_valid_name().
    let named =
        (1..16).contains(&interface.len()) && !interface.contains(|c: char| c.is_whitespace() || "/:".contains(c));
    let number = unsigned(priority).filter(|_| named);
    number.map(|number| (interface.to_owned(), number)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_as_tc_has_them() {
        for text in ["10:1", "0x100001", "1048577", "0010:0001"] {
            assert_eq!(class(text), Ok(0x10_0001), "{text}");
        }
        for bad in ["", ":", "1:", "10:1:1", "10000:1", "-1", "+1", "0x", "0x100000000", "4294967296", "g:1", "x"] {
            assert!(class(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn priorities_have_an_interface() {
        assert_eq!(priority("eth0=5"), Ok(("eth0".to_owned(), 5)));
        for bad in ["", "eth0", "=5", "eth0=", "eth0=-1", "eth0=x", "a b=1", "a/b=1", "abcdefghijklmnop=1"] {
            assert!(priority(bad).is_err(), "{bad}");
        }
    }
}

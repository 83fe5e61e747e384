//! Host names and NIS domain names: uname(2) holds 64 bytes of each.

const LONGEST: usize = 64;

/// A host name: letters, digits, dots, hyphens and underscores, as hostname(7) and practice have it.
pub fn parse(text: &str) -> Result<String, String> {
    check_length(text, "host name")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !text.bytes().all(fits) {
        return Err(format!("{text:?} is no host name: use letters, digits, '.', '-' and '_'"));
    }
    if text.starts_with(['-', '.']) || text.ends_with(['-', '.']) || text.contains("..") {
        return Err(format!("{text:?} is no host name: its parts can't be empty, or begin or end with a hyphen"));
    }
    Ok(text.to_owned())
}

/// An NIS domain name, or `(none)` as the kernel has it for no domain.
pub fn parse_domain(text: &str) -> Result<String, String> {
    check_length(text, "domain name")?;
    if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no domain name: use printable characters without spaces and '/'"))
    }
}

fn check_length(text: &str, what: &str) -> Result<(), String> {
    match text.len() {
        1..=LONGEST => Ok(()),
        length => Err(format!("a {what} has 1 to {LONGEST} bytes, not {length}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked() {
        for good in ["a", "web-1", "a.b.example", "A_b", &"x".repeat(64)] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a/b", "-a", "a-", ".a", "a..b", "ä", "a\n", &"x".repeat(65)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn domain_names_are_checked() {
        assert_eq!(parse_domain("(none)").as_deref(), Ok("(none)"));
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(parse_domain(bad).is_err(), "{bad}");
        }
    }
}

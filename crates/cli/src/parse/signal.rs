//! Signals by name or number: signal(7).

use std::str::FromStr;

use izba_sys::signal;

/// A signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

impl FromStr for Signal {
    type Err = String;

    /// Takes `TERM`, `SIGTERM`, `term`, `RTMIN+3`, `RTMAX-1` and `15`; a dash before it, as kill(1) has it, says nothing more.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.strip_prefix('-').unwrap_or(text).to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = name.parse().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_digit()));
        number
            .or_else(|| signal::number(name))
            .or_else(|| real_time(name))
            .filter(|number| (1..=signal::last()).contains(number))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "no signal is called {text:?}: use a name of signal(7), such as TERM, or 1 to {}",
                    signal::last()
                )
            })
    }
}

/// Counted from either end: which numbers they have is the C library's business.
fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.get(1..)?.parse::<u8>().ok().map(i32::from) };
    let number = if let Some(rest) = name.strip_prefix("RTMIN").filter(|rest| rest.is_empty() || rest.starts_with('+'))
    {
        signal::first_real_time() + offset(rest)?
    } else {
        let rest = name.strip_prefix("RTMAX").filter(|rest| rest.is_empty() || rest.starts_with('-'))?;
        signal::last() - offset(rest)?
    };
    (signal::first_real_time()..=signal::last()).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_kill_reads_them() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("-9", 9),
            ("-KILL", 9),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("WINCH", 28),
            ("CLD", 17),
        ] {
            assert_eq!(text.parse(), Ok(Signal(number)), "{text}");
        }
        for bad in
            ["", "0", "65", "--9", "+9", "TERMX", "SIG", "SIGSIGTERM", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+"]
        {
            assert!(bad.parse::<Signal>().is_err(), "{bad}");
        }
    }
}

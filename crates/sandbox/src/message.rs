//! What the child tells the parent: messages of a fixed size, so that nothing has to be allocated.

const LENGTH: usize = 29;

/// Times are of CLOCK_MONOTONIC, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub step: usize,
    pub call: usize,
    pub errno: i32,
    pub started: u64,
    pub ended: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A step is done.
    Done(Report),
    /// A call has failed; comes with a descriptor of the root.
    Failed(Report),
    /// Comes with the outer end of the terminal.
    Terminal,
    /// Comes with a namespace that the caller wants.
    Namespace,
    /// Everything but this last step has been done; who is watched waits until that has been told.
    Ready(Report),
}

impl Message {
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let (kind, report) = match self {
            Self::Done(report) => (1, *report),
            Self::Failed(report) => (2, *report),
            Self::Terminal => (3, Report::default()),
            Self::Ready(report) => (4, *report),
            Self::Namespace => (5, Report::default()),
        };
        let mut bytes = [0; LENGTH];
        bytes[0] = kind;
        // A plan has some hundred steps, so nothing is cut.
        bytes[1..5].copy_from_slice(&u32::try_from(report.step).unwrap_or(u32::MAX).to_ne_bytes());
        bytes[5..9].copy_from_slice(&u32::try_from(report.call).unwrap_or(u32::MAX).to_ne_bytes());
        bytes[9..13].copy_from_slice(&report.errno.to_ne_bytes());
        bytes[13..21].copy_from_slice(&report.started.to_ne_bytes());
        bytes[21..29].copy_from_slice(&report.ended.to_ne_bytes());
        bytes
    }

    /// `None` for anything that [`Message::encode`] doesn't make.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (call, rest) = rest.split_first_chunk()?;
        let (errno, rest) = rest.split_first_chunk()?;
        let (started, rest) = rest.split_first_chunk()?;
        let ended = rest.first_chunk()?;
        let report = Report {
            step: u32::from_ne_bytes(*step) as usize,
            call: u32::from_ne_bytes(*call) as usize,
            errno: i32::from_ne_bytes(*errno),
            started: u64::from_ne_bytes(*started),
            ended: u64::from_ne_bytes(*ended),
        };
        match kind {
            1 => Some(Self::Done(report)),
            2 => Some(Self::Failed(report)),
            3 => Some(Self::Terminal),
            4 => Some(Self::Ready(report)),
            5 => Some(Self::Namespace),
            _ => None,
        }
    }

    /// A buffer that holds any message.
    pub(crate) fn buffer() -> [u8; LENGTH] {
        [0; LENGTH]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_channel() {
        let report = Report { step: 300, call: 2, errno: 13, started: 5, ended: u64::MAX };
        for message in [
            Message::Done(report),
            Message::Failed(report),
            Message::Terminal,
            Message::Namespace,
            Message::Ready(report),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[1, 2, 3]), None);
        assert_eq!(Message::decode(&[9; LENGTH]), None);
    }
}

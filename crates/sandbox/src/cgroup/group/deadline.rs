//! Until when something is waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// A point in time at which patience ends, with pauses until then that grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    pause: Duration,
}

/// A process that is killed has often ended by then.
const SHORTEST: Duration = Duration::from_millis(1);

/// What lasts longer isn't made worse by so much.
const LONGEST: Duration = Duration::from_millis(32);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        let now = Instant::now();
        let end = now.checked_add(patience).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        Self { end, pause: SHORTEST }
    }

    /// Zero when it's over.
    pub(super) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits for a moment; false when it's over.
    pub(super) fn pause(&mut self) -> bool {
        let left = self.left();
        sleep(left.min(self.pause));
        self.pause = (self.pause * 2).min(LONGEST);
        !left.is_zero()
    }
}

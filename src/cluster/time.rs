//! Points in time, as the core sees them: nanoseconds of a clock that the shell reads and passes in.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the shell's monotonic clock (CLOCK_BOOTTIME: it goes on while the machine sleeps).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Time(u64);

impl Time {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);

    /// A point so many nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_wraps_nor_goes_below_zero() {
        let (at, nanos) = (Time::from_nanos(1000), Duration::from_nanos(300));
        assert_eq!((at + nanos, at - nanos), (Time::from_nanos(1300), Time::from_nanos(700)));
        let mut later = at;
        later += nanos;
        assert_eq!((later.since(at), at.since(later), later.as_nanos()), (nanos, Duration::ZERO, 1300));
        assert_eq!(
            (Time::ZERO - nanos, Time::from_nanos(u64::MAX) + nanos),
            (Time::ZERO, Time::from_nanos(u64::MAX))
        );
    }
}

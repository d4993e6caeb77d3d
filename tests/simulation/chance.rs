//! Draws from the seed's stream.

use std::time::Duration;

use standin::cluster::Random;

/// What the simulator draws.
pub(crate) trait Chance {
    /// True in so many of a thousand cases.
    fn chance(&mut self, per_mille: u64) -> bool;
    /// A duration from `low` to `high`, all equally likely.
    fn between(&mut self, low: Duration, high: Duration) -> Duration;
    /// A duration from `low` to `high`, each order of magnitude equally likely.
    fn spread(&mut self, low: Duration, high: Duration) -> Duration;
    /// One of these.
    fn pick<T: Copy>(&mut self, from: &[T]) -> T;
}

impl Chance for Random {
    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_nanos() as u64;
        low + Duration::from_nanos(self.below(span + 1))
    }

    fn spread(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (low.as_secs_f64().max(1e-4).ln(), high.as_secs_f64().max(1e-4).ln());
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        Duration::from_secs_f64((low + (high - low) * part).exp())
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// So many milliseconds.
pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many seconds.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

//! How fast a service is started again that fails again and again.

use std::time::Duration;

use crate::cluster::Time;

/// The first start is at once, the next one after this; then each after twice as long.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// What has run for so long is healthy.
const HEALTHY: Duration = Duration::from_secs(60);

/// When the next start is due.
#[derive(Debug)]
pub(in crate::agent::effects) struct Pace {
    pause: Duration,
    not_before: Option<Time>,
    up_since: Option<Time>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause: FIRST, not_before: None, up_since: None }
    }
}

impl Pace {
    /// How long the next start has to wait; zero: it may begin.
    pub(super) fn wait(&self, now: Time) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.since(now))
    }

    /// A start has ended, well or badly. Answers how long the next one will wait.
    pub(in crate::agent::effects) fn started(&mut self, now: Time) -> Duration {
        let pause = self.pause;
        self.not_before = Some(now + pause);
        self.pause = (pause * 2).min(LONGEST);
        self.up_since = None;
        pause
    }

    /// It runs. Answers how much longer it has to, to be healthy again; `None`: it is.
    pub(super) fn runs(&mut self, now: Time) -> Option<Duration> {
        let since = *self.up_since.get_or_insert(now);
        if now.since(since) < HEALTHY {
            return Some((since + HEALTHY).since(now));
        }
        let up_since = self.up_since;
        *self = Self { up_since, ..Self::default() };
        None
    }

    /// It does not run.
    pub(super) fn is_down(&mut self) {
        self.up_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_waits_twice_as_long_until_it_has_been_healthy() {
        let mut pace = Pace::default();
        let mut now = Time::from_nanos(5);
        assert_eq!(pace.wait(now), Duration::ZERO, "the first is at once");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(pace.started(now).as_secs());
            assert_eq!(pace.wait(now).as_secs(), *pauses.last().unwrap());
            now += pace.wait(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pace.runs(now), Some(HEALTHY));
        now += Duration::from_secs(59);
        assert_eq!(pace.runs(now), Some(Duration::from_secs(1)));
        pace.is_down();
        assert_eq!(pace.runs(now), Some(HEALTHY), "it begins anew");
        now += HEALTHY;
        assert_eq!((pace.runs(now), pace.wait(now)), (None, Duration::ZERO));
        assert_eq!(pace.started(now).as_secs(), 1);
    }
}

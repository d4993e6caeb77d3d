//! The clocks. The only file that reads one: everywhere else a time is an argument, so that a test or a
//! replay can say what time it is.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::cluster::Time;

/// The time since boot: CLOCK_BOOTTIME, which nobody can set, and which goes on while the machine sleeps, so
/// that a suspended node knows on waking that its knowledge is old.
pub fn now() -> Time {
    let read = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(read.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(read.tv_nsec).unwrap_or(0);
    Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The wall clock, as the time since 1970. Nothing is decided by it.
pub fn wall() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "this is the file for it")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The wall clock as text, for people: UTC, as in RFC 3339, with milliseconds. Nothing is decided by it.
pub fn wall_text() -> String {
    #[allow(clippy::disallowed_methods, reason = "this is the file for it")]
    let now = SystemTime::now();
    text(now)
}

fn text(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let before = now();
        std::thread::sleep(Duration::from_millis(5));
        let between = now().since(before);
        assert!(between >= Duration::from_millis(5) && between < Duration::from_secs(5), "{between:?}");
    }

    #[test]
    fn time_is_that_since_boot() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let clock = now().since(Time::ZERO).as_secs_f64();
        assert!((clock - uptime).abs() < 1.0, "{clock} {uptime}");
    }

    #[test]
    fn wall_clock_is_utc_with_milliseconds() {
        assert_eq!(
            text(SystemTime::UNIX_EPOCH + Duration::from_micros(1_763_769_600_123_999)),
            "2025-11-22T00:00:00.123Z"
        );
        assert_eq!(wall_text().len(), "2025-11-22T00:00:00.123Z".len());
    }
}

//! Times as people type and read them: UTC, as in the log.

use std::time::{Duration, UNIX_EPOCH};

const DAY_MS: u64 = 86_400_000;

/// The wall clock's milliseconds since 1970 that are meant; a time without a date is the last such one that is
/// not after `newest`.
///
/// # Errors
/// The rule that the text breaks.
pub(super) fn parse(typed: &str, newest: u64) -> Result<u64, String> {
    let text = typed.trim().trim_end_matches(['Z', 'z']);
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (Some(date.to_owned()), time),
        None if text.contains(':') => (None, text),
        None => return Err("a time has hours and minutes".to_owned()),
    };
    let minutes_only = time.matches(':').count() == 1;
    let full = if minutes_only { format!("{time}:00") } else { time.to_owned() };
    let day = date.clone().unwrap_or_else(|| moment(newest)[..10].to_owned());
    let parsed =
        humantime::parse_rfc3339_weak(&format!("{day}T{full}Z")).map_err(|error| error.to_string())?;
    let since = parsed.duration_since(UNIX_EPOCH).map_err(|_| "it is before 1970".to_owned())?;
    let mut at = u64::try_from(since.as_millis()).map_err(|_| "it is too far away".to_owned())?;
    let begins = at;
    if minutes_only {
        at += 59_999;
    } else if !full.contains('.') {
        at += 999;
    }
    // Yesterday's, if today's has not come yet.
    Ok(if date.is_none() && begins > newest { at.saturating_sub(DAY_MS) } else { at })
}

/// "2026-01-02 03:12:45.120".
pub(super) fn moment(ms: u64) -> String {
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string();
    text.trim_end_matches('Z').replace('T', " ")
}

/// "03:12:45.120".
pub(super) fn time(ms: u64) -> String {
    moment(ms).split_off(11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_last_such_ones() {
        // 2026-01-02 03:00:00.
        let newest = 1_767_322_800_000;
        let parsed = |text| parse(text, newest).map(moment);
        assert_eq!(parsed("02:12:45").as_deref(), Ok("2026-01-02 02:12:45.999"));
        assert_eq!(parsed("03:12:45.1").as_deref(), Ok("2026-01-01 03:12:45.100"));
        assert_eq!(parsed("03:00:00").as_deref(), Ok("2026-01-02 03:00:00.999"));
        assert_eq!(parsed("02:59").as_deref(), Ok("2026-01-02 02:59:59.999"));
        assert_eq!(parsed("2025-12-31T23:59:59Z").as_deref(), Ok("2025-12-31 23:59:59.999"));
        assert_eq!(parsed("2026-01-03 04:00:00.5").as_deref(), Ok("2026-01-03 04:00:00.500"));
        assert_eq!(time(newest), "03:00:00.000");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "3", "25:00:00", "2026-13-01T00:00:00", "1969-01-01 00:00", "12:61", "ä:ö"]
        {
            assert!(parse(text, 1_767_322_800_000).is_err(), "{text}");
        }
    }
}

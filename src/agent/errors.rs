//! The last error of each kind of call: for `status`, and for a log that says it once and not every second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock;
use crate::cluster::Time;

/// The same error of the same call is logged at most so often.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The last error of each kind of call. There are as many as there are kinds of calls in this program.
#[derive(Debug, Default)]
pub(super) struct Errors {
    last: Mutex<BTreeMap<&'static str, LastError>>,
}

/// The last error of one kind of call.
#[derive(Clone, Debug)]
pub(super) struct LastError {
    pub(super) text: String,
    pub(super) at: Time,
    pub(super) count: u64,
    pub(super) over: bool,
    /// What makes two errors the same one: the text has request ids in it.
    class: String,
    logged_at: Time,
}

impl Errors {
    /// A call has failed. `class` tells errors of one call apart.
    pub(super) fn failed(&self, call: &'static str, class: &str, text: &str) {
        let now = clock::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.get(call);
        let news = known.is_none_or(|it| it.class != class || now.since(it.logged_at) >= REPEAT_AFTER);
        let count = known.map_or(0, |it| it.count) + 1;
        let logged_at = known.filter(|_| !news).map_or(now, |it| it.logged_at);
        last.insert(
            call,
            LastError {
                text: text.to_owned(),
                at: now,
                count,
                over: false,
                class: class.to_owned(),
                logged_at,
            },
        );
        drop(last);
        if news {
            tracing::warn!(id = "call-failed", call, count, "{text}");
        }
    }

    /// The same call has worked.
    pub(super) fn worked(&self, call: &'static str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = last.get_mut(call) {
            error.over = true;
        }
    }

    /// All of them, the latest first.
    pub(super) fn all(&self) -> Vec<(&'static str, LastError)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = last.iter().map(|(call, error)| (*call, error.clone())).collect();
        all.sort_by_key(|(_, error)| std::cmp::Reverse(error.at));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_kept_and_its_end_is_noted() {
        let errors = Errors::default();
        errors.failed("CreateTags", "denied", "first");
        errors.failed("CreateTags", "denied", "second");
        errors.failed("DescribeAddresses", "throttled", "third");
        errors.worked("CreateTags");
        errors.worked("never failed");
        let all = errors.all();
        assert_eq!(
            all.iter().map(|(call, _)| *call).collect::<Vec<_>>(),
            ["DescribeAddresses", "CreateTags"]
        );
        let (_, tags) = &all[1];
        assert_eq!((tags.text.as_str(), tags.count, tags.over), ("second", 2, true));
        assert!(tags.logged_at < tags.at, "the repetition was not logged");
    }
}

//! Token buckets, one per action (Developer Guide, "Request throttling for the Amazon EC2 API").
//!
//! The buckets are the account's: all callers share them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::ApiError;
use super::request::Request;

/// The account's buckets.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    on: bool,
    buckets: BTreeMap<(&'static str, bool), Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Buckets {
    pub(super) fn new(on: bool) -> Self {
        Self { on, buckets: BTreeMap::new() }
    }

    /// Takes a token for this call, or refuses it.
    pub(super) fn take(&mut self, request: &Request, now: Duration) -> Result<(), ApiError> {
        if !self.on {
            return Ok(());
        }
        let (capacity, per_second) = rate(request);
        let action = request.action();
        let bucket =
            self.buckets.entry((action, unfiltered(request))).or_insert(Bucket { tokens: capacity, at: now });
        let refill = now.saturating_sub(bucket.at).as_secs_f64() * per_second;
        bucket.tokens = (bucket.tokens + refill).min(capacity);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(ApiError::new("RequestLimitExceeded", "Request limit exceeded."));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// Bucket size and refill per second: non-mutating 100 and 20, unfiltered and unpaginated non-mutating 50
/// and 10, mutating 50 and 5.
fn rate(request: &Request) -> (f64, f64) {
    match (request.reads(), unfiltered(request)) {
        (true, false) => (100.0, 20.0),
        (true, true) => (50.0, 10.0),
        (false, _) => (50.0, 5.0),
    }
}

fn unfiltered(request: &Request) -> bool {
    request.describe().is_some_and(|it| {
        it.ids.is_empty() && it.public_ips.is_empty() && it.filters.is_empty() && it.max_results.is_none()
    })
}

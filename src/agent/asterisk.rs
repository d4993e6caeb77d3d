//! What is known of a group's Asterisk, for `status` and between the tasks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::agent::clock;
use crate::cluster::Time;
use crate::control::protocol;

/// One group's Asterisk.
#[derive(Debug, Default)]
pub(super) struct AsteriskSeen {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    registrations: Vec<Registration>,
    drain: Option<Drain>,
}

/// One outbound registration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Registration {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) since: Time,
    pub(super) took_ms: Option<u64>,
}

/// A drain that is under way.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    /// Channels that are still up.
    pub(super) calls: u32,
    pub(super) until: Time,
    pub(super) to: Option<String>,
    /// Somebody does not want it any more.
    pub(super) cancel: Arc<Notify>,
}

impl AsteriskSeen {
    pub(super) fn saw(&self, registrations: Vec<Registration>) {
        self.lock().registrations = registrations;
    }

    /// Begins a drain; `false`: there is one already.
    pub(super) fn begin(&self, drain: Drain) -> bool {
        let mut inner = self.lock();
        let free = inner.drain.is_none();
        if free {
            inner.drain = Some(drain);
        }
        free
    }

    pub(super) fn drains(&self, calls: u32) {
        if let Some(drain) = &mut self.lock().drain {
            drain.calls = calls;
        }
    }

    pub(super) fn drained(&self) {
        self.lock().drain = None;
    }

    /// Answers whether there was one.
    pub(super) fn cancel(&self) -> bool {
        let inner = self.lock();
        if let Some(drain) = &inner.drain {
            drain.cancel.notify_one();
        }
        inner.drain.is_some()
    }

    /// For `status`.
    pub(super) fn show(&self) -> (Vec<protocol::Registration>, Option<protocol::Draining>) {
        let now = clock::now();
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let inner = self.lock();
        let registration = |it: &Registration| protocol::Registration {
            name: it.name.clone(),
            state: it.state.clone(),
            since_ms: ms(now.since(it.since)),
            took_ms: it.took_ms,
        };
        let drain = inner.drain.as_ref().map(|it| protocol::Draining {
            calls: it.calls,
            left_ms: ms(it.until.since(now)),
            to: it.to.clone(),
        });
        (inner.registrations.iter().map(registration).collect(), drain)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

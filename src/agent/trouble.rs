//! What the checks have against a service, on its way to the one task that may restart it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(super) use crate::service::state::Seriousness;

/// Something has found that the service, though it may run, does not do what it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trouble {
    /// What, in words: "check sip: no answer within 1s".
    pub(super) what: String,
    /// What may help.
    pub(super) kind: Seriousness,
}

/// The way of troubles: many tell, one hears.
#[derive(Debug)]
pub(super) struct Troubles {
    to: UnboundedSender<Trouble>,
    from: Mutex<Option<UnboundedReceiver<Trouble>>>,
}

impl Default for Troubles {
    fn default() -> Self {
        let (to, from) = unbounded_channel();
        Self { to, from: Mutex::new(Some(from)) }
    }
}

impl Troubles {
    /// Tells the service's task. It drops what arrives while it restarts the service: that is about the old process.
    pub(super) fn tell(&self, trouble: Trouble) {
        // Without a service there is nobody to tell.
        let _unheard = self.to.send(trouble);
    }

    /// Where they arrive, for the first who asks.
    pub(super) fn take(&self) -> Option<UnboundedReceiver<Trouble>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

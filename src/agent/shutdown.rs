//! Signals: SIGTERM and SIGINT stop (SIGTERM restarts, if that is what systemd is about), SIGUSR1
//! announces a restart and leaves everything running. The second SIGTERM or SIGINT ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::heart::{Pulse, ToHeart};
use super::systemd::{self, Stopping};
use crate::cluster::{Event, Shutdown};

/// The signals that the agent listens to.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    reload: Signal,
}

impl Signals {
    /// Listens from now on. In a tokio runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined1())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Passes them on for as long as it is polled.
    pub(super) async fn pass_on(mut self, heart: ToHeart, pulse: Arc<Pulse>, at_once: Arc<AtomicBool>) {
        let mut asked = false;
        loop {
            let how = tokio::select! {
                _ = self.terminate.recv() => None,
                _ = self.interrupt.recv() => Some(Shutdown::Stop),
                _ = self.restart.recv() => Some(Shutdown::Restart),
                _ = self.reload.recv() => {
                    tracing::warn!(
                        id = "signal",
                        "SIGHUP is ignored: the configuration is read at start only, use `systemctl restart standin`"
                    );
                    continue;
                }
            };
            if asked && how != Some(Shutdown::Restart) {
                tracing::warn!(id = "signal", "the second signal: the agent ends at once");
                at_once.store(true, Ordering::Relaxed);
                pulse.stop();
                heart.wake();
                return;
            }
            asked = true;
            let how = match how {
                Some(how) => how,
                None => why(systemd::why_stopping().await),
            };
            heart.event(Event::ShutdownAsked(how));
        }
    }
}

fn why(stopping: Stopping) -> Shutdown {
    tracing::info!(id = "signal", "SIGTERM: {stopping:?}");
    match stopping {
        Stopping::Restart => Shutdown::Restart,
        Stopping::Stop | Stopping::SystemDown | Stopping::Unknown => Shutdown::Stop,
    }
}

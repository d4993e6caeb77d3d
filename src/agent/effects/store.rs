//! What is to be remembered, on its way to the disk.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::agent::memory;
use crate::agent::shell::Shell;
use crate::agent::store::{State, Store};
use crate::cluster::{GroupId, Memory};

/// Writes one after the other, and always the latest.
pub(super) struct Writer {
    to: UnboundedSender<(GroupId, Memory)>,
    writing: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(store: Store, state: State, shell: Arc<Shell>) -> Self {
        let (to, from) = unbounded_channel();
        Self { to, writing: tokio::spawn(write(store, state, shell, from)) }
    }

    pub(super) fn put(&self, group: GroupId, memory: Memory) {
        // The task ends after this sender.
        let _sent = self.to.send((group, memory));
    }

    /// Ends when everything is written.
    pub(super) async fn finish(self) {
        drop(self.to);
        let _written = self.writing.await;
    }
}

async fn write(
    store: Store,
    mut state: State,
    shell: Arc<Shell>,
    mut from: UnboundedReceiver<(GroupId, Memory)>,
) {
    while let Some((group, memory)) = from.recv().await {
        memory::put(&mut state, &shell.names, group, &memory);
        while let Ok((group, memory)) = from.try_recv() {
            memory::put(&mut state, &shell.names, group, &memory);
        }
        let (store, copy) = (store.clone(), state.clone());
        let Ok(saved) = tokio::task::spawn_blocking(move || store.save(&copy)).await else { continue };
        match saved {
            Ok(()) => shell.errors.worked("state"),
            Err(trouble) => shell.errors.failed("state", "save", &trouble.to_string()),
        }
    }
}

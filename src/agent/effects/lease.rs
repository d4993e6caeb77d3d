//! The lease, read and written for the core: one call each, one event each.

use std::sync::Arc;
use std::time::Duration;

use super::calls::{bounded, in_time};
use crate::agent::clock;
use crate::agent::shell::Shell;
use crate::cloud::{CloudError, ErrorKind, LeaseItem, LeaseTable};
use crate::cluster::{Event, GroupId, Lease, NodeId, Time};
use crate::config;

/// An owner that is no node of this configuration: it was renamed or removed. Its lease runs out like any other's.
const STRANGER: NodeId = NodeId(u8::MAX);

/// The bound on one call: as long as the holder has between two renewals, so that what hangs is known as such
/// before the next one is due.
pub(in crate::agent) fn call_timeout(lease: &config::Lease, ec2: Duration) -> Duration {
    (lease.length / 5).min(ec2)
}

pub(super) async fn read(shell: Arc<Shell>, group: GroupId, call: u64) {
    let read = async {
        let item = table(&shell)?.read(&key(&shell, group)).await?;
        Ok(item.map(|item| lease(&shell, group, &item)))
    };
    let answer = bounded(&shell, "GetItem", bound(&shell), read).await;
    shell.heart.event(Event::LeaseRead { group, call, answer });
}

pub(super) async fn write(
    shell: Arc<Shell>,
    group: GroupId,
    call: u64,
    (expect, lease): (Option<u64>, Lease),
    decided: Time,
) {
    let write = async {
        let item = LeaseItem {
            owner: lease.owner.map(|node| shell.names.node(node).to_owned()),
            nonce: lease.nonce,
            term: lease.term,
            length_ms: u64::try_from(lease.length.as_millis()).unwrap_or(u64::MAX),
            written_at: clock::wall_text(),
        };
        let table = table(&shell)?;
        in_time("PutItem", decided, clock::now(), shell.unnoticed())?;
        table.write(&key(&shell, group), expect, &item).await
    };
    let answer = bounded(&shell, "PutItem", bound(&shell), write).await;
    shell.heart.event(Event::LeaseWritten { group, call, answer });
}

fn table(shell: &Shell) -> Result<&dyn LeaseTable, CloudError> {
    let none = || CloudError::new(ErrorKind::Invalid, "GetItem", "no lease is configured");
    shell.leases.as_deref().ok_or_else(none)
}

fn bound(shell: &Shell) -> Duration {
    let ec2 = shell.config.aws.call_timeout;
    shell.config.lease.as_ref().map_or(ec2, |lease| call_timeout(lease, ec2))
}

/// The item's key.
fn key(shell: &Shell, group: GroupId) -> String {
    format!("{}/{}", shell.names.cluster, shell.names.group(group))
}

fn lease(shell: &Shell, group: GroupId, item: &LeaseItem) -> Lease {
    let owner = item.owner.as_deref().map(|name| match shell.names.node_id(name) {
        Some(node) => {
            shell.errors.worked("lease");
            node
        }
        None => {
            let group = shell.names.group(group);
            let text = format!(
                "the lease of {group} is held by {name:?}, which is no node of this configuration: it has to run out"
            );
            shell.errors.failed("lease", name, &text);
            STRANGER
        }
    });
    Lease { owner, nonce: item.nonce, term: item.term, length: Duration::from_millis(item.length_ms) }
}

//! Fencing, carried out for the core; and, long before it is needed, what would make it fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::calls::{bounded, ec2_calls, in_time};
use crate::agent::clock;
use crate::agent::shell::Shell;
use crate::cloud::{CloudError, ErrorKind, Obstacle};
use crate::cluster::{Event, GroupId, NodeId, Time};
use crate::config::Fencing;

/// The peers' instances are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Where nobody knows yet whether a peer can be fenced, more often.
const LOOK_SOON: Duration = Duration::from_secs(60);
/// A peer that is heard says within this which instance it is.
const FIRST_LOOK: Duration = Duration::from_secs(10);

pub(super) async fn fence(shell: Arc<Shell>, group: GroupId, node: NodeId, call: u64, decided: Time) {
    let name = shell.names.node(node);
    let fence = async {
        let instance = instance_of(&shell, node, "StopInstances")?;
        in_time("StopInstances", decided, clock::now(), shell.unnoticed())?;
        let state = shell.cloud.stop_instance(&instance).await?;
        tracing::warn!(id = "fence", node = name, "EC2 was told to stop {instance} ({name}): {state:?}");
        Ok(())
    };
    let answer = bounded(&shell, "StopInstances", ec2_calls(&shell, 1), fence).await;
    shell.heart.event(Event::Fenced { group, node, call, answer });
}

/// The instance that the call is about; never one's own, whatever a heartbeat says.
pub(super) fn instance_of(shell: &Shell, node: NodeId, action: &'static str) -> Result<String, CloudError> {
    let error = |kind, text: String| CloudError::new(kind, action, text);
    let Some(instance) = shell.roster.instance_of(node) else {
        // It may be heard, or found by its address, in the next minute.
        let text = format!("the instance of {} is not known yet", shell.names.node(node));
        return Err(error(ErrorKind::Unreachable, text));
    };
    let own = shell.here.borrow().as_ref().is_some_and(|here| here.identity.instance == instance);
    if node == shell.me || own {
        return Err(error(ErrorKind::Invalid, format!("{instance} is this node's own instance")));
    }
    Ok(instance)
}

/// Looks for as long as the agent runs, if any of its groups is fenced.
pub(super) async fn watch(shell: Arc<Shell>) {
    if !shell.own_groups().any(|(_, group)| group.fencing != Fencing::None) {
        return;
    }
    let mut here = shell.here.subscribe();
    if here.wait_for(Option::is_some).await.is_err() {
        return;
    }
    tokio::time::sleep(FIRST_LOOK).await;
    let mut said = BTreeMap::new();
    loop {
        let all_known = look(&shell, &mut said).await;
        tokio::time::sleep(if all_known { LOOK_EVERY } else { LOOK_SOON }).await;
    }
}

/// Asks about each peer that may have to be fenced. Answers whether EC2 has said everything.
async fn look(shell: &Shell, said: &mut BTreeMap<NodeId, String>) -> bool {
    let mut all_known = true;
    let groups: Vec<_> = shell.own_groups().filter(|(_, group)| group.fencing != Fencing::None).collect();
    let mut peers: Vec<NodeId> = groups.iter().flat_map(|(_, group)| group.nodes.clone()).collect();
    peers.sort_unstable();
    peers.dedup();
    for node in peers.into_iter().filter(|node| *node != shell.me) {
        let name = shell.names.node(node);
        let (known, text) = match obstacles(shell, node).await {
            Ok(obstacles) => (true, sentence(&obstacles)),
            Err(error) => (false, Some(format!("it is not known whether it can be stopped ({error})"))),
        };
        all_known &= known;
        let before = said.insert(node, text.clone().unwrap_or_default()).unwrap_or_default();
        match &text {
            Some(text) if *text != before => {
                tracing::warn!(id = "fence-obstacle", node = name, "fencing of {name}: {text}");
            }
            None if !before.is_empty() => {
                tracing::info!(
                    id = "fence-obstacle",
                    node = name,
                    "nothing stands in the way of fencing {name}"
                );
            }
            Some(_) | None => {}
        }
        for (group, settings) in &groups {
            if let Some((_, world)) = shell.group(*group).filter(|_| settings.nodes.contains(&node)) {
                world.seen().note(&format!("fencing of {name}"), text.clone());
            }
        }
    }
    all_known
}

async fn obstacles(shell: &Shell, node: NodeId) -> Result<Vec<Obstacle>, CloudError> {
    let Some(instance) = shell.roster.instance_of(node) else {
        return Err(CloudError::new(
            ErrorKind::NotFound,
            "DescribeInstances",
            "its instance is not known yet",
        ));
    };
    shell.cloud.fence_obstacles(&instance).await
}

/// The obstacles in one sentence, those that prevent it first; `None`: there are none.
fn sentence(obstacles: &[Obstacle]) -> Option<String> {
    let (first, then): (Vec<&Obstacle>, Vec<&Obstacle>) = obstacles.iter().partition(|it| it.prevents());
    let all: Vec<String> = first.into_iter().chain(then).map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prevents_it_is_said_first() {
        assert_eq!(sentence(&[]), None);
        let both = sentence(&[Obstacle::AutoScaling("web".to_owned()), Obstacle::StopProtection]).unwrap();
        assert!(both.starts_with("it has stop protection"), "{both}");
        assert!(both.contains("; it is in the Auto Scaling group web"), "{both}");
    }
}

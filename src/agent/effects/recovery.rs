//! A lost node's instance is brought back, as the core wants it.

use std::sync::Arc;

use super::calls::{bounded, ec2_calls, in_time};
use super::fence::instance_of;
use crate::agent::clock;
use crate::agent::shell::Shell;
use crate::cluster::{Event, NodeId, Remedy, Time};

pub(super) async fn recover(shell: Arc<Shell>, node: NodeId, remedy: Remedy, call: u64, decided: Time) {
    let name = shell.names.node(node);
    let action = match remedy {
        Remedy::Reboot => "RebootInstances",
        Remedy::Stop => "StopInstances",
        Remedy::Start => "StartInstances",
    };
    let order = async {
        let instance = instance_of(&shell, node, action)?;
        in_time(action, decided, clock::now(), shell.unnoticed())?;
        match remedy {
            Remedy::Reboot => shell.cloud.reboot_instance(&instance).await?,
            Remedy::Stop => drop(shell.cloud.stop_instance(&instance).await?),
            Remedy::Start => drop(shell.cloud.start_instance(&instance).await?),
        }
        tracing::warn!(id = "recover", node = name, "{action} of {instance} ({name}) was accepted");
        Ok(())
    };
    let answer = bounded(&shell, action, ec2_calls(&shell, 1), order).await;
    shell.heart.event(Event::Recovered { node, call, answer });
}

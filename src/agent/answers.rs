//! What the operator's socket answers.

use std::sync::Arc;
use std::time::Duration;

use super::effects::asterisk::drain;
use super::shell::Shell;
use super::status::{self, Recording};
use crate::cluster::{Event, Wish};
use crate::control::protocol::{Request, Response, VERSION};

/// Answers an operator.
pub(super) async fn answer(shell: Arc<Shell>, recording: Arc<Recording>, request: Request) -> Response {
    let refused = |why: String| Response::Refused { why };
    let unknown = |what: &str, name: &str, known: &[String]| {
        refused(format!("there is no {what} {name:?}; there are: {}", known.join(", ")))
    };
    let wish = |group: &str, wish: &dyn Fn(crate::cluster::GroupId) -> Wish| match shell.names.group_id(group)
    {
        Some(id) => {
            shell.heart.event(Event::Asked(wish(id)));
            Response::Accepted
        }
        None => unknown("group", group, &shell.names.groups),
    };
    match request {
        Request::Ping => Response::Pong {
            version: VERSION,
            node: shell.names.node(shell.me).to_owned(),
            pid: std::process::id(),
        },
        Request::Status => match shell.heart.look().await {
            Some(look) => Response::Status(Box::new(status::of(&shell, &look, &recording))),
            None => refused("the agent is ending".to_owned()),
        },
        Request::CancelDrain { group } => match shell.names.group_id(&group).and_then(|it| shell.group(it)) {
            Some((_, world)) if world.asterisk.cancel() => Response::Accepted,
            Some(_) => refused(format!("{group} is not being drained on this node")),
            None => unknown("group", &group, &shell.names.groups),
        },
        Request::Switchover { group, to, drain_ms } => {
            let node = to.as_ref().map(|name| (name, shell.names.node_id(name)));
            match node {
                Some((name, None)) => unknown("node", name, &shell.names.nodes),
                node if drain_ms.is_some() => {
                    let Some(id) = shell.names.group_id(&group) else {
                        return unknown("group", &group, &shell.names.groups);
                    };
                    let (to, limit) = (node.and_then(|it| it.1), drain_ms.unwrap_or_default());
                    let begun = drain::begin(&shell, id, to, Duration::from_millis(limit)).await;
                    begun.map_or_else(refused, |()| Response::Accepted)
                }
                Some((_, node)) => wish(&group, &|id| Wish::Switchover(id, node)),
                None => wish(&group, &|id| Wish::Switchover(id, None)),
            }
        }
        Request::Maintenance { group, on } => wish(&group, &|id| Wish::Maintenance(id, on)),
        Request::Standby { group, on } => wish(&group, &|id| Wish::Standby(id, on)),
        Request::Cleanup { group } => wish(&group, &Wish::Cleanup),
    }
}

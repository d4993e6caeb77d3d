//! The core's own calls to EC2. Each ends within a bound and is answered by exactly one event.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::clock;
use crate::agent::shell::Shell;
use crate::cloud::{CloudError, ErrorKind, InstanceState};
use crate::cluster::{Event, Failure, GroupId, NodeId, Running, TakeFrom, Time};
use crate::config::{Group, Resource};
use crate::resource::{self, Here, counter_key, counter_value};

/// Every call has its own bound; this is what may come on top of it before we stop waiting all the same.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) async fn read_anchor(shell: Arc<Shell>, group: GroupId, call: u64) {
    let Some((settings, _)) = shell.group(group) else { return };
    let key = counter_key(&shell.names.cluster, shell.names.group(group));
    let read = async {
        let here = here(&shell).await?;
        let cloud = shell.cloud.as_ref();
        resource::observe_anchor(cloud, anchor(settings)?, &here, &shell.roster, &key).await
    };
    // A holder that is not known costs a second Describe.
    let answer = bounded(&shell, read_action(settings), ec2_calls(&shell, 2), read).await;
    shell.heart.event(Event::AnchorRead { group, call, answer });
}

pub(super) async fn take_anchor(shell: Arc<Shell>, group: GroupId, call: u64, from: TakeFrom, decided: Time) {
    let Some((settings, world)) = shell.group(group) else { return };
    let from = match from {
        TakeFrom::Anyone => resource::TakeFrom::Anyone,
        TakeFrom::Nobody => resource::TakeFrom::Nobody,
    };
    shell.timeline.take_sent(group, clock::now());
    let take = async {
        let here = here(&shell).await?;
        in_time(take_action(settings), decided, clock::now(), shell.unnoticed())?;
        resource::take_anchor(shell.cloud.as_ref(), anchor(settings)?, &here, from).await
    };
    let answer = bounded(&shell, take_action(settings), ec2_calls(&shell, 1), take).await;
    let now = clock::now();
    shell.timeline.take_answered(group, answer.is_ok(), now, &shell.names);
    if answer.is_ok() {
        world.seen().took_at = Some(now);
    }
    shell.heart.event(Event::TakeAnswered { group, call, answer });
}

pub(super) async fn read_instance(shell: Arc<Shell>, node: NodeId, call: u64) {
    let read = async {
        let Some(instance) = shell.roster.instance_of(node) else {
            let text = format!("the instance of {} is not known yet", shell.names.node(node));
            return Err(CloudError::new(ErrorKind::NotFound, "DescribeInstances", text));
        };
        Ok(shell.cloud.instance(&instance).await?.map(|it| running(it.state)))
    };
    let answer = bounded(&shell, "DescribeInstances", ec2_calls(&shell, 1), read).await;
    shell.heart.event(Event::InstanceRead { node, call, answer });
}

pub(super) async fn write_counter(shell: Arc<Shell>, group: GroupId, n: u64) {
    let Some((settings, _)) = shell.group(group) else { return };
    let write = async {
        let here = here(&shell).await?;
        let key = counter_key(&shell.names.cluster, shell.names.group(group));
        let value = counter_value(shell.names.node(shell.me), shell.session, n);
        resource::write_counter(shell.cloud.as_ref(), anchor(settings)?, &here, &key, &value).await
    };
    let ok = bounded(&shell, "CreateTags", ec2_calls(&shell, 1), write).await.is_ok();
    shell.heart.event(Event::CounterWritten { group, ok });
}

pub(super) async fn write_own_tag(shell: Arc<Shell>, group: GroupId) {
    let write = async {
        let here = here(&shell).await?;
        let value = format!("{:016x} {}", shell.session.0, clock::wall_text());
        resource::write_own_tag(shell.cloud.as_ref(), &here, &shell.names.cluster, &value).await
    };
    let ok = bounded(&shell, "CreateTags", ec2_calls(&shell, 1), write).await.is_ok();
    shell.heart.event(Event::OwnTagWritten { group, ok });
}

/// What this node is in EC2; waits for it, as long as the caller's bound lasts.
async fn here(shell: &Shell) -> Result<Arc<Here>, CloudError> {
    let mut here = shell.here.subscribe();
    let known = here.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
    known.ok_or_else(|| CloudError::new(ErrorKind::Unreachable, "IMDS", "this node is not known in EC2"))
}

/// How long so many calls to EC2, one after the other, may take.
pub(super) fn ec2_calls(shell: &Shell, calls: u32) -> Duration {
    shell.config.aws.call_timeout * calls
}

/// Waits for calls whose own bounds are over after `bound`; notes how it ended.
pub(super) async fn bounded<T>(
    shell: &Shell,
    action: &'static str,
    bound: Duration,
    work: impl Future<Output = Result<T, CloudError>>,
) -> Result<T, Failure> {
    let bound = bound + MARGIN;
    let result = match tokio::time::timeout(bound, work).await {
        Ok(result) => result,
        // Before that is known, nothing was sent to EC2.
        Err(_elapsed) if shell.here.borrow().is_none() && !is_leases(action) => {
            return Err(Failure::Passing);
        }
        Err(_elapsed) => {
            let text = format!("no answer within {}", humantime::format_duration(bound));
            Err(CloudError::new(ErrorKind::NoAnswer, action, text))
        }
    };
    match result {
        Ok(answer) => {
            shell.errors.worked(action);
            Ok(answer)
        }
        Err(error) => {
            shell.failed(&error);
            Err(failure(error.kind))
        }
    }
}

/// The lease needs no identity in EC2: a call for it may have been sent before there is one.
fn is_leases(action: &str) -> bool {
    matches!(action, "GetItem" | "PutItem")
}

/// What changes hands is sent at once or not at all: between decision and call the process may have been frozen, and
/// whoever has taken the group meanwhile is not to lose it to what was true then.
pub(super) fn in_time(
    action: &'static str,
    decided: Time,
    now: Time,
    bound: Duration,
) -> Result<(), CloudError> {
    let age = now.since(decided);
    if age < bound {
        return Ok(());
    }
    let text = format!("decided {} ms ago, it was not sent any more", age.as_millis());
    Err(CloudError::new(ErrorKind::Unreachable, action, text))
}

/// How a call failed, as far as the decision cares.
fn failure(kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::Conflict => Failure::Conflict,
        ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Credentials => {
            Failure::Refused
        }
        ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::WrongState => Failure::Passing,
        ErrorKind::NoAnswer => Failure::NoAnswer,
    }
}

fn running(state: InstanceState) -> Running {
    match state {
        InstanceState::Pending | InstanceState::Running => Running::Yes,
        InstanceState::Stopping | InstanceState::ShuttingDown => Running::Ending,
        InstanceState::Stopped | InstanceState::Terminated => Running::No,
    }
}

fn anchor(group: &Group) -> Result<&Resource, CloudError> {
    let missing = || CloudError::new(ErrorKind::Invalid, "configuration", "the group has no anchor");
    group.resources.get(group.anchor).ok_or_else(missing)
}

fn read_action(group: &Group) -> &'static str {
    match group.resources.get(group.anchor) {
        Some(Resource::ElasticIp(_)) | None => "DescribeAddresses",
        Some(Resource::PrivateIp(_)) => "DescribeNetworkInterfaces",
        Some(Resource::Route(_)) => "DescribeRouteTables",
    }
}

fn take_action(group: &Group) -> &'static str {
    match group.resources.get(group.anchor) {
        Some(Resource::ElasticIp(_)) | None => "AssociateAddress",
        Some(Resource::PrivateIp(_)) => "AssignPrivateIpAddresses",
        Some(Resource::Route(_)) => "ReplaceRoute",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_take_that_was_decided_before_a_freeze_is_not_sent() {
        let (decided, bound) = (Time::from_nanos(5_000_000_000), Duration::from_secs(1));
        assert_eq!(in_time("ReplaceRoute", decided, decided + Duration::from_millis(999), bound), Ok(()));
        let late = in_time("ReplaceRoute", decided, decided + Duration::from_secs(60), bound).unwrap_err();
        assert_eq!(failure(late.kind), Failure::Passing, "the core decides anew");
        assert!(late.to_string().contains("decided 60000 ms ago"), "{late}");
    }
}

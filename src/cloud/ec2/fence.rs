//! StopInstances as fencing, and what stands in its way.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{DeviceType, Instance, InstanceAttributeName, InstanceLifecycleType};

use super::requests::filter;
use super::{Ec2, answers};
use crate::cloud::{CloudError, ErrorKind, InstanceState, Obstacle};

/// The tag that Amazon EC2 Auto Scaling puts on its instances ("Tag Auto Scaling groups and instances").
const AUTO_SCALING: &str = "aws:autoscaling:groupName";

/// See [`Cloud::stop_instance`](crate::cloud::Cloud::stop_instance).
pub(super) async fn stop(ec2: &Ec2, instance: &str) -> Result<InstanceState, CloudError> {
    let call = |client: Client, sent| {
        let hard = client.stop_instances().instance_ids(instance).force(true).skip_os_shutdown(true);
        hard.customize().interceptor(sent).send()
    };
    let answer = ec2.line.once("StopInstances", call).await?;
    let mut changes = answer.stopping_instances.unwrap_or_default().into_iter();
    let current =
        changes.find(|it| it.instance_id.as_deref() == Some(instance)).and_then(|it| it.current_state);
    // It was accepted; a word of EC2's that we do not know changes nothing about that.
    Ok(answers::state(current).unwrap_or(InstanceState::Stopping))
}

/// See [`Cloud::fence_obstacles`](crate::cloud::Cloud::fence_obstacles).
pub(super) async fn obstacles(ec2: &Ec2, instance: &str) -> Result<Vec<Obstacle>, CloudError> {
    let (described, protected, allowed) = futures_util::future::try_join3(
        describe(ec2, instance),
        is_protected(ec2, instance),
        may_stop(ec2, instance),
    )
    .await?;
    let mut obstacles: Vec<Obstacle> = allowed.err().map(Obstacle::Denied).into_iter().collect();
    if protected {
        obstacles.push(Obstacle::StopProtection);
    }
    if described.root_device_type == Some(DeviceType::InstanceStore) {
        obstacles.push(Obstacle::InstanceStore);
    }
    if described.instance_lifecycle == Some(InstanceLifecycleType::Spot) {
        obstacles.push(Obstacle::Spot);
    }
    let mut tags = described.tags.unwrap_or_default().into_iter();
    if let Some(tag) = tags.find(|it| it.key.as_deref() == Some(AUTO_SCALING)) {
        obstacles.push(Obstacle::AutoScaling(tag.value.unwrap_or_default()));
    }
    Ok(obstacles)
}

async fn describe(ec2: &Ec2, instance: &str) -> Result<Instance, CloudError> {
    let call = |client: Client, sent| {
        let filtered = client.describe_instances().filters(filter("instance-id", [instance]));
        filtered.customize().interceptor(sent).send()
    };
    let answer = ec2.line.describe("DescribeInstances", call).await?;
    let reservations = answer.reservations.unwrap_or_default().into_iter();
    let mut instances = reservations.flat_map(|it| it.instances.unwrap_or_default());
    instances.find(|it| it.instance_id.as_deref() == Some(instance)).ok_or_else(|| {
        CloudError::new(ErrorKind::NotFound, "DescribeInstances", format!("there is no instance {instance}"))
    })
}

async fn is_protected(ec2: &Ec2, instance: &str) -> Result<bool, CloudError> {
    let call = |client: Client, sent| {
        let attribute = InstanceAttributeName::DisableApiStop;
        let asked = client.describe_instance_attribute().instance_id(instance).attribute(attribute);
        asked.customize().interceptor(sent).send()
    };
    let answer = ec2.line.describe("DescribeInstanceAttribute", call).await?;
    Ok(answer.disable_api_stop.and_then(|it| it.value).unwrap_or(false))
}

/// A dry run: "Checks whether you have the required permissions for the operation, without actually making the
/// request" (StopInstances). `Err`: the reason why not.
async fn may_stop(ec2: &Ec2, instance: &str) -> Result<Result<(), String>, CloudError> {
    let call = |client: Client, sent| {
        let hard = client.stop_instances().instance_ids(instance).force(true).skip_os_shutdown(true);
        hard.dry_run(true).customize().interceptor(sent).send()
    };
    match ec2.line.describe("StopInstances", call).await {
        Ok(_) => Ok(Ok(())),
        Err(error) => match error.kind {
            ErrorKind::Denied => Ok(Err(error.to_string())),
            // DryRunOperation: it may. What else EC2 refuses, it refuses for another reason than a missing right.
            ErrorKind::Invalid | ErrorKind::WrongState | ErrorKind::Conflict => Ok(Ok(())),
            ErrorKind::Throttled
            | ErrorKind::Credentials
            | ErrorKind::NotFound
            | ErrorKind::Unreachable
            | ErrorKind::NoAnswer => Err(error),
        },
    }
}

//! What stands in the way of fencing an instance.

use std::fmt;

/// Why StopInstances would not stop an instance, or why that would be worth less than it seems.
///
/// What is *not* one: termination protection (`DisableApiTermination` is about TerminateInstances only; User Guide,
/// "Change instance termination protection"), and hibernation (StopInstances hibernates only if it is asked to).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Obstacle {
    /// `DisableApiStop`: StopInstances is OperationNotPermitted, with Force too (User Guide, "Enable stop protection
    /// for your EC2 instances").
    StopProtection,
    /// Its root device is an instance store: "You can't stop or hibernate instance store-backed instances"
    /// (StopInstances).
    InstanceStore,
    /// A Spot Instance: EC2 stops it only if its request is persistent (User Guide, "Stop a Spot Instance"). Which
    /// it is DescribeInstances does not say.
    Spot,
    /// A member of this Auto Scaling group, which takes a stopped instance for unhealthy, terminates it and launches
    /// another one (Auto Scaling User Guide, "Health checks for instances in an Auto Scaling group").
    AutoScaling(String),
    /// This node's role does not allow it: EC2's own words.
    Denied(String),
}

impl Obstacle {
    /// Whether fencing will fail because of it, as far as one can tell beforehand.
    pub fn prevents(&self) -> bool {
        match self {
            Self::StopProtection | Self::InstanceStore | Self::Denied(_) => true,
            Self::Spot | Self::AutoScaling(_) => false,
        }
    }
}

/// A clause about the instance, with the remedy.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopProtection => f.write_str(
                "it has stop protection, so StopInstances is refused (aws ec2 modify-instance-attribute \
                 --no-disable-api-stop takes it away)",
            ),
            Self::InstanceStore => f.write_str(
                "its root device is an instance store, so EC2 cannot stop it (use an EBS-backed image)",
            ),
            Self::Spot => f.write_str(
                "it is a Spot Instance, which EC2 stops only if its request is persistent (use an on-demand \
                 instance)",
            ),
            Self::AutoScaling(group) => write!(
                f,
                "it is in the Auto Scaling group {group}, which replaces what has been stopped (suspend its process \
                 ReplaceUnhealthy)"
            ),
            Self::Denied(why) => write!(f, "this node may not stop it: {why}"),
        }
    }
}

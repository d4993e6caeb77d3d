//! What an instance is, as far as it decides whether EC2 stops it.

use serde::{Deserialize, Serialize};

use super::state::Instance;

/// How an instance is paid for; what matters here is whether EC2 stops it when it is asked to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// As it runs.
    #[default]
    OnDemand,
    /// A Spot Instance of a one-time request.
    Spot,
    /// A Spot Instance of a persistent request.
    SpotPersistent,
}

/// What an instance boots from.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootDevice {
    /// A volume of EBS.
    #[default]
    Ebs,
    /// The host's own disk.
    InstanceStore,
}

impl RootDevice {
    /// EC2's word (API Reference, "Instance", rootDeviceType).
    pub fn word(self) -> &'static str {
        match self {
            Self::Ebs => "ebs",
            Self::InstanceStore => "instance-store",
        }
    }
}

impl Instance {
    /// EC2's word for an instance that is not on demand (API Reference, "Instance", instanceLifecycle).
    pub fn lifecycle(&self) -> Option<&'static str> {
        match self.market {
            Market::OnDemand => None,
            Market::Spot | Market::SpotPersistent => Some("spot"),
        }
    }
}

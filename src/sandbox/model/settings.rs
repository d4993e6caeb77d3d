//! How the model behaves where AWS leaves it open.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::random::Random;

/// Times, limits and choices.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// A read shows the state of an instant at most this long ago, drawn for each read (Developer Guide,
    /// "Eventual consistency"; no bound is documented).
    #[serde(deserialize_with = "duration")]
    pub lag: Duration,
    /// Instance metadata shows a moved address this much later (AssignPrivateIpAddresses: "remapping an
    /// IP address is an asynchronous operation").
    #[serde(deserialize_with = "duration")]
    pub remap_time: Duration,
    /// From running to stopped, with a graceful shutdown of the operating system.
    #[serde(deserialize_with = "duration")]
    pub stop_time: Duration,
    /// From running to stopped with SkipOsShutdown. Force alone tries the graceful way first.
    #[serde(deserialize_with = "duration")]
    pub hard_stop_time: Duration,
    /// From stopped to running.
    #[serde(deserialize_with = "duration")]
    pub start_time: Duration,
    /// Whether the token buckets refuse calls.
    pub throttling: bool,
    /// Private IPv4 addresses per interface, the primary one included (by instance type; 15 is that of
    /// many middle-sized types).
    pub addresses_per_interface: usize,
    /// Choices.
    pub quirks: Quirks,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lag: Duration::ZERO,
            remap_time: Duration::ZERO,
            stop_time: Duration::from_secs(20),
            hard_stop_time: Duration::from_secs(2),
            start_time: Duration::from_secs(5),
            throttling: true,
            addresses_per_interface: 15,
            quirks: Quirks::default(),
        }
    }
}

/// One choice for each behaviour that AWS does not document. The default is what its documentation
/// suggests; a program that is right has to live with every combination.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quirks {
    /// An Elastic IP that followed its private address gets a new association id.
    pub new_association_after_move: bool,
    /// AssociateAddress to where it already goes gives a new association id.
    pub new_association_at_same_place: bool,
    /// AssociateAddress with AllowReassociation=false to where it already goes is refused.
    pub refuse_same_place: bool,
    /// AssociateAddress with AllowReassociation=false is not refused because of another Elastic IP on the
    /// private address (which then loses its place).
    pub evict_without_reassociation: bool,
    /// AssignPrivateIpAddresses of what the interface already has is refused.
    pub refuse_own_address: bool,
    /// CreateRoute of the very same route succeeds.
    pub accept_same_route: bool,
    /// DisassociateAddress with an id that was valid once fails ("idempotent", says the page).
    pub refuse_past_association: bool,
    /// The code of AssignPrivateIpAddresses for an address that another interface has.
    pub taken_code: TakenCode,
    /// StopInstances of an instance that is still pending is IncorrectInstanceState.
    pub refuse_stop_while_pending: bool,
}

/// The code of AssignPrivateIpAddresses for an address that another interface has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
pub enum TakenCode {
    /// InvalidParameterValue.
    #[default]
    InvalidParameterValue,
    /// InvalidIPAddress.InUse.
    #[serde(rename = "InvalidIPAddress.InUse")]
    InUse,
    /// Resource.AlreadyAssigned.
    #[serde(rename = "Resource.AlreadyAssigned")]
    AlreadyAssigned,
}

impl TakenCode {
    /// The code itself.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::InUse => "InvalidIPAddress.InUse",
            Self::AlreadyAssigned => "Resource.AlreadyAssigned",
        }
    }
}

impl Quirks {
    /// A combination that `seed` decides.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            new_association_after_move: random.flip(),
            new_association_at_same_place: random.flip(),
            refuse_same_place: random.flip(),
            evict_without_reassociation: random.flip(),
            refuse_own_address: random.flip(),
            accept_same_route: random.flip(),
            refuse_past_association: random.flip(),
            taken_code: match random.below(3) {
                0 => TakenCode::InvalidParameterValue,
                1 => TakenCode::InUse,
                _ => TakenCode::AlreadyAssigned,
            },
            // Drawn last, so that older seeds choose what they chose before.
            refuse_stop_while_pending: random.flip(),
        }
    }
}

/// A duration with its unit ("250ms").
pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("\"{text}\" is not a duration: {error}")))
}

//! How a call is refused, in EC2's codes (API Reference, "Error codes for the Amazon EC2 API").

use std::fmt;

/// A refused call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiError {
    /// EC2's code ("InvalidAllocationID.NotFound").
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl ApiError {
    /// A refusal.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The HTTP status that EC2 sends with this code. The error-codes page gives 4xx for client and 5xx for
    /// server errors; 412 with DryRunOperation is what EC2 is seen to send.
    pub fn status(&self) -> u16 {
        match self.code {
            "AuthFailure" => 401,
            "UnauthorizedOperation" => 403,
            "DryRunOperation" => 412,
            "RequestLimitExceeded" | "Unavailable" => 503,
            "InternalError" => 500,
            _ => 400,
        }
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub(crate) fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// An id that names nothing: NotFound, or Malformed where the error-codes page has such a code and the
    /// id is not in EC2's form.
    pub(crate) fn unknown_id(id: &str) -> Self {
        let kind = id.split('-').next().unwrap_or_default();
        let well_formed = |prefix: &str| {
            id.strip_prefix(prefix).is_some_and(|hex| {
                matches!(hex.len(), 8 | 17) && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        match kind {
            "eipalloc" => {
                Self::new("InvalidAllocationID.NotFound", format!("The allocation ID '{id}' does not exist"))
            }
            "eipassoc" => Self::new(
                "InvalidAssociationID.NotFound",
                format!("The association ID '{id}' does not exist"),
            ),
            "eni" if well_formed("eni-") => Self::new(
                "InvalidNetworkInterfaceID.NotFound",
                format!("The networkInterface ID '{id}' does not exist"),
            ),
            "rtb" if well_formed("rtb-") => {
                Self::new("InvalidRouteTableID.NotFound", format!("The routeTable ID '{id}' does not exist"))
            }
            "i" if well_formed("i-") => {
                Self::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
            }
            "subnet" => Self::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")),
            "vpc" => Self::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist")),
            "pl" => {
                Self::new("InvalidPrefixListID.NotFound", format!("The prefix list ID '{id}' does not exist"))
            }
            _ => Self::new("InvalidID", format!("The ID '{id}' is not valid")),
        }
    }

    /// As [`Self::unknown_id`], for a parameter of one kind: an id of another form is Malformed.
    pub(crate) fn unknown(kind: IdKind, id: &str) -> Self {
        let found = Self::unknown_id(id);
        let (not_found, malformed) = match kind {
            IdKind::Interface => {
                ("InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterfaceId.Malformed")
            }
            IdKind::RouteTable => ("InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed"),
            IdKind::Instance => ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"),
            IdKind::Allocation => ("InvalidAllocationID.NotFound", "InvalidAllocationID.NotFound"),
            IdKind::Association => ("InvalidAssociationID.NotFound", "InvalidAssociationID.NotFound"),
            IdKind::Subnet => ("InvalidSubnetID.NotFound", "InvalidSubnetID.NotFound"),
            IdKind::Vpc => ("InvalidVpcID.NotFound", "InvalidVpcID.NotFound"),
            IdKind::PrefixList => ("InvalidPrefixListID.NotFound", "InvalidPrefixListID.NotFound"),
        };
        if found.code == not_found { found } else { Self::new(malformed, format!("Invalid id: \"{id}\"")) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

/// What an id in a request is supposed to name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IdKind {
    Interface,
    RouteTable,
    Instance,
    Allocation,
    Association,
    Subnet,
    Vpc,
    PrefixList,
}

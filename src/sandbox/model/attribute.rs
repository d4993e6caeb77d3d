//! The two protections of an instance: DescribeInstanceAttribute and ModifyInstanceAttribute.

use super::Vpc;
use super::error::ApiError;
use super::market::{Market, RootDevice};
use super::request::Protection;
use super::response::Response;
use super::state::{Instance, InstanceState, State};

/// What User Guide, "Enable stop protection for your EC2 instances", says of these two.
pub(super) const UNPROTECTABLE: &str =
    "stop protection cannot be enabled for Spot Instances and instance store-backed instances";

/// Answers DescribeInstanceAttribute from one state.
pub(super) fn describe(state: &State, instance: &str, attribute: Protection) -> Result<Response, ApiError> {
    let it = state.instance(instance)?;
    let on = match attribute {
        Protection::Stop => it.stop_protection,
        Protection::Termination => it.termination_protection,
    };
    Ok(Response::Protection { instance: it.id.clone(), attribute, on })
}

impl Vpc {
    pub(super) fn set_protection(
        &mut self,
        instance: &str,
        attribute: Protection,
        on: bool,
    ) -> Result<Response, ApiError> {
        let it = self.state.instance(instance)?;
        if it.state == InstanceState::Terminated {
            let message = format!("Instance '{instance}' is not in a valid state for the requested action.");
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
        if on && !can_be_protected(it, attribute) {
            // The pages name no code for it.
            let message = format!("The attribute '{}' is not supported: {UNPROTECTABLE}", attribute.word());
            return Err(ApiError::new("UnsupportedOperation", message));
        }
        if let Some(it) = self.state_mut().instances.get_mut(instance) {
            match attribute {
                Protection::Stop => it.stop_protection = on,
                Protection::Termination => it.termination_protection = on,
            }
        }
        Ok(Response::Done)
    }
}

/// User Guide: neither protection for Spot Instances, no stop protection for what boots from the host's disk.
fn can_be_protected(it: &Instance, attribute: Protection) -> bool {
    let root = attribute == Protection::Termination || it.root_device == RootDevice::Ebs;
    it.market == Market::OnDemand && root
}

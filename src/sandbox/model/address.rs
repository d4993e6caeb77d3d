//! Elastic IPs: AssociateAddress and DisassociateAddress.

use std::net::Ipv4Addr;

use super::Vpc;
use super::error::{ApiError, IdKind};
use super::request::AssociateAddress;
use super::response::Response;
use super::state::{Association, State};

impl Vpc {
    pub(super) fn associate_address(&mut self, it: &AssociateAddress) -> Result<Response, ApiError> {
        let state = &self.state;
        let allocation = allocation(state, it.allocation.as_deref(), it.public_ip)?;
        let interface = match (&it.interface, &it.instance) {
            (Some(id), _) => state.interface(id)?,
            (None, Some(id)) => only_interface(state, id)?,
            (None, None) => return Err(ApiError::missing("networkInterfaceId")),
        };
        // AssociateAddress, PrivateIpAddress: "If no private IP address is specified, the Elastic IP
        // address is associated with the primary private IP address."
        let private_ip = it.private_ip.unwrap_or(interface.primary);
        if !interface.has(private_ip) {
            return Err(ApiError::value(format!(
                "Private IP address {private_ip} is not assigned to interface {}",
                interface.id
            )));
        }
        let interface = interface.id.clone();
        let present = state.elastic_ips.get(&allocation).and_then(|it| it.association.clone());
        let at_place =
            present.as_ref().is_some_and(|at| at.interface == interface && at.private_ip == private_ip);
        let occupant = state.elastic_ip_on(&interface, private_ip).map(|it| it.id.clone());
        let occupant = occupant.filter(|id| *id != allocation);

        // AssociateAddress, AllowReassociation: reassociation is automatic; false makes the call fail if
        // the Elastic IP is already associated with another resource.
        if it.reassociate == Some(false) {
            let quirks = &self.settings.quirks;
            if let Some(at) = present.as_ref().filter(|_| !at_place || quirks.refuse_same_place) {
                return Err(already_associated(&allocation, &at.id));
            }
            if let Some(other) = occupant.as_ref().filter(|_| !quirks.evict_without_reassociation) {
                return Err(already_associated(&interface, other));
            }
        }
        // AssociateAddress: "This is an idempotent operation."
        if let Some(at) = present.as_ref().filter(|_| at_place)
            && !self.settings.quirks.new_association_at_same_place
        {
            return Ok(Response::Associated { association: at.id.clone() });
        }
        // AssociateAddress: an Elastic IP that is already there "is disassociated […], but remains
        // allocated to your account".
        if let Some(other) = occupant {
            self.disassociate(&other);
        }
        self.disassociate(&allocation);
        let id = self.random.id("eipassoc");
        if let Some(address) = self.state_mut().elastic_ips.get_mut(&allocation) {
            address.association = Some(Association { id: id.clone(), interface, private_ip });
        }
        Ok(Response::Associated { association: id })
    }

    pub(super) fn disassociate_address(
        &mut self,
        association: Option<&str>,
        public_ip: Option<Ipv4Addr>,
    ) -> Result<Response, ApiError> {
        if let Some(id) = association {
            let holder = self
                .state
                .elastic_ips
                .values()
                .find(|it| it.association.as_ref().is_some_and(|at| at.id == id));
            if let Some(allocation) = holder.map(|it| it.id.clone()) {
                self.disassociate(&allocation);
                return Ok(Response::Done);
            }
            // DisassociateAddress: "idempotent […] If you perform the operation more than once, Amazon
            // EC2 doesn't return an error." A past id never touches the present holder.
            if self.past_associations.contains(id) && !self.settings.quirks.refuse_past_association {
                return Ok(Response::Done);
            }
            return Err(ApiError::unknown(IdKind::Association, id));
        }
        let allocation = allocation(&self.state, None, public_ip)?;
        self.disassociate(&allocation);
        Ok(Response::Done)
    }

    /// Takes an Elastic IP from where it goes, if it goes anywhere.
    pub(super) fn disassociate(&mut self, allocation: &str) {
        let address = self.state_mut().elastic_ips.get_mut(allocation);
        if let Some(past) = address.and_then(|it| it.association.take()) {
            self.past_associations.insert(past.id);
        }
    }
}

/// The allocation id that a call means.
fn allocation(state: &State, id: Option<&str>, public_ip: Option<Ipv4Addr>) -> Result<String, ApiError> {
    match (id, public_ip) {
        (Some(id), _) if state.elastic_ips.contains_key(id) => Ok(id.to_owned()),
        (Some(id), _) => Err(ApiError::unknown(IdKind::Allocation, id)),
        (None, Some(ip)) => {
            let found = state.elastic_ips.values().find(|it| it.public_ip == ip);
            let found = found.map(|it| it.id.clone());
            found
                .ok_or_else(|| ApiError::new("InvalidAddress.NotFound", format!("Address '{ip}' not found.")))
        }
        (None, None) => Err(ApiError::missing("allocationId")),
    }
}

/// The interface of an instance that has exactly one (AssociateAddress, InstanceId; CreateRoute,
/// InstanceId).
pub(super) fn only_interface<'a>(
    state: &'a State,
    instance: &str,
) -> Result<&'a super::state::Interface, ApiError> {
    state.instance(instance)?;
    match state.interfaces_of(instance)[..] {
        [it] => Ok(it),
        _ => Err(ApiError::new(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{instance}'. \
                 Please specify an interface ID for the operation instead."
            ),
        )),
    }
}

fn already_associated(resource: &str, with: &str) -> ApiError {
    let message = format!("resource {resource} is already associated with associate-id {with}");
    ApiError::new("Resource.AlreadyAssociated", message)
}

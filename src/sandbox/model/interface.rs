//! Network interfaces: AssignPrivateIpAddresses, UnassignPrivateIpAddresses, SourceDestCheck.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Vpc;
use super::error::ApiError;
use super::response::Response;
use super::state::{State, Subnet};

impl Vpc {
    pub(super) fn assign_private_ips(
        &mut self,
        interface: &str,
        addresses: &[Ipv4Addr],
        count: Option<u32>,
        reassign: bool,
    ) -> Result<Response, ApiError> {
        let taker = self.state.interface(interface)?;
        let subnet = self.state.subnets.get(&taker.subnet).cloned();
        let subnet = subnet.ok_or_else(|| ApiError::new("InternalError", "The interface has no subnet"))?;
        let mut assigned = Vec::new();
        for address in addresses {
            self.assign(interface, &subnet, *address, reassign)?;
            assigned.push(*address);
        }
        for _ in 0..count.unwrap_or(0) {
            let address = free_address(&self.state, &subnet).ok_or_else(|| {
                let message = format!("Insufficient free IP addresses in subnet {}", subnet.id);
                ApiError::new("InsufficientFreeAddressesInSubnet", message)
            })?;
            self.assign(interface, &subnet, address, false)?;
            assigned.push(address);
        }
        Ok(Response::Assigned { interface: interface.to_owned(), addresses: assigned })
    }

    fn assign(
        &mut self,
        taker: &str,
        subnet: &Subnet,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Result<(), ApiError> {
        // User Guide, "Secondary IP addresses": from the subnet's range. VPC Guide, "Subnet sizing": the
        // first four addresses and the last one are not available.
        if !subnet.cidr.contains(&address) {
            return Err(ApiError::value(format!(
                "Address {address} does not fall within the subnet's range"
            )));
        }
        if is_reserved(subnet, address) {
            return Err(ApiError::value(format!("Address {address} is in subnet's reserved address range")));
        }
        let holder = self.state.interfaces.values().find(|it| it.subnet == subnet.id && it.has(address));
        if let Some(holder) = holder {
            // User Guide, "Elastic network interfaces": a primary private address cannot be moved.
            if holder.primary == address {
                return Err(ApiError::value(format!(
                    "{address} is the primary address of {} and cannot be reassigned",
                    holder.id
                )));
            }
            if holder.id == taker {
                // Not documented: what happens to an address that the interface already has.
                if self.settings.quirks.refuse_own_address {
                    return Err(ApiError::value(format!("{address} is already assigned to {taker}")));
                }
                return Ok(());
            }
            // AllowReassignment: whether an address that another interface has may be reassigned.
            if !reassign {
                let message =
                    format!("[{address}] is already assigned to another interface but move is not allowed");
                return Err(ApiError::new(self.settings.quirks.taken_code.code(), message));
            }
        }
        let holder = holder.map(|it| it.id.clone());
        let limit = self.settings.addresses_per_interface;
        if self.state.interface(taker)?.addresses().count() >= limit {
            let message = format!("Number of private addresses will exceed limit ({limit}) of {taker}");
            return Err(ApiError::new("PrivateIpAddressLimitExceeded", message));
        }
        let state = self.state_mut();
        if let Some(from) = holder.as_ref().and_then(|id| state.interfaces.get_mut(id)) {
            from.secondary.retain(|it| *it != address);
        }
        if let Some(to) = state.interfaces.get_mut(taker) {
            to.secondary.push(address);
        }
        if let Some(from) = holder {
            self.move_elastic_ip(&from, taker, address);
        }
        Ok(())
    }

    /// AssignPrivateIpAddresses: "any Elastic IP address that is associated with the IP address is also
    /// moved". Whether its association id changes is not documented.
    fn move_elastic_ip(&mut self, from: &str, to: &str, address: Ipv4Addr) {
        let fresh = self.settings.quirks.new_association_after_move.then(|| self.random.id("eipassoc"));
        let Some(allocation) = self.state.elastic_ip_on(from, address).map(|it| it.id.clone()) else {
            return;
        };
        let found = self.state_mut().elastic_ips.get_mut(&allocation);
        let Some(association) = found.and_then(|it| it.association.as_mut()) else { return };
        association.interface = to.to_owned();
        if let Some(id) = fresh {
            let past = std::mem::replace(&mut association.id, id);
            self.past_associations.insert(past);
        }
    }

    pub(super) fn unassign_private_ips(
        &mut self,
        interface: &str,
        addresses: &[Ipv4Addr],
    ) -> Result<Response, ApiError> {
        for address in addresses {
            let holder = self.state.interface(interface)?;
            // User Guide, "Secondary IP addresses": only secondary ones can be unassigned.
            if holder.primary == *address {
                return Err(ApiError::value(format!("{address} is the primary address of {interface}")));
            }
            if !holder.has(*address) {
                let message = format!("Some of the addresses [{address}] are not assigned to {interface}");
                return Err(ApiError::value(message));
            }
            // The same page: an Elastic IP on an address that goes is disassociated.
            let on_it = self.state.elastic_ip_on(interface, *address).map(|it| it.id.clone());
            if let Some(allocation) = on_it {
                self.disassociate(&allocation);
            }
            if let Some(holder) = self.state_mut().interfaces.get_mut(interface) {
                holder.secondary.retain(|it| it != address);
            }
        }
        Ok(Response::Done)
    }

    pub(super) fn set_source_dest_check(
        &mut self,
        interface: &str,
        check: bool,
    ) -> Result<Response, ApiError> {
        self.state.interface(interface)?;
        if let Some(it) = self.state_mut().interfaces.get_mut(interface) {
            it.source_dest_check = check;
        }
        Ok(Response::Done)
    }
}

/// VPC Guide, "Subnet sizing": the first four addresses and the last one.
pub(super) fn is_reserved(subnet: &Subnet, address: Ipv4Addr) -> bool {
    let first = u32::from(subnet.cidr.network());
    let address = u32::from(address);
    address.wrapping_sub(first) < 4 || address == u32::from(subnet.cidr.broadcast())
}

/// The lowest address of a subnet that nobody has.
pub(super) fn free_address(state: &State, subnet: &Subnet) -> Option<Ipv4Addr> {
    let taken = taken_addresses(state, subnet);
    subnet.cidr.hosts().find(|it| !is_reserved(subnet, *it) && !taken.contains(it))
}

/// How many addresses of a subnet are free (DescribeSubnets, AvailableIpAddressCount).
pub(super) fn free_count(state: &State, subnet: &Subnet) -> usize {
    let size = 1_usize.checked_shl(u32::from(32 - subnet.cidr.prefix_len())).unwrap_or(usize::MAX);
    size.saturating_sub(5 + taken_addresses(state, subnet).len())
}

fn taken_addresses(state: &State, subnet: &Subnet) -> BTreeSet<Ipv4Addr> {
    let inside = state.interfaces.values().filter(|it| it.subnet == subnet.id);
    inside.flat_map(|it| it.addresses().collect::<Vec<_>>()).collect()
}

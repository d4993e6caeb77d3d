//! What this node is in EC2, and which of its interfaces a resource goes to. Always an interface, never the
//! instance: EC2 refuses an instance with two interfaces as a target.

use std::net::{IpAddr, Ipv4Addr};

use crate::cloud::{CloudError, ErrorKind, Identity, OwnInterface};
use crate::cluster::NodeId;
use crate::config;

/// This node.
#[derive(Clone, Debug)]
pub struct Here {
    /// Its place in the configuration.
    pub node: NodeId,
    /// Its links, as configured.
    pub links: Vec<IpAddr>,
    /// What EC2 says it is.
    pub identity: Identity,
}

impl Here {
    /// Whether the interface is one of this node's own.
    pub fn owns(&self, interface: &str) -> bool {
        self.identity.interfaces.iter().any(|it| it.id == interface)
    }

    /// Where an Elastic IP goes: the interface that carries this node's `to` address, and that address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the resource has no address for this node, or no own interface carries it.
    pub fn for_elastic_ip(
        &self,
        resource: &config::ElasticIp,
    ) -> Result<(&OwnInterface, Ipv4Addr), CloudError> {
        let Some(&to) = resource.to.get(&self.node) else {
            let name = &resource.name;
            return Err(invalid(
                "AssociateAddress",
                format!("elastic-ip {name:?} names no address for this node; add it under `to`"),
            ));
        };
        let what = format!("elastic-ip {:?} goes to {to}", resource.name);
        let remedy = "assign it to an interface of this instance, or correct `to`";
        Ok((self.carrier("AssociateAddress", to.into(), &what, remedy)?, to))
    }

    /// Where a private address goes: the interface whose subnet contains it; of several, the one that has
    /// it already, else the first. If no subnet is known, the only interface there is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no such interface.
    pub fn for_private_ip(&self, resource: &config::PrivateIp) -> Result<&OwnInterface, CloudError> {
        let address = resource.address;
        let inside = |it: &&OwnInterface| it.subnet_cidr.is_some_and(|net| net.contains(&address));
        let mut candidates = self.identity.interfaces.iter().filter(inside);
        let has_it = |it: &&OwnInterface| it.local_ipv4s.contains(&address);
        if let Some(it) = candidates.clone().find(has_it).or_else(|| candidates.next()) {
            return Ok(it);
        }
        if let [only] = self.identity.interfaces.as_slice()
            && only.subnet_cidr.is_none()
        {
            return Ok(only);
        }
        let subnets: Vec<String> =
            self.identity.interfaces.iter().filter_map(|it| Some(it.subnet_cidr?.to_string())).collect();
        Err(invalid(
            "AssignPrivateIpAddresses",
            format!(
                "private-ip {:?}: no interface of this instance is in the subnet of {address} (its subnets: \
                 {}); a private address moves within one subnet only, so every node needs an interface there",
                resource.name,
                listed(&subnets),
            ),
        ))
    }

    /// Where routes lead: the interface that carries this node's address on the resource's link.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no such link or no own interface carries it.
    pub fn for_route(&self, resource: &config::Route) -> Result<&OwnInterface, CloudError> {
        let Some(&address) = self.links.get(resource.link) else {
            let (name, link) = (&resource.name, resource.link);
            return Err(invalid("ReplaceRoute", format!("route {name:?} names link {link}; there is none")));
        };
        let what = format!("route {:?} leads to the interface of link {address}", resource.name);
        let remedy = "correct the node's `links`, or the route's `link`";
        self.carrier("ReplaceRoute", address, &what, remedy)
    }

    /// The interface of the first link; else the first one. For the node's own tag.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if no interface is known.
    pub fn first_interface(&self) -> Result<&OwnInterface, CloudError> {
        let linked = self.links.iter().find_map(|link| self.carrying(*link));
        linked
            .or_else(|| self.identity.interfaces.first())
            .ok_or_else(|| invalid("CreateTags", "this node knows no interface of its own".to_owned()))
    }

    fn carrying(&self, address: IpAddr) -> Option<&OwnInterface> {
        self.identity.interfaces.iter().find(|it| it.carries(address))
    }

    fn carrier(
        &self,
        action: &'static str,
        address: IpAddr,
        what: &str,
        remedy: &str,
    ) -> Result<&OwnInterface, CloudError> {
        self.carrying(address).ok_or_else(|| {
            let addresses: Vec<String> = self
                .identity
                .interfaces
                .iter()
                .flat_map(|it| &it.local_ipv4s)
                .map(ToString::to_string)
                .collect();
            let here = listed(&addresses);
            invalid(
                action,
                format!("{what}, and no interface of this instance has it (it has: {here}); {remedy}"),
            )
        })
    }
}

fn listed(them: &[String]) -> String {
    if them.is_empty() { "none".to_owned() } else { them.join(", ") }
}

fn invalid(action: &'static str, message: String) -> CloudError {
    CloudError::new(ErrorKind::Invalid, action, message)
}

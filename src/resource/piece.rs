//! The smallest thing that is taken by itself.

use std::fmt;
use std::net::Ipv4Addr;

use super::Here;
use super::anchor::TakeFrom;
use crate::cloud::{Cloud, CloudError, Destination, ErrorKind, Interface, InterfaceFilter, OwnInterface};
use crate::config::Resource;

/// One call's worth of a resource, with the interface of this node that it goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// An Elastic IP.
    ElasticIp {
        /// "eipalloc-0…".
        allocation: String,
        /// The own interface that it goes to.
        interface: String,
        /// The private address there.
        to: Ipv4Addr,
        /// Whether it rides on a private address that moves: then it should be there by itself.
        rides: bool,
    },
    /// A secondary private address.
    PrivateIp {
        /// The address.
        address: Ipv4Addr,
        /// The own interface that it goes to.
        interface: String,
        /// Its VPC.
        vpc: String,
    },
    /// One route of one table.
    Route {
        /// "rtb-0…".
        table: String,
        /// Where it leads from.
        destination: Destination,
        /// The own interface that it leads to.
        interface: String,
    },
}

/// Who has a piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Held {
    /// This node's interface, as it should be.
    Here,
    /// Something else: what.
    Elsewhere(String),
    /// Nothing.
    Nowhere,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ElasticIp { allocation, .. } => f.write_str(allocation),
            Self::PrivateIp { address, .. } => write!(f, "{address}"),
            Self::Route { table, destination, .. } => write!(f, "{table} {destination}"),
        }
    }
}

impl Piece {
    /// The pieces of a resource; of a private address with a rider, the address first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if this node has no interface for it.
    pub fn of(resource: &Resource, here: &Here) -> Result<Vec<Self>, CloudError> {
        match resource {
            Resource::ElasticIp(it) => {
                let (interface, to) = here.for_elastic_ip(it)?;
                let (allocation, interface) = (it.allocation_id.clone(), interface.id.clone());
                Ok(vec![Self::ElasticIp { allocation, interface, to, rides: false }])
            }
            Resource::PrivateIp(it) => {
                let OwnInterface { id, vpc, .. } = here.for_private_ip(it)?;
                let (address, interface, vpc) = (it.address, id.clone(), vpc.clone());
                let rider = it.elastic_ip.as_ref().map(|allocation| Self::ElasticIp {
                    allocation: allocation.clone(),
                    interface: id.clone(),
                    to: address,
                    rides: true,
                });
                Ok([Self::PrivateIp { address, interface, vpc }].into_iter().chain(rider).collect())
            }
            Resource::Route(it) => {
                let interface = &here.for_route(it)?.id;
                let pairs =
                    it.tables.iter().flat_map(|table| it.destinations.iter().map(move |to| (table, to)));
                let piece = |(table, destination): (&String, &Destination)| Self::Route {
                    table: table.clone(),
                    destination: destination.clone(),
                    interface: interface.clone(),
                };
                Ok(pairs.map(piece).collect())
            }
        }
    }

    /// The one call that makes the piece ours.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn take(&self, cloud: &dyn Cloud, from: TakeFrom) -> Result<(), CloudError> {
        let anyone = from == TakeFrom::Anyone;
        match self {
            Self::ElasticIp { allocation, interface, to, .. } => {
                cloud.associate_address(allocation, interface, *to, anyone).await.map(drop)
            }
            Self::PrivateIp { address, interface, .. } => {
                cloud.assign_private_ip(interface, *address, anyone).await
            }
            Self::Route { table, destination, interface } if anyone => {
                cloud.replace_route(table, destination, interface).await
            }
            Self::Route { table, destination, interface } => {
                cloud.create_route(table, destination, interface).await
            }
        }
    }

    /// Asks EC2 who has the piece.
    ///
    /// # Errors
    /// Those of the Describe; [`ErrorKind::NotFound`] if there is no such allocation or table.
    pub async fn observe(&self, cloud: &dyn Cloud) -> Result<Held, CloudError> {
        match self {
            Self::ElasticIp { allocation, interface, to, .. } => {
                let Some(address) = cloud.address(allocation).await? else {
                    return Err(missing("DescribeAddresses", allocation));
                };
                let holder = address.interface.as_deref();
                Ok(held(holder, holder == Some(interface) && address.private_ip == Some(*to)))
            }
            Self::PrivateIp { address, interface, vpc } => {
                let filter =
                    InterfaceFilter::Addresses { addresses: vec![(*address).into()], vpc: vpc.clone() };
                let holders = cloud.interfaces(&filter).await?;
                let has = |it: &&Interface| it.addresses.iter().any(|own| own.address == *address);
                let holder = holders.iter().find(has).map(|it| it.id.as_str());
                Ok(held(holder, holder == Some(interface)))
            }
            Self::Route { table, destination, interface } => {
                let tables = cloud.route_tables(std::slice::from_ref(table)).await?;
                let Some(found) = tables.iter().find(|it| it.id == *table) else {
                    return Err(missing("DescribeRouteTables", table));
                };
                let route = found.routes.iter().find(|it| it.destination == *destination);
                let Some(route) = route else { return Ok(Held::Nowhere) };
                let target = route.interface.as_deref();
                let here = target == Some(interface) && !route.blackhole;
                Ok(held(Some(target.unwrap_or("another kind of target")), here))
            }
        }
    }
}

fn held(holder: Option<&str>, here: bool) -> Held {
    match holder {
        _ if here => Held::Here,
        Some(id) => Held::Elsewhere(id.to_owned()),
        None => Held::Nowhere,
    }
}

/// What the configuration names does not exist.
pub(super) fn missing(action: &'static str, id: &str) -> CloudError {
    let message =
        format!("there is no {id} in this region and account; correct the id, the region or the role");
    CloudError::new(ErrorKind::NotFound, action, message)
}

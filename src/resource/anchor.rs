//! The anchor: who holds it in EC2 owns the group.

use super::piece::missing;
use super::{Here, Piece, Roster};
use crate::cloud::{
    Cloud, CloudError, Destination, ErrorKind, Interface, InterfaceFilter, PrivateAddress, Tags,
};
use crate::cluster::{AnchorRead, Counter, Owner, Session};
use crate::config::{ElasticIp, PrivateIp, Resource, Route};

/// From whom the anchor may be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TakeFrom {
    /// From whoever holds it: another node, an orphan.
    Anyone,
    /// From nobody: the call fails ([`ErrorKind::Conflict`]) if somebody was faster.
    Nobody,
}

/// The key of the tag with the counter.
pub fn counter_key(cluster: &str, group: &str) -> String {
    format!("standin:{cluster}/{group}")
}

/// The value of the tag with the counter.
pub fn counter_value(node: &str, session: Session, n: u64) -> String {
    format!("{node} {:016x} {n}", session.0)
}

/// Reads who holds the anchor, with the counter in its tag (`key` is that of [`counter_key`]). One Describe
/// while the holder is known; a second one for a holder that is not.
///
/// # Errors
/// Those of the Describe, [`ErrorKind::NotFound`] if the anchor does not exist: the anchor is unknown then.
pub async fn observe_anchor(
    cloud: &dyn Cloud,
    anchor: &Resource,
    here: &Here,
    roster: &Roster,
    key: &str,
) -> Result<AnchorRead, CloudError> {
    let (owner, tags) = match anchor {
        Resource::ElasticIp(it) => elastic_ip(cloud, it, here, roster).await?,
        Resource::PrivateIp(it) => private_ip(cloud, it, here, roster).await?,
        Resource::Route(it) => route(cloud, it, here, roster).await?,
    };
    Ok(AnchorRead { owner, counter: counter(&tags, key, roster) })
}

/// Takes the anchor in exactly one call.
///
/// # Errors
/// Those of the call, never retried; [`ErrorKind::Invalid`] if this node has no interface for it.
pub async fn take_anchor(
    cloud: &dyn Cloud,
    anchor: &Resource,
    here: &Here,
    from: TakeFrom,
) -> Result<(), CloudError> {
    let pieces = Piece::of(anchor, here)?;
    match pieces.first() {
        // The rider of a private address comes with it; the other routes of a set follow with the rest.
        Some(piece) => piece.take(cloud, from).await,
        None => Err(empty(anchor)),
    }
}

/// The resource whose tag carries the counter while this node is active: the Elastic IP itself, the
/// interface that holds the private address, the route's table.
///
/// # Errors
/// [`ErrorKind::Invalid`] if this node has no interface for the anchor.
pub fn counter_target(anchor: &Resource, here: &Here) -> Result<String, CloudError> {
    match anchor {
        Resource::ElasticIp(it) => Ok(it.allocation_id.clone()),
        Resource::PrivateIp(it) => Ok(here.for_private_ip(it)?.id.clone()),
        Resource::Route(it) => it.tables.first().cloned().ok_or_else(|| empty(anchor)),
    }
}

/// Writes the counter; `key` and `value` are those of [`counter_key`] and [`counter_value`].
///
/// # Errors
/// Those of CreateTags and of [`counter_target`].
pub async fn write_counter(
    cloud: &dyn Cloud,
    anchor: &Resource,
    here: &Here,
    key: &str,
    value: &str,
) -> Result<(), CloudError> {
    cloud.write_tag(&counter_target(anchor, here)?, key, value).await
}

/// Writes a tag on this node's own first interface: proof that this node's writes arrive (row 17).
///
/// # Errors
/// Those of CreateTags; [`ErrorKind::Invalid`] if no own interface is known.
pub async fn write_own_tag(
    cloud: &dyn Cloud,
    here: &Here,
    cluster: &str,
    value: &str,
) -> Result<(), CloudError> {
    let key = format!("standin:alive/{cluster}");
    cloud.write_tag(&here.first_interface()?.id, &key, value).await
}

async fn elastic_ip(
    cloud: &dyn Cloud,
    it: &ElasticIp,
    here: &Here,
    roster: &Roster,
) -> Result<(Owner, Tags), CloudError> {
    let Some(address) = cloud.address(&it.allocation_id).await? else {
        return Err(missing("DescribeAddresses", &it.allocation_id));
    };
    let owner = match &address.interface {
        Some(interface) => holder(cloud, here, roster, interface, address.instance.as_deref()).await?,
        None => Owner::Nobody,
    };
    Ok((owner, address.tags))
}

async fn private_ip(
    cloud: &dyn Cloud,
    it: &PrivateIp,
    here: &Here,
    roster: &Roster,
) -> Result<(Owner, Tags), CloudError> {
    let vpc = here.for_private_ip(it)?.vpc.clone();
    let filter = InterfaceFilter::Addresses { addresses: vec![it.address.into()], vpc };
    let found = cloud.interfaces(&filter).await?;
    let has = |interface: &Interface| -> Option<PrivateAddress> {
        interface.addresses.iter().find(|own| own.address == it.address).cloned()
    };
    let holders: Vec<(&Interface, PrivateAddress)> =
        found.iter().filter_map(|interface| Some((interface, has(interface)?))).collect();
    match holders.as_slice() {
        [] => Ok((Owner::Nobody, Tags::new())),
        [(interface, address)] => {
            let owner = roster.owner_of(here, interface);
            // A primary address cannot be reassigned, so that who has it as one cannot be taken over from.
            let fixed = address.primary && owner != Owner::Mine;
            Ok((if fixed { Owner::Stranger } else { owner }, interface.tags.clone()))
        }
        // Reads lag behind a move; a later one will name one holder.
        [_, _, ..] => Err(CloudError::new(
            ErrorKind::NoAnswer,
            "DescribeNetworkInterfaces",
            format!("the answer shows {} on two interfaces", it.address),
        )),
    }
}

async fn route(
    cloud: &dyn Cloud,
    it: &Route,
    here: &Here,
    roster: &Roster,
) -> Result<(Owner, Tags), CloudError> {
    let (Some(table), Some(destination)) = (it.tables.first(), it.destinations.first()) else {
        return Err(empty(&Resource::Route(it.clone())));
    };
    let found = cloud.route_tables(std::slice::from_ref(table)).await?;
    let Some(found) = found.into_iter().find(|it| it.id == *table) else {
        return Err(missing("DescribeRouteTables", table));
    };
    let owner = route_owner(cloud, &found.routes, destination, here, roster).await?;
    Ok((owner, found.tags))
}

async fn route_owner(
    cloud: &dyn Cloud,
    routes: &[crate::cloud::Route],
    destination: &Destination,
    here: &Here,
    roster: &Roster,
) -> Result<Owner, CloudError> {
    let Some(route) = routes.iter().find(|it| it.destination == *destination) else {
        return Ok(Owner::Nobody);
    };
    match &route.interface {
        _ if route.blackhole => Ok(Owner::Orphaned),
        Some(interface) => holder(cloud, here, roster, interface, route.instance.as_deref()).await,
        None => Ok(Owner::Stranger),
    }
}

/// Whose an interface is: by its instance if that is known, else by asking EC2 about it.
async fn holder(
    cloud: &dyn Cloud,
    here: &Here,
    roster: &Roster,
    interface: &str,
    instance: Option<&str>,
) -> Result<Owner, CloudError> {
    if here.owns(interface) && instance.is_none_or(|it| it == here.identity.instance) {
        return Ok(Owner::Mine);
    }
    if let Some(owner) = instance.and_then(|it| roster.owner_by_instance(here, it)) {
        return Ok(owner);
    }
    let found = cloud.interfaces(&InterfaceFilter::Ids(vec![interface.to_owned()])).await?;
    match found.iter().find(|it| it.id == interface) {
        Some(it) => Ok(roster.owner_of(here, it)),
        // Deleted under it.
        None => Ok(Owner::Orphaned),
    }
}

/// The counter in the tags; `None` if there is none, or none that can be read.
fn counter(tags: &Tags, key: &str, roster: &Roster) -> Option<Counter> {
    let (_, value) = tags.iter().find(|(name, _)| name == key)?;
    let mut words = value.split(' ');
    let (name, session, n) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let session = Session(u64::from_str_radix(session, 16).ok()?);
    Some(Counter { node: roster.by_name(name)?, session, n: n.parse().ok()? })
}

fn empty(anchor: &Resource) -> CloudError {
    let message = format!("route {:?} has no table or no destination", anchor.name());
    CloudError::new(ErrorKind::Invalid, "ReplaceRoute", message)
}

#[cfg(test)]
mod tests;

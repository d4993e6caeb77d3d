//! Route tables: CreateRoute, ReplaceRoute, DeleteRoute.

use super::Vpc;
use super::address::only_interface;
use super::error::{ApiError, IdKind};
use super::request::{RouteChange, RouteTarget};
use super::response::Response;
use super::state::{Destination, Route, RouteTable, State, Target};

impl Vpc {
    pub(super) fn create_route(&mut self, it: &RouteChange) -> Result<Response, ApiError> {
        let (table, target) = prepare(&self.state, it)?;
        // CreateRoute, DestinationCidrBlock: a range with host bits is brought to its canonical form.
        let destination = match &it.destination {
            Destination::Cidr(net) => Destination::Cidr(net.trunc()),
            Destination::PrefixList(id) => Destination::PrefixList(id.clone()),
        };
        if let Some(there) = table.routes.iter().find(|route| route.destination == destination) {
            // Whether the very same route is an error is not documented.
            if there.target == target && self.settings.quirks.accept_same_route {
                return Ok(Response::Done);
            }
            let message = format!("The route identified by {destination} already exists.");
            return Err(ApiError::new("RouteAlreadyExists", message));
        }
        if let Some(table) = self.state_mut().route_tables.get_mut(&it.table) {
            table.routes.push(Route { destination, target });
        }
        Ok(Response::Done)
    }

    pub(super) fn replace_route(&mut self, it: &RouteChange) -> Result<Response, ApiError> {
        let (_, target) = prepare(&self.state, it)?;
        // ReplaceRoute, DestinationCidrBlock: "must match the CIDR of an existing route in the table".
        *self.route_mut(&it.table, &it.destination)? = target;
        Ok(Response::Done)
    }

    pub(super) fn delete_route(
        &mut self,
        table: &str,
        destination: &Destination,
    ) -> Result<Response, ApiError> {
        known_table(&self.state, table)?;
        // VPC Guide, "Route table concepts": the local route cannot be deleted.
        if *self.route_mut(table, destination)? == Target::Local {
            return Err(ApiError::value(format!("cannot remove local route {destination} in {table}")));
        }
        if let Some(table) = self.state_mut().route_tables.get_mut(table) {
            table.routes.retain(|it| it.destination != *destination);
        }
        Ok(Response::Done)
    }

    fn route_mut(&mut self, table: &str, destination: &Destination) -> Result<&mut Target, ApiError> {
        let routes = self.state_mut().route_tables.get_mut(table).map(|it| it.routes.iter_mut());
        let found = routes.into_iter().flatten().find(|it| it.destination == *destination);
        found.map(|it| &mut it.target).ok_or_else(|| {
            let message = format!("no route with destination {destination} in route table {table}");
            ApiError::new("InvalidRoute.NotFound", message)
        })
    }
}

/// The table and the target that a call names.
fn prepare<'a>(state: &'a State, it: &RouteChange) -> Result<(&'a RouteTable, Target), ApiError> {
    let table = known_table(state, &it.table)?;
    if let Destination::PrefixList(id) = &it.destination
        && !state.prefix_lists.contains_key(id)
    {
        return Err(ApiError::unknown(IdKind::PrefixList, id));
    }
    let interface = match &it.target {
        RouteTarget::Interface(id) => state.interface(id)?,
        RouteTarget::Instance(id) => only_interface(state, id)?,
        RouteTarget::Local => return Ok((table, Target::Local)),
        RouteTarget::Gateway(id) => {
            if state.vpcs.get(&table.vpc).is_some_and(|vpc| vpc.gateway == *id) {
                return Ok((table, Target::Gateway(id.clone())));
            }
            let message = format!("The gateway ID '{id}' does not exist");
            return Err(ApiError::new("InvalidGatewayID.NotFound", message));
        }
    };
    if state.vpc_of(interface) != table.vpc {
        let message =
            format!("route table {} and interface {} belong to different networks", table.id, interface.id);
        return Err(ApiError::value(message));
    }
    Ok((table, Target::Interface(interface.id.clone())))
}

fn known_table<'a>(state: &'a State, id: &str) -> Result<&'a RouteTable, ApiError> {
    state.route_tables.get(id).ok_or_else(|| ApiError::unknown(IdKind::RouteTable, id))
}

//! What is wrong with a call before anything is looked up.

use std::net::Ipv4Addr;

use super::error::ApiError;
use super::request::{AssociateAddress, Request, RouteTarget};

/// What can be said against a call without looking at the VPC. EC2 says it before it looks at DryRun.
pub(super) fn validate(request: &Request) -> Result<(), ApiError> {
    let some = |list: &[String], name| if list.is_empty() { Err(ApiError::missing(name)) } else { Ok(()) };
    match request {
        Request::AssociateAddress(it) => association(it),
        Request::DisassociateAddress { association, public_ip, .. } => {
            match (association.is_some(), public_ip.is_some()) {
                (false, false) => Err(ApiError::missing("associationId")),
                (true, true) => Err(ApiError::combination("You may specify public IP or association id")),
                (true, false) | (false, true) => Ok(()),
            }
        }
        Request::AssignPrivateIpAddresses { addresses, count, .. } => {
            // "You can't specify this parameter when also specifying private IP addresses."
            match (addresses.is_empty(), count) {
                (true, None) => Err(ApiError::missing("privateIpAddressSet")),
                (false, Some(_)) => Err(ApiError::combination(
                    "Secondary private IP addresses and their count may not be specified together",
                )),
                (true, Some(0)) => Err(ApiError::value("The count must be at least 1")),
                (true, Some(_)) | (false, None) => unique(addresses),
            }
        }
        Request::UnassignPrivateIpAddresses { addresses, .. } => {
            if addresses.is_empty() {
                return Err(ApiError::missing("privateIpAddressSet"));
            }
            unique(addresses)
        }
        Request::CreateRoute(it) if it.target == RouteTarget::Local => {
            Err(ApiError::new("UnknownParameter", "The parameter LocalTarget is not recognized"))
        }
        Request::RebootInstances(it)
        | Request::StartInstances(it)
        | Request::StopInstances(it)
        | Request::TerminateInstances(it) => some(&it.ids, "InstanceId"),
        Request::CreateTags { resources, tags, .. } => {
            some(resources, "ResourceId")?;
            if tags.is_empty() { Err(ApiError::missing("Tag")) } else { Ok(()) }
        }
        Request::DeleteTags { resources, .. } => some(resources, "ResourceId"),
        Request::CreateRoute(_)
        | Request::ReplaceRoute(_)
        | Request::DeleteRoute { .. }
        | Request::SetSourceDestCheck { .. }
        | Request::DescribeInstanceAttribute { .. }
        | Request::SetProtection { .. } => Ok(()),
        Request::DescribeAddresses(_)
        | Request::DescribeNetworkInterfaces(_)
        | Request::DescribeRouteTables(_)
        | Request::DescribeInstances(_)
        | Request::DescribeInstanceStatus(..)
        | Request::DescribeSubnets(_)
        | Request::DescribeVpcs(_) => validate_describe(request),
    }
}

fn association(it: &AssociateAddress) -> Result<(), ApiError> {
    if it.allocation.is_none() && it.public_ip.is_none() {
        return Err(ApiError::missing("allocationId"));
    }
    if it.allocation.is_some() && it.public_ip.is_some() {
        return Err(ApiError::combination("You may specify public IP or allocation id, but not both"));
    }
    if it.interface.is_some() && it.instance.is_some() {
        return Err(ApiError::combination("You may specify network interface or instance, but not both"));
    }
    if it.interface.is_none() && it.instance.is_none() {
        return Err(ApiError::missing("networkInterfaceId"));
    }
    Ok(())
}

/// MaxResults has bounds (each page: 5 to 1000; route tables to 100), and excludes ids with
/// DescribeNetworkInterfaces, DescribeInstances and DescribeInstanceStatus.
fn validate_describe(request: &Request) -> Result<(), ApiError> {
    let Some((describe, max)) = request.describe().and_then(|it| Some((it, it.max_results?))) else {
        return Ok(());
    };
    let upper = if request.action() == "DescribeRouteTables" { 100 } else { 1000 };
    if !(5..=upper).contains(&max) {
        return Err(ApiError::value(format!(
            "Value ( {max} ) for parameter maxResults is invalid. Expecting a value between 5 and {upper}."
        )));
    }
    let excludes = matches!(
        request.action(),
        "DescribeNetworkInterfaces" | "DescribeInstances" | "DescribeInstanceStatus"
    );
    if excludes && !describe.ids.is_empty() {
        return Err(ApiError::combination(
            "The parameter maxResults cannot be used with ids in the same request",
        ));
    }
    Ok(())
}

fn unique(addresses: &[Ipv4Addr]) -> Result<(), ApiError> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ApiError::value(format!("{} is in the request twice", pair[0]))),
        None => Ok(()),
    }
}

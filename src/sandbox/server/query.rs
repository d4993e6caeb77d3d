//! EC2's Query protocol, the way in: a form -> a typed request. Never panics on any bytes.
//!
//! Names are those on the wire (API Reference, "Query requests"): lists are `Name.N`, structures in lists
//! `Name.N.Member`. What is left over at the end is UnknownParameter.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::sandbox::model::{
    ApiError, AssociateAddress, Describe, Destination, Filter, Instances, Protection, Request, RouteChange,
    RouteTarget,
};

/// The version of the API that is spoken.
const VERSION: &str = "2016-11-15";

/// Reads a form (of a POST's body, or of a GET's query).
///
/// # Errors
/// As EC2: MissingAction, InvalidAction, MissingParameter, InvalidParameterValue, UnknownParameter, …
pub fn parse(form: &[u8]) -> Result<Request, ApiError> {
    let values = form_urlencoded::parse(form).map(|(key, value)| (key.into_owned(), value.into_owned()));
    let mut form = Form(values.collect());
    let action = form.take("Action").ok_or_else(|| {
        ApiError::new("MissingAction", "The request is missing an action or a required parameter")
    })?;
    match form.take("Version") {
        Some(version) if version != VERSION => {
            let message = format!("The requested version ({version}) of service AmazonEC2 does not exist");
            return Err(ApiError::new("NoSuchVersion", message));
        }
        Some(_) | None => (),
    }
    let request = form.request(&action)?;
    // Signature version 2 and the query form of version 4 put these beside the parameters.
    form.0.retain(|key, _| !key.starts_with("X-Amz-") && key != "AWSAccessKeyId");
    match form.0.keys().next() {
        Some(key) => {
            let message = format!("The parameter {key} is not recognized");
            Err(ApiError::new("UnknownParameter", message))
        }
        None => Ok(request),
    }
}

/// The action that a form names, if it names one: for faults and logs, also where the rest is nonsense. Of
/// several it is the last, as for [`parse`].
pub fn action(form: &[u8]) -> String {
    let named = form_urlencoded::parse(form).filter(|(key, _)| key == "Action").last();
    named.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

struct Form(BTreeMap<String, String>);

impl Form {
    fn request(&mut self, action: &str) -> Result<Request, ApiError> {
        if action.starts_with("Describe") {
            return self.describe_request(action);
        }
        Ok(match action {
            "AssociateAddress" => Request::AssociateAddress(AssociateAddress {
                allocation: self.take("AllocationId"),
                public_ip: self.ip("PublicIp")?,
                interface: self.take("NetworkInterfaceId"),
                instance: self.take("InstanceId"),
                private_ip: self.ip("PrivateIpAddress")?,
                reassociate: self.flag("AllowReassociation")?,
                dry_run: self.dry_run()?,
            }),
            "DisassociateAddress" => Request::DisassociateAddress {
                association: self.take("AssociationId"),
                public_ip: self.ip("PublicIp")?,
                dry_run: self.dry_run()?,
            },
            "AssignPrivateIpAddresses" => self.assign()?,
            "UnassignPrivateIpAddresses" => {
                self.no_prefixes()?;
                Request::UnassignPrivateIpAddresses {
                    interface: self.need("NetworkInterfaceId")?,
                    addresses: self.addresses()?,
                }
            }
            "CreateRoute" => Request::CreateRoute(self.route_change()?),
            "ReplaceRoute" => Request::ReplaceRoute(self.route_change()?),
            "DeleteRoute" => Request::DeleteRoute {
                table: self.need("RouteTableId")?,
                destination: self.destination()?,
                dry_run: self.dry_run()?,
            },
            "StartInstances" => {
                self.take("AdditionalInfo");
                Request::StartInstances(Instances {
                    ids: self.list("InstanceId"),
                    dry_run: self.dry_run()?,
                    ..Instances::default()
                })
            }
            "RebootInstances" => Request::RebootInstances(Instances {
                ids: self.list("InstanceId"),
                dry_run: self.dry_run()?,
                ..Instances::default()
            }),
            "StopInstances" => Request::StopInstances(self.instances()?),
            "TerminateInstances" => Request::TerminateInstances(self.instances()?),
            "ModifyInstanceAttribute" => self.set_protection()?,
            "CreateTags" => self.create_tags()?,
            "DeleteTags" => self.delete_tags()?,
            "ModifyNetworkInterfaceAttribute" => Request::SetSourceDestCheck {
                interface: self.need("NetworkInterfaceId")?,
                check: self.flag("SourceDestCheck.Value")?.ok_or_else(|| {
                    ApiError::new("MissingParameter", "SourceDestCheck.Value is all I know")
                })?,
                dry_run: self.dry_run()?,
            },
            _ => return Err(invalid_action(action)),
        })
    }

    fn describe_request(&mut self, action: &str) -> Result<Request, ApiError> {
        Ok(match action {
            "DescribeAddresses" => {
                let mut it = self.describe("AllocationId")?;
                for text in self.list("PublicIp") {
                    it.public_ips.push(ipv4("PublicIp", &text)?);
                }
                Request::DescribeAddresses(it)
            }
            "DescribeNetworkInterfaces" => {
                Request::DescribeNetworkInterfaces(self.describe("NetworkInterfaceId")?)
            }
            "DescribeRouteTables" => Request::DescribeRouteTables(self.describe("RouteTableId")?),
            "DescribeInstances" => Request::DescribeInstances(self.describe("InstanceId")?),
            "DescribeInstanceStatus" => {
                let all = self.flag("IncludeAllInstances")?.unwrap_or(false);
                Request::DescribeInstanceStatus(self.describe("InstanceId")?, all)
            }
            "DescribeInstanceAttribute" => {
                let word = self.need("Attribute")?;
                let unknown =
                    || ApiError::value(format!("Value ({word}) for parameter attribute is invalid."));
                let attribute = Protection::of(&word).ok_or_else(unknown)?;
                let (instance, dry_run) = (self.need("InstanceId")?, self.dry_run()?);
                Request::DescribeInstanceAttribute { instance, attribute, dry_run }
            }
            "DescribeSubnets" => Request::DescribeSubnets(self.describe("SubnetId")?),
            "DescribeVpcs" => Request::DescribeVpcs(self.describe("VpcId")?),
            _ => return Err(invalid_action(action)),
        })
    }

    fn describe(&mut self, id: &str) -> Result<Describe, ApiError> {
        // No page has a successor here, so any token is a wrong one.
        if self.take("NextToken").is_some_and(|it| !it.is_empty()) {
            return Err(ApiError::new("InvalidPaginationToken", "The pagination token is not valid"));
        }
        self.flag("IncludeManagedResources")?;
        let mut filters = Vec::new();
        for mut item in self.structures("Filter") {
            let name = item.take("Name").ok_or_else(|| ApiError::value("The filter 'null' is invalid"))?;
            filters.push(Filter { name, values: item.list("Value") });
            item.nothing_left("Filter")?;
        }
        Ok(Describe {
            ids: self.list(id),
            public_ips: Vec::new(),
            filters,
            max_results: self.number("MaxResults")?,
            dry_run: self.dry_run()?,
        })
    }

    fn assign(&mut self) -> Result<Request, ApiError> {
        self.no_prefixes()?;
        Ok(Request::AssignPrivateIpAddresses {
            interface: self.need("NetworkInterfaceId")?,
            addresses: self.addresses()?,
            count: self.number("SecondaryPrivateIpAddressCount")?,
            reassign: self.flag("AllowReassignment")?.unwrap_or(false),
        })
    }

    /// The private addresses of a list. The documented name has no "es"; some clients send it.
    fn addresses(&mut self) -> Result<Vec<Ipv4Addr>, ApiError> {
        let texts = self.list("PrivateIpAddress");
        texts.iter().map(|it| ipv4("PrivateIpAddress", it)).collect()
    }

    fn no_prefixes(&mut self) -> Result<(), ApiError> {
        let prefixes = self.0.keys().any(|it| it.starts_with("Ipv4Prefix"));
        if prefixes {
            return Err(ApiError::new("UnsupportedOperation", "The sandbox has no prefix delegation"));
        }
        Ok(())
    }

    fn route_change(&mut self) -> Result<RouteChange, ApiError> {
        Ok(RouteChange {
            table: self.need("RouteTableId")?,
            destination: self.destination()?,
            target: self.target()?,
            dry_run: self.dry_run()?,
        })
    }

    /// "You must specify either a destination CIDR block or a prefix list ID" (CreateRoute).
    fn destination(&mut self) -> Result<Destination, ApiError> {
        let ipv4 = self.take("DestinationCidrBlock");
        let ipv6 = self.take("DestinationIpv6CidrBlock");
        let list = self.take("DestinationPrefixListId");
        let malformed = |text: &str| ApiError::value(format!("CIDR block {text} is malformed"));
        match (ipv4, ipv6, list) {
            (Some(text), None, None) => {
                let net: Result<Ipv4Net, _> = text.parse();
                Ok(Destination::Cidr(IpNet::V4(net.map_err(|_| malformed(&text))?)))
            }
            (None, Some(text), None) => {
                let net: Result<Ipv6Net, _> = text.parse();
                Ok(Destination::Cidr(IpNet::V6(net.map_err(|_| malformed(&text))?)))
            }
            (None, None, Some(id)) => Ok(Destination::PrefixList(id)),
            (None, None, None) => Err(ApiError::missing("destinationCidrBlock")),
            (_, _, _) => Err(ApiError::combination("Exactly one destination may be specified")),
        }
    }

    /// "You must also specify exactly one of the resources from the parameter list" (CreateRoute).
    fn target(&mut self) -> Result<RouteTarget, ApiError> {
        const OTHERS: [&str; 9] = [
            "CarrierGatewayId",
            "CoreNetworkArn",
            "EgressOnlyInternetGatewayId",
            "LocalGatewayId",
            "NatGatewayId",
            "OdbNetworkArn",
            "TransitGatewayId",
            "VpcEndpointId",
            "VpcPeeringConnectionId",
        ];
        let mut targets = Vec::new();
        targets.extend(self.take("NetworkInterfaceId").map(RouteTarget::Interface));
        targets.extend(self.take("InstanceId").map(RouteTarget::Instance));
        targets.extend(self.take("GatewayId").map(RouteTarget::Gateway));
        targets.extend(self.flag("LocalTarget")?.filter(|it| *it).map(|_| RouteTarget::Local));
        let other = OTHERS.iter().filter(|it| self.take(it).is_some()).count();
        match (targets.pop(), targets.len() + other) {
            (Some(target), 0) => Ok(target),
            (None, 0) => {
                let message = "The request must contain exactly one of gatewayId, natGatewayId, \
                               networkInterfaceId, vpcPeeringConnectionId or another target";
                Err(ApiError::new("MissingParameter", message))
            }
            (None, 1) => {
                Err(ApiError::new("UnsupportedOperation", "The sandbox has no such kind of route target"))
            }
            (Some(_) | None, _) => Err(ApiError::combination("Exactly one route target may be specified")),
        }
    }

    fn instances(&mut self) -> Result<Instances, ApiError> {
        if self.flag("Hibernate")? == Some(true) {
            let message = "The sandbox's instances are not enabled for hibernation";
            return Err(ApiError::new("UnsupportedHibernationConfiguration", message));
        }
        Ok(Instances {
            ids: self.list("InstanceId"),
            force: self.flag("Force")?.unwrap_or(false),
            skip_os_shutdown: self.flag("SkipOsShutdown")?.unwrap_or(false),
            dry_run: self.dry_run()?,
        })
    }

    /// "You can modify only one attribute at a time" (ModifyInstanceAttribute).
    fn set_protection(&mut self) -> Result<Request, ApiError> {
        let stop = self.flag("DisableApiStop.Value")?;
        let (attribute, on) = match (stop, self.flag("DisableApiTermination.Value")?) {
            (Some(on), None) => (Protection::Stop, on),
            (None, Some(on)) => (Protection::Termination, on),
            (Some(_), Some(_)) => {
                return Err(ApiError::combination("Fields for multiple attribute types specified"));
            }
            (None, None) => return Err(ApiError::missing("attribute")),
        };
        let (instance, dry_run) = (self.need("InstanceId")?, self.dry_run()?);
        Ok(Request::SetProtection { instance, attribute, on, dry_run })
    }

    fn create_tags(&mut self) -> Result<Request, ApiError> {
        let mut tags = Vec::new();
        for mut item in self.structures("Tag") {
            // CreateTags: a tag without a value gets an empty one.
            tags.push((item.need("Key")?, item.take("Value").unwrap_or_default()));
            item.nothing_left("Tag")?;
        }
        Ok(Request::CreateTags { resources: self.list("ResourceId"), tags, dry_run: self.dry_run()? })
    }

    fn delete_tags(&mut self) -> Result<Request, ApiError> {
        let mut tags = Vec::new();
        for mut item in self.structures("Tag") {
            tags.push((item.need("Key")?, item.take("Value")));
            item.nothing_left("Tag")?;
        }
        Ok(Request::DeleteTags { resources: self.list("ResourceId"), tags, dry_run: self.dry_run()? })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn need(&mut self, name: &str) -> Result<String, ApiError> {
        self.take(name).filter(|it| !it.is_empty()).ok_or_else(|| ApiError::missing(&lower_first(name)))
    }

    fn dry_run(&mut self) -> Result<bool, ApiError> {
        Ok(self.flag("DryRun")?.unwrap_or(false))
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(ApiError::value(format!("Invalid value '{text}' for {name}: expecting a boolean"))),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ApiError::value(format!("Invalid value '{text}' for {name}: expecting a number"))),
        }
    }

    fn ip(&mut self, name: &str) -> Result<Option<Ipv4Addr>, ApiError> {
        self.take(name).map(|text| ipv4(name, &text)).transpose()
    }

    /// `name.N`, in the order of N.
    fn list(&mut self, name: &str) -> Vec<String> {
        let mut found = BTreeMap::new();
        self.0.retain(|key, value| match index(key, name) {
            Some((number, "")) => {
                found.insert(number, std::mem::take(value));
                false
            }
            Some(_) | None => true,
        });
        found.into_values().collect()
    }

    /// `name.N.member`, grouped by N, in the order of N.
    fn structures(&mut self, name: &str) -> Vec<Self> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        self.0.retain(|key, value| match index(key, name) {
            Some((number, member)) if !member.is_empty() => {
                let item = found.entry(number).or_insert_with(|| Self(BTreeMap::new()));
                item.0.insert(member.to_owned(), std::mem::take(value));
                false
            }
            Some(_) | None => true,
        });
        found.into_values().collect()
    }

    fn nothing_left(&self, name: &str) -> Result<(), ApiError> {
        match self.0.keys().next() {
            Some(key) => {
                let message = format!("The parameter {name}.N.{key} is not recognized");
                Err(ApiError::new("UnknownParameter", message))
            }
            None => Ok(()),
        }
    }
}

/// `name.12.rest` -> 12 and "rest"; `name.12` -> 12 and "".
fn index<'a>(key: &'a str, name: &str) -> Option<(u32, &'a str)> {
    let rest = key.strip_prefix(name)?.strip_prefix('.')?;
    let (number, member) = rest.split_once('.').unwrap_or((rest, ""));
    Some((number.parse().ok()?, member))
}

fn invalid_action(action: &str) -> ApiError {
    ApiError::new("InvalidAction", format!("The action {action} is not valid for this web service."))
}

fn ipv4(name: &str, text: &str) -> Result<Ipv4Addr, ApiError> {
    let message = || format!("Invalid value '{text}' for {name}: expecting an IPv4 address");
    text.parse().map_err(|_| ApiError::value(message()))
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|it| it.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_the_order_of_their_numbers() {
        let form = b"Action=DescribeInstances&Version=2016-11-15&InstanceId.10=j&InstanceId.2=b\
            &Filter.1.Name=vpc-id&Filter.1.Value.2=y&Filter.1.Value.1=x&MaxResults=7";
        let Ok(Request::DescribeInstances(it)) = parse(form) else { panic!() };
        assert_eq!(it.ids, ["b", "j"]);
        assert_eq!(it.filters, [Filter { name: "vpc-id".into(), values: vec!["x".into(), "y".into()] }]);
        assert_eq!(it.max_results, Some(7));
    }

    #[test]
    fn the_action_of_the_answer_is_that_of_the_request() {
        let form = b"Action=%3Cevil%3E&Action=DescribeVpcs";
        assert_eq!(parse(form).map(|it| it.action()).ok(), Some("DescribeVpcs"));
        assert_eq!(action(form), "DescribeVpcs");
    }

    #[test]
    fn what_is_wrong_has_ec2s_code() {
        for (form, code) in [
            ("", "MissingAction"),
            ("Action=Dance", "InvalidAction"),
            ("Action=DescribeVpcs&Version=1999-01-01", "NoSuchVersion"),
            ("Action=DescribeVpcs&Colour=red", "UnknownParameter"),
            ("Action=DescribeVpcs&Filter.1.Value.1=x", "InvalidParameterValue"),
            ("Action=DescribeVpcs&DryRun=perhaps", "InvalidParameterValue"),
            ("Action=AssignPrivateIpAddresses&PrivateIpAddress.1=10.0.0.5", "MissingParameter"),
            // These two calls have no DryRun.
            ("Action=AssignPrivateIpAddresses&NetworkInterfaceId=eni-1&DryRun=true", "UnknownParameter"),
            ("Action=UnassignPrivateIpAddresses&NetworkInterfaceId=eni-1&DryRun=true", "UnknownParameter"),
            ("Action=CreateRoute&RouteTableId=rtb-1&DestinationCidrBlock=10.0.0.0/24", "MissingParameter"),
            ("Action=CreateRoute&RouteTableId=rtb-1&NetworkInterfaceId=eni-1", "MissingParameter"),
            (
                "Action=CreateRoute&RouteTableId=rtb-1&NetworkInterfaceId=eni-1&DestinationCidrBlock=10.0.0.0/33",
                "InvalidParameterValue",
            ),
            (
                "Action=ReplaceRoute&RouteTableId=rtb-1&NetworkInterfaceId=eni-1&GatewayId=igw-1\
                 &DestinationCidrBlock=10.0.0.0/24",
                "InvalidParameterCombination",
            ),
            ("Action=AssociateAddress&PrivateIpAddress=here", "InvalidParameterValue"),
            ("Action=DescribeInstanceAttribute&InstanceId=i-1&Attribute=colour", "InvalidParameterValue"),
            ("Action=DescribeInstanceAttribute&InstanceId=i-1", "MissingParameter"),
            ("Action=ModifyInstanceAttribute&InstanceId=i-1", "MissingParameter"),
            (
                "Action=ModifyInstanceAttribute&InstanceId=i-1&DisableApiStop.Value=true\
                 &DisableApiTermination.Value=true",
                "InvalidParameterCombination",
            ),
        ] {
            assert_eq!(parse(form.as_bytes()).map_err(|it| it.code), Err(code), "{form}");
        }
    }
}

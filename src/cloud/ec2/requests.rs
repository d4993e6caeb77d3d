//! Our calls, as the SDK's requests.

use std::net::{IpAddr, Ipv4Addr};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Tag};
use ipnet::IpNet;

use super::{Ec2, answers, fence};
use crate::cloud::{
    Address, Answer, Cloud, Destination, Instance, InstanceState, Interface, InterfaceFilter, Obstacle,
    RouteTable,
};

impl Cloud for Ec2 {
    fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client.describe_addresses().filters(filter("allocation-id", [allocation]));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.line.describe("DescribeAddresses", call).await?;
            let mut addresses = answer.addresses.unwrap_or_default().into_iter().map(answers::address);
            Ok(addresses.find(|it| it.allocation == allocation))
        })
    }

    fn interfaces<'a>(&'a self, wanted: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered =
                    client.describe_network_interfaces().set_filters(Some(interface_filters(wanted)));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.line.describe("DescribeNetworkInterfaces", call).await?;
            Ok(answer.network_interfaces.unwrap_or_default().into_iter().map(answers::interface).collect())
        })
    }

    fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client
                    .describe_route_tables()
                    .filters(filter("route-table-id", tables.iter().map(String::as_str)));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.line.describe("DescribeRouteTables", call).await?;
            Ok(answer.route_tables.unwrap_or_default().into_iter().map(answers::route_table).collect())
        })
    }

    fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let filtered = client.describe_instances().filters(filter("instance-id", [instance]));
                filtered.customize().interceptor(sent).send()
            };
            let answer = self.line.describe("DescribeInstances", call).await?;
            let mut instances = answer
                .reservations
                .unwrap_or_default()
                .into_iter()
                .flat_map(|it| it.instances.unwrap_or_default())
                .filter_map(answers::instance);
            Ok(instances.find(|it| it.id == instance))
        })
    }

    fn associate_address<'a>(
        &'a self,
        allocation: &'a str,
        interface: &'a str,
        private_ip: Ipv4Addr,
        reassociate: bool,
    ) -> Answer<'a, String> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client
                    .associate_address()
                    .allocation_id(allocation)
                    .network_interface_id(interface)
                    .private_ip_address(private_ip.to_string())
                    .allow_reassociation(reassociate)
                    .customize()
                    .interceptor(sent)
                    .send()
            };
            let answer = self.line.once("AssociateAddress", call).await?;
            Ok(answer.association_id.unwrap_or_default())
        })
    }

    fn assign_private_ip<'a>(
        &'a self,
        interface: &'a str,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client
                    .assign_private_ip_addresses()
                    .network_interface_id(interface)
                    .private_ip_addresses(address.to_string())
                    .allow_reassignment(reassign)
                    .customize()
                    .interceptor(sent)
                    .send()
            };
            self.line.once("AssignPrivateIpAddresses", call).await.map(drop)
        })
    }

    fn replace_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let request = client.replace_route().route_table_id(table).network_interface_id(interface);
                let request = match destination {
                    Destination::Cidr(IpNet::V4(net)) => request.destination_cidr_block(net.to_string()),
                    Destination::Cidr(IpNet::V6(net)) => request.destination_ipv6_cidr_block(net.to_string()),
                    Destination::PrefixList(id) => request.destination_prefix_list_id(id),
                };
                request.customize().interceptor(sent).send()
            };
            self.line.once("ReplaceRoute", call).await.map(drop)
        })
    }

    fn create_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let request = client.create_route().route_table_id(table).network_interface_id(interface);
                let request = match destination {
                    Destination::Cidr(IpNet::V4(net)) => request.destination_cidr_block(net.to_string()),
                    Destination::Cidr(IpNet::V6(net)) => request.destination_ipv6_cidr_block(net.to_string()),
                    Destination::PrefixList(id) => request.destination_prefix_list_id(id),
                };
                request.customize().interceptor(sent).send()
            };
            self.line.once("CreateRoute", call).await.map(drop)
        })
    }

    fn stop_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        Box::pin(fence::stop(self, instance))
    }

    fn start_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client.start_instances().instance_ids(instance).customize().interceptor(sent).send()
            };
            let answer = self.line.once("StartInstances", call).await?;
            let mut changes = answer.starting_instances.unwrap_or_default().into_iter();
            let current = changes
                .find(|it| it.instance_id.as_deref() == Some(instance))
                .and_then(|it| it.current_state);
            // It was accepted; a word of EC2's that we do not know changes nothing about that.
            Ok(answers::state(current).unwrap_or(InstanceState::Pending))
        })
    }

    fn reboot_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                client.reboot_instances().instance_ids(instance).customize().interceptor(sent).send()
            };
            self.line.once("RebootInstances", call).await.map(drop)
        })
    }

    fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>> {
        Box::pin(fence::obstacles(self, instance))
    }

    fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = |client: Client, sent| {
                let tag = Tag::builder().key(key).value(value).build();
                client.create_tags().resources(resource).tags(tag).customize().interceptor(sent).send()
            };
            self.line.once("CreateTags", call).await.map(drop)
        })
    }
}

pub(super) fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn interface_filters(wanted: &InterfaceFilter) -> Vec<Filter> {
    match wanted {
        InterfaceFilter::Ids(ids) => {
            vec![filter("network-interface-id", ids.iter().map(String::as_str))]
        }
        InterfaceFilter::Instance(id) => vec![filter("attachment.instance-id", [id.as_str()])],
        InterfaceFilter::Addresses { addresses, vpc } => {
            let name = if addresses.iter().any(IpAddr::is_ipv6) {
                "ipv6-addresses.ipv6-address"
            } else {
                "addresses.private-ip-address"
            };
            let values: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            vec![filter(name, values.iter().map(String::as_str)), filter("vpc-id", [vpc.as_str()])]
        }
    }
}

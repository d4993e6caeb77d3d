//! From a description to the first state.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::market::{Market, RootDevice};
use super::random::Random;
use super::spec::{InterfaceSpec, Spec, SpecError};
use super::state::{
    Association, Attachment, Destination, ElasticIp, Instance, InstanceState, Interface, Network, Route,
    RouteTable, State, Subnet, Tags, Target,
};

/// Builds the first state.
pub(super) fn build(spec: &Spec, random: &mut Random) -> Result<State, SpecError> {
    let mut builder =
        Builder { spec, random, state: State::default(), ids: BTreeSet::new(), names: BTreeSet::new() };
    builder.networks()?;
    builder.subnets()?;
    builder.instances()?;
    builder.private_ips()?;
    builder.elastic_ips()?;
    builder.route_tables()?;
    Ok(builder.state)
}

struct Builder<'a> {
    spec: &'a Spec,
    random: &'a mut Random,
    state: State,
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Builder<'_> {
    fn networks(&mut self) -> Result<(), SpecError> {
        for it in &self.spec.vpc {
            let id = self.id("vpc", it.id.as_ref())?;
            let gateway = self.random.id("igw");
            let network = Network {
                id: id.clone(),
                name: it.name.clone(),
                cidr: it.cidr.trunc(),
                gateway,
                tags: name_tag(&it.name),
            };
            self.state.vpcs.insert(id, network);
        }
        for it in &self.spec.prefix_list {
            let id = self.id("pl", it.id.as_ref())?;
            self.state.prefix_lists.insert(id, it.name.clone());
        }
        Ok(())
    }

    fn subnets(&mut self) -> Result<(), SpecError> {
        for it in &self.spec.subnet {
            let id = self.id("subnet", it.id.as_ref())?;
            let vpc = self.vpc(it.vpc.as_deref())?;
            let inside = self.state.vpcs.get(&vpc).is_some_and(|vpc| vpc.cidr.contains(&it.cidr));
            if !inside {
                return Err(SpecError(format!("subnet \"{}\": {} is not in its VPC", it.name, it.cidr)));
            }
            if let Some(other) = self.state.subnets.values().find(|other| {
                other.vpc == vpc && (other.cidr.contains(&it.cidr) || it.cidr.contains(&other.cidr))
            }) {
                return Err(SpecError(format!("subnets \"{}\" and \"{}\" overlap", other.name, it.name)));
            }
            let subnet = Subnet {
                id: id.clone(),
                name: it.name.clone(),
                vpc,
                cidr: it.cidr.trunc(),
                ipv6_cidr: it.ipv6_cidr.map(|net| net.trunc()),
                zone: it.zone.clone().unwrap_or_else(|| format!("{}a", self.spec.region)),
                tags: name_tag(&it.name),
            };
            self.state.subnets.insert(id, subnet);
        }
        Ok(())
    }

    fn instances(&mut self) -> Result<(), SpecError> {
        for it in &self.spec.instance {
            let id = self.id("i", it.id.as_ref())?;
            if it.interface.is_empty() {
                return Err(SpecError(format!("instance \"{}\" has no interface", it.name)));
            }
            self.name(&it.name)?;
            let mut zone = String::new();
            for (index, interface) in (0_u32..).zip(&it.interface) {
                let attachment = Attachment {
                    id: self.random.id("eni-attach"),
                    instance: id.clone(),
                    device_index: index,
                    delete_on_termination: interface.delete_on_termination.unwrap_or(index == 0),
                };
                let name = if interface.name.is_empty() {
                    format!("{}/{index}", it.name)
                } else {
                    interface.name.clone()
                };
                zone = self.interface(interface, name, Some(attachment))?;
            }
            if it.stop_protection && (it.market != Market::OnDemand || it.root_device != RootDevice::Ebs) {
                return Err(SpecError(format!(
                    "instance \"{}\": {}",
                    it.name,
                    super::attribute::UNPROTECTABLE
                )));
            }
            let mut tags = name_tag(&it.name);
            if let Some(group) = &it.auto_scaling_group {
                tags.insert("aws:autoscaling:groupName".to_owned(), group.clone());
            }
            let instance = Instance {
                reboots: 0,
                id: id.clone(),
                name: it.name.clone(),
                state: InstanceState::Running,
                next: None,
                zone,
                impaired: false,
                stop_protection: it.stop_protection,
                termination_protection: it.termination_protection,
                market: it.market,
                root_device: it.root_device,
                tags,
            };
            self.state.instances.insert(id, instance);
        }
        for it in &self.spec.interface {
            self.interface(it, it.name.clone(), None)?;
        }
        Ok(())
    }

    /// Adds an interface and answers its zone.
    fn interface(
        &mut self,
        it: &InterfaceSpec,
        name: String,
        attachment: Option<Attachment>,
    ) -> Result<String, SpecError> {
        let id = self.id("eni", it.id.as_ref())?;
        self.name(&name)?;
        let found =
            self.state.subnets.values().find(|subnet| subnet.name == it.subnet || subnet.id == it.subnet);
        let subnet = found
            .cloned()
            .ok_or_else(|| SpecError(format!("interface \"{name}\": no subnet \"{}\"", it.subnet)))?;
        let primary = match it.address {
            Some(address) => address,
            None => super::interface::free_address(&self.state, &subnet)
                .ok_or_else(|| SpecError(format!("subnet \"{}\" is full", subnet.name)))?,
        };
        let interface = Interface {
            id: id.clone(),
            name,
            subnet: subnet.id.clone(),
            mac: self.random.mac(),
            primary,
            secondary: it.secondary.clone(),
            ipv6: it.ipv6.clone(),
            attachment,
            source_dest_check: it.source_dest_check,
            tags: Tags::new(),
        };
        for address in interface.addresses() {
            self.free(&subnet, address)?;
        }
        if let Some(stray) = it.ipv6.iter().find(|at| !subnet.ipv6_cidr.is_some_and(|net| net.contains(*at)))
        {
            return Err(SpecError(format!("{stray} is not in subnet \"{}\"", subnet.name)));
        }
        self.state.interfaces.insert(id, interface);
        Ok(subnet.zone)
    }

    fn private_ips(&mut self) -> Result<(), SpecError> {
        for it in &self.spec.private_ip {
            let subnet = self.state.subnets.values().find(|subnet| subnet.cidr.contains(&it.address));
            let subnet = subnet.cloned().ok_or_else(|| SpecError(format!("{}: in no subnet", it.address)))?;
            self.free(&subnet, it.address)?;
            let Some(holder) = &it.holder else { continue };
            let mut found = self.holders(holder)?;
            found.retain(|id| self.state.interfaces.get(id).is_some_and(|at| at.subnet == subnet.id));
            let interface = found.first().and_then(|id| self.state.interfaces.get_mut(id));
            let interface = interface.ok_or_else(|| {
                SpecError(format!(
                    "{}: \"{holder}\" has no interface in subnet \"{}\"",
                    it.address, subnet.name
                ))
            })?;
            interface.secondary.push(it.address);
        }
        Ok(())
    }

    fn elastic_ips(&mut self) -> Result<(), SpecError> {
        for (number, it) in (10_u8..).zip(&self.spec.elastic_ip) {
            let id = self.id("eipalloc", it.id.as_ref())?;
            let public_ip = it.public_ip.unwrap_or(Ipv4Addr::new(203, 0, 113, number));
            if self.state.elastic_ips.values().any(|other| other.public_ip == public_ip) {
                return Err(SpecError(format!("elastic-ip \"{}\": {public_ip} is there twice", it.name)));
            }
            let mut association = None;
            if let Some(private_ip) = it.to {
                let holder = self.state.private_ip_holder(private_ip);
                let interface = holder.map(|at| at.interface).ok_or_else(|| {
                    SpecError(format!("elastic-ip \"{}\": no interface has {private_ip}", it.name))
                })?;
                if let Some(other) = self.state.elastic_ip_on(&interface, private_ip) {
                    return Err(SpecError(format!(
                        "\"{}\" and \"{}\" go to {private_ip}",
                        other.name, it.name
                    )));
                }
                association = Some(Association { id: self.random.id("eipassoc"), interface, private_ip });
            }
            let (name, tags) = (it.name.clone(), name_tag(&it.name));
            self.state.elastic_ips.insert(id.clone(), ElasticIp { id, name, public_ip, association, tags });
        }
        Ok(())
    }

    fn route_tables(&mut self) -> Result<(), SpecError> {
        for it in &self.spec.route_table {
            let id = self.id("rtb", it.id.as_ref())?;
            let vpc = self.vpc(it.vpc.as_deref())?;
            let mut routes = Vec::new();
            if let Some(network) = self.state.vpcs.get(&vpc) {
                let destination = Destination::Cidr(network.cidr.into());
                routes.push(Route { destination, target: Target::Local });
            }
            for route in &it.route {
                let destination = self.destination(&route.destination)?;
                if routes.iter().any(|other| other.destination == destination) {
                    return Err(SpecError(format!("table \"{}\": {destination} is there twice", it.name)));
                }
                let Some(holder) = &route.holder else { continue };
                let target = if holder == "internet" {
                    Target::Gateway(
                        self.state.vpcs.get(&vpc).map(|at| at.gateway.clone()).unwrap_or_default(),
                    )
                } else {
                    let found = self.holders(holder)?.into_iter().next();
                    Target::Interface(
                        found.ok_or_else(|| SpecError(format!("\"{holder}\" has no interface")))?,
                    )
                };
                routes.push(Route { destination, target });
            }
            let (name, tags) = (it.name.clone(), name_tag(&it.name));
            self.state.route_tables.insert(id.clone(), RouteTable { id, name, vpc, routes, tags });
        }
        Ok(())
    }

    fn destination(&self, text: &str) -> Result<Destination, SpecError> {
        if let Some((id, _)) = self.state.prefix_lists.iter().find(|(id, name)| *id == text || *name == text)
        {
            return Ok(Destination::PrefixList(id.clone()));
        }
        let net: Result<ipnet::IpNet, _> = text.parse();
        match net {
            Ok(net) if net == net.trunc() => Ok(Destination::Cidr(net)),
            Ok(net) => Err(SpecError(format!("destination {text} has host bits: write {}", net.trunc()))),
            Err(_) => Err(SpecError(format!("destination \"{text}\" is neither a range nor a prefix list"))),
        }
    }

    /// The interfaces that a name stands for: an instance's by device index, or one.
    fn holders(&self, name: &str) -> Result<Vec<String>, SpecError> {
        if let Some(it) = self.state.instances.values().find(|it| it.name == name || it.id == name) {
            return Ok(self.state.interfaces_of(&it.id).into_iter().map(|it| it.id.clone()).collect());
        }
        let found = self.state.interfaces.values().find(|it| it.name == name || it.id == name);
        let found = found.ok_or_else(|| SpecError(format!("no instance or interface \"{name}\"")))?;
        Ok(vec![found.id.clone()])
    }

    fn vpc(&self, name: Option<&str>) -> Result<String, SpecError> {
        let found = match name {
            None => self
                .spec
                .vpc
                .first()
                .and_then(|first| self.state.vpcs.values().find(|it| it.name == first.name)),
            Some(name) => self.state.vpcs.values().find(|it| it.name == name || it.id == name),
        };
        let name = name.unwrap_or("(the first)");
        found.map(|it| it.id.clone()).ok_or_else(|| SpecError(format!("no vpc \"{name}\"")))
    }

    fn free(&self, subnet: &Subnet, address: Ipv4Addr) -> Result<(), SpecError> {
        if !subnet.cidr.contains(&address) || super::interface::is_reserved(subnet, address) {
            return Err(SpecError(format!("{address} is not usable in subnet \"{}\"", subnet.name)));
        }
        match self.state.interfaces.values().find(|it| it.subnet == subnet.id && it.has(address)) {
            Some(other) => Err(SpecError(format!("{address} is already on interface \"{}\"", other.name))),
            None => Ok(()),
        }
    }

    fn id(&mut self, prefix: &str, given: Option<&String>) -> Result<String, SpecError> {
        let id = match given {
            Some(id) if id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-')) => id.clone(),
            Some(id) => return Err(SpecError(format!("id \"{id}\" does not begin with \"{prefix}-\""))),
            None => self.random.id(prefix),
        };
        if self.ids.insert(id.clone()) {
            Ok(id)
        } else {
            Err(SpecError(format!("id \"{id}\" is there twice")))
        }
    }

    fn name(&mut self, name: &str) -> Result<(), SpecError> {
        if self.names.insert(name.to_owned()) {
            return Ok(());
        }
        Err(SpecError(format!("there are two instances or interfaces with the name \"{name}\"")))
    }
}

fn name_tag(name: &str) -> Tags {
    Tags::from([("Name".to_owned(), name.to_owned())])
}

//! Which instance and which interface belongs to which node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Here;
use crate::cloud::{Cloud, CloudError, Interface, InterfaceFilter};
use crate::cluster::{NodeId, Owner};
use crate::config;

/// What is known about the nodes of the cluster: their links by configuration, instances and interfaces by
/// their heartbeats and by EC2.
#[derive(Debug)]
pub struct Roster {
    nodes: Vec<config::Node>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    instances: BTreeMap<String, NodeId>,
    interfaces: BTreeMap<String, NodeId>,
    // What a node has had, and has no more: what such a one holds is orphaned.
    former: BTreeSet<String>,
}

impl Roster {
    /// A roster of these nodes, of which nothing is known yet.
    pub fn new(nodes: Vec<config::Node>) -> Self {
        Self { nodes, known: Mutex::default() }
    }

    /// The node of this name.
    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        let place = self.nodes.iter().position(|it| it.name == name)?;
        u8::try_from(place).ok().map(NodeId)
    }

    /// The name of the node.
    pub fn name(&self, node: NodeId) -> Option<&str> {
        self.nodes.get(usize::from(node.0)).map(|it| it.name.as_str())
    }

    /// A heartbeat, or IMDS, says what the node is now. What it was before becomes its former self.
    pub fn heard(&self, node: NodeId, instance: Option<&str>, interfaces: &[String]) {
        let mut known = self.known();
        if let Some(instance) = instance {
            let Known { instances, former, .. } = &mut *known;
            replace(instances, former, node, &[instance.to_owned()]);
        }
        if !interfaces.is_empty() {
            let Known { interfaces: map, former, .. } = &mut *known;
            replace(map, former, node, interfaces);
        }
    }

    /// Looks the nodes' interfaces up by their link addresses, in this VPC. A node in another VPC is known
    /// by its heartbeats only.
    ///
    /// # Errors
    /// Those of [`Cloud::interfaces`]; what was known stays.
    pub async fn refresh(&self, cloud: &dyn Cloud, vpc: &str) -> Result<(), CloudError> {
        let links: Vec<IpAddr> = self.nodes.iter().flat_map(|it| it.links.iter().copied()).collect();
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = links.into_iter().partition(IpAddr::is_ipv4);
        for addresses in [v4, v6].into_iter().filter(|it| !it.is_empty()) {
            let filter = InterfaceFilter::Addresses { addresses, vpc: vpc.to_owned() };
            for interface in cloud.interfaces(&filter).await? {
                self.learn(&interface);
            }
        }
        Ok(())
    }

    /// The node that this instance is.
    pub fn node_of_instance(&self, instance: &str) -> Option<NodeId> {
        self.known().instances.get(instance).copied()
    }

    /// The instance that this node is, as far as it is known.
    pub fn instance_of(&self, node: NodeId) -> Option<String> {
        let known = self.known();
        known.instances.iter().find_map(|(id, of)| (*of == node).then(|| id.clone()))
    }

    /// Whose an interface is that holds the anchor, from what its description says.
    pub fn owner_of(&self, here: &Here, interface: &Interface) -> Owner {
        let Some(instance) = interface.instance.as_deref() else { return Owner::Orphaned };
        if let Some(owner) = self.owner_by_instance(here, instance) {
            return owner;
        }
        match self.learn(interface).or_else(|| self.known().interfaces.get(&interface.id).copied()) {
            Some(node) => by_node(here, node),
            None => Owner::Stranger,
        }
    }

    /// Whose it is by the instance alone. `None`: the instance is not known.
    pub fn owner_by_instance(&self, here: &Here, instance: &str) -> Option<Owner> {
        if instance == here.identity.instance {
            return Some(Owner::Mine);
        }
        let known = self.known();
        if known.former.contains(instance) {
            return Some(Owner::Orphaned);
        }
        known.instances.get(instance).map(|node| by_node(here, *node))
    }

    /// An attached interface with a node's link address is that node's, and so is its instance.
    fn learn(&self, interface: &Interface) -> Option<NodeId> {
        let has = |link: &IpAddr| match link {
            IpAddr::V4(it) => interface.addresses.iter().any(|own| own.address == *it),
            IpAddr::V6(it) => interface.ipv6.contains(it),
        };
        let place = self.nodes.iter().position(|node| node.links.iter().any(has))?;
        let node = NodeId(u8::try_from(place).ok()?);
        let instance = interface.instance.as_ref()?;
        let mut known = self.known();
        let Known { instances, interfaces, former } = &mut *known;
        replace(instances, former, node, std::slice::from_ref(instance));
        former.remove(&interface.id);
        interfaces.insert(interface.id.clone(), node);
        Some(node)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replace(map: &mut BTreeMap<String, NodeId>, former: &mut BTreeSet<String>, node: NodeId, now: &[String]) {
    map.retain(|id, of| {
        let stays = *of != node || now.contains(id);
        if !stays {
            former.insert(id.clone());
        }
        stays
    });
    for id in now {
        former.remove(id);
        map.insert(id.clone(), node);
    }
}

fn by_node(here: &Here, node: NodeId) -> Owner {
    if node == here.node { Owner::Mine } else { Owner::Theirs(node) }
}

//! [`Cloud`] over the sandbox's model, without HTTP and without the SDK.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use standin::cloud::{
    Address, Answer, Cloud, CloudError, Destination, ErrorKind, Identity, Instance, InstanceState, Interface,
    InterfaceFilter, Obstacle, OwnInterface, PrivateAddress, Route, RouteTable,
};
use standin::sandbox::model::{
    self, AddressView, ApiError, AssociateAddress, Describe, Instances, InterfaceView, Protection, Request,
    Response, RouteChange, RouteTableView, RouteTarget, Spec, Target, Vpc,
};

/// The VPC that both agents reach.
#[derive(Clone)]
pub(crate) struct World {
    vpc: Arc<Mutex<Vpc>>,
    start: Instant,
}

/// The VPC as one node reaches it.
pub(crate) struct Line {
    world: World,
    node: &'static str,
    pub(crate) cut: AtomicBool,
    /// Calls are carried out, and their answers are lost.
    pub(crate) deaf: AtomicBool,
    pub(crate) delay_ms: AtomicU64,
    pub(crate) denied: Mutex<Option<&'static str>>,
    pub(crate) calls: Mutex<Vec<&'static str>>,
    /// The address from which this node reaches EC2 changes when it takes the anchor.
    pub(crate) way_moves: AtomicBool,
    /// So the open connection is dead: what is sent over it stays without an answer.
    dead: AtomicBool,
    /// How often the agent has left its connection behind.
    pub(crate) replaced: AtomicU32,
}

impl World {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self { vpc: Arc::new(Mutex::new(Vpc::new(spec, 1).unwrap())), start: Instant::now() }
    }

    pub(crate) fn line(&self, node: &'static str) -> Arc<Line> {
        Arc::new(Line {
            world: self.clone(),
            node,
            cut: AtomicBool::default(),
            deaf: AtomicBool::default(),
            delay_ms: AtomicU64::default(),
            denied: Mutex::default(),
            calls: Mutex::default(),
            way_moves: AtomicBool::default(),
            dead: AtomicBool::default(),
            replaced: AtomicU32::default(),
        })
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Vpc) -> T) -> T {
        look(&mut self.vpc.lock().unwrap())
    }

    /// The name of the instance that this holder is on.
    pub(crate) fn name(&self, holder: Option<model::Holder>) -> String {
        let instance = holder.and_then(|it| it.instance);
        self.with(|vpc| instance.and_then(|id| vpc.state().instances.get(&id).map(|it| it.name.clone())))
            .unwrap_or_else(|| "nobody".into())
    }

    /// Who has each resource, in truth: private address, trunk, the address's rider, each route.
    pub(crate) fn holders(&self) -> Vec<String> {
        let state = self.with(|vpc| vpc.state().clone());
        let mut all = vec![self.name(state.private_ip_holder(Ipv4Addr::new(127, 0, 0, 100)))];
        for eip in state.elastic_ips.values().filter(|it| it.name != "spare") {
            all.push(self.name(state.elastic_ip_holder(&eip.id)));
        }
        for table in state.route_tables.values() {
            for route in table.routes.iter().filter(|it| matches!(it.target, Target::Interface(_))) {
                all.push(self.name(state.route_holder(&table.id, &route.destination)));
            }
        }
        all
    }

    pub(crate) fn identity(&self, node: &str) -> Identity {
        self.with(|vpc| {
            let state = vpc.state();
            let instance = state.instances.values().find(|it| it.name == node).unwrap();
            let own = |it: &&model::Interface| OwnInterface {
                id: it.id.clone(),
                mac: it.mac.clone(),
                subnet_cidr: state.subnets.get(&it.subnet).map(|subnet| subnet.cidr),
                vpc: state.vpc_of(it).to_owned(),
                local_ipv4s: it.addresses().collect(),
                ipv6s: it.ipv6.clone(),
                device_number: it.attachment.as_ref().unwrap().device_index,
            };
            Identity {
                instance: instance.id.clone(),
                region: vpc.region().to_owned(),
                interfaces: state.interfaces_of(&instance.id).iter().map(own).collect(),
            }
        })
    }

    /// Somebody's hand in the console.
    pub(crate) fn call(&self, by: &str, request: &Request) -> Response {
        let now = self.start.elapsed();
        self.with(|vpc| vpc.call(by, request, now)).unwrap()
    }
}

impl Line {
    /// A new connection, over whatever way there is now.
    pub(crate) fn reconnect(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
        self.dead.store(false, Ordering::Relaxed);
    }

    async fn call(&self, request: Request) -> Result<Response, CloudError> {
        let action = request.action();
        self.calls.lock().unwrap().push(action);
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
        tokio::time::sleep(delay / 2).await;
        if self.cut.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Err(CloudError::new(ErrorKind::NoAnswer, action, "the test has cut the line"));
        }
        if self.dead.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // As the real one: silence without a status makes it leave the connection behind.
            self.dead.store(false, Ordering::Relaxed);
            return Err(CloudError::new(ErrorKind::NoAnswer, action, "the way has changed under it"));
        }
        if *self.denied.lock().unwrap() == Some(action) {
            return Err(CloudError::new(ErrorKind::Denied, action, "You are not authorized"));
        }
        let now = self.world.start.elapsed();
        let answer = self.world.with(|vpc| vpc.call(self.node, &request, now));
        tokio::time::sleep(delay / 2).await;
        let took = answer.is_ok() && matches!(request, Request::AssignPrivateIpAddresses { .. });
        if took && self.way_moves.load(Ordering::Relaxed) {
            self.dead.store(true, Ordering::Relaxed);
        }
        if self.deaf.load(Ordering::Relaxed) {
            return Err(CloudError::new(ErrorKind::NoAnswer, action, "the test has lost the answer"));
        }
        answer.map_err(|error| failed(action, &error))
    }
}

fn failed(action: &'static str, error: &ApiError) -> CloudError {
    let kind = match error.code {
        "RequestLimitExceeded" => ErrorKind::Throttled,
        "IncorrectInstanceState" => ErrorKind::WrongState,
        "Resource.AlreadyAssociated" | "RouteAlreadyExists" | "InvalidIPAddress.InUse" => ErrorKind::Conflict,
        "InvalidParameterValue" if action == "AssignPrivateIpAddresses" => ErrorKind::Conflict,
        "InvalidRoute.NotFound" | "InvalidParameterValue" if action == "ReplaceRoute" => ErrorKind::NotFound,
        code if code.ends_with("NotFound") => ErrorKind::NotFound,
        _ => ErrorKind::Invalid,
    };
    CloudError { code: Some(error.code.into()), ..CloudError::new(kind, action, &error.message) }
}

fn address(view: AddressView) -> Address {
    let it = view.address;
    Address {
        allocation: it.id,
        public_ip: Some(it.public_ip),
        association: it.association.as_ref().map(|at| at.id.clone()),
        interface: it.association.as_ref().map(|at| at.interface.clone()),
        instance: view.instance,
        private_ip: it.association.map(|at| at.private_ip),
        tags: it.tags.into_iter().collect(),
    }
}

fn interface(view: InterfaceView) -> Interface {
    let private = |address| PrivateAddress {
        address,
        primary: address == view.interface.primary,
        allocation: view.elastic_ip_on(address).map(|it| it.id.clone()),
    };
    let addresses = view.interface.addresses().map(private).collect();
    let it = view.interface;
    Interface {
        instance: it.instance().map(str::to_owned),
        id: it.id,
        subnet: it.subnet,
        vpc: view.vpc,
        mac: it.mac,
        source_dest_check: it.source_dest_check,
        addresses,
        ipv6: it.ipv6,
        tags: it.tags.into_iter().collect(),
    }
}

fn table(view: RouteTableView) -> RouteTable {
    let routes =
        view.table.routes.into_iter().zip(view.targets).map(|(route, (instance, blackhole))| Route {
            destination: match route.destination {
                model::Destination::Cidr(net) => Destination::Cidr(net),
                model::Destination::PrefixList(id) => Destination::PrefixList(id),
            },
            interface: match route.target {
                Target::Interface(id) => Some(id),
                Target::Local | Target::Gateway(_) => None,
            },
            instance,
            blackhole,
        });
    let routes = routes.collect();
    RouteTable { id: view.table.id, vpc: view.table.vpc, routes, tags: view.table.tags.into_iter().collect() }
}

fn state(state: model::InstanceState) -> InstanceState {
    match state {
        model::InstanceState::Pending => InstanceState::Pending,
        model::InstanceState::Running => InstanceState::Running,
        model::InstanceState::ShuttingDown => InstanceState::ShuttingDown,
        model::InstanceState::Terminated => InstanceState::Terminated,
        model::InstanceState::Stopping => InstanceState::Stopping,
        model::InstanceState::Stopped => InstanceState::Stopped,
    }
}

fn change(table: &str, destination: &Destination, interface: &str) -> RouteChange {
    let destination = match destination {
        Destination::Cidr(net) => model::Destination::Cidr(*net),
        Destination::PrefixList(id) => model::Destination::PrefixList(id.clone()),
    };
    let target = RouteTarget::Interface(interface.into());
    RouteChange { table: table.into(), destination, target, dry_run: false }
}

impl Cloud for Line {
    fn address<'a>(&'a self, allocation: &'a str) -> Answer<'a, Option<Address>> {
        Box::pin(async move {
            let request = Request::DescribeAddresses(Describe::filter("allocation-id", [allocation]));
            let Response::Addresses(all) = self.call(request).await? else { panic!("another answer") };
            Ok(all.into_iter().map(address).next())
        })
    }

    fn interfaces<'a>(&'a self, filter: &'a InterfaceFilter) -> Answer<'a, Vec<Interface>> {
        Box::pin(async move {
            let describe = match filter {
                InterfaceFilter::Ids(ids) => Describe::filter("network-interface-id", ids.clone()),
                InterfaceFilter::Instance(id) => Describe::filter("attachment.instance-id", [id]),
                InterfaceFilter::Addresses { addresses, vpc } => {
                    let addresses = addresses.iter().map(ToString::to_string);
                    Describe::filter("addresses.private-ip-address", addresses).and("vpc-id", [vpc])
                }
            };
            let answer = self.call(Request::DescribeNetworkInterfaces(describe)).await?;
            let Response::Interfaces(all) = answer else { panic!("another answer") };
            Ok(all.into_iter().map(interface).collect())
        })
    }

    fn route_tables<'a>(&'a self, tables: &'a [String]) -> Answer<'a, Vec<RouteTable>> {
        Box::pin(async move {
            let describe = Describe::filter("route-table-id", tables.to_vec());
            let answer = self.call(Request::DescribeRouteTables(describe)).await?;
            let Response::RouteTables(all) = answer else { panic!("another answer") };
            Ok(all.into_iter().map(table).collect())
        })
    }

    fn instance<'a>(&'a self, instance: &'a str) -> Answer<'a, Option<Instance>> {
        Box::pin(async move {
            let describe = Describe::filter("instance-id", [instance]);
            let answer = self.call(Request::DescribeInstances(describe)).await?;
            let Response::Instances(all) = answer else { panic!("another answer") };
            let it = all.into_iter().next();
            Ok(it.map(|it| Instance { id: it.instance.id, state: state(it.instance.state) }))
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
            let request = AssociateAddress {
                allocation: Some(allocation.into()),
                interface: Some(interface.into()),
                private_ip: Some(private_ip),
                reassociate: Some(reassociate),
                ..AssociateAddress::default()
            };
            let answer = self.call(Request::AssociateAddress(request)).await?;
            let Response::Associated { association } = answer else { panic!("another answer") };
            Ok(association)
        })
    }

    fn assign_private_ip<'a>(
        &'a self,
        interface: &'a str,
        address: Ipv4Addr,
        reassign: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let request = Request::AssignPrivateIpAddresses {
                interface: interface.into(),
                addresses: vec![address],
                count: None,
                reassign,
            };
            self.call(request).await.map(drop)
        })
    }

    fn replace_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        let request = Request::ReplaceRoute(change(table, destination, interface));
        Box::pin(async move { self.call(request).await.map(drop) })
    }

    fn create_route<'a>(
        &'a self,
        table: &'a str,
        destination: &'a Destination,
        interface: &'a str,
    ) -> Answer<'a, ()> {
        let request = Request::CreateRoute(change(table, destination, interface));
        Box::pin(async move { self.call(request).await.map(drop) })
    }

    fn stop_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        let ids = vec![instance.to_owned()];
        let hard = Instances { ids, force: true, skip_os_shutdown: true, dry_run: false };
        Box::pin(async move {
            let answer = self.call(Request::StopInstances(hard)).await?;
            let Response::InstanceStates(changes) = answer else { panic!("another answer") };
            Ok(state(changes[0].current))
        })
    }

    fn start_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, InstanceState> {
        let start = Instances { ids: vec![instance.to_owned()], ..Instances::default() };
        Box::pin(async move {
            let answer = self.call(Request::StartInstances(start)).await?;
            let Response::InstanceStates(changes) = answer else { panic!("another answer") };
            Ok(state(changes[0].current))
        })
    }

    fn reboot_instance<'a>(&'a self, instance: &'a str) -> Answer<'a, ()> {
        let reboot = Instances { ids: vec![instance.to_owned()], ..Instances::default() };
        Box::pin(async move { self.call(Request::RebootInstances(reboot)).await.map(drop) })
    }

    fn fence_obstacles<'a>(&'a self, instance: &'a str) -> Answer<'a, Vec<Obstacle>> {
        let attribute = Protection::Stop;
        let request =
            Request::DescribeInstanceAttribute { instance: instance.into(), attribute, dry_run: false };
        Box::pin(async move {
            let Response::Protection { on, .. } = self.call(request).await? else { panic!("another answer") };
            Ok(on.then_some(Obstacle::StopProtection).into_iter().collect())
        })
    }

    fn write_tag<'a>(&'a self, resource: &'a str, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        let tags = vec![(key.to_owned(), value.to_owned())];
        let request = Request::CreateTags { resources: vec![resource.into()], tags, dry_run: false };
        Box::pin(async move { self.call(request).await.map(drop) })
    }
}

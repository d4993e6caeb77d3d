//! The rules, on the default pair and on small VPCs of their own.

use super::*;

const T0: Duration = Duration::ZERO;

struct Pair {
    vpc: Vpc,
    a: Vec<String>,
    b: Vec<String>,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Spec)) -> Self {
        let mut spec = Spec::pair();
        change(&mut spec);
        let vpc = Vpc::new(&spec, 7).unwrap();
        let of = |name: &str| {
            let it = vpc.state().instances.values().find(|it| it.name == name).unwrap();
            vpc.state().interfaces_of(&it.id).into_iter().map(|it| it.id.clone()).collect::<Vec<_>>()
        };
        let (a, b) = (of("ivr-a"), of("ivr-b"));
        Self { vpc, a, b }
    }

    fn eip(&self, name: &str) -> String {
        self.vpc.state().elastic_ips.values().find(|it| it.name == name).unwrap().id.clone()
    }

    fn instance(&self, name: &str) -> String {
        self.vpc.state().instances.values().find(|it| it.name == name).unwrap().id.clone()
    }

    fn table(&self) -> String {
        self.vpc.state().route_tables.keys().next().unwrap().clone()
    }

    fn associate(&mut self, change: impl FnOnce(&mut AssociateAddress)) -> Result<String, ApiError> {
        let mut it = AssociateAddress {
            allocation: Some(self.eip("trunk")),
            interface: Some(self.a[0].clone()),
            ..AssociateAddress::default()
        };
        change(&mut it);
        let answer = self.vpc.call("t", &Request::AssociateAddress(it), T0)?;
        let Response::Associated { association } = answer else { panic!("{answer:?}") };
        Ok(association)
    }

    fn assign(&mut self, interface: &str, address: &str, reassign: bool) -> Result<Response, ApiError> {
        let request = Request::AssignPrivateIpAddresses {
            interface: interface.to_owned(),
            addresses: vec![address.parse().unwrap()],
            count: None,
            reassign,
        };
        self.vpc.call("t", &request, T0)
    }

    fn route(&self, destination: &str, interface: &str) -> RouteChange {
        RouteChange {
            table: self.table(),
            destination: Destination::Cidr(destination.parse().unwrap()),
            target: RouteTarget::Interface(interface.to_owned()),
            dry_run: false,
        }
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> &'static str {
    result.unwrap_err().code
}

fn net(text: &str) -> Destination {
    Destination::Cidr(text.parse().unwrap())
}

const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 100);

#[test]
fn the_same_seed_makes_the_same_vpc() {
    let spec = Spec::pair();
    let (one, two, other) = (Vpc::new(&spec, 1), Vpc::new(&spec, 1), Vpc::new(&spec, 2));
    assert_eq!(one.unwrap().state(), two.as_ref().unwrap().state());
    assert_ne!(other.unwrap().state(), two.unwrap().state());
}

#[test]
fn an_elastic_ip_has_one_place_and_a_place_has_one_elastic_ip() {
    let mut pair = Pair::new();
    let (a, b) = (pair.a[0].clone(), pair.b[0].clone());
    let first = pair.associate(|_| ()).unwrap();
    let second = pair.associate(|it| it.interface = Some(b.clone())).unwrap();
    assert_ne!(first, second);
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("trunk")).unwrap().interface, b);

    // Another Elastic IP to the same private address evicts the first one.
    let spare = pair.eip("spare");
    pair.associate(|it| (it.allocation, it.interface) = (Some(spare.clone()), Some(b.clone()))).unwrap();
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("trunk")), None);
    assert_eq!(pair.vpc.elastic_ip_holder(&spare).unwrap().interface, b);
    assert_ne!(a, b);
}

#[test]
fn associating_twice_is_idempotent_and_false_makes_it_a_compare_and_set() {
    let mut pair = Pair::new();
    let b = pair.b[0].clone();
    let first = pair.associate(|it| it.reassociate = Some(false)).unwrap();
    assert_eq!(pair.associate(|_| ()).unwrap(), first);
    let taken = pair.associate(|it| (it.interface, it.reassociate) = (Some(b.clone()), Some(false)));
    assert_eq!(code(taken), "Resource.AlreadyAssociated");
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("trunk")).unwrap().interface, pair.a[0]);
}

#[test]
fn associate_refuses_what_is_not_there() {
    let mut pair = Pair::new();
    type Change = fn(&mut AssociateAddress);
    let cases: [(&str, Change); 8] = [
        ("InvalidAllocationID.NotFound", |it| it.allocation = Some("eipalloc-0bad".to_owned())),
        ("InvalidNetworkInterfaceID.NotFound", |it| it.interface = Some("eni-00000000000000000".to_owned())),
        ("InvalidNetworkInterfaceId.Malformed", |it| it.interface = Some("nonsense".to_owned())),
        ("InvalidParameterValue", |it| it.private_ip = Some(Ipv4Addr::new(127, 0, 0, 77))),
        ("MissingParameter", |it| it.interface = None),
        ("MissingParameter", |it| it.allocation = None),
        ("InvalidParameterCombination", |it| it.instance = Some("i-1".to_owned())),
        ("DryRunOperation", |it| it.dry_run = true),
    ];
    for (expected, change) in cases {
        assert_eq!(code(pair.associate(change)), expected);
    }
    // By instance id only if it has one interface.
    let instance = pair.instance("ivr-a");
    let many = pair.associate(|it| (it.interface, it.instance) = (None, Some(instance)));
    assert_eq!(code(many), "InvalidInstanceID");
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("trunk")), None);
    assert_eq!(pair.vpc.last_change(), 0);
}

#[test]
fn a_stale_disassociation_does_not_hurt_the_new_holder() {
    let mut pair = Pair::new();
    let b = pair.b[0].clone();
    let old = pair.associate(|_| ()).unwrap();
    pair.associate(|it| it.interface = Some(b.clone())).unwrap();
    let drop = |id: &str| Request::DisassociateAddress {
        association: Some(id.to_owned()),
        public_ip: None,
        dry_run: false,
    };
    assert_eq!(pair.vpc.call("t", &drop(&old), T0), Ok(Response::Done));
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("trunk")).unwrap().interface, b);
    assert_eq!(code(pair.vpc.call("t", &drop("eipassoc-0123"), T0)), "InvalidAssociationID.NotFound");
    pair.vpc.settings_mut().quirks.refuse_past_association = true;
    assert_eq!(code(pair.vpc.call("t", &drop(&old), T0)), "InvalidAssociationID.NotFound");
}

#[test]
fn an_elastic_ip_follows_its_private_address() {
    for fresh in [false, true] {
        let mut pair = Pair::with(|spec| spec.settings.quirks.new_association_after_move = fresh);
        let (b, service) = (pair.b[0].clone(), pair.eip("service"));
        let before = pair.vpc.state().elastic_ips[&service].association.clone().unwrap();
        assert_eq!(code(pair.assign(&b, "127.0.0.100", false)), "InvalidParameterValue");
        pair.assign(&b, "127.0.0.100", true).unwrap();
        assert_eq!(pair.vpc.private_ip_holder(SERVICE).unwrap().interface, b);
        assert_eq!(pair.vpc.elastic_ip_holder(&service).unwrap().interface, b);
        let after = pair.vpc.state().elastic_ips[&service].association.clone().unwrap();
        assert_eq!(before.id != after.id, fresh);
        assert!(!pair.vpc.state().interfaces[&pair.a[0]].has(SERVICE));
        // One call, two effective changes, both in the log.
        assert_eq!(pair.vpc.changes(0).count(), 2);
    }
}

#[test]
fn addresses_that_cannot_be_assigned() {
    let mut pair = Pair::with(|spec| spec.settings.addresses_per_interface = 3);
    let (a0, b0, b1) = (pair.a[0].clone(), pair.b[0].clone(), pair.b[1].clone());
    // A primary address, another's or one's own; another subnet; reserved ones.
    for address in ["127.0.0.11", "127.0.0.12", "127.0.1.50", "127.0.0.0", "127.0.0.3", "127.0.0.255"] {
        assert_eq!(code(pair.assign(&b0, address, true)), "InvalidParameterValue", "{address}");
    }
    assert_eq!(code(pair.assign(&b1, "127.0.0.100", true)), "InvalidParameterValue");
    pair.assign(&a0, "127.0.0.100", false).unwrap();
    pair.vpc.settings_mut().quirks.refuse_own_address = true;
    assert_eq!(code(pair.assign(&a0, "127.0.0.100", true)), "InvalidParameterValue");
    pair.assign(&b0, "127.0.0.50", false).unwrap();
    pair.assign(&b0, "127.0.0.51", false).unwrap();
    assert_eq!(code(pair.assign(&b0, "127.0.0.52", false)), "PrivateIpAddressLimitExceeded");
    assert_eq!(code(pair.assign(&b0, "127.0.0.100", true)), "PrivateIpAddressLimitExceeded");
    assert_eq!(pair.vpc.private_ip_holder(SERVICE).unwrap().interface, a0);
}

#[test]
fn assigning_is_all_or_nothing() {
    let mut pair = Pair::new();
    let request = Request::AssignPrivateIpAddresses {
        interface: pair.b[0].clone(),
        addresses: vec![SERVICE, Ipv4Addr::new(127, 0, 0, 11)],
        count: None,
        reassign: true,
    };
    let before = pair.vpc.state().clone();
    assert_eq!(code(pair.vpc.call("t", &request, T0)), "InvalidParameterValue");
    assert_eq!(*pair.vpc.state(), before);
}

#[test]
fn unassigning_frees_the_elastic_ip() {
    let mut pair = Pair::new();
    let unassign = |interface: &str, address: Ipv4Addr| Request::UnassignPrivateIpAddresses {
        interface: interface.to_owned(),
        addresses: vec![address],
    };
    let (a, b) = (pair.a[0].clone(), pair.b[0].clone());
    assert_eq!(code(pair.vpc.call("t", &unassign(&b, SERVICE), T0)), "InvalidParameterValue");
    let primary = Ipv4Addr::new(127, 0, 0, 11);
    assert_eq!(code(pair.vpc.call("t", &unassign(&a, primary), T0)), "InvalidParameterValue");
    pair.vpc.call("t", &unassign(&a, SERVICE), T0).unwrap();
    assert_eq!(pair.vpc.private_ip_holder(SERVICE), None);
    assert_eq!(pair.vpc.elastic_ip_holder(&pair.eip("service")), None);
}

#[test]
fn routes_are_created_once_and_replaced_where_they_are() {
    let mut pair = Pair::new();
    let b = pair.b[0].clone();
    let there = pair.route("10.99.0.0/24", &b);
    let missing = pair.route("10.98.0.0/24", &b);
    assert_eq!(code(pair.vpc.call("t", &Request::CreateRoute(there.clone()), T0)), "RouteAlreadyExists");
    assert_eq!(
        code(pair.vpc.call("t", &Request::ReplaceRoute(missing.clone()), T0)),
        "InvalidRoute.NotFound"
    );
    pair.vpc.call("t", &Request::ReplaceRoute(there), T0).unwrap();
    assert_eq!(pair.vpc.route_holder(&pair.table(), &net("10.99.0.0/24")).unwrap().interface, b);
    pair.vpc.call("t", &Request::CreateRoute(missing), T0).unwrap();
    assert_eq!(pair.vpc.route_holder(&pair.table(), &net("10.98.0.0/24")).unwrap().interface, b);
    let delete = |destination| Request::DeleteRoute { table: pair.table(), destination, dry_run: false };
    let (local, gone) = (delete(net("127.0.0.0/16")), delete(net("10.98.0.0/24")));
    assert_eq!(code(pair.vpc.call("t", &local, T0)), "InvalidParameterValue");
    pair.vpc.call("t", &gone, T0).unwrap();
    assert_eq!(code(pair.vpc.call("t", &gone, T0)), "InvalidRoute.NotFound");
}

#[test]
fn a_stopped_holder_is_a_blackhole_until_it_runs_again() {
    let mut pair = Pair::new();
    let ids = vec![pair.instance("ivr-a")];
    let stop = Request::StopInstances(Instances { ids: ids.clone(), force: true, ..Instances::default() });
    let start = Request::StartInstances(Instances { ids, ..Instances::default() });
    pair.vpc.call("t", &stop, T0).unwrap();
    let route = (pair.table(), net("10.99.0.0/24"));
    assert!(!pair.vpc.route_holder(&route.0, &route.1).unwrap().blackhole);
    assert_eq!(code(pair.vpc.call("t", &start, T0)), "IncorrectInstanceState");
    pair.vpc.advance(Duration::from_secs(60));
    assert!(pair.vpc.route_holder(&route.0, &route.1).unwrap().blackhole);
    // The log has the instant itself, not the one at which somebody looked.
    assert_eq!(pair.vpc.changes(0).last().unwrap().at_us, 20_000_000);
    pair.vpc.call("t", &start, Duration::from_secs(61)).unwrap();
    pair.vpc.advance(Duration::from_secs(70));
    assert!(!pair.vpc.route_holder(&route.0, &route.1).unwrap().blackhole);
}

#[test]
fn skipping_the_shutdown_shortens_a_stop() {
    let mut pair = Pair::new();
    let id = pair.instance("ivr-a");
    let mut stop = Instances { ids: vec![id.clone()], ..Instances::default() };
    pair.vpc.call("t", &Request::StopInstances(stop.clone()), T0).unwrap();
    (stop.force, stop.skip_os_shutdown) = (true, true);
    pair.vpc.call("t", &Request::StopInstances(stop), Duration::from_secs(1)).unwrap();
    pair.vpc.advance(Duration::from_secs(3));
    assert_eq!(pair.vpc.state().instances[&id].state, InstanceState::Stopped);
}

#[test]
fn a_reboot_changes_no_state_and_needs_one_that_runs() {
    let mut pair = Pair::new();
    let id = pair.instance("ivr-a");
    let it = Instances { ids: vec![id.clone()], ..Instances::default() };
    let reboot = Request::RebootInstances(it.clone());
    let dry = Request::RebootInstances(Instances { dry_run: true, ..it.clone() });
    let before = pair.vpc.changes(0).count();
    assert_eq!(code(pair.vpc.call("t", &dry, T0)), "DryRunOperation");
    assert_eq!(pair.vpc.call("t", &reboot, T0), Ok(Response::Done));
    let instance = &pair.vpc.state().instances[&id];
    assert_eq!((instance.state, instance.reboots), (InstanceState::Running, 1));
    assert_eq!(pair.vpc.changes(0).count(), before);
    pair.vpc.call("t", &Request::StopInstances(it.clone()), T0).unwrap();
    assert_eq!(code(pair.vpc.call("t", &reboot, T0)), "IncorrectInstanceState");
    let unknown = Instances { ids: vec!["i-0123456789abcdef0".into()], ..Instances::default() };
    let unknown = Request::RebootInstances(unknown);
    assert_eq!(code(pair.vpc.call("t", &unknown, T0)), "InvalidInstanceID.NotFound");
    pair.vpc.call("t", &Request::TerminateInstances(it), T0).unwrap();
    pair.vpc.advance(Duration::from_secs(60));
    assert_eq!(pair.vpc.call("t", &reboot, Duration::from_secs(60)), Ok(Response::Done));
}

#[test]
fn terminating_removes_the_first_interface_and_frees_the_second() {
    let mut pair = Pair::new();
    let (id, service) = (pair.instance("ivr-a"), pair.eip("service"));
    let it = Instances { ids: vec![id.clone()], ..Instances::default() };
    pair.vpc.call("t", &Request::TerminateInstances(it.clone()), T0).unwrap();
    pair.vpc.advance(Duration::from_secs(30));
    let state = pair.vpc.state();
    assert!(!state.interfaces.contains_key(&pair.a[0]));
    assert_eq!(state.interfaces[&pair.a[1]].attachment, None);
    assert!(state.elastic_ips[&service].association.is_none());
    assert!(state.route_holder(&pair.table(), &net("10.99.0.0/24")).unwrap().blackhole);
    assert!(pair.vpc.call("t", &Request::TerminateInstances(it.clone()), T0).is_ok());
    assert_eq!(code(pair.vpc.call("t", &Request::StartInstances(it), T0)), "IncorrectInstanceState");
}

/// The hardest stop there is.
fn hard_stop(pair: &Pair, name: &str) -> Request {
    let ids = vec![pair.instance(name)];
    Request::StopInstances(Instances { ids, force: true, skip_os_shutdown: true, dry_run: false })
}

#[test]
fn protection_refuses_a_stop_and_a_termination_until_it_is_taken_away() {
    let mut pair = Pair::with(|spec| spec.instance[0].stop_protection = true);
    let instance = pair.instance("ivr-a");
    let stop = hard_stop(&pair, "ivr-a");
    let ids = vec![instance.clone()];
    let terminate = Request::TerminateInstances(Instances { ids, ..Instances::default() });
    let refused = pair.vpc.call("t", &stop, T0).unwrap_err();
    assert_eq!(refused.code, "OperationNotPermitted");
    assert!(refused.message.contains("may not be stopped. Modify its 'disableApiStop'"), "{refused}");
    let refused = pair.vpc.call("t", &terminate, T0).unwrap_err();
    assert!(refused.message.contains("may not be terminated. Modify its 'disableApiStop'"), "{refused}");

    let ask = |attribute| {
        let instance = instance.clone();
        Request::DescribeInstanceAttribute { instance, attribute, dry_run: false }
    };
    let answer = |attribute, on| Ok(Response::Protection { instance: instance.clone(), attribute, on });
    assert_eq!(pair.vpc.call("t", &ask(Protection::Stop), T0), answer(Protection::Stop, true));
    assert_eq!(pair.vpc.call("t", &ask(Protection::Termination), T0), answer(Protection::Termination, false));
    for (attribute, on) in [(Protection::Stop, false), (Protection::Termination, true)] {
        let change = Request::SetProtection { instance: instance.clone(), attribute, on, dry_run: false };
        assert_eq!(pair.vpc.call("t", &change, T0), Ok(Response::Done));
    }
    // Termination protection is not about stopping.
    assert_eq!(code(pair.vpc.call("t", &terminate, T0)), "OperationNotPermitted");
    assert!(pair.vpc.call("t", &stop, T0).is_ok());
}

#[test]
fn protection_lags_like_every_other_read() {
    let mut pair = Pair::with(|spec| spec.settings.lag = Duration::from_secs(2));
    let instance = pair.instance("ivr-a");
    let (attribute, dry_run) = (Protection::Stop, false);
    let change = Request::SetProtection { instance: instance.clone(), attribute, on: true, dry_run };
    let ask = Request::DescribeInstanceAttribute { instance, attribute, dry_run };
    pair.vpc.call("t", &change, Duration::from_secs(10)).unwrap();
    let mut shows = |at| matches!(pair.vpc.call("t", &ask, at), Ok(Response::Protection { on: true, .. }));
    let early: Vec<bool> = (0..20).map(|n| shows(Duration::from_millis(10_000 + n * 50))).collect();
    assert!(early.contains(&false), "{early:?}");
    assert!(shows(Duration::from_millis(12_001)));
}

#[test]
fn who_cannot_be_stopped_says_why() {
    let cases = [
        (Market::Spot, RootDevice::Ebs, Some("one-time Spot Instance request")),
        (Market::SpotPersistent, RootDevice::Ebs, None),
        (Market::OnDemand, RootDevice::InstanceStore, Some("does not have an 'ebs' root device type")),
    ];
    for (market, root, expected) in cases {
        let mut pair = Pair::with(|spec| {
            (spec.instance[0].market, spec.instance[0].root_device) = (market, root);
        });
        let answer = pair.vpc.call("t", &hard_stop(&pair, "ivr-a"), T0);
        match expected {
            None => assert!(answer.is_ok(), "{market:?}: {answer:?}"),
            Some(text) => {
                let refused = answer.unwrap_err();
                assert_eq!(refused.code, "UnsupportedOperation");
                assert!(refused.message.contains(text), "{refused}");
            }
        }
        let instance = pair.instance("ivr-a");
        let attribute = Protection::Stop;
        let protect = Request::SetProtection { instance, attribute, on: true, dry_run: false };
        assert_eq!(code(pair.vpc.call("t", &protect, T0)), "UnsupportedOperation", "{market:?} {root:?}");
    }
    let mut spec = Spec::pair();
    (spec.instance[0].market, spec.instance[0].stop_protection) = (Market::Spot, true);
    assert!(Vpc::new(&spec, 1).unwrap_err().to_string().contains("ivr-a"));
}

#[test]
fn one_that_cannot_be_stopped_keeps_the_others_running() {
    let mut pair = Pair::with(|spec| spec.instance[1].market = Market::Spot);
    let ids = vec![pair.instance("ivr-a"), pair.instance("ivr-b")];
    let stop = Request::StopInstances(Instances { ids, ..Instances::default() });
    assert_eq!(code(pair.vpc.call("t", &stop, T0)), "UnsupportedOperation");
    assert!(pair.vpc.state().instances.values().all(|it| it.state == InstanceState::Running));
}

#[test]
fn whether_a_start_can_be_undone_is_open() {
    for refuse in [false, true] {
        let mut pair = Pair::with(|spec| spec.settings.quirks.refuse_stop_while_pending = refuse);
        let (stop, id) = (hard_stop(&pair, "ivr-a"), pair.instance("ivr-a"));
        let start = Request::StartInstances(Instances { ids: vec![id.clone()], ..Instances::default() });
        pair.vpc.call("t", &stop, T0).unwrap();
        pair.vpc.call("t", &start, Duration::from_secs(10)).unwrap();
        let answer = pair.vpc.call("t", &stop, Duration::from_secs(11));
        assert_eq!(answer.map_err(|error| error.code).err(), refuse.then_some("IncorrectInstanceState"));
        let states = &pair.vpc.state().instances[&id];
        assert_eq!(states.state, if refuse { InstanceState::Pending } else { InstanceState::Stopping });
    }
}

#[test]
fn reads_lag_and_writes_do_not() {
    let mut pair = Pair::with(|spec| spec.settings.lag = Duration::from_secs(2));
    let (b, service) = (pair.b[0].clone(), pair.eip("service"));
    pair.vpc.advance(Duration::from_secs(10));
    let take = Request::AssignPrivateIpAddresses {
        interface: b.clone(),
        addresses: vec![SERVICE],
        count: None,
        reassign: true,
    };
    pair.vpc.call("t", &take, Duration::from_secs(10)).unwrap();
    let mut seen = [0, 0];
    for ms in 0..40 {
        let now = Duration::from_millis(11_000 + ms);
        let read = Request::DescribeAddresses(Describe::ids([service.clone()]));
        let Ok(Response::Addresses(list)) = pair.vpc.call("t", &read, now) else { panic!() };
        let holder = &list[0].address.association.as_ref().unwrap().interface;
        seen[usize::from(*holder == b)] += 1;
    }
    assert!(seen[0] > 5 && seen[1] > 5, "{seen:?}");
    let read = Request::DescribeAddresses(Describe::filter("network-interface-id", [b]));
    let Ok(Response::Addresses(list)) = pair.vpc.call("t", &read, Duration::from_secs(13)) else { panic!() };
    assert_eq!(list.len(), 1);
}

#[test]
fn a_bucket_runs_empty_and_fills_up() {
    let mut pair = Pair::new();
    let request = Request::DescribeAddresses(Describe::filter("tag-key", ["Name"]));
    for _ in 0..100 {
        pair.vpc.call("t", &request, T0).unwrap();
    }
    assert_eq!(code(pair.vpc.call("t", &request, T0)), "RequestLimitExceeded");
    assert!(pair.vpc.call("t", &request, Duration::from_millis(50)).is_ok());
    assert_eq!(code(pair.vpc.call("t", &request, Duration::from_millis(60))), "RequestLimitExceeded");
}

#[test]
fn filters_find_what_they_name_and_refuse_what_they_do_not_know() {
    let mut pair = Pair::new();
    let find =
        |vpc: &mut Vpc, describe| match vpc.call("t", &Request::DescribeNetworkInterfaces(describe), T0) {
            Ok(Response::Interfaces(found)) => {
                found.into_iter().map(|it| it.interface.id).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
    let by = |name: &str, value: &str| Describe::filter(name, [value]);
    assert_eq!(find(&mut pair.vpc, by("addresses.private-ip-address", "127.0.0.100")), [pair.a[0].clone()]);
    assert_eq!(find(&mut pair.vpc, by("private-ip-address", "127.0.1.12")), [pair.b[1].clone()]);
    let instance = pair.instance("ivr-b");
    assert_eq!(find(&mut pair.vpc, by("attachment.instance-id", &instance)).len(), 2);
    assert!(find(&mut pair.vpc, by("network-interface-id", "eni-nowhere")).is_empty());
    let both = by("subnet-id", "*").and("attachment.device-index", ["1"]);
    assert_eq!(find(&mut pair.vpc, both).len(), 2);
    let unknown = Request::DescribeNetworkInterfaces(by("colour", "red"));
    assert_eq!(code(pair.vpc.call("t", &unknown, T0)), "InvalidParameterValue");
    let id = Request::DescribeNetworkInterfaces(Describe::ids(["eni-00000000000000000"]));
    assert_eq!(code(pair.vpc.call("t", &id, T0)), "InvalidNetworkInterfaceID.NotFound");
}

#[test]
fn tags_overwrite_and_go() {
    let mut pair = Pair::new();
    let resources = vec![pair.table()];
    let tags = vec![("standin:n".to_owned(), "1".to_owned())];
    let create = Request::CreateTags { resources: resources.clone(), tags, dry_run: false };
    pair.vpc.call("t", &create, T0).unwrap();
    assert_eq!(pair.vpc.state().tags_of(&resources[0]).unwrap()["standin:n"], "1");
    let other = vec![("standin:n".to_owned(), Some("2".to_owned()))];
    let keep = Request::DeleteTags { resources: resources.clone(), tags: other, dry_run: false };
    pair.vpc.call("t", &keep, T0).unwrap();
    assert_eq!(pair.vpc.state().tags_of(&resources[0]).unwrap().len(), 2);
    let all = Request::DeleteTags { resources: resources.clone(), tags: Vec::new(), dry_run: false };
    pair.vpc.call("t", &all, T0).unwrap();
    assert!(pair.vpc.state().tags_of(&resources[0]).unwrap().is_empty());
}

#[test]
fn faults_meet_whom_they_name_and_end() {
    let mut faults = Faults::default();
    let read = |text: &str| serde_json::from_str::<FaultSpec>(text);
    let spec = read(r#"{"kind":"throttle","action":"Describe*","caller":"ivr-b","count":1}"#).unwrap();
    faults.add(spec, T0);
    faults.add(read(r#"{"kind":"delay","ms":150,"for_ms":1000}"#).unwrap(), T0);
    assert!(read(r#"{"kind":"delay"}"#).is_err());
    assert!(read(r#"{"kind":"hang","colour":"red"}"#).is_err());
    let other = faults.judge(Service::Ec2, &["ivr-a"], "DescribeVpcs", T0);
    assert_eq!((other.outcome, other.delay), (None, Duration::from_millis(150)));
    let met = faults.judge(Service::Ec2, &["i-0", "ivr-b"], "DescribeVpcs", T0);
    assert_eq!(met.refusal("DescribeVpcs", "ivr-b").unwrap().code, "RequestLimitExceeded");
    assert_eq!(faults.judge(Service::Ec2, &["ivr-b"], "DescribeVpcs", T0).outcome, None);
    let later = faults.judge(Service::Ec2, &["ivr-b"], "DescribeVpcs", Duration::from_secs(2));
    assert_eq!(later, Verdict::default());
    assert!(faults.list().is_empty());
}

#[test]
fn a_contradictory_description_is_refused() {
    for (text, expected) in [
        ("colour = 1", "unknown field"),
        ("[[subnet]]\nname = \"a\"\ncidr = \"10.0.0.0/24\"", "no vpc"),
        ("[[vpc]]\nname = \"v\"\ncidr = \"10.0.0.0/16\"\nid = \"eni-1\"", "does not begin with"),
        (
            "[[vpc]]\nname = \"v\"\ncidr = \"10.0.0.0/16\"\n[[subnet]]\nname = \"a\"\ncidr = \"10.1.0.0/24\"",
            "not in its VPC",
        ),
    ] {
        let error = Spec::parse(text).and_then(|spec| Vpc::new(&spec, 1)).unwrap_err();
        assert!(error.0.contains(expected), "{error}");
    }
}

mod any_calls {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One call, its ids chosen by number from what is there.
    fn request(pair: &Pair, kind: u8, pick: [usize; 3], flag: bool) -> Request {
        let interfaces = [&pair.a[..], &pair.b[..], &["eni-00000000000000000".to_owned()]].concat();
        let interface = interfaces[pick[0] % interfaces.len()].clone();
        let eips: Vec<_> = pair.vpc.state().elastic_ips.keys().cloned().collect();
        let last = [11, 12, 100, 50, 51][pick[1] % 5];
        let address = Ipv4Addr::new(127, 0, u8::from(pick[2].is_multiple_of(4)), last);
        let destination = ["10.99.0.0/24", "10.98.0.0/24", "127.0.0.0/16"][pick[1] % 3];
        let ids = vec![pair.instance(["ivr-a", "ivr-b"][pick[0] % 2])];
        let instances = Instances { ids, skip_os_shutdown: flag, ..Instances::default() };
        match kind % 10 {
            0 | 1 => Request::AssociateAddress(AssociateAddress {
                allocation: eips.get(pick[2] % eips.len()).cloned(),
                interface: Some(interface),
                private_ip: flag.then_some(address),
                reassociate: [None, Some(true), Some(false)][pick[1] % 3],
                ..AssociateAddress::default()
            }),
            2 => Request::DisassociateAddress {
                association: pair.vpc.state().elastic_ips[&eips[pick[0] % eips.len()]]
                    .association
                    .as_ref()
                    .map(|it| it.id.clone()),
                public_ip: None,
                dry_run: flag,
            },
            3 | 4 => Request::AssignPrivateIpAddresses {
                interface,
                addresses: vec![address],
                count: None,
                reassign: flag,
            },
            5 => Request::UnassignPrivateIpAddresses { interface, addresses: vec![address] },
            6 => Request::CreateRoute(pair.route(destination, &interface)),
            7 => Request::ReplaceRoute(pair.route(destination, &interface)),
            8 => Request::StopInstances(instances),
            _ if pick[2].is_multiple_of(10) => Request::TerminateInstances(instances),
            _ => Request::StartInstances(instances),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Whatever is called: an address is on one interface, an Elastic IP goes to an address that is
        /// there and has it for itself, and the log tells the whole story.
        #[test]
        fn keep_the_rules(
            seed: u64,
            calls in prop::collection::vec((0..10_u8, any::<[usize; 3]>(), any::<bool>(), 0..4000_u64), 1..60),
        ) {
            let mut pair = Pair::with(|spec| {
                spec.settings.quirks = Quirks::from_seed(seed);
                spec.settings.throttling = false;
            });
            let mut now = Duration::ZERO;
            let mut told: BTreeMap<Subject, String> = BTreeMap::new();
            for (subject, value) in changes::facts(pair.vpc.state()) {
                told.insert(subject, value);
            }
            for (kind, pick, flag, wait) in calls {
                now += Duration::from_millis(wait);
                let (before, last) = (pair.vpc.state().clone(), pair.vpc.last_change());
                let request = request(&pair, kind, pick, flag);
                pair.vpc.advance(now);
                let advanced = pair.vpc.last_change();
                let result = pair.vpc.call("t", &request, now);
                if result.is_err() && last == advanced {
                    prop_assert_eq!(&before, pair.vpc.state());
                }
                let mut on = BTreeMap::new();
                for interface in pair.vpc.state().interfaces.values() {
                    for address in interface.addresses() {
                        let other = on.insert((interface.subnet.clone(), address), interface.id.clone());
                        prop_assert_eq!(other, None);
                    }
                }
                let mut places = BTreeSet::new();
                for it in pair.vpc.state().elastic_ips.values() {
                    let Some(at) = &it.association else { continue };
                    prop_assert!(pair.vpc.state().interfaces[&at.interface].has(at.private_ip));
                    prop_assert!(places.insert((at.interface.clone(), at.private_ip)));
                }
            }
            for (number, change) in (1..).zip(pair.vpc.changes(0)) {
                prop_assert_eq!(change.seq, number);
                let was = match &change.to {
                    Some(to) => told.insert(change.subject.clone(), to.clone()),
                    None => told.remove(&change.subject),
                };
                prop_assert_eq!(&was, &change.from);
            }
            prop_assert_eq!(told, changes::facts(pair.vpc.state()));
        }
    }
}

//! The real SDK and the whole of `resource` against the sandbox: an instance that knows nothing but two
//! endpoints, as in production it knows none.
//!
//! The environment cannot be changed inside a process without unsafe code, so that each scenario runs in a
//! child of its own: the parent serves the sandbox, and the child is the instance.

#![allow(clippy::disallowed_methods, reason = "a test has the real clock")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where it fails, and says why")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use standin::cloud::ec2::Ec2;
use standin::cloud::{self, Cloud, Destination, ErrorKind, InstanceState, Obstacle, imds};
use standin::cluster::{Counter, NodeId, Owner, Session, Time};
use standin::config::{self, Resource};
use standin::resource::{self, Ending, Here, Roster, Run, TakeFrom};
use standin::sandbox::{self, Spec};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 100);

// The parents.

#[test]
fn a_standby_takes_everything() {
    as_instance_b("child_takes_everything", Spec::pair());
}

#[test]
fn whatever_aws_does_where_it_says_nothing() {
    for seed in 0..8 {
        let mut spec = Spec::pair();
        spec.settings.quirks = sandbox::model::Quirks::from_seed(seed);
        println!("{:?}", spec.settings.quirks);
        as_instance_b("child_takes_everything", spec);
    }
}

#[test]
fn faults_have_their_names() {
    as_instance_b("child_meets_faults", Spec::pair());
}

#[test]
fn a_stop_is_carried_out_or_says_why_not() {
    let mut spec = Spec::pair();
    spec.settings.hard_stop_time = Duration::from_millis(300);
    as_instance_b("child_stops_the_other", spec);
}

#[test]
fn what_stands_in_the_way_is_known_beforehand() {
    let mut spec = Spec::pair();
    spec.instance[0].market = sandbox::model::Market::Spot;
    spec.instance[0].auto_scaling_group = Some("web".to_owned());
    as_instance_b("child_finds_obstacles", spec);
}

#[test]
fn an_instance_store_cannot_be_stopped() {
    let mut spec = Spec::pair();
    spec.instance[0].root_device = sandbox::model::RootDevice::InstanceStore;
    as_instance_b("child_cannot_stop_an_instance_store", spec);
}

#[test]
fn a_takeover_needs_no_imds() {
    as_instance_b("child_loses_imds", Spec::pair());
}

#[test]
fn nothing_answers() {
    let output =
        child("child_is_nowhere").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9").output();
    must_pass(&output.unwrap());
}

#[test]
fn a_call_is_quick() {
    as_instance_b("child_measures", Spec::pair());
}

fn as_instance_b(test: &str, spec: Spec) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = Instant::now();
    let clock = sandbox::Clock {
        monotonic: Arc::new(move || started.elapsed()),
        wall: Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap()),
    };
    let running = runtime.block_on(sandbox::serve(spec, sandbox::Options { port: 0, clock })).unwrap();
    let b = running.instances.iter().find(|it| it.name == "ivr-b").unwrap();
    let output = child(test)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &b.imds_url)
        .env("AWS_ENDPOINT_URL_EC2", &running.ec2_url)
        .env("SANDBOX", serde_json::to_string(&running).unwrap())
        .output()
        .unwrap();
    must_pass(&output);
}

fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command
}

fn must_pass(output: &std::process::Output) {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    println!("{text}");
}

// The children.

struct World {
    ec2: Ec2,
    here: Here,
    roster: Roster,
    sandbox: serde_json::Value,
}

/// What an agent does at its start.
async fn start() -> World {
    let sandbox: serde_json::Value = serde_json::from_str(&std::env::var("SANDBOX").unwrap()).unwrap();
    let identity = imds::who_am_i().await.unwrap();
    let ec2 = Ec2::connect(&cloud::Settings::default()).await.unwrap();
    assert_eq!(ec2.region(), identity.region);
    let node = |name: &str, host: u8| config::Node {
        name: name.to_owned(),
        links: vec![Ipv4Addr::new(127, 0, 0, host).into(), Ipv4Addr::new(127, 0, 1, host).into()],
    };
    let nodes = vec![node("ivr-a", 11), node("ivr-b", 12)];
    let here = Here { node: B, links: nodes[1].links.clone(), identity };
    let roster = Roster::new(nodes);
    roster.refresh(&ec2, &here.identity.interfaces[0].vpc).await.unwrap();
    World { ec2, here, roster, sandbox }
}

impl World {
    fn id(&self, list: &str, name: &str) -> String {
        let found = self.sandbox[list].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        let id = found.get("id").or(found.get("allocation_id")).unwrap();
        id.as_str().unwrap().to_owned()
    }

    fn instance(&self, name: &str) -> String {
        let all = self.sandbox["instances"].as_array().unwrap();
        let found = all.iter().find(|it| it["name"] == name).unwrap();
        found["instance_id"].as_str().unwrap().to_owned()
    }

    /// Anchor: the service's private address, with its Elastic IP.
    fn resources(&self) -> Vec<Resource> {
        vec![
            Resource::PrivateIp(config::PrivateIp {
                name: "service".to_owned(),
                address: SERVICE,
                elastic_ip: Some(self.id("elastic_ips", "service")),
                guest: true,
                source_ports: Vec::new(),
            }),
            Resource::ElasticIp(config::ElasticIp {
                name: "trunk".to_owned(),
                allocation_id: self.id("elastic_ips", "trunk"),
                to: [(A, Ipv4Addr::new(127, 0, 1, 11)), (B, Ipv4Addr::new(127, 0, 1, 12))].into(),
                source_ports: Vec::new(),
            }),
            Resource::Route(config::Route {
                name: "office".to_owned(),
                tables: vec![self.id("route_tables", "office-0"), self.id("route_tables", "office-1")],
                // The last two are not there yet.
                destinations: ["10.99.0.0/24", "10.99.1.0/24", "10.98.0.0/16", "2001:db8:99::/48"]
                    .map(|it| Destination::Cidr(it.parse().unwrap()))
                    .to_vec(),
                link: 1,
            }),
        ]
    }

    async fn owner(&self, anchor: &Resource) -> Owner {
        let read = resource::observe_anchor(&self.ec2, anchor, &self.here, &self.roster, "standin:c/g").await;
        read.unwrap().owner
    }

    /// An order to the sandbox, by its admin calls.
    fn order(&self, method: &str, path: &str, body: &str) -> String {
        let url = self.sandbox["ec2_url"].as_str().unwrap();
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} /_sandbox/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn fault(&self, fault: &str) {
        self.order("POST", "faults", fault);
    }

    async fn rest(&self, resources: &[Resource], anchor: usize) -> Vec<resource::Outcome> {
        let started = Instant::now();
        let now = move || Time::ZERO + started.elapsed();
        let deadline = Time::ZERO + Duration::from_secs(20);
        let run = Run { cloud: &self.ec2, here: &self.here, still: &|| true, now: &now, deadline };
        resource::acquire_rest(run, resources, anchor).await
    }
}

#[tokio::test]
#[ignore = "a child"]
async fn child_takes_everything() {
    let world = start().await;
    let resources = world.resources();
    let (ec2, here) = (&world.ec2, &world.here);
    assert_eq!(world.owner(&resources[0]).await, Owner::Theirs(A));
    assert_eq!(world.owner(&resources[1]).await, Owner::Nobody);
    assert_eq!(world.owner(&resources[2]).await, Owner::Theirs(A));

    // From nobody: refused, it is A's. From anyone: one call.
    let refused = resource::take_anchor(ec2, &resources[0], here, TakeFrom::Nobody).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    println!("as EC2 says it: {refused}");
    resource::take_anchor(ec2, &resources[0], here, TakeFrom::Anyone).await.unwrap();
    assert_eq!(world.owner(&resources[0]).await, Owner::Mine);

    let outcomes = world.rest(&resources, 0).await;
    for it in &outcomes {
        println!("{:8} {:45} {:?} {:?}..{:?}", it.resource, it.piece, it.ending, it.started, it.finished);
    }
    assert!(outcomes.iter().all(|it| it.ending == Ending::Here));
    assert_eq!(outcomes.len(), 1 + 1 + 8);
    // The sandbox's own word for it.
    let state: serde_json::Value = serde_json::from_str(&world.order("GET", "state", "")).unwrap();
    let holders = state["holders"].as_array().unwrap();
    assert!(holders.iter().all(|it| it["name"] == "spare" || it["node"] == "ivr-b"), "{holders:#?}");
    for resource in &resources {
        for (piece, held) in resource::observe(ec2, resource, here).await.unwrap() {
            assert_eq!(held, Ok(resource::Held::Here), "{piece}");
        }
    }

    // To take what one has changes nothing, and is no failure; the address itself is not the anchor now.
    let again = world.rest(&resources, 1).await;
    assert!(again.iter().all(|it| it.ending == Ending::Here), "{again:#?}");

    for (n, anchor) in resources.iter().enumerate() {
        let value = resource::counter_value("ivr-b", Session(77), n as u64);
        resource::write_counter(ec2, anchor, here, "standin:c/g", &value).await.unwrap();
        let read = resource::observe_anchor(ec2, anchor, here, &world.roster, "standin:c/g").await.unwrap();
        assert_eq!(read.counter, Some(Counter { node: B, session: Session(77), n: n as u64 }));
    }
    resource::write_own_tag(ec2, here, "c", "1").await.unwrap();
    let instance = ec2.instance(&world.here.identity.instance).await.unwrap().unwrap();
    assert_eq!(instance.state, InstanceState::Running);
    assert_eq!(ec2.instance("i-0123456789abcdef0").await, Ok(None));
}

#[tokio::test]
#[ignore = "a child"]
async fn child_meets_faults() {
    let world = start().await;
    let resources = world.resources();
    let (ec2, here) = (&world.ec2, &world.here);
    let trunk = &resources[1];
    let take = || resource::take_anchor(ec2, trunk, here, TakeFrom::Anyone);
    let cases = [
        ("throttle", ErrorKind::Throttled),
        ("deny", ErrorKind::Denied),
        ("http", ErrorKind::NoAnswer),
        ("drop-before", ErrorKind::NoAnswer),
        ("drop-after", ErrorKind::NoAnswer),
        ("hang", ErrorKind::NoAnswer),
    ];
    for (kind, expected) in cases {
        world.fault(&format!(r#"{{"kind": "{kind}", "action": "AssociateAddress", "count": 1}}"#));
        let begun = Instant::now();
        let error = take().await.unwrap_err();
        println!("{kind:12} {:>8.1?} {error}", begun.elapsed());
        assert_eq!(error.kind, expected, "{error}");
        assert!(begun.elapsed() < Duration::from_millis(3300));
        world.order("DELETE", "faults", "");
    }
    // The one that was dropped after acting has landed: that is what NoAnswer means.
    assert_eq!(world.owner(trunk).await, Owner::Mine);

    // The rest lives with all of that but a denial.
    for kind in ["throttle", "http", "drop-before", "drop-after"] {
        world.fault(&format!(r#"{{"kind": "{kind}", "action": "AssociateAddress", "count": 2}}"#));
        world.fault(&format!(r#"{{"kind": "{kind}", "action": "ReplaceRoute", "count": 3}}"#));
        let outcomes = world.rest(&resources, 0).await;
        // The anchor is A's in this test, so that its rider is not here and cannot come.
        let failed: Vec<_> = outcomes.iter().filter(|it| it.ending != Ending::Here).collect();
        assert!(failed.iter().all(|it| it.resource == "service"), "{kind}: {failed:#?}");
        world.order("DELETE", "faults", "");
    }
    // A throttled Describe is repeated inside.
    world.fault(r#"{"kind": "throttle", "action": "DescribeAddresses", "count": 2}"#);
    assert_eq!(world.owner(trunk).await, Owner::Mine);

    let mut unknown = trunk.clone();
    if let Resource::ElasticIp(it) = &mut unknown {
        it.allocation_id = "eipalloc-0123456789abcdef0".to_owned();
    }
    let error = resource::take_anchor(ec2, &unknown, here, TakeFrom::Anyone).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.request_id.is_some(), "{error:?}");
    println!("{error}");
}

#[tokio::test]
#[ignore = "a child"]
async fn child_stops_the_other() {
    let world = start().await;
    let ec2 = &world.ec2;
    let (a, b) = (world.instance("ivr-a"), world.here.identity.instance.clone());
    assert_eq!(ec2.fence_obstacles(&a).await, Ok(vec![]));

    world.fault(r#"{"kind": "deny", "action": "StopInstances"}"#);
    let obstacles = ec2.fence_obstacles(&a).await.unwrap();
    assert!(
        matches!(&obstacles[..], [Obstacle::Denied(why)] if why.contains("ec2:StopInstances")),
        "{obstacles:?}"
    );
    let error = ec2.stop_instance(&a).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    world.order("DELETE", "faults", "");
    for (kind, expected) in [("throttle", ErrorKind::Throttled), ("drop-before", ErrorKind::NoAnswer)] {
        world.fault(&format!(r#"{{"kind": "{kind}", "action": "StopInstances", "count": 1}}"#));
        assert_eq!(ec2.stop_instance(&a).await.unwrap_err().kind, expected, "{kind}");
    }
    assert_eq!(ec2.instance(&a).await.unwrap().unwrap().state, InstanceState::Running);

    // Without an answer, and carried out all the same: only a read tells.
    world.fault(r#"{"kind": "drop-after", "action": "StopInstances", "count": 1}"#);
    assert_eq!(ec2.stop_instance(&a).await.unwrap_err().kind, ErrorKind::NoAnswer);
    assert_ne!(ec2.instance(&a).await.unwrap().unwrap().state, InstanceState::Running);
    while ec2.instance(&a).await.unwrap().unwrap().state != InstanceState::Stopped {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ec2.stop_instance(&a).await, Ok(InstanceState::Stopped), "it had stopped: no error");
    assert_eq!(ec2.instance(&b).await.unwrap().unwrap().state, InstanceState::Running);

    world.order("POST", "instances/ivr-a/terminate", "");
    let error = ec2.stop_instance(&a).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::WrongState, "{error}");
    let unknown = "i-0123456789abcdef0";
    assert_eq!(ec2.stop_instance(unknown).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(ec2.fence_obstacles(unknown).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
#[ignore = "a child"]
async fn child_finds_obstacles() {
    let world = start().await;
    let (ec2, a) = (&world.ec2, world.instance("ivr-a"));
    let obstacles = ec2.fence_obstacles(&a).await.unwrap();
    assert_eq!(obstacles, [Obstacle::Spot, Obstacle::AutoScaling("web".to_owned())]);
    let error = ec2.stop_instance(&a).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(error.code.as_deref(), Some("UnsupportedOperation"));
    world.fault(r#"{"kind": "deny", "action": "DescribeInstanceAttribute"}"#);
    let error = ec2.fence_obstacles(&a).await.unwrap_err();
    assert_eq!((error.kind, error.action), (ErrorKind::Denied, "DescribeInstanceAttribute"));
}

#[tokio::test]
#[ignore = "a child"]
async fn child_cannot_stop_an_instance_store() {
    let world = start().await;
    let (ec2, a) = (&world.ec2, world.instance("ivr-a"));
    assert_eq!(ec2.fence_obstacles(&a).await, Ok(vec![Obstacle::InstanceStore]));
    let error = ec2.stop_instance(&a).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Invalid);
}

#[tokio::test]
#[ignore = "a child"]
async fn child_loses_imds() {
    let world = start().await;
    world.ec2.warm_up(4).await;
    world.fault(r#"{"kind": "hang", "service": "imds"}"#);
    let resources = world.resources();
    let begun = Instant::now();
    resource::take_anchor(&world.ec2, &resources[0], &world.here, TakeFrom::Anyone).await.unwrap();
    let outcomes = world.rest(&resources, 0).await;
    println!("anchor and {} pieces without IMDS: {:?}", outcomes.len(), begun.elapsed());
    assert!(outcomes.iter().all(|it| it.ending == Ending::Here), "{outcomes:#?}");
    assert!(begun.elapsed() < Duration::from_secs(1));

    // A process that starts now has nothing in hand: it says what is missing, within its bound.
    let settings = cloud::Settings { region: Some("eu-west-1".to_owned()), ..cloud::Settings::default() };
    let late = Ec2::connect(&settings).await.unwrap();
    let begun = Instant::now();
    let error = late.address("eipalloc-0").await.unwrap_err();
    println!("after {:?}: {error}", begun.elapsed());
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    assert!(begun.elapsed() < Duration::from_millis(3300));

    let begun = Instant::now();
    let error = imds::who_am_i().await.unwrap_err();
    println!("after {:?}: {error}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
#[ignore = "a child"]
async fn child_is_nowhere() {
    let error = imds::who_am_i().await.unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("instance-id") && error.contains("HttpEndpoint"), "{error}");

    let error = Ec2::connect(&cloud::Settings::default()).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.to_string().contains("AWS_REGION"), "{error}");

    let aws = cloud::Settings {
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some("http://127.0.0.1:9".to_owned()),
        call_timeout: Duration::from_secs(8),
        ..cloud::Settings::default()
    };
    let error = Ec2::connect(&aws).await.unwrap().address("eipalloc-0").await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Credentials);
}

#[tokio::test]
#[ignore = "a child"]
async fn child_measures() {
    let world = start().await;
    let resources = world.resources();
    world.ec2.warm_up(1).await;
    let mut reads = Vec::new();
    let mut takes = Vec::new();
    // Within the sandbox's token bucket: 50 changing calls at once.
    for _ in 0..40 {
        let begun = Instant::now();
        world.owner(&resources[1]).await;
        reads.push(begun.elapsed());
        let begun = Instant::now();
        resource::take_anchor(&world.ec2, &resources[1], &world.here, TakeFrom::Anyone).await.unwrap();
        takes.push(begun.elapsed());
    }
    for (name, mut times) in [("DescribeAddresses", reads), ("AssociateAddress", takes)] {
        times.sort();
        println!("{name}: median {:?}, p95 {:?}, max {:?}", times[20], times[38], times[39]);
        assert!(times[20] < Duration::from_millis(50), "{times:?}");
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::Encoder;
use proptest::prelude::*;

use super::*;
use crate::cluster::heartbeat::{Echo, Maintenance, Reply, Tally};
use crate::cluster::{GroupId, GroupReport, LinkId, NodeId, NodeSet, Offer, Owner, Role, Session, WhyNot};

const GROUPS: usize = 3;

/// Owns what a [`Roster`] borrows.
struct Names {
    nodes: Vec<String>,
    groups: Vec<String>,
}

impl Names {
    fn new(nodes: &[&str], groups: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { nodes: owned(nodes), groups: owned(groups) }
    }

    fn roster(&self) -> Roster<'_> {
        Roster { cluster: "ivr-tokyo", nodes: &self.nodes, groups: &self.groups }
    }
}

fn names() -> Names {
    Names::new(&["ivr-a", "ivr-b", "ivr-c"], &["ivr", "nat", "sbc"])
}

fn keys() -> Keyring {
    Keyring::new(7, &BTreeMap::from([(7, [0x42; 32]), (8, [0x43; 32])])).unwrap()
}

/// Nothing but what every heartbeat has.
fn plain() -> Heartbeat {
    Heartbeat {
        from: NodeId(0),
        to: NodeId(1),
        link: LinkId(1),
        session: Session(0x0102_0304_0506_0708),
        sequence: 300,
        nonce: 0x1112_1314_1516_1718,
        echo: None,
        sent_us: 70_000,
        reply: None,
        ask: false,
        goodbye: false,
        back_in: None,
        farewell_seen: false,
        hears: NodeSet::default(),
        config_hash: 0,
        instance: None,
        interfaces: vec![],
        groups: vec![],
    }
}

/// A report that says nothing.
fn silent(group: u8) -> GroupReport {
    GroupReport {
        group: GroupId(group),
        role: Role::Standby,
        term: 0,
        eligible: false,
        why_not: None,
        fit: true,
        owner: None,
        fail_count: 0,
        maintenance: Maintenance::default(),
        offer: None,
        ready: None,
        tally: Tally::default(),
    }
}

/// Every field is there, and none has its default.
fn full() -> Heartbeat {
    Heartbeat {
        echo: Some(Echo { session: Session(0x2122_2324_2526_2728), nonce: 0x3132_3334_3536_3738 }),
        reply: Some(Reply { sent_us: 69_000, held_us: 400 }),
        ask: true,
        goodbye: true,
        back_in: Some(Duration::from_secs(10)),
        farewell_seen: true,
        hears: NodeSet(0b110),
        config_hash: 0x4142_4344_4546_4748,
        instance: Some("i-0a1b2c3d4e5f60718".to_owned()),
        interfaces: vec!["eni-0a1b2c3d4e5f60718".to_owned(), "eni-0b".to_owned()],
        groups: vec![
            GroupReport {
                role: Role::Active,
                term: 9,
                eligible: true,
                // Version 1.0 did not write it.
                why_not: None,
                fit: false,
                owner: Some(Owner::Theirs(NodeId(2))),
                fail_count: 3,
                maintenance: Maintenance { version: 4, on: true },
                offer: Some(Offer {
                    id: 5,
                    term: 9,
                    to: Some(NodeId(1)),
                    ttl: Duration::from_millis(4500),
                    stopped: true,
                }),
                ready: Some(6),
                ..silent(0)
            },
            GroupReport { owner: Some(Owner::Mine), ..silent(1) },
            silent(2),
        ],
        ..plain()
    }
}

fn encoded(heartbeat: &Heartbeat) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(heartbeat, &names().roster(), &keys(), &mut bytes).unwrap();
    bytes
}

/// A datagram with this body, rightly signed.
fn signed(body: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION.major, VERSION.minor, keys().signing()]);
    bytes.extend(body);
    bytes.extend(keys().sign(&bytes));
    bytes
}

fn decoded(datagram: &[u8]) -> Result<Heartbeat, DecodeError> {
    decode(datagram, &names().roster(), &keys())
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What version 1.0 sends. It never changes: a version that does not read it would cut a cluster in two in
/// the middle of its upgrade. (A new minor adds a fixture, and keeps this one for reading.)
const FULL_1_0: &str = "
    5354425901000783696976722d746f6b796f83656976722d61656976722d62656976722d63bf000001010201031b0102
    0304050607080419012c051b111213141516171806bf001b2122232425262728011b3132333435363738ff071a000111
    7008bf001a00010d8801190190ff09f50af50b1927100cf50d060e1b41424344454647480f73692d3061316232633364
    346535663630373138108275656e692d306131623263336434653566363037313866656e692d30621183bf0063697672
    0101020903f504f506020501070308bf000401f5ff09bf0005010902010319119404f5ff0a06ffbf00636e6174020005
    00ffbf00637362630200ffff9b35ad7cf9a395b09944ad6662290e9c6d25341e56d1a16042004bf4a39d0410
";
const PLAIN_1_0: &str = "
    5354425901000783696976722d746f6b796f83656976722d61656976722d62656976722d63bf000001010201031b0102
    0304050607080419012c051b1112131415161718071a000111700d000e00ff2fbdf748156b9e3f0536dca93a8c66b62c
    7d7e51fa69f38fa12cfdb5198348e2
";

#[test]
fn a_tally_that_version_1_0_did_not_have_comes_back() {
    let tally = Tally { calls: Some(0), unregistered: Some(u8::MAX) };
    let beat = Heartbeat { groups: vec![GroupReport { tally, ..silent(0) }], ..full() };
    assert_eq!(decoded(&encoded(&beat)).unwrap(), beat);
}

#[test]
fn version_1_0_is_still_read() {
    assert_eq!(decoded(&unhex(FULL_1_0)).unwrap(), full());
    assert_eq!(decoded(&unhex(PLAIN_1_0)).unwrap(), plain());
}

#[test]
fn version_1_0_is_still_written() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(encoded(&full())), FULL_1_0.replace(char::is_whitespace, ""));
    assert_eq!(hex(encoded(&plain())), PLAIN_1_0.replace(char::is_whitespace, ""));
}

/// What a later version might add to any map: under a key of three bytes, values of every shape.
fn add_future(out: &mut Encoder<Vec<u8>>) {
    out.u64(1000).unwrap().str("new").unwrap();
    out.u64(1001)
        .unwrap()
        .map(1)
        .unwrap()
        .u64(0)
        .unwrap()
        .array(2)
        .unwrap()
        .null()
        .unwrap()
        .f64(0.5)
        .unwrap();
    out.u64(1002).unwrap().begin_array().unwrap().i8(-3).unwrap().begin_map().unwrap();
    out.u8(1).unwrap().bytes(&[1, 2]).unwrap().end().unwrap().end().unwrap();
    out.u64(1003).unwrap().tag(minicbor::data::Tag::new(55_799)).unwrap().bool(true).unwrap();
}

/// The heartbeat `full()`, reduced to one group, as a later version might write it: more of everything, in
/// another order.
fn from_the_future() -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    out.array(4).unwrap().str("ivr-tokyo").unwrap();
    // Another order of nodes, and one that this node does not know.
    let nodes = ["ivr-d", "ivr-c", "ivr-b", "ivr-a"];
    out.array(4).unwrap();
    for name in nodes {
        out.str(name).unwrap();
    }
    out.begin_map().unwrap();
    add_future(&mut out);
    out.u64(key::GROUPS).unwrap().begin_array().unwrap().begin_map().unwrap();
    add_future(&mut out);
    out.u64(key::group::OFFER).unwrap().begin_map().unwrap();
    add_future(&mut out);
    for (field, value) in
        [(key::offer::TTL, 4500), (key::offer::TO, 2), (key::offer::TERM, 9), (key::offer::ID, 5)]
    {
        out.u64(field).unwrap().u64(value).unwrap();
    }
    out.u64(key::offer::STOPPED).unwrap().bool(true).unwrap().end().unwrap();
    out.u64(key::group::MAINTENANCE).unwrap().begin_map().unwrap();
    out.u64(key::maintenance::ON).unwrap().bool(true).unwrap();
    add_future(&mut out);
    out.u64(key::maintenance::VERSION).unwrap().u64(4).unwrap().end().unwrap();
    for (field, value) in [
        (key::group::ROLE, key::role::ACTIVE),
        (key::group::TERM, 9),
        (key::group::OWNER, key::owner::THEIRS),
        (key::group::HOLDER, 1),
        (key::group::FAIL_COUNT, 3),
        (key::group::READY, 6),
    ] {
        out.u64(field).unwrap().u64(value).unwrap();
    }
    out.u64(key::group::ELIGIBLE).unwrap().bool(true).unwrap();
    out.u64(key::group::BARRED).unwrap().bool(true).unwrap();
    out.u64(key::group::NAME).unwrap().str("ivr").unwrap();
    out.end().unwrap();
    // A group that only the newer configuration has.
    out.map(2).unwrap().u64(key::group::NAME).unwrap().str("brand-new").unwrap();
    out.u64(key::group::TERM).unwrap().u64(1).unwrap();
    out.end().unwrap();
    out.u64(key::ECHO).unwrap().begin_map().unwrap();
    add_future(&mut out);
    out.u64(key::echo::NONCE).unwrap().u64(0x3132_3334_3536_3738).unwrap();
    out.u64(key::echo::SESSION).unwrap().u64(0x2122_2324_2526_2728).unwrap().end().unwrap();
    out.u64(key::REPLY).unwrap().begin_map().unwrap();
    out.u64(key::reply::HELD).unwrap().u64(400).unwrap();
    add_future(&mut out);
    out.u64(key::reply::SENT).unwrap().u64(69_000).unwrap().end().unwrap();
    for field in [key::ASK, key::GOODBYE, key::FAREWELL_SEEN] {
        out.u64(field).unwrap().bool(true).unwrap();
    }
    for (field, value) in [
        (key::CONFIG_HASH, 0x4142_4344_4546_4748),
        // ivr-d, ivr-c, ivr-b
        (key::HEARS, 0b111),
        (key::BACK_IN, 10_000),
        (key::SENT, 70_000),
        (key::NONCE, 0x1112_1314_1516_1718),
        (key::SEQUENCE, 300),
        (key::SESSION, 0x0102_0304_0506_0708),
        (key::LINK, 1),
        (key::TO, 2),
        (key::FROM, 3),
    ] {
        out.u64(field).unwrap().u64(value).unwrap();
    }
    out.u64(key::INSTANCE).unwrap().str("i-0a1b2c3d4e5f60718").unwrap();
    out.u64(key::INTERFACES).unwrap().array(2).unwrap();
    out.str("eni-0a1b2c3d4e5f60718").unwrap().str("eni-0b").unwrap();
    out.end().unwrap();
    out.map(1).unwrap().str("more").unwrap().str("after the fields").unwrap();
    out.into_writer()
}

#[test]
fn old_reader_skips_what_newer_versions_add() {
    let mut expected = full();
    expected.groups.truncate(1);
    let mut datagram = signed(&from_the_future());
    assert_eq!(decoded(&datagram).unwrap(), expected);
    // A later minor says so in the header.
    let end = datagram.len() - TAG;
    datagram.truncate(end);
    datagram[5] = 9;
    datagram.extend(keys().sign(&datagram));
    assert_eq!(decoded(&datagram).unwrap(), expected);
}

#[test]
fn new_reader_fills_in_what_older_versions_lack() {
    let mut out = Encoder::new(Vec::new());
    out.array(3).unwrap().str("ivr-tokyo").unwrap();
    out.array(2).unwrap().str("ivr-a").unwrap().str("ivr-b").unwrap();
    out.map(8).unwrap();
    for (field, value) in [
        (key::FROM, 0),
        (key::TO, 1),
        (key::LINK, 1),
        (key::SESSION, 0x0102_0304_0506_0708),
        (key::SEQUENCE, 300),
        (key::NONCE, 0x1112_1314_1516_1718),
        (key::SENT, 70_000),
    ] {
        out.u64(field).unwrap().u64(value).unwrap();
    }
    out.u64(key::GROUPS).unwrap().array(1).unwrap();
    out.map(1).unwrap().u64(key::group::NAME).unwrap().str("nat").unwrap();
    let expected = Heartbeat { groups: vec![silent(1)], ..plain() };
    assert_eq!(decoded(&signed(&out.into_writer())).unwrap(), expected);
}

#[test]
fn why_not_is_one_of_the_known_reasons_or_none() {
    for why in WhyNot::ALL {
        let report = GroupReport { why_not: Some(why), ..silent(1) };
        let said = Heartbeat { groups: vec![report], ..plain() };
        assert_eq!(decoded(&encoded(&said)).unwrap(), said);
    }
    let later = with_group_field(|out| {
        out.u64(key::group::WHY_NOT).unwrap().u64(99).unwrap();
    });
    assert_eq!(later.unwrap().groups[0].why_not, None);
}

/// A heartbeat whose only group report has this additional field.
fn with_group_field(write: impl FnOnce(&mut Encoder<Vec<u8>>)) -> Result<Heartbeat, DecodeError> {
    let mut out = Encoder::new(Vec::new());
    out.array(3).unwrap().str("ivr-tokyo").unwrap();
    out.array(3).unwrap().str("ivr-a").unwrap().str("ivr-b").unwrap().str("ivr-z").unwrap();
    out.begin_map().unwrap();
    for field in [key::FROM, key::LINK, key::SESSION, key::SEQUENCE, key::NONCE, key::SENT] {
        out.u64(field).unwrap().u64(0).unwrap();
    }
    out.u64(key::TO).unwrap().u64(1).unwrap();
    out.u64(key::GROUPS).unwrap().array(1).unwrap().begin_map().unwrap();
    out.u64(key::group::NAME).unwrap().str("nat").unwrap();
    write(&mut out);
    out.end().unwrap().end().unwrap();
    decoded(&signed(&out.into_writer()))
}

#[test]
fn unknown_role_says_nothing_about_the_group() {
    let said = with_group_field(|out| {
        out.u64(key::group::ROLE).unwrap().u64(2).unwrap();
    });
    assert_eq!(said.unwrap().groups, []);
}

#[test]
fn unknown_kind_of_owner_and_unknown_holder_are_not_read() {
    for (kind, holder, owner) in [
        (key::owner::STRANGER, 0, Some(Owner::Stranger)),
        (key::owner::STRANGER + 1, 0, None),
        (key::owner::THEIRS, 1, Some(Owner::Theirs(NodeId(1)))),
        (key::owner::THEIRS, 2, None),
    ] {
        let said = with_group_field(|out| {
            out.u64(key::group::OWNER).unwrap().u64(kind).unwrap();
            out.u64(key::group::HOLDER).unwrap().u64(holder).unwrap();
        });
        assert_eq!(said.unwrap().groups, [GroupReport { owner, ..silent(1) }]);
    }
}

#[test]
fn offer_to_an_unknown_node_is_not_an_offer_to_all() {
    for (to, offered) in [(1, Some(Some(NodeId(1)))), (2, None)] {
        let said = with_group_field(|out| {
            out.u64(key::group::OFFER).unwrap().begin_map().unwrap();
            for (field, value) in
                [(key::offer::ID, 1), (key::offer::TERM, 1), (key::offer::TTL, 1), (key::offer::TO, to)]
            {
                out.u64(field).unwrap().u64(value).unwrap();
            }
            out.end().unwrap();
        });
        assert_eq!(said.unwrap().groups[0].offer.map(|offer| offer.to), offered);
    }
}

#[test]
fn nodes_and_groups_travel_by_name() {
    let other = Names::new(&["ivr-c", "ivr-b", "new", "ivr-a"], &["sbc", "ivr"]);
    let here = decode(&encoded(&full()), &other.roster(), &keys()).unwrap();
    assert_eq!((here.from, here.to), (NodeId(3), NodeId(1)));
    assert_eq!(here.hears, NodeSet(0b0011));
    assert_eq!(here.groups.iter().map(|report| report.group.0).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(here.groups[0].owner, Some(Owner::Theirs(NodeId(0))));
    assert_eq!(here.groups[0].offer.unwrap().to, Some(NodeId(1)));
}

#[test]
fn each_stranger_is_told_apart() {
    let datagram = encoded(&full());
    let names = names();
    let with =
        |nodes: &[&str]| decode(&datagram, &Names::new(nodes, &["ivr"]).roster(), &keys()).unwrap_err();
    assert_eq!(with(&["x", "ivr-b"]), DecodeError::UnknownSender("ivr-a".to_owned()));
    assert_eq!(with(&["ivr-a", "x"]), DecodeError::UnknownReceiver("ivr-b".to_owned()));
    let cluster = decode(&datagram, &Roster { cluster: "ivr-osaka", ..names.roster() }, &keys());
    assert_eq!(cluster.unwrap_err(), DecodeError::Cluster("ivr-tokyo".to_owned()));
    let ring = |id, byte| Keyring::new(id, &BTreeMap::from([(id, [byte; 32])])).unwrap();
    let refused = |keys: &Keyring| decode(&datagram, &names.roster(), keys).unwrap_err();
    assert_eq!(refused(&ring(9, 0x42)), DecodeError::UnknownKey(7));
    assert_eq!(refused(&ring(7, 0x41)), DecodeError::BadTag);
    for with_the_key in [with(&["x"]), cluster_error(&datagram)] {
        assert!(with_the_key.is_authenticated());
    }
    for without in [refused(&ring(9, 0x42)), refused(&ring(7, 0x41))] {
        assert!(!without.is_authenticated());
    }
}

fn cluster_error(datagram: &[u8]) -> DecodeError {
    decode(datagram, &Roster { cluster: "other", nodes: &[], groups: &[] }, &keys()).unwrap_err()
}

#[test]
fn header_is_checked_in_order() {
    let datagram = encoded(&plain());
    let changed = |place: usize, value: u8| {
        let mut bytes = datagram.clone();
        bytes[place] = value;
        decoded(&bytes).unwrap_err()
    };
    assert_eq!(decoded(&[]).unwrap_err(), DecodeError::NotOurs);
    assert_eq!(decoded(&datagram[..HEADER + TAG - 1]).unwrap_err(), DecodeError::NotOurs);
    assert_eq!(changed(0, b'X'), DecodeError::NotOurs);
    assert_eq!(changed(4, 2), DecodeError::Version(Version { major: 2, minor: 0 }));
    assert_eq!(changed(5, 1), DecodeError::BadTag);
    assert_eq!(changed(6, 9), DecodeError::UnknownKey(9));
    assert_eq!(changed(6, 8), DecodeError::BadTag);
    assert!(!changed(4, 2).is_authenticated());
}

#[test]
fn signed_nonsense_is_malformed() {
    let mut trailing = from_the_future();
    trailing.push(0);
    for body in [&[][..], &[0x80], &[0x9f, 0xff], &[0xff], &[0x83, 0x01], &trailing] {
        assert!(matches!(decoded(&signed(body)), Err(DecodeError::Malformed(_))), "{body:02x?}");
    }
    let Err(DecodeError::Malformed(why)) = decoded(&signed(b"\x83\x69ivr-tokyo\x80\xa0")) else {
        panic!("read a heartbeat without a field");
    };
    assert_eq!(why, "from is missing");
}

#[test]
fn length_that_lies_costs_nothing() {
    // Arrays and maps that claim 2^64 - 1 items, as interfaces, as groups, and in an unknown field.
    for claim in [&b"\x10\x9b"[..], b"\x11\x9b", b"\x18\x63\x9b", b"\x18\x63\xbb"] {
        let mut body = b"\x83\x69ivr-tokyo\x80\xbf".to_vec();
        body.extend(claim);
        body.extend([0xff; 8]);
        assert!(matches!(decoded(&signed(&body)), Err(DecodeError::Malformed(_))));
    }
}

#[test]
fn longest_datagram_is_refused_beyond_the_limit() {
    let mut heartbeat = full();
    let mut bytes = Vec::new();
    let fits = MAX_DATAGRAM - encoded(&heartbeat).len();
    // The name gets a length of three bytes instead of one.
    heartbeat.instance = Some("i".repeat(19 + fits - 2));
    encode(&heartbeat, &names().roster(), &keys(), &mut bytes).unwrap();
    assert_eq!(bytes.len(), MAX_DATAGRAM);
    assert_eq!(decoded(&bytes).unwrap(), heartbeat);
    heartbeat.instance.as_mut().unwrap().push('i');
    let refused = encode(&heartbeat, &names().roster(), &keys(), &mut bytes);
    assert_eq!(refused, Err(EncodeError::TooLong { length: MAX_DATAGRAM + 1 }));
    assert!(bytes.is_empty());
}

#[test]
fn sixteen_groups_on_four_nodes_fit() {
    let nodes: Vec<String> = (0..4).map(|n| format!("sbc-tokyo-1{n}")).collect();
    let groups: Vec<String> = (0..16).map(|n| format!("trunk-carrier-{n:02}")).collect();
    let roster = Roster { cluster: "production-tokyo", nodes: &nodes, groups: &groups };
    let report = GroupReport { offer: None, ready: None, ..full().groups[0].clone() };
    let groups = (0..16).map(|n| GroupReport { group: GroupId(n), ..report.clone() }).collect();
    let mut bytes = Vec::new();
    encode(&Heartbeat { groups, ..full() }, &roster, &keys(), &mut bytes).unwrap();
    assert!(bytes.len() < 1000, "{}", bytes.len());
}

#[test]
fn longest_datagram_is_known_beforehand() {
    let one = longest(&names().roster(), 1);
    let groups = &names().groups[..2];
    let two_groups = longest(&Roster { groups, ..names().roster() }, 1);
    assert!(one - two_groups > 60, "{}", one - two_groups);
    assert_eq!(longest(&names().roster(), 2) - one, 22);
    // With short names, ten groups that are all on offer at once.
    let groups: Vec<String> = (0..10).map(|n| format!("trunk-{n}")).collect();
    assert!(longest(&Roster { groups: &groups, ..names().roster() }, 2) < MAX_DATAGRAM);
    // The ids of offers are random, and may be as long as numbers become.
    let offer = Some(Offer {
        id: u64::MAX,
        term: 1,
        to: Some(NodeId(2)),
        ttl: Duration::from_millis(u64::from(u32::MAX)),
        stopped: true,
    });
    let many: Vec<String> = (0..20).map(|n| format!("trunk-{n}")).collect();
    let three = names();
    let roster = Roster { groups: &many, ..three.roster() };
    let report = |group| GroupReport {
        group: GroupId(group),
        role: Role::Active,
        term: u64::from(u32::MAX),
        eligible: false,
        why_not: Some(WhyNot::LeaseUnknown),
        fit: false,
        owner: Some(Owner::Theirs(NodeId(2))),
        fail_count: u32::MAX,
        maintenance: Maintenance { version: u64::from(u32::MAX), on: true },
        offer,
        ready: Some(u64::MAX),
        tally: Tally { calls: Some(u16::MAX), unregistered: Some(u8::MAX) },
    };
    let mut bytes = Vec::new();
    let beat = Heartbeat { groups: (0..20).map(report).collect(), ..full() };
    let error = encode(&beat, &roster, &keys(), &mut bytes).unwrap_err();
    let EncodeError::TooLong { length } = error else { panic!("{error}") };
    assert!(length <= longest(&roster, beat.interfaces.len()), "{length}");
    // Beyond any real heartbeat, and a usual cluster fits.
    assert!(encoded(&full()).len() < one);
    assert!(one < MAX_DATAGRAM, "{one}");
}

#[test]
fn numbers_without_a_name_are_not_sent() {
    let refused =
        |heartbeat: &Heartbeat| encode(heartbeat, &names().roster(), &keys(), &mut Vec::new()).unwrap_err();
    let with = |report: GroupReport| Heartbeat { groups: vec![report], ..plain() };
    let offer = Offer { id: 0, term: 0, to: Some(NodeId(3)), ttl: Duration::ZERO, stopped: false };
    for heartbeat in [
        Heartbeat { from: NodeId(3), ..plain() },
        Heartbeat { to: NodeId(3), ..plain() },
        Heartbeat { hears: NodeSet(1 << 3), ..plain() },
        with(GroupReport { owner: Some(Owner::Theirs(NodeId(3))), ..silent(0) }),
        with(GroupReport { offer: Some(offer), ..silent(0) }),
    ] {
        assert_eq!(refused(&heartbeat), EncodeError::NoSuchNode(NodeId(3)));
    }
    assert_eq!(refused(&with(silent(GROUPS as u8))), EncodeError::NoSuchGroup(GroupId(GROUPS as u8)));
}

fn any_node() -> impl Strategy<Value = NodeId> {
    (0u8..3).prop_map(NodeId)
}

fn any_millis() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn any_offer() -> impl Strategy<Value = Offer> {
    (any::<u64>(), any::<u64>(), prop::option::of(any_node()), any_millis(), any::<bool>())
        .prop_map(|(id, term, to, ttl, stopped)| Offer { id, term, to, ttl, stopped })
}

fn any_owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        Just(Owner::Mine),
        any_node().prop_map(Owner::Theirs),
        Just(Owner::Nobody),
        Just(Owner::Orphaned),
        Just(Owner::Stranger),
    ]
}

fn any_report() -> impl Strategy<Value = GroupReport> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>());
    let why_not = prop::option::of(prop::sample::select(WhyNot::ALL.to_vec()));
    let offers = (prop::option::of(any_offer()), prop::option::of(any::<u64>()));
    let rest = (prop::option::of(any_owner()), why_not, offers);
    (0..GROUPS as u8, flags, numbers, rest).prop_map(|(group, flags, numbers, rest)| {
        let (active, eligible, fit) = flags;
        let (term, fail_count, version, on) = numbers;
        let (owner, why_not, (offer, ready)) = rest;
        GroupReport {
            group: GroupId(group),
            role: if active { Role::Active } else { Role::Standby },
            term,
            eligible,
            why_not,
            fit,
            owner,
            fail_count,
            maintenance: Maintenance { version, on },
            offer,
            ready,
            tally: Tally {
                calls: fit.then_some(fail_count as u16),
                unregistered: eligible.then_some(term as u8),
            },
        }
    })
}

fn any_heartbeat() -> impl Strategy<Value = Heartbeat> {
    let who = (any_node(), any_node(), any::<u8>(), any::<u64>(), any::<u64>(), any::<u64>());
    let times = (
        any::<u64>(),
        prop::option::of((any::<u64>(), any::<u64>())),
        prop::option::of((any::<u64>(), any::<u64>())),
        prop::option::of(any_millis()),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), 0u32..8, any::<u64>());
    let lists = (
        prop::option::of("\\PC{0,4}"),
        prop::collection::vec("eni-[0-9a-f]{17}", 0..4),
        prop::collection::vec(any_report(), 0..4),
    );
    (who, times, flags, lists).prop_map(|(who, times, flags, lists)| {
        let (from, to, link, session, sequence, nonce) = who;
        let (sent_us, echo, reply, back_in) = times;
        let (ask, goodbye, farewell_seen, hears, config_hash) = flags;
        let (instance, interfaces, groups) = lists;
        Heartbeat {
            from,
            to,
            link: LinkId(link),
            session: Session(session),
            sequence,
            nonce,
            echo: echo.map(|(session, nonce)| Echo { session: Session(session), nonce }),
            sent_us,
            reply: reply.map(|(sent_us, held_us)| Reply { sent_us, held_us }),
            ask,
            goodbye,
            back_in,
            farewell_seen,
            hears: NodeSet(hears),
            config_hash,
            instance,
            interfaces,
            groups,
        }
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(heartbeat in any_heartbeat()) {
        let bytes = encoded(&heartbeat);
        prop_assert_eq!(decoded(&bytes), Ok(heartbeat));
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        prop_assert!(!decoded(&bytes).unwrap_err().is_authenticated());
    }

    #[test]
    fn any_signed_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decoded(&signed(&body)).unwrap_err().is_authenticated());
    }

    /// Past the tag, near to what is valid: one byte of a good body is replaced, and signed again.
    #[test]
    fn any_signed_damage_is_survived(
        heartbeat in any_heartbeat(),
        place in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut datagram = encoded(&heartbeat);
        let end = datagram.len() - TAG;
        datagram.truncate(end);
        let place = HEADER + place.index(end - HEADER);
        datagram[place] = byte;
        let _survived = decoded(&signed(&datagram[HEADER..]));
    }

    #[test]
    fn one_changed_bit_is_refused(heartbeat in any_heartbeat(), bit in any::<prop::sample::Index>()) {
        let mut datagram = encoded(&heartbeat);
        let bit = bit.index(datagram.len() * 8);
        datagram[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!decoded(&datagram).unwrap_err().is_authenticated());
    }

    #[test]
    fn cut_or_extended_is_refused(heartbeat in any_heartbeat(), cut in any::<prop::sample::Index>(), more: u8) {
        let mut datagram = encoded(&heartbeat);
        let cut = cut.index(datagram.len());
        prop_assert!(!decoded(&datagram[..cut]).unwrap_err().is_authenticated());
        datagram.push(more);
        prop_assert_eq!(decoded(&datagram), Err(DecodeError::BadTag));
    }
}

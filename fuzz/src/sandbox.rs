//! Requests to the sandbox in EC2's Query protocol, and what its model makes of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use standin::sandbox::model::{Quirks, Request, Spec, State, Vpc};
use standin::sandbox::server::{action, parse, xml};

static PAIR: LazyLock<Vpc> = LazyLock::new(|| Vpc::new(&pair(), 1).expect("the pair is in order"));
/// More calls than this find nothing new.
const CALLS: usize = 64;

/// The first byte chooses among what AWS does not document. Each line after it is the form of one call; a digit before it says how much time passes first (2^digit seconds).
/// Whatever is asked, there is an answer in XML; what is refused or only looked at changes nothing; and no call
/// brings the VPC into a state that no VPC has.
pub fn any(bytes: &[u8]) {
    let Some((quirks, lines)) = bytes.split_first() else { return };
    let mut vpc = PAIR.clone();
    vpc.settings_mut().quirks = Quirks::from_seed(u64::from(*quirks));
    let mut now = Duration::ZERO;
    for line in lines.split(|byte| *byte == b'\n').take(CALLS) {
        let (digit, form) = match line.split_first() {
            Some((digit @ b'0'..=b'9', form)) => (digit - b'0', form),
            Some(_) | None => (0, line),
        };
        now += Duration::from_secs(1 << digit);
        call(&mut vpc, form, now);
    }
}

/// The default pair, with ids that inputs can name.
fn pair() -> Spec {
    let mut spec = Spec::pair();
    spec.vpc[0].id = Some("vpc-00000001".into());
    for (it, n) in spec.subnet.iter_mut().zip(1..) {
        it.id = Some(format!("subnet-{n:08}"));
    }
    for (it, letter) in spec.instance.iter_mut().zip(["a", "b"]) {
        it.id = Some(format!("i-0000000{letter}"));
        for (interface, n) in it.interface.iter_mut().zip(0..) {
            interface.id = Some(format!("eni-000000{letter}{n}"));
        }
    }
    for (it, n) in spec.elastic_ip.iter_mut().zip(1..) {
        it.id = Some(format!("eipalloc-{n:08}"));
    }
    for (it, n) in spec.route_table.iter_mut().zip(1..) {
        it.id = Some(format!("rtb-{n:08}"));
    }
    spec
}

fn call(vpc: &mut Vpc, form: &[u8], now: Duration) {
    vpc.advance(now);
    assert!(vpc.next_deadline().is_none_or(|at| at > now), "something is overdue");
    let before = vpc.state().clone();
    let outcome = parse(form).and_then(|request| {
        let lag = vpc.settings().lag;
        let answer = vpc.call_with_lag("ivr-a", &request, now, lag)?;
        assert!(!request.dry_run(), "a dry run has been carried out: {request:?}");
        Ok((request, answer))
    });
    let text = match &outcome {
        Ok((_, answer)) => {
            let context = xml::Context {
                account: vpc.account(),
                region: vpc.region(),
                request_id: "0",
                launched: "2026-01-01T00:00:00Z",
            };
            xml::response(&action(form), answer, &context)
        }
        Err(error) => {
            assert!(!error.code.is_empty() && !error.message.is_empty(), "{error:?}");
            xml::error(error, "0")
        }
    };
    well_formed(&text);
    let looks = |request: &Request| request.describe().is_some();
    if outcome.as_ref().map_or(true, |(request, _)| looks(request)) {
        assert!(*vpc.state() == before, "{outcome:?} has changed something");
    }
    holds_together(vpc.state());
}

/// The rules that no call may break.
fn holds_together(state: &State) {
    let mut places = BTreeSet::new();
    for it in state.elastic_ips.values() {
        let Some(at) = &it.association else { continue };
        let interface = state.interfaces.get(&at.interface).expect("an Elastic IP goes to an interface");
        assert!(interface.has(at.private_ip), "{it:?} goes to an address that is not there");
        assert!(places.insert((&at.interface, at.private_ip)), "two Elastic IPs on {at:?}");
    }
    let mut addresses = BTreeSet::new();
    for it in state.interfaces.values() {
        let subnet = state.subnets.get(&it.subnet).expect("an interface is in a subnet");
        for address in it.addresses() {
            assert!(addresses.insert((&subnet.vpc, address)), "{address} is there twice");
        }
        let attached = it.attachment.as_ref().is_none_or(|at| state.instances.contains_key(&at.instance));
        assert!(attached, "{it:?} is attached to nothing");
    }
    for it in state.route_tables.values() {
        let destinations: BTreeSet<_> = it.routes.iter().map(|route| &route.destination).collect();
        assert_eq!(destinations.len(), it.routes.len(), "two routes from one place: {it:?}");
    }
}

/// Each element that is opened is closed, in order, and nothing is in the text that XML cannot hold.
fn well_formed(text: &str) {
    let mut open = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, content) = part.split_once('>').expect("each tag ends");
        assert!(!content.contains(|c: char| c.is_control() && !c.is_whitespace() && c < ' '), "{content:?}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{text}"),
            None if tag.starts_with('?') || tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
    }
    assert!(open.is_empty(), "{text}");
}

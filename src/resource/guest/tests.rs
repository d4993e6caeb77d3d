//! The real thing: a network namespace of the test's own, with a veth pair in it.

use std::process::Command;

use super::*;

const MAC: &str = "02:00:00:00:00:0a";
const INSIDE: &str = "resource::guest::tests::inside_a_namespace";
const UNPRIVILEGED: &str = "resource::guest::tests::without_the_capability";

/// Runs one of the ignored tests below in a new network namespace.
pub(super) fn in_namespace(test: &str, drop_capability: bool) {
    let unshare: &[&str] =
        if rustix::process::geteuid().is_root() { &["unshare", "-n"] } else { &["unshare", "-rn"] };
    let possible =
        Command::new(unshare[0]).args(&unshare[1..]).arg("true").status().is_ok_and(|it| it.success());
    if !possible {
        println!("SKIPPED {test}: {} is not possible here, so netlink was NOT tested", unshare.join(" "));
        return;
    }
    let mut words: Vec<String> = unshare.iter().map(|it| (*it).to_owned()).collect();
    if drop_capability {
        words.extend(
            ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"].map(String::from),
        );
    }
    words.push(std::env::current_exe().unwrap().to_str().unwrap().to_owned());
    words.extend(["--exact", test, "--ignored", "--nocapture"].map(String::from));
    let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn addresses_come_go_and_are_put_back() {
    in_namespace(INSIDE, false);
}

#[test]
fn without_cap_net_admin_the_message_names_it() {
    in_namespace(UNPRIVILEGED, true);
}

pub(super) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

fn wanted() -> GuestAddress {
    GuestAddress { mac: MAC.to_owned(), address: "10.0.1.100".parse().unwrap() }
}

fn interfaces() {
    ip(&format!("link add eth-a address {MAC} type veth peer name eth-b"));
    ip("addr add 10.0.1.10/24 dev eth-a");
    ip("link set eth-a up");
}

pub(super) async fn next<T>(
    events: &mut tokio::sync::mpsc::UnboundedReceiver<GuestEvent<T>>,
) -> GuestEvent<T> {
    tokio::time::timeout(Duration::from_secs(3), events.recv()).await.expect("an event").unwrap()
}

#[tokio::test]
#[ignore = "run by addresses_come_go_and_are_put_back, in a namespace"]
async fn inside_a_namespace() {
    let guest = Guest::open().unwrap();
    assert_eq!(guest.present(&wanted()).await, Err(GuestError::NoInterface(MAC.to_owned())));
    interfaces();
    assert_eq!(guest.present(&wanted()).await, Ok(false));
    guest.add(&wanted()).await.unwrap();
    guest.add(&wanted()).await.unwrap();
    assert_eq!(guest.present(&wanted()).await, Ok(true));
    guest.remove(&wanted()).await.unwrap();
    guest.remove(&wanted()).await.unwrap();
    assert_eq!(guest.present(&wanted()).await, Ok(false));
    // With another prefix, as other programs set it, it is there too, and is removed too.
    ip("addr add 10.0.1.100/24 dev eth-a");
    assert_eq!(guest.present(&wanted()).await, Ok(true));
    guest.remove(&wanted()).await.unwrap();
    assert_eq!(guest.present(&wanted()).await, Ok(false));

    let (say, listen) = watch::channel(vec![(wanted(), true)]);
    let (send, mut events) = tokio::sync::mpsc::unbounded_channel();
    let keeper = tokio::spawn(keep(listen, move |event| send.send(event).unwrap()));
    assert_eq!(next(&mut events).await, GuestEvent::Added(wanted()));
    for _ in 0..3 {
        let gone = tokio::time::Instant::now();
        ip("addr del 10.0.1.100/32 dev eth-a");
        assert_eq!(next(&mut events).await, GuestEvent::PutBack(wanted()));
        println!("put back {:?} after `ip addr del` began", gone.elapsed());
        assert_eq!(guest.present(&wanted()).await, Ok(true));
    }
    // Other addresses are none of its business.
    ip("addr del 10.0.1.10/24 dev eth-a");
    say.send(vec![(wanted(), false)]).unwrap();
    assert_eq!(next(&mut events).await, GuestEvent::Removed(wanted()));
    assert_eq!(guest.present(&wanted()).await, Ok(false));
    drop(say);
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "run by without_cap_net_admin_the_message_names_it, in a namespace"]
async fn without_the_capability() {
    // The loopback interface is the only one there is, and has this MAC address.
    let address =
        GuestAddress { mac: "00:00:00:00:00:00".to_owned(), address: "10.0.1.100".parse().unwrap() };
    let error = Guest::open().unwrap().add(&address).await.unwrap_err();
    assert_eq!(error, GuestError::NotPermitted);
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
}

//! Two agents, each with an Asterisk: its calls, and its outbound registration. The Asterisks are the test's own, and
//! do what Asterisk 16 does (src/agent/effects/asterisk/follow.rs); with
//! `STANDIN_ASTERISKS="127.0.0.1:5038 127.0.0.1:5039"` they are real ones, with user `standin`, secret `hush` and at
//! least one registration, of which both have been running for a while.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use standin::control::client;
use standin::control::protocol::{Group, Request, Response};

use crate::pair::{Member, Pair, until};

const CALLS: u32 = 3;

/// One Asterisk's only registration.
#[derive(Default)]
struct Carrier {
    registered: bool,
    /// The REGISTER comes then.
    due: Option<Instant>,
    /// What it was told, in order.
    told: Vec<String>,
}

fn asterisk() -> (String, Arc<Mutex<Carrier>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let carrier = Arc::new(Mutex::new(Carrier { registered: true, ..Carrier::default() }));
    let all = Arc::clone(&carrier);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let carrier = Arc::clone(&all);
            thread::spawn(move || serve(&stream.unwrap(), &carrier));
        }
    });
    (address, carrier)
}

fn serve(mut stream: &TcpStream, carrier: &Mutex<Carrier>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    stream.write_all(b"Asterisk Call Manager/5.0.4\r\n").unwrap();
    let (mut action, mut id) = (String::new(), String::new());
    while let Some(Ok(line)) = lines.next() {
        match line.split_once(": ") {
            Some(("Action", it)) => action = it.to_owned(),
            Some(("ActionID", it)) => id = it.to_owned(),
            Some(_) => {}
            None => {
                let rest = answer(&action, &id, &mut carrier.lock().unwrap());
                let text = format!("Response: Success\r\nActionID: {id}\r\n{rest}\r\n");
                // The agent may have gone away.
                let _written = stream.write_all(text.as_bytes());
            }
        }
    }
}

fn answer(action: &str, id: &str, carrier: &mut Carrier) -> String {
    if carrier.due.is_some_and(|due| Instant::now() >= due) {
        (carrier.registered, carrier.due) = (true, None);
    }
    match action {
        "Login" => "\r\nEvent: FullyBooted\r\nUptime: 100\r\n".to_owned(),
        "CoreStatus" => format!("CoreCurrentCalls: {CALLS}\r\n"),
        "PJSIPShowRegistrationsOutbound" => {
            let state = if carrier.registered { "Registered" } else { "Unregistered" };
            format!(
                "EventList: start\r\n\r\nEvent: OutboundRegistrationDetail\r\nActionID: {id}\r\n\
                 ObjectName: carrier\r\nStatus: {state}\r\n\r\nEvent: OutboundRegistrationDetailComplete\r\n\
                 ActionID: {id}\r\nEventList: Complete\r\n"
            )
        }
        "PJSIPRegister" => {
            carrier.told.push(action.to_owned());
            (carrier.registered, carrier.due) = (false, Some(Instant::now() + Duration::from_secs(1)));
            String::new()
        }
        "PJSIPUnregister" => {
            carrier.told.push(action.to_owned());
            (carrier.registered, carrier.due) = (false, None);
            String::new()
        }
        _ => String::new(),
    }
}

/// The same service on both nodes: it is always there, and nobody has to start it.
fn with_asterisks(folder: &Path, addresses: &[String]) -> Pair {
    let secret = folder.join("secret");
    fs::write(&secret, "hush\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let mut pair = Pair::new();
    pair.group = "[group.service]\nstart = [\"true\"]\nstop = [\"true\"]\nstatus = [\"true\"]\n".into();
    let table = |ami: &String| {
        format!(
            "[group.asterisk]\nami = {ami:?}\nuser = \"standin\"\nsecret-file = {:?}\n",
            secret.display().to_string()
        )
    };
    pair.asterisks = ["ivr-a", "ivr-b"].into_iter().zip(addresses.iter().map(table)).collect();
    pair
}

fn all_are(group: &Group, state: &str) -> bool {
    !group.registrations.is_empty() && group.registrations.iter().all(|it| it.state == state)
}

fn registered(node: &Member) -> bool {
    all_are(&node.group(), "Registered")
}

fn unregistered(node: &Member) -> bool {
    all_are(&node.group(), "Unregistered")
}

#[test]
fn registrations_follow_the_group_and_lost_calls_are_counted() {
    let real = std::env::var("STANDIN_ASTERISKS").ok();
    let (one, carrier_a) = asterisk();
    let (other, carrier_b) = asterisk();
    let addresses: Vec<String> = match &real {
        Some(list) => list.split_whitespace().map(str::to_owned).collect(),
        None => vec![one, other],
    };
    let folder = tempfile::tempdir().unwrap();
    let pair = with_asterisks(folder.path(), &addresses);
    let mut a = pair.start("ivr-a");
    until("ivr-a is active", 20, || a.group().role == "active");
    until("ivr-a is registered", 50, || registered(&a));
    let b = pair.start("ivr-b");
    let took = until("ivr-b takes its own back", 20, || unregistered(&b));
    eprintln!("the standby was unregistered after {took:?}");
    if real.is_none() {
        assert_eq!(carrier_b.lock().unwrap().told, ["PJSIPUnregister"]);
        until("ivr-a registers once more: it may have been its contact", 10, || {
            !carrier_a.lock().unwrap().told.is_empty()
        });
    }
    until("ivr-a is registered again", 20, || registered(&a));
    until("ivr-b watches, armed and able", 30, || b.group().row_now == 12 && b.group().takeover.works);
    // The count has to be with the peer.
    // It is told once a second; a busy machine takes longer.
    thread::sleep(Duration::from_secs(5));
    a.kill();
    until("ivr-b is active", 20, || b.group().role == "active");
    let took = until("ivr-b is registered", 50, || registered(&b));
    eprintln!("registered {took:?} after the promotion: {:?}", b.group().registrations);
    let lost = b.status().takeovers[0].calls_lost;
    assert!(if real.is_none() { lost == Some(CALLS) } else { lost.is_some() }, "{lost:?}");
    // The old node comes back: it is a standby now.
    let a = pair.start("ivr-a");
    until("ivr-a is standby, and takes its own back", 30, || unregistered(&a) && a.group().role == "standby");
    thread::sleep(Duration::from_millis(1500));
    until("ivr-b stays registered", 20, || registered(&b));
    if real.is_none() {
        assert!(carrier_b.lock().unwrap().told.ends_with(&["PJSIPRegister".into(), "PJSIPRegister".into()]));
    }
}

/// `asterisk` in PATH has to reach the first of the two, whose dialplan has a 100 in the context `in`.
#[test]
#[ignore = "needs two real Asterisks (STANDIN_ASTERISKS), of which the first one ends"]
fn a_drain_waits_for_the_last_call() {
    let addresses = std::env::var("STANDIN_ASTERISKS").unwrap();
    let addresses: Vec<String> = addresses.split_whitespace().map(str::to_owned).collect();
    let folder = tempfile::tempdir().unwrap();
    let pair = with_asterisks(folder.path(), &addresses);
    let (a, b) = crate::pair::settled(&pair);
    let call = |seconds: u32| {
        let line = format!("channel originate Local/100@in application Wait {seconds}");
        assert!(Command::new("asterisk").args(["-rx", &line]).status().unwrap().success());
        // A Local channel has two sides.
        thread::sleep(Duration::from_millis(500));
    };
    let drain = |to: Option<&str>, ms| {
        let request =
            Request::Switchover { group: "ivr".into(), to: to.map(str::to_owned), drain_ms: Some(ms) };
        client::ask(&a.socket, request).unwrap()
    };
    let Response::Refused { why } = drain(Some("ivr-a"), 1000) else { panic!("this node is active already") };
    assert!(why.contains("does not say that it could take"), "{why}");
    let hang_up = || {
        assert!(
            Command::new("asterisk").args(["-rx", "channel request hangup all"]).status().unwrap().success()
        );
        thread::sleep(Duration::from_millis(500));
    };
    hang_up();
    call(60);
    assert_eq!(drain(None, 120_000), Response::Accepted);
    until("it is shown", 5, || a.group().draining.is_some_and(|it| it.calls == 2 && it.left_ms > 100_000));
    assert!(matches!(drain(None, 1000), Response::Refused { .. }), "once is enough");
    let cancel = Request::CancelDrain { group: "ivr".into() };
    assert_eq!(client::ask(&a.socket, cancel.clone()).unwrap(), Response::Accepted);
    until("it is over", 15, || a.group().draining.is_none());
    assert!(matches!(client::ask(&a.socket, cancel).unwrap(), Response::Refused { .. }));
    assert_eq!(a.group().role, "active");
    hang_up();
    call(6);
    assert_eq!(drain(None, 60_000), Response::Accepted);
    let took = until("ivr-b is active when the call has ended", 20, || b.group().role == "active");
    assert!(took > Duration::from_secs(3), "{took:?}");
    eprintln!("handed over {took:?} after the drain had begun, with a call of 6 s");
    until("nothing drains any more", 20, || a.group().draining.is_none());
    assert_eq!(a.group().role, "standby");
}

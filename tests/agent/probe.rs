//! `when-silent = "probe"`, with a real service on a real socket.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::pair::{Pair, settled, until};

/// A service that accepts callers until it is told to end.
struct Service {
    listener: TcpListener,
    ends: Arc<AtomicBool>,
}

fn serve(service: Service) -> std::thread::JoinHandle<()> {
    service.listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        while !service.ends.load(Ordering::Relaxed) {
            drop(service.listener.accept());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    })
}

#[test]
fn a_service_that_answers_callers_keeps_the_group_where_it_is_and_one_that_does_not_loses_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut pair = Pair::new();
    pair.group = format!(
        "when-silent = \"probe\"\n[group.probe]\ntcp = \"{}\"\ntimeout = \"1s\"",
        listener.local_addr().unwrap()
    );
    let ends = Arc::new(AtomicBool::new(false));
    let service = serve(Service { listener, ends: Arc::clone(&ends) });
    let (mut a, b) = settled(&pair);
    // Its agent dies; what it serves goes on.
    a.kill();
    until("ivr-b knows that it is lost", 10, || b.node("ivr-a").state == "lost" && b.group().row_now == 16);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(pair.all_with("ivr-a") && b.group().role == "standby", "callers are answered");
    ends.store(true, Ordering::Relaxed);
    service.join().unwrap();
    until("ivr-b has all", 10, || pair.all_with("ivr-b") && b.group().role == "active");
    assert!(!b.group().failing.iter().any(|it| it.starts_with("the probe")), "it asks nobody any more");
}

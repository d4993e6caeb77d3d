//! Processes that end and come back.

use std::time::Duration;

use rustix::process::Signal;

use super::pair::{A, B, Pair};

/// Nobody is there to take over: it says so, ends in bounded time, and gives nothing away.
pub(crate) async fn stop_without_a_standby() {
    let mut pair = Pair::new().await;
    pair.start(A);
    pair.until_active(A).await;
    let seq = pair.stage.last_change();
    pair.signal(A, Signal::TERM);
    let end = pair.end(A).await;
    assert_eq!(end.code(), Some(0), "{}", pair.log(A));
    assert_eq!(pair.said(A, "nobody-ready"), 1);
    assert!(pair.stage.moves_since(seq).is_empty() && pair.stage.holds_everything(A));
    assert_eq!(pair.hooks("demote ivr-a"), 1);
}

/// SIGUSR1: an upgrade. The service is left alone, and so is EC2.
pub(crate) async fn announced_restart() {
    let mut pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    pair.signal(A, Signal::USR1);
    assert_eq!(pair.end(A).await.code(), Some(0));
    let seen = pair.until("it is known to come back", B, |it| it.nodes[A].state != "online").await;
    assert_eq!(seen.nodes[A].state, "restarting");
    // For longer than dead-after.
    pair.nothing_moves(seq, Duration::from_secs(3)).await;
    pair.start(A);
    pair.stage.ready(A).await.unwrap();
    pair.nothing_moves(seq, Duration::ZERO).await;
    assert_eq!((pair.hooks("demote ivr-a"), pair.hooks("promote ivr-b")), (0, 0));
}

/// Back before dead-after is over: it reads the anchor, and serves on.
pub(crate) async fn quick_restart_after_a_kill() {
    let mut pair = Pair::with_dead_after(Duration::from_secs(5)).await;
    pair.start_both().await;
    let seq = pair.stage.last_change();
    pair.kill(A).await;
    pair.start(A);
    pair.stage.ready(A).await.unwrap();
    pair.nothing_moves(seq, Duration::from_secs(6)).await;
    assert_eq!((pair.hooks("demote ivr-a"), pair.hooks("promote ivr-b")), (0, 0));
}

pub(crate) async fn both_killed_and_holder_last() {
    both_killed([B, A]).await;
}

pub(crate) async fn both_killed_and_holder_first() {
    both_killed([A, B]).await;
}

async fn both_killed(order: [usize; 2]) {
    let mut pair = Pair::ready().await;
    let seq = pair.stage.last_change();
    pair.kill(B).await;
    pair.kill(A).await;
    for node in order {
        pair.start(node);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    pair.stage.ready(A).await.unwrap();
    pair.nothing_moves(seq, Duration::from_secs(2)).await;
    assert_eq!(pair.hooks("promote ivr-b"), 0);
}

use serde_json::json;

use super::*;
use crate::cli::layout::WIDTH;
use crate::control::protocol::Fence;

fn status() -> Status {
    let link = json!({
        "link": 0, "ours": "10.0.1.11", "theirs": "10.0.1.10", "state": "lost", "since_ms": 61_000,
        "heard_ms": 63_000, "rtt_us": 412, "received": 998, "missed": 2, "loss_percent": 0.2, "replayed": 0,
        "refused": 3, "refused_because": "the signature is wrong: compare the key files", "late": 1, "lost": 1,
        "gap_p99_us": 251_000, "gap_longest_us": 499_000, "advised_dead_after_ms": 2000
    });
    let resource = |name: &str, anchor: bool| {
        json!({
            "name": name, "kind": "elastic-ip", "anchor": anchor, "holder": "ivr-b", "age_ms": 2140,
            "problem": null
        })
    };
    let peer = json!({
        "name": "ivr-a", "state": "lost", "heard_ms": 63_000, "hears_us": null, "same_config": true,
        "instance": "i-0123456789abcdef0", "interfaces": ["eni-0a"], "links": [link]
    });
    let group = json!({
        "name": "ivr", "member": true, "members": ["ivr-a", "ivr-b"], "active": ["ivr-b"], "role": "active",
        "since_ms": 61_000, "row": 16, "reason": "EC2 confirmed our take", "row_now": 3,
        "situation": "active, and EC2 says that the anchor is ours: serve, repair the rest", "row_now_ms": 61_000,
        "term": 4,
        "anchor": {
            "resource": "trunk", "owner": "ivr-b", "settled": true, "read": "ivr-b", "read_age_ms": 2140,
            "failed_reads": 0
        },
        "resources": [resource("trunk", true), resource("a-resource-with-a-long-name", false)],
        "takeover": { "works": false, "because": "ivr-b could not: an operator set it to standby", "by": [] },
        "armed": null, "maintenance": false, "standby": false, "fit": true, "fencing": "none", "desired": "serve",
        "reached": true, "failing": [], "hooks": []
    });
    let text = "AssociateAddress was denied: You are not authorized to perform this operation. \
                [UnauthorizedOperation] (request 4f1e) (allow ec2:AssociateAddress in this node's IAM role)";
    serde_json::from_value(json!({
        "version": 1, "at": "2026-01-02T03:04:05.678Z", "cluster": "ivr-tokyo", "node": "ivr-b", "well": false,
        "problems": ["ivr-a is lost"], "groups": [group], "nodes": [peer],
        "errors": [{ "call": "AssociateAddress", "text": text, "age_ms": 4000, "count": 3, "over": true }],
        "takeovers": [{
            "group": "ivr", "at": "2026-01-02T03:03:04.000Z", "from": "row 16: the holder has fallen silent",
            "take_sent_us": 512, "take_answered_us": 4949, "rest_done_us": 10491, "guest_done_us": null,
            "hooks_done_us": 13256
        }],
        "agent": {
            "version": "0.1.0", "pid": 7, "session": "1", "up_ms": 90_000_000, "stalls": 0, "config_hash": "2",
            "interval_ms": 250, "warn_after_ms": 1000, "dead_after_ms": 2000, "first_dead_after_ms": 30_000,
            "foreign_datagrams": 0, "recording_dropped": 0, "recording": null
        }
    }))
    .unwrap()
}

#[test]
fn the_most_important_things_come_first_and_fit_a_terminal() {
    let mut out = Vec::new();
    text(&status(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    insta::assert_snapshot!(text, @r"
    ivr-tokyo as ivr-b sees it, 2026-01-02T03:04:05.678Z

    Needs attention:
      - ivr-a is lost

    Group ivr
      active       ivr-b (this node)
      this node    active for 1 min 1 s, term 4
      because      row 16: EC2 confirmed our take
      now          row 3: active, and EC2 says that the anchor is ours: serve,
                   repair the rest
      takeover     would NOT work: ivr-b could not: an operator set it to standby
      fencing      none: nothing makes sure that a silent node's processes have
                   stopped
      wanted here  serve: reached
      anchor       trunk: ivr-b
      resource                    kind        held by (EC2)        read
      trunk                       elastic-ip  ivr-b                2.1 s ago
      a-resource-with-a-long-name elastic-ip  ivr-b                2.1 s ago

    Nodes
      ivr-a: lost, last heard 1 min 3 s ago, i-0123456789abcdef0
        link 0: 10.0.1.11 - 10.0.1.10, lost for 1 min 1 s, rtt 0.4 ms, loss 0.20 %,
          late 1, lost 1
          gaps p99 251.0 ms, longest 499.0 ms; dead-after 2.0 s, advised 2.0 s
          ! 3 datagrams refused, the last: the signature is wrong: compare the key
          files

    Takeovers by this node (ms after the decision)
      2026-01-02T03:03:04.000Z ivr: row 16: the holder has fallen silent
        take sent 0.5, answered 4.9, rest 10.4, guest not yet, hooks 13.2

    Last errors
      AssociateAddress, 4.0 s ago, 3 in all, over since: AssociateAddress was
        denied: You are not authorized to perform this operation.
        [UnauthorizedOperation] (request 4f1e) (allow ec2:AssociateAddress in this
        node's IAM role)

    Agent
      standin 0.1.0, process 7, up 1 d 1 h, 0 stalls
      foreign datagrams: 0
      nothing is recorded
    ");
}

#[test]
fn ages_have_one_or_two_units() {
    let ages = [999, 4200, 182_000, 18_060_000, 183_600_000].map(age);
    assert_eq!(ages, ["999 ms", "4.2 s", "3 min 2 s", "5 h 1 min", "2 d 3 h"]);
}

#[test]
fn lease_fencing_and_failures_are_said_where_they_are() {
    let shown = |change: &dyn Fn(&mut Group)| {
        let mut status = status();
        change(&mut status.groups[0]);
        let mut out = Vec::new();
        text(&status, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lease = |owner: &str, valid: Option<u64>, expires: Option<u64>, failed: u32| {
        let lease = json!({
            "owner": owner, "valid_for_ms": valid, "expires_in_ms": expires, "read_age_ms": 400,
            "failed_calls": failed
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        shown(&|group| group.lease = Some(lease.clone()))
    };
    let cases = [
        (
            lease("ivr-b", Some(5100), None, 0),
            "lease ivr-b, valid for 5.1 s if it is not renewed, read 400 ms ago",
        ),
        (lease("ivr-a", None, Some(7200), 0), "lease ivr-a, runs out in 7.2 s if it is not renewed, read"),
        (lease("ivr-a", None, Some(0), 0), "lease ivr-a, has run out, read"),
        (
            lease("ivr-b", None, None, 4),
            "lease ivr-b, NOT valid: it has to be renewed first, read 400 ms ago, \
                                         DynamoDB has FAILED 4 calls in a row",
        ),
        (lease("nobody", None, None, 0), "lease nobody, read"),
        (shown(&|it| (it.fail_count, it.barred) = (1, false)), "service has failed here once wanted here"),
        (
            shown(&|it| (it.fail_count, it.barred) = (3, true)),
            "failed here 3 times, and is BARRED from this node",
        ),
        (
            shown(&|it| it.fence = Some(Fence { node: "ivr-a".into(), state: "failed".into() })),
            "ivr-a: has FAILED: its instance has not been stopped",
        ),
    ];
    for (text, said) in cases {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn checks_say_what_they_found_and_the_bad_ones_are_loud() {
    let check = |name: &str, kind: &str, state: &str, text: &str, fails: u32| {
        let it = json!({
            "name": name, "kind": kind, "state": state, "since_ms": 4200, "text": text, "fails": fails,
            "age_ms": if state == "not now" { None } else { Some(310) },
            "took_us": if state == "not now" { None } else { Some(1234) }, "on_fail": "move"
        });
        serde_json::from_value(it).unwrap()
    };
    let mut status = status();
    status.groups[0].checks = vec![
        check("sip-options", "sip-options", "ok", "", 0),
        check(
            "gateways",
            "ping",
            "failed",
            "10.0.1.1: no answer within 1s; 10.0.1.2: no answer within 1s",
            4,
        ),
        check("database", "tcp", "unknown", "Operation not permitted (os error 1)", 0),
        check("queue", "command", "degraded", "it says that it is degraded (190): one of two", 0),
        check("http", "http", "not now", "", 0),
    ];
    let mut out = Vec::new();
    text(&status, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    let checks: Vec<&str> =
        text.lines().skip_while(|it| !it.starts_with("  check ")).take_while(|it| !it.is_empty()).collect();
    insta::assert_snapshot!(checks.join("\n"), @r"
      check       kind        state                took
      sip-options sip-options ok for 4.2 s         1.2 ms
      gateways    ping        FAILED for 4.2 s     1.2 ms
        ! 10.0.1.1: no answer within 1s; 10.0.1.2: no answer within 1s, 4 times in a
          row
      database    tcp         UNKNOWN for 4.2 s    1.2 ms
        ! Operation not permitted (os error 1)
      queue       command     DEGRADED for 4.2 s   1.2 ms
        ! it says that it is degraded (190): one of two
      http        http        not now for 4.2 s
    ");
}

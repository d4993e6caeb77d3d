//! The table, row by row: situation -> row and action.

use super::*;
use crate::cluster::node::NodeId;

fn active() -> View {
    View {
        maintenance: false,
        settled: true,
        anchor: Some(Owner::Mine),
        reads_fail: false,
        active: true,
        fit: true,
        peer_heard: true,
        outranked_by: None,
        contested: false,
        patience_over: false,
        take_when_silent: true,
        lapsed: false,
        release_when_isolated: false,
        holder: Holder::default(),
    }
}

fn standby(anchor: Option<Owner>) -> View {
    View { active: false, anchor, ..active() }
}

/// A standby whose anchor is with a node that is silent and was heard as active.
fn watching() -> View {
    let holder = Holder { silent: true, armed: true, lost_to_all: true, ..Holder::default() };
    View { holder, ..standby(Some(Owner::Theirs(NodeId(1)))) }
}

fn with(change: impl FnOnce(&mut View)) -> View {
    let mut view = watching();
    change(&mut view);
    view
}

const TAKE: Action = Action::Take(TakeFrom::Anyone);
const BLIND: Action = Action::Serve { repair: false };

#[test]
fn row_1_maintenance_changes_nothing_whatever_else_is_true() {
    for view in [active(), watching(), standby(None), standby(Some(Owner::Nobody))] {
        let view = View { maintenance: true, ..view };
        assert_eq!(decide(&view), (Row::Maintenance, Action::Keep));
    }
}

#[test]
fn row_2_not_settled_keeps_what_runs() {
    for anchor in [Some(Owner::Theirs(NodeId(1))), Some(Owner::Stranger), Some(Owner::Mine), None] {
        let view = View { settled: false, anchor, ..active() };
        assert_eq!(decide(&view), (Row::NotSettled, Action::Keep), "active, {anchor:?}");
    }
    for anchor in [Some(Owner::Nobody), Some(Owner::Orphaned), Some(Owner::Mine), Some(Owner::Stranger), None]
    {
        let view = View { settled: false, ..standby(anchor) };
        assert_eq!(decide(&view), (Row::NotSettled, Action::Keep), "standby, {anchor:?}");
    }
}

#[test]
fn row_2_not_settled_lets_takes_from_a_known_holder_and_offers_pass() {
    assert_eq!(decide(&with(|view| view.settled = false)), (Row::Silent, TAKE));
    let proof = with(|view| {
        view.settled = false;
        view.holder.proof = true;
    });
    assert_eq!(decide(&proof), (Row::Proof, TAKE));
    let offered = with(|view| {
        view.settled = false;
        view.holder.offers = true;
    });
    assert_eq!(decide(&offered), (Row::Offered, TAKE));
    let barred = View { settled: false, fit: false, ..active() };
    assert_eq!(decide(&barred), (Row::Barred, Action::Offer));
}

#[test]
fn row_3_mine_and_active_serves_and_repairs_unless_reads_fail() {
    assert_eq!(decide(&active()), (Row::Serve, Action::Serve { repair: true }));
    let view = View { reads_fail: true, ..active() };
    assert_eq!(decide(&view), (Row::Serve, BLIND));
}

#[test]
fn row_4_a_barred_service_offers_the_group() {
    for anchor in [Some(Owner::Mine), None] {
        let view = View { fit: false, anchor, ..active() };
        assert_eq!(decide(&view), (Row::Barred, Action::Offer));
    }
}

#[test]
fn row_5_an_active_node_without_the_anchor_yields() {
    for owner in [Owner::Theirs(NodeId(1)), Owner::Stranger] {
        for fit in [true, false] {
            let view = View { anchor: Some(owner), fit, ..active() };
            assert_eq!(decide(&view), (Row::Yield, Action::Yield));
        }
    }
}

#[test]
fn row_5_unknown_to_us_but_known_to_a_peer_with_a_higher_term() {
    for fit in [true, false] {
        let view = View { anchor: None, outranked_by: Some(NodeId(1)), fit, ..active() };
        assert_eq!(decide(&view), (Row::Yield, Action::Yield));
    }
    let view = View { outranked_by: Some(NodeId(1)), ..active() };
    assert_eq!(decide(&view).0, Row::Serve, "our own read counts for more");
}

#[test]
fn row_6_an_active_node_takes_back_what_nobody_holds() {
    let view = View { anchor: Some(Owner::Nobody), ..active() };
    assert_eq!(decide(&view), (Row::Retake, Action::Take(TakeFrom::Nobody)));
    let view = View { anchor: Some(Owner::Orphaned), ..active() };
    assert_eq!(decide(&view), (Row::Retake, TAKE));
}

#[test]
fn row_7_unknown_never_stops_an_active_node_that_hears_a_peer() {
    for release_when_isolated in [true, false] {
        let view = View { anchor: None, release_when_isolated, ..active() };
        assert_eq!(decide(&view), (Row::ServeBlind, BLIND));
    }
}

#[test]
fn row_8_isolated_keeps_or_releases_as_configured() {
    let isolated = View { anchor: None, peer_heard: false, ..active() };
    assert_eq!(decide(&isolated), (Row::Isolated, BLIND));
    let view = View { release_when_isolated: true, ..isolated };
    assert_eq!(decide(&view), (Row::Isolated, Action::Release));
}

#[test]
fn row_9_the_holder_becomes_active() {
    assert_eq!(decide(&standby(Some(Owner::Mine))), (Row::OwnAnchor, Action::Become));
}

#[test]
fn row_10_an_unfit_holder_offers_after_first_dead_after() {
    let unfit = View { fit: false, ..standby(Some(Owner::Mine)) };
    assert_eq!(decide(&unfit), (Row::OwnUnfit, Action::Keep));
    let view = View { patience_over: true, ..unfit };
    assert_eq!(decide(&view), (Row::OwnUnfit, Action::Offer));
}

#[test]
fn row_11_an_offer_of_the_holder_is_taken_whether_it_is_active_or_not() {
    for active in [true, false] {
        let view = with(|view| {
            view.holder = Holder { offers: true, heard: true, active, ..Holder::default() };
        });
        assert_eq!(decide(&view), (Row::Offered, TAKE));
    }
}

#[test]
fn row_12_a_heard_active_holder_is_left_alone_whatever_ec2_says_of_its_instance() {
    let view = with(|view| {
        view.holder = Holder { heard: true, active: true, proof: true, armed: true, ..Holder::default() };
    });
    assert_eq!(decide(&view), (Row::Watch, Action::Wait));
}

#[test]
fn row_13_an_idle_holder_is_waited_for_first_dead_after_long() {
    let idle = with(|view| view.holder = Holder { heard: true, ..Holder::default() });
    assert_eq!(decide(&idle), (Row::HolderIdle, Action::Wait));
    let view = View { patience_over: true, ..idle };
    assert_eq!(decide(&view), (Row::HolderIdle, TAKE));
}

#[test]
fn row_14_an_announced_restart_is_waited_for() {
    let view = with(|view| view.holder = Holder { back_soon: true, armed: true, ..Holder::default() });
    assert_eq!(decide(&view), (Row::BackSoon, Action::Wait));
}

#[test]
fn row_15_proof_takes_also_unarmed_and_with_hold() {
    let view = with(|view| {
        view.holder = Holder { proof: true, ..Holder::default() };
        view.take_when_silent = false;
    });
    assert_eq!(decide(&view), (Row::Proof, TAKE));
}

#[test]
fn row_16_silence_takes_when_armed() {
    assert_eq!(decide(&watching()), (Row::Silent, TAKE));
    let held = with(|view| view.take_when_silent = false);
    assert_eq!(decide(&held), (Row::Silent, Action::Wait));
}

#[test]
fn row_17_unarmed_silence_waits_for_the_counter() {
    for change in [(|holder: &mut Holder| holder.armed = false) as fn(&mut Holder), |holder| {
        holder.lost_to_all = false;
    }] {
        let moving = with(|view| change(&mut view.holder));
        assert_eq!(decide(&moving), (Row::CounterAtRest, Action::Wait));
        let rests = with(|view| {
            change(&mut view.holder);
            view.holder.at_rest = true;
        });
        assert_eq!(decide(&rests), (Row::CounterAtRest, TAKE));
        let held = View { take_when_silent: false, ..rests };
        assert_eq!(decide(&held), (Row::CounterAtRest, Action::Wait));
    }
    let not_yet_silent = with(|view| view.holder = Holder { at_rest: true, ..Holder::default() });
    assert_eq!(decide(&not_yet_silent), (Row::CounterAtRest, Action::Wait));
}

#[test]
fn row_18_what_nobody_holds_is_taken_so_that_the_second_one_fails() {
    assert_eq!(decide(&standby(Some(Owner::Nobody))), (Row::Free, Action::Take(TakeFrom::Nobody)));
    assert_eq!(decide(&standby(Some(Owner::Orphaned))), (Row::Free, TAKE));
}

#[test]
fn row_19_a_strangers_anchor_is_the_operators() {
    assert_eq!(decide(&standby(Some(Owner::Stranger))), (Row::Stranger, Action::Alarm));
}

#[test]
fn row_20_unknown_moves_nothing() {
    for peer_heard in [true, false] {
        for take_when_silent in [true, false] {
            let view = View { peer_heard, take_when_silent, ..standby(None) };
            assert_eq!(decide(&view), (Row::Unknown, Action::Keep));
        }
    }
}

#[test]
fn rows_are_numbered_as_in_the_design() {
    for (row, number) in Row::ALL.into_iter().zip(1..) {
        assert_eq!(row.number(), number);
    }
}

/// Every combination of everything: unknown alone never takes, yields or releases by default, and nothing
/// takes from a holder that is heard as active and does not offer.
#[test]
fn no_combination_moves_the_group_on_unknown_or_from_a_heard_active_holder() {
    let owners = [
        None,
        Some(Owner::Mine),
        Some(Owner::Theirs(NodeId(1))),
        Some(Owner::Nobody),
        Some(Owner::Orphaned),
        Some(Owner::Stranger),
    ];
    for bits in 0..1u32 << 17 {
        let bit = |n: u32| bits & (1 << n) != 0;
        let holder = Holder {
            offers: bit(8),
            heard: bit(9),
            active: bit(10),
            back_soon: bit(11),
            proof: bit(12),
            silent: bit(13),
            armed: bit(14),
            lost_to_all: bit(15),
            at_rest: bit(16),
        };
        for anchor in owners {
            let view = View {
                maintenance: bit(0),
                settled: bit(1),
                anchor,
                reads_fail: bit(2),
                active: bit(3),
                fit: bit(4),
                peer_heard: bit(5),
                outranked_by: None,
                contested: bits.count_ones() % 2 == 1,
                patience_over: bit(6),
                take_when_silent: bit(7),
                lapsed: false,
                release_when_isolated: false,
                holder,
            };
            let (row, action) = decide(&view);
            if anchor.is_none() {
                let quiet = matches!(action, Action::Keep | Action::Serve { repair: false } | Action::Offer);
                assert!(quiet, "{view:?} -> {row:?} {action:?}");
            }
            if holder.heard && holder.active && !holder.offers && matches!(anchor, Some(Owner::Theirs(_))) {
                assert!(!matches!(action, Action::Take(_)), "{view:?} -> {row:?} {action:?}");
            }
            if view.maintenance {
                assert_eq!(action, Action::Keep);
            }
        }
    }
}

#[test]
fn rows_6_and_18_take_a_contested_anchor_from_anyone() {
    for (contested, from) in [(false, TakeFrom::Nobody), (true, TakeFrom::Anyone)] {
        let free = View { contested, ..standby(Some(Owner::Nobody)) };
        assert_eq!(decide(&free), (Row::Free, Action::Take(from)));
        let lost = View { active: true, ..free };
        assert_eq!(decide(&lost), (Row::Retake, Action::Take(from)));
        let watching = View { contested, ..standby(Some(Owner::Orphaned)) };
        assert_eq!(decide(&watching), (Row::Free, Action::Take(TakeFrom::Anyone)));
    }
}

#[test]
fn who_has_no_lease_does_not_serve_whatever_is_known() {
    let owners = [
        None,
        Some(Owner::Mine),
        Some(Owner::Theirs(NodeId(1))),
        Some(Owner::Nobody),
        Some(Owner::Orphaned),
        Some(Owner::Stranger),
    ];
    for anchor in owners {
        for bits in 0..1u32 << 5 {
            let bit = |n: u32| bits & (1 << n) != 0;
            let view = View {
                lapsed: true,
                anchor,
                settled: bit(0),
                fit: bit(1),
                peer_heard: bit(2),
                reads_fail: bit(3),
                release_when_isolated: bit(4),
                ..active()
            };
            let theirs = matches!(anchor, Some(Owner::Theirs(_)));
            let wanted = if theirs { (Row::Yield, Action::Yield) } else { (Row::Isolated, Action::Release) };
            assert_eq!(decide(&view), wanted);
            let view = View { maintenance: true, ..view };
            assert_eq!(decide(&view), (Row::Maintenance, Action::Keep));
        }
    }
}

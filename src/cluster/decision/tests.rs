//! The table against its situations, and against every combination of facts.

use std::collections::BTreeSet;

use super::situation::view;
use super::*;

const OWNERS: [Option<Owner>; 6] = [
    None,
    Some(Owner::Mine),
    Some(Owner::Theirs(NodeId(1))),
    Some(Owner::Nobody),
    Some(Owner::Orphaned),
    Some(Owner::Stranger),
];

/// Every combination of the facts in `list`.
fn subsets(list: &[Fact]) -> impl Iterator<Item = Vec<Fact>> {
    let of =
        move |bits: u32| (0..).zip(list).filter(move |(n, _)| bits & (1 << n) != 0).map(|(_, fact)| *fact);
    (0..1u32 << list.len()).map(move |bits| of(bits).collect())
}

/// Every view that can be told apart by the table. What is known of the holder counts only where there is one.
fn each_view(mut look: impl FnMut(&View)) {
    for active in [true, false] {
        for anchor in OWNERS {
            let holder = !active && matches!(anchor, Some(Owner::Theirs(_)));
            let tells = |fact: &Fact| (holder || !fact.of_holder()) && (active || *fact != Fact::Lapsed);
            let facts: Vec<Fact> = Fact::ALL.into_iter().filter(tells).collect();
            with_and_without(&view(active, anchor, []), &facts, &mut look);
        }
    }
}

/// Half a million views: each is made from the one before it by one fact.
fn with_and_without(view: &View, facts: &[Fact], look: &mut impl FnMut(&View)) {
    let Some((fact, others)) = facts.split_first() else { return look(view) };
    with_and_without(view, others, look);
    let mut with = view.clone();
    fact.apply(&mut with);
    with_and_without(&with, others, look);
}

#[test]
fn each_situation_is_decided_as_it_says() {
    for it in SITUATIONS {
        for more in subsets(it.even_if) {
            assert_eq!(decide(&it.view(&more)), (it.row, it.action), "{it:?} and {more:?}");
        }
    }
}

#[test]
fn each_answer_of_the_table_has_a_situation() {
    let key = |row: Row, action: Action| (row, format!("{action:?}"));
    let told: BTreeSet<_> = SITUATIONS.iter().map(|it| key(it.row, it.action)).collect();
    let mut seen = std::collections::HashSet::new();
    each_view(|view| {
        seen.insert(decide(view));
    });
    let seen: BTreeSet<_> = seen.into_iter().map(|(row, action)| key(row, action)).collect();
    assert_eq!(told, seen);
    assert_eq!(seen.iter().map(|(row, _)| *row).collect::<BTreeSet<_>>(), BTreeSet::from(Row::ALL));
}

#[test]
fn each_situation_says_why_and_each_fact_matters_in_one() {
    let mut rows: Vec<Row> = SITUATIONS.iter().map(|it| it.row).collect();
    assert!(rows.is_sorted(), "the situations are in the order of the rows");
    rows.dedup();
    assert_eq!(rows, Row::ALL);
    let decides = |fact: &Fact| {
        SITUATIONS.iter().any(|it| {
            let others = it.facts.iter().filter(|other| *other != fact);
            it.facts.contains(fact) && decide(&view(it.active, it.anchor, others)) != (it.row, it.action)
        })
    };
    for fact in Fact::ALL {
        assert!(decides(&fact), "no situation depends on {fact:?}");
    }
    for it in SITUATIONS {
        assert!(it.reason.ends_with('.') && it.reason.len() > 20, "{it:?}");
    }
}

#[test]
fn rows_are_numbered_as_in_the_design() {
    for (row, number) in Row::ALL.into_iter().zip(1..) {
        assert_eq!(row.number(), number);
    }
}

/// Every combination of everything: unknown alone never takes, nor releases by default, nor yields but to a
/// peer that has it from EC2; nothing takes from a holder that is heard as active and does not offer.
#[test]
fn no_combination_moves_the_group_on_unknown_or_from_a_heard_active_holder() {
    each_view(|view| {
        let (row, action) = decide(view);
        let holder = &view.holder;
        if view.anchor.is_none() {
            let quiet = match action {
                Action::Keep | Action::Serve { repair: false } | Action::Offer => true,
                Action::Yield => view.outranked_by.is_some(),
                Action::Release => view.lapsed || (view.release_when_isolated && !view.peer_heard),
                Action::Serve { repair: true }
                | Action::Become
                | Action::Take(_)
                | Action::Wait
                | Action::Alarm => false,
            };
            assert!(quiet, "{view:?} -> {row:?} {action:?}");
        }
        if holder.heard && holder.active && !holder.offers {
            assert!(!matches!(action, Action::Take(_)), "{view:?} -> {row:?} {action:?}");
        }
        if view.maintenance {
            assert_eq!(action, Action::Keep);
        }
    });
}

/// With a lease: whoever has none does not serve, whatever else is true.
#[test]
fn no_combination_serves_without_its_lease() {
    each_view(|view| {
        let stops = matches!(decide(view).1, Action::Yield | Action::Release);
        assert!(!view.lapsed || view.maintenance || stops, "{view:?} -> {:?}", decide(view));
    });
}

#[test]
fn each_fact_and_each_action_has_words_of_its_own() {
    let words: BTreeSet<&str> = Fact::ALL.iter().map(|fact| fact.words()).collect();
    assert_eq!(words.len(), Fact::ALL.len());
    assert!(words.contains("the holder is silent"), "{words:?}");
    let actions = [
        (Action::Keep, "change nothing"),
        (Action::Serve { repair: true }, "serve, repair the rest"),
        (Action::Serve { repair: false }, "serve, change nothing in EC2"),
        (Action::Take(TakeFrom::Nobody), "take, in a call that fails if somebody was faster"),
        (Action::Take(TakeFrom::Anyone), "take"),
    ];
    for (action, words) in actions {
        assert_eq!(action.to_string(), words);
    }
}

#[test]
fn a_situation_may_name_what_does_not_matter_in_it() {
    let it = Situation::standby(Row::Watch, None, &[Fact::Heard]).even_if(&[Fact::Unfit]);
    assert_eq!((it.even_if, it.facts, it.active), (&[Fact::Unfit][..], &[Fact::Heard][..], false));
}

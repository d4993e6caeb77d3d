//! The situations that the table is tested with, row by row; `docs/decision-table.md` prints them.

use super::situation::Fact::{
    Armed, AtRest, BackSoon, Contested, Heard, Hold, Lapsed, LastResort, Maintenance, MayRelease,
    NotLostToAll, NotSettled, Offers, Outranked, PatienceOver, PeerHeard, Proof, ReadsFail, SaysActive,
    Silent, Unfit,
};
use super::situation::Situation;
use super::{Action, Owner, Row, TakeFrom};
use crate::cluster::node::NodeId;

const MINE: Option<Owner> = Some(Owner::Mine);
const THEIRS: Option<Owner> = Some(Owner::Theirs(NodeId(1)));
const NOBODY: Option<Owner> = Some(Owner::Nobody);
const ORPHANED: Option<Owner> = Some(Owner::Orphaned);
const STRANGER: Option<Owner> = Some(Owner::Stranger);
const UNKNOWN: Option<Owner> = None;

const TAKE: Action = Action::Take(TakeFrom::Anyone);
const TAKE_FREE: Action = Action::Take(TakeFrom::Nobody);
const REPAIR: Action = Action::Serve { repair: true };
const BLIND: Action = Action::Serve { repair: false };

/// Every situation, in the order of the rows.
pub const SITUATIONS: &[Situation] = &[
    Situation::active(Row::Maintenance, THEIRS, &[Maintenance])
        .even_if(&[NotSettled, Unfit, ReadsFail])
        .then(Action::Keep, "The operator has said that nothing is to be changed, not even by a yield."),
    Situation::standby(Row::Maintenance, NOBODY, &[Maintenance])
        .then(Action::Keep, "A group without a holder stays so until the operator ends maintenance."),
    Situation::standby(Row::Maintenance, THEIRS, &[Maintenance, Silent, Armed])
        .even_if(&[Proof, Offers, AtRest])
        .then(Action::Keep, "Whatever the operator does to the active node is no reason to move the group."),
    Situation::active(Row::NotSettled, THEIRS, &[NotSettled])
        .even_if(&[Unfit])
        .then(Action::Keep, "Right after a take of ours a read may still show the holder before it."),
    Situation::active(Row::NotSettled, STRANGER, &[NotSettled])
        .then(Action::Keep, "That a stranger holds it may be as old."),
    Situation::active(Row::NotSettled, MINE, &[NotSettled])
        .then(Action::Keep, "A peer has just claimed the group: the anchor may be gone already."),
    Situation::active(Row::NotSettled, UNKNOWN, &[NotSettled])
        .even_if(&[PeerHeard, MayRelease, Outranked])
        .then(Action::Keep, "After a stall nothing is known yet, and what runs is not stopped for that."),
    Situation::standby(Row::NotSettled, NOBODY, &[NotSettled])
        .even_if(&[Contested])
        .then(Action::Keep, "Right after a start a free anchor may have been taken by a peer."),
    Situation::standby(Row::NotSettled, ORPHANED, &[NotSettled])
        .then(Action::Keep, "So may an orphaned one."),
    Situation::standby(Row::NotSettled, MINE, &[NotSettled])
        .then(Action::Keep, "Right after a yield a read may still show the anchor as ours."),
    Situation::standby(Row::NotSettled, THEIRS, &[NotSettled])
        .then(Action::Keep, "Who holds it is not certain yet, and nothing asks for a take."),
    Situation::standby(Row::NotSettled, STRANGER, &[NotSettled])
        .then(Action::Keep, "Nobody is alarmed by what may be over."),
    Situation::standby(Row::NotSettled, UNKNOWN, &[NotSettled])
        .then(Action::Keep, "There is nothing to decide on."),
    Situation::active(Row::Serve, MINE, &[])
        .even_if(&[PeerHeard, Outranked, MayRelease])
        .then(REPAIR, "EC2 says that the group is ours; no peer's word counts for more."),
    Situation::active(Row::Serve, MINE, &[ReadsFail])
        .then(BLIND, "While EC2 does not answer, the anchor may have moved: nothing is repaired."),
    Situation::active(Row::Barred, MINE, &[Unfit])
        .even_if(&[NotSettled, ReadsFail, PeerHeard])
        .then(Action::Offer, "The service has failed here for good, and may be fit elsewhere."),
    Situation::active(Row::Barred, UNKNOWN, &[Unfit])
        .even_if(&[NotSettled, PeerHeard, MayRelease])
        .then(Action::Offer, "An offer changes nothing by itself: it needs no certainty about the anchor."),
    Situation::active(Row::Yield, THEIRS, &[])
        .even_if(&[Unfit, ReadsFail, PeerHeard])
        .then(Action::Yield, "Who no longer holds the anchor gets no traffic: it stops, and does not fight."),
    Situation::active(Row::Yield, THEIRS, &[Lapsed]).even_if(&[NotSettled, Unfit, PeerHeard]).then(
        Action::Yield,
        "The lease is another's: that is known at once, and waits for nothing to settle.",
    ),
    Situation::active(Row::Yield, STRANGER, &[])
        .even_if(&[Unfit, PeerHeard])
        .then(Action::Yield, "Somebody outside of the cluster has it, and that was no node's decision."),
    Situation::active(Row::Yield, UNKNOWN, &[Outranked])
        .even_if(&[Unfit, PeerHeard, MayRelease])
        .then(Action::Yield, "What EC2 does not tell us it has told the peer: else two would serve."),
    Situation::active(Row::Retake, NOBODY, &[])
        .even_if(&[NotSettled, PeerHeard, Unfit])
        .then(TAKE_FREE, "Detached by hand: it is ours to take back, unless somebody was faster."),
    Situation::active(Row::Retake, NOBODY, &[Contested])
        .even_if(&[NotSettled])
        .then(TAKE, "What is in the way is no faster node but something else on the address."),
    Situation::active(Row::Retake, ORPHANED, &[])
        .even_if(&[NotSettled, PeerHeard])
        .then(TAKE, "It leads to nothing that runs, and the call that fails on a holder would fail on that."),
    Situation::active(Row::ServeBlind, UNKNOWN, &[PeerHeard])
        .even_if(&[MayRelease, ReadsFail])
        .then(BLIND, "Unknown is no reason to stop; a peer that took the group would say so."),
    Situation::active(Row::Isolated, UNKNOWN, &[])
        .even_if(&[ReadsFail])
        .then(BLIND, "Traffic still arrives here unless somebody has taken the anchor; so we keep on."),
    Situation::active(Row::Isolated, UNKNOWN, &[MayRelease])
        .even_if(&[ReadsFail])
        .then(Action::Release, "The operator prefers nobody to two."),
    Situation::active(Row::Isolated, UNKNOWN, &[Lapsed])
        .even_if(&[NotSettled, PeerHeard, Unfit, Outranked])
        .then(
            Action::Release,
            "With a lease: nobody serves without it, and DynamoDB's silence is no licence.",
        ),
    Situation::active(Row::Isolated, MINE, &[Lapsed]).even_if(&[NotSettled, PeerHeard, Unfit]).then(
        Action::Release,
        "It still names us, but its time is over: it has to be renewed before it counts.",
    ),
    Situation::active(Row::Isolated, NOBODY, &[Lapsed])
        .even_if(&[NotSettled, PeerHeard])
        .then(Action::Release, "A lease that is gone is taken again as any standby takes it."),
    Situation::standby(Row::OwnAnchor, MINE, &[]).even_if(&[PeerHeard, PatienceOver]).then(
        Action::Become,
        "A restarted agent finds the group where it left it; a service that runs stays up.",
    ),
    Situation::standby(Row::OwnUnfit, MINE, &[Unfit])
        .then(Action::Keep, "The service may become fit as soon as it has started."),
    Situation::standby(Row::OwnUnfit, MINE, &[Unfit, PatienceOver])
        .even_if(&[NotSettled])
        .then(Action::Offer, "It has not become fit: whoever is may have the group."),
    Situation::standby(Row::OwnUnfit, MINE, &[Unfit, PatienceOver, LastResort]).then(
        Action::Become,
        "Nobody better is heard: a service that failed, and is started again, is better than an address with nobody.",
    ),
    Situation::standby(Row::Offered, THEIRS, &[Offers, Heard])
        .even_if(&[SaysActive, Hold, NotSettled, Proof])
        .then(TAKE, "The holder wants to be rid of it: a switchover, a stop, or a failed service."),
    Situation::standby(Row::Watch, THEIRS, &[Heard, SaysActive])
        .even_if(&[Proof, Silent, Armed, AtRest, PatienceOver])
        .then(
            Action::Wait,
            "A holder that is heard active is left alone, whatever EC2 says of its instance.",
        ),
    Situation::standby(Row::HolderIdle, THEIRS, &[Heard])
        .even_if(&[Proof, Armed])
        .then(Action::Wait, "It has just started, and will find that the anchor is its own."),
    Situation::standby(Row::HolderIdle, THEIRS, &[Heard, PatienceOver])
        .even_if(&[NotSettled, Hold])
        .then(TAKE, "It holds the group, does not serve, and has not offered it either."),
    Situation::standby(Row::BackSoon, THEIRS, &[BackSoon, Armed])
        .even_if(&[Silent, Proof, AtRest])
        .then(Action::Wait, "Its service runs on while its agent restarts."),
    Situation::standby(Row::Proof, THEIRS, &[Proof])
        .even_if(&[Hold, NotSettled, Silent, NotLostToAll])
        .then(TAKE, "EC2 says that its instance ends, or it said goodbye: no silence has to be weighed."),
    Situation::standby(Row::Silent, THEIRS, &[Silent, Armed])
        .even_if(&[NotSettled, AtRest, PeerHeard])
        .then(TAKE, "It served, and nobody hears it any more."),
    Situation::standby(Row::Silent, THEIRS, &[Silent, Armed, Hold])
        .even_if(&[AtRest])
        .then(Action::Wait, "The operator wants proof, or to move the group by hand."),
    Situation::standby(Row::CounterAtRest, THEIRS, &[Silent])
        .then(Action::Wait, "It was never heard active in this tenure, so its silence says nothing."),
    Situation::standby(Row::CounterAtRest, THEIRS, &[Silent, Armed, NotLostToAll])
        .then(Action::Wait, "Others may hear it; we alone may be cut off."),
    Situation::standby(Row::CounterAtRest, THEIRS, &[Silent, AtRest])
        .even_if(&[NotSettled, NotLostToAll])
        .then(
            TAKE,
            "EC2 takes our writes, and has had none of its for 30 s: it does not serve, or is cut off.",
        ),
    Situation::standby(Row::CounterAtRest, THEIRS, &[Silent, Armed, NotLostToAll, AtRest])
        .then(TAKE, "The counter is one more link, and over that one it is silent too."),
    Situation::standby(Row::CounterAtRest, THEIRS, &[Silent, AtRest, Hold])
        .then(Action::Wait, "A resting counter is silence, and silence does not move this group."),
    Situation::standby(Row::CounterAtRest, THEIRS, &[AtRest])
        .even_if(&[Armed])
        .then(Action::Wait, "It is not silent for long enough yet."),
    Situation::standby(Row::Free, NOBODY, &[])
        .even_if(&[PeerHeard, Hold])
        .then(TAKE_FREE, "Nobody serves; of two standbys that try, EC2 refuses the second."),
    Situation::standby(Row::Free, NOBODY, &[Contested])
        .then(TAKE, "What is in the way is no faster node but something else on the address."),
    Situation::standby(Row::Free, ORPHANED, &[])
        .even_if(&[PeerHeard, Hold])
        .then(TAKE, "It leads to nothing that runs."),
    Situation::standby(Row::Stranger, STRANGER, &[])
        .even_if(&[PeerHeard, PatienceOver])
        .then(Action::Alarm, "Who gave it away had a reason that we do not know."),
    Situation::standby(Row::Unknown, UNKNOWN, &[])
        .even_if(&[PeerHeard, Hold, ReadsFail, Outranked])
        .then(Action::Keep, "Unknown alone never moves anything."),
];

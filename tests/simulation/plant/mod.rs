//! Planted bugs: a wrapper around the core, or around what the shell does for it, that breaks one rule. They
//! stand outside of the core, so that none can get into a release. A simulator that finds none proves nothing.

mod core;
mod shell;
mod twist;

use standin::cluster::{Fencing, WhenSilent};

pub(crate) use self::core::Core;
use crate::setup::{Force, Topology};

/// One rule that is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plant {
    /// A read that fails says "the next node's".
    UnknownIsTheirs,
    /// A read that fails says "orphaned".
    FailedReadIsOrphaned,
    /// Reads are answered from a cache of up to 40 s.
    CachedReads,
    /// Who yields leaves its service running.
    ServiceStays,
    /// A session counts without echoing our nonce.
    NoNonce,
    /// A datagram counts, whatever its sequence.
    ReplayAccepted,
    /// A stall of our own is counted as the peers' silence.
    NoStall,
    /// A take without an answer counts as done.
    HopeIsSuccess,
    /// The active never sees that the anchor has gone.
    NeverYields,
    /// Who has lost the anchor takes it back.
    Fights,
    /// After a yield the peer's old silence counts again.
    Rearms,
    /// Silence counts after two intervals.
    Hasty,
    /// Nobody asks whom the others hear.
    OneEar,
    /// A goodbye is not heard.
    GoodbyeIgnored,
    /// "Back in 10 s" is not heard.
    BackSoonIgnored,
    /// Damping is forgotten when the agent restarts.
    DampingReset,
    /// The fail count is forgotten when the agent restarts.
    FailCountReset,
    /// The service's failures are not counted.
    FailuresIgnored,
    /// An operator's maintenance is not heard.
    MaintenanceDeaf,
    /// The rest is taken before the anchor has been.
    RestBeforeAnchor,
    /// Who yields releases what it reads to be there.
    ReleaseByReread,
    /// The anchor is taken in two calls: clear, assign.
    ClearThenAssign,
    /// An offer is taken up before the offerer's service has stopped.
    ColdEager,
    /// "Stopping" confirms fencing.
    StoppingIsStopped,
    /// A node that could not serve fences.
    FencesUnwell,
    /// The probe's answer does not hold.
    ProbeDeaf,
    /// A renewal counts from its answer.
    LeaseFromAnswer,
    /// A lease that was written without an answer counts.
    LeaseHope,
    /// A contender waits half a lease.
    HalfLease,
    /// The guard is told three seconds too much.
    GuardLate,
    /// The guard is not told at all.
    GuardForgotten,
    /// A lost node is rebooted before it had time to boot.
    BootTimeIgnored,
    /// Attempts to recover a lost node are not counted.
    AttemptsIgnored,
}

impl Plant {
    pub(crate) const ALL: [Self; 33] = [
        Self::UnknownIsTheirs,
        Self::FailedReadIsOrphaned,
        Self::CachedReads,
        Self::ServiceStays,
        Self::NoNonce,
        Self::ReplayAccepted,
        Self::NoStall,
        Self::HopeIsSuccess,
        Self::NeverYields,
        Self::Fights,
        Self::Rearms,
        Self::Hasty,
        Self::OneEar,
        Self::GoodbyeIgnored,
        Self::BackSoonIgnored,
        Self::DampingReset,
        Self::FailCountReset,
        Self::FailuresIgnored,
        Self::MaintenanceDeaf,
        Self::RestBeforeAnchor,
        Self::ReleaseByReread,
        Self::ClearThenAssign,
        Self::ColdEager,
        Self::StoppingIsStopped,
        Self::FencesUnwell,
        Self::ProbeDeaf,
        Self::LeaseFromAnswer,
        Self::LeaseHope,
        Self::HalfLease,
        Self::GuardLate,
        Self::GuardForgotten,
        Self::BootTimeIgnored,
        Self::AttemptsIgnored,
    ];

    /// Those that are found within a few seeds: a plain `cargo test` looks for them.
    pub(crate) const QUICK: [Self; 8] = [
        Self::CachedReads,
        Self::ServiceStays,
        Self::NoStall,
        Self::NeverYields,
        Self::Fights,
        Self::ClearThenAssign,
        Self::RestBeforeAnchor,
        Self::GuardForgotten,
    ];

    /// Where it is looked for: what it breaks has to be configured.
    pub(crate) fn hunts_in(self) -> (Topology, Force) {
        // Two groups on two nodes: the most decisions in the least time.
        let two = Topology { nodes: 2, members: 2, groups: 2 };
        let anchor = Force { lease: Some(false), ..Force::default() };
        let lease = Force { lease: Some(true), ..Force::default() };
        match self {
            Self::OneEar => (Topology { nodes: 3, members: 3, groups: 1 }, anchor),
            Self::GoodbyeIgnored => (two, Force { when_silent: Some(WhenSilent::Hold), ..anchor }),
            Self::ColdEager => (two, Force { cold: Some(true), ..anchor }),
            Self::StoppingIsStopped | Self::FencesUnwell => {
                (two, Force { fencing: Some(Fencing::Before), ..anchor })
            }
            Self::BootTimeIgnored | Self::AttemptsIgnored => (two, Force { recovery: Some(true), ..anchor }),
            Self::ProbeDeaf => (two, Force { when_silent: Some(WhenSilent::Probe), ..anchor }),
            Self::LeaseFromAnswer
            | Self::LeaseHope
            | Self::HalfLease
            | Self::GuardLate
            | Self::GuardForgotten => (two, lease),
            Self::UnknownIsTheirs
            | Self::FailedReadIsOrphaned
            | Self::CachedReads
            | Self::ServiceStays
            | Self::NoNonce
            | Self::ReplayAccepted
            | Self::NoStall
            | Self::HopeIsSuccess
            | Self::NeverYields
            | Self::Fights
            | Self::Rearms
            | Self::Hasty
            | Self::BackSoonIgnored
            | Self::DampingReset
            | Self::FailCountReset
            | Self::FailuresIgnored
            | Self::MaintenanceDeaf
            | Self::RestBeforeAnchor
            | Self::ReleaseByReread
            | Self::ClearThenAssign => (two, anchor),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UnknownIsTheirs => "unknown-is-theirs",
            Self::FailedReadIsOrphaned => "failed-read-is-orphaned",
            Self::CachedReads => "cached-reads",
            Self::ServiceStays => "service-stays",
            Self::NoNonce => "no-nonce",
            Self::ReplayAccepted => "replay-accepted",
            Self::NoStall => "no-stall",
            Self::HopeIsSuccess => "hope-is-success",
            Self::NeverYields => "never-yields",
            Self::Fights => "fights",
            Self::Rearms => "rearms",
            Self::Hasty => "hasty",
            Self::OneEar => "one-ear",
            Self::GoodbyeIgnored => "goodbye-ignored",
            Self::BackSoonIgnored => "back-soon-ignored",
            Self::DampingReset => "damping-reset",
            Self::FailCountReset => "fail-count-reset",
            Self::FailuresIgnored => "failures-ignored",
            Self::MaintenanceDeaf => "maintenance-deaf",
            Self::RestBeforeAnchor => "rest-before-anchor",
            Self::ReleaseByReread => "release-by-reread",
            Self::ClearThenAssign => "clear-then-assign",
            Self::ColdEager => "cold-eager",
            Self::StoppingIsStopped => "stopping-is-stopped",
            Self::FencesUnwell => "fences-unwell",
            Self::ProbeDeaf => "probe-deaf",
            Self::LeaseFromAnswer => "lease-from-answer",
            Self::LeaseHope => "lease-hope",
            Self::HalfLease => "half-lease",
            Self::GuardLate => "guard-late",
            Self::GuardForgotten => "guard-forgotten",
            Self::BootTimeIgnored => "boot-time-ignored",
            Self::AttemptsIgnored => "attempts-ignored",
        }
    }
}

//! The core's values in the words of `standin status`.

use crate::agent::names::Names;
use crate::cluster::{Desired, NodeId, Owner, Running};

pub(super) fn owner(owner: Owner, whose: NodeId, names: &Names) -> String {
    match owner {
        Owner::Mine => names.node(whose).to_owned(),
        Owner::Theirs(node) => names.node(node).to_owned(),
        Owner::Nobody => "nobody".to_owned(),
        Owner::Orphaned => "an orphan (an interface that is attached to nothing)".to_owned(),
        Owner::Stranger => "a stranger (no node of this cluster)".to_owned(),
    }
}

pub(super) fn wish(desired: Desired) -> &'static str {
    match desired {
        Desired::Serve { repair: true } => "to serve",
        Desired::Serve { repair: false } => "to serve, and to change nothing in EC2",
        Desired::Standby => "to stand by",
    }
}

pub(super) fn running(running: Running) -> &'static str {
    match running {
        Running::Yes => "running",
        Running::Ending => "stopping",
        Running::No => "stopped or terminated",
    }
}

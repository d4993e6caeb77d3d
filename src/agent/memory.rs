//! What survives a restart: between the core's words and the file's.

use super::names::Names;
use super::store::{GroupState, MaintenanceState, State};
use crate::cluster::{GroupId, Maintenance, Memory, NodeId, Time};

/// What is remembered of each group, in the order of the configuration.
pub(super) fn load(state: &State, names: &Names, boot: &str) -> Vec<Memory> {
    let of = |name: &String| {
        state.groups.get(name).map(|it| memory(it, names, state.boot == boot)).unwrap_or_default()
    };
    names.groups.iter().map(of).collect()
}

/// Puts what the core wants remembered where the file has it.
pub(super) fn put(state: &mut State, names: &Names, group: GroupId, memory: &Memory) {
    let kept = GroupState {
        term: memory.term,
        maintenance: MaintenanceState { version: memory.maintenance.version, on: memory.maintenance.on },
        standby: memory.standby,
        silent_takeovers: memory.silent_takeovers.iter().map(|at| at.as_nanos()).collect(),
        fail_count: memory.fail_count,
        failed_at: memory.failed_at.map(Time::as_nanos),
        restarting: memory.restarting.iter().map(|node| names.node(*node).to_owned()).collect(),
    };
    state.groups.insert(names.group(group).to_owned(), kept);
}

/// Which boot of the machine this is: times since boot mean nothing in another one.
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn memory(kept: &GroupState, names: &Names, same_boot: bool) -> Memory {
    let nodes = (0..).map(NodeId).zip(&names.nodes);
    let restarting = nodes.filter(|(_, name)| kept.restarting.contains(name)).map(|(node, _)| node);
    let takeovers = kept.silent_takeovers.iter().copied().map(Time::from_nanos);
    Memory {
        term: kept.term,
        maintenance: Maintenance { version: kept.maintenance.version, on: kept.maintenance.on },
        standby: kept.standby,
        silent_takeovers: takeovers.filter(|_| same_boot).collect(),
        // As in Pacemaker, a boot of the machine is a cleanup.
        fail_count: if same_boot { kept.fail_count } else { 0 },
        failed_at: kept.failed_at.filter(|_| same_boot).map(Time::from_nanos),
        restarting: restarting.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_loaded_but_times_only_in_the_same_boot() {
        let names = Names {
            cluster: "c".into(),
            nodes: vec!["m".into(), "n".into()],
            groups: vec!["a".into(), "b".into()],
        };
        let memory = Memory {
            term: 7,
            maintenance: Maintenance { version: 2, on: true },
            standby: true,
            silent_takeovers: vec![Time::from_nanos(5)],
            fail_count: 2,
            failed_at: Some(Time::from_nanos(6)),
            restarting: vec![NodeId(1)],
        };
        let mut state = State { boot: "x".into(), ..State::default() };
        put(&mut state, &names, GroupId(1), &memory);
        assert_eq!(load(&state, &names, "x"), [Memory::default(), memory.clone()]);
        let other_boot = Memory { silent_takeovers: vec![], fail_count: 0, failed_at: None, ..memory };
        assert_eq!(load(&state, &names, "y")[1], other_boot);
    }
}

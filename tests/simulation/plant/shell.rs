//! Planted bugs of the shell: calls that it makes beside those that the core wants.

use standin::cluster::{Command, Desired, NodeId};

use super::Plant;
use crate::model::calls::Asks;
use crate::world::World;

impl World {
    /// What a planted bug does before the command is carried out.
    pub(crate) fn planted_calls(&mut self, node: NodeId, command: &Command) {
        let Some(plant) = self.plant else { return };
        match (plant, command) {
            (Plant::RestBeforeAnchor, Command::TakeAnchor { group, .. }) => {
                self.check_rest(node, *group);
                self.call(node, Asks::TakeRest { group: *group });
            }
            (Plant::ClearThenAssign, Command::TakeAnchor { group, .. }) => {
                self.call(node, Asks::Release { group: *group, reread: true });
            }
            (Plant::ReleaseByReread, Command::Converge { group, desired: Desired::Standby, .. })
                if self.service(node, *group).running =>
            {
                self.call(node, Asks::Release { group: *group, reread: true });
            }
            _ => {}
        }
    }
}

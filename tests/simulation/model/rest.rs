//! The rest of a group in EC2: what follows the anchor.

use standin::cluster::{GroupId, NodeId, Time};

use super::ec2::{Ec2, Holder};

impl Ec2 {
    pub(crate) fn take_rest(&mut self, by: NodeId, group: GroupId, now: Time) {
        self.rests[usize::from(group.0)].set(Holder::Node(by), now);
    }

    /// The anchor is taken away from this node, and given to nobody: no call of ours; a planted bug's.
    pub(crate) fn release(&mut self, by: NodeId, group: GroupId, reread: bool, now: Time) {
        let anchor = &mut self.anchors[usize::from(group.0)];
        if reread || anchor.holder.now() == Holder::Node(by) {
            anchor.holder.set(Holder::Nobody, now);
        }
    }
}

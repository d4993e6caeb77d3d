//! What happens to Asterisk.

use super::Amount;
use crate::lab::Lab;
use crate::trial::{Outcome, Trial};

/// It dies, and is started again where it was.
pub(super) fn killed(lab: &mut Lab, _: Amount) -> anyhow::Result<Outcome> {
    let mut trial = Trial::begin(lab)?;
    let active = trial.active;
    trial.now();
    lab.nodes[active].signal_unit("asterisk.service", "KILL")?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    trial.end(lab, active, 0)
}

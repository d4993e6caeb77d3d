//! Another unit than the service's own: it runs, as systemd says, which tells of each change at once.

use std::time::Duration;

use super::Outcome;
use crate::service::state::State;
use crate::service::supervised::{Supervised, Watched};
use crate::service::systemd::Unit;

/// What is watched, once it has been asked for.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    watched: Option<Watched>,
    /// What the last look has found.
    seen: Option<State>,
}

impl Systemd {
    /// Looks again; within the timeout, or what systemd said last has to do. Without its answer it is unknown.
    pub(super) async fn look(&mut self, unit: &str, timeout: Duration) -> Outcome {
        let unit = || Supervised::Unit(Unit::new(unit)).watch();
        let sight = self.watched.get_or_insert_with(unit).look_again(timeout).await.0;
        let outcome = judge(&sight.state);
        self.seen = Some(sight.state);
        outcome
    }

    /// Ends when it is not any more what it was. Cancel safe.
    pub(super) async fn changes(&mut self) {
        if let Some(watched) = &mut self.watched {
            let seen = self.seen.as_ref();
            if watched.sight.wait_for(|sight| Some(&sight.state) != seen).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

fn judge(state: &State) -> Outcome {
    match state {
        State::Runs { degraded: None } => Outcome::Ok,
        State::Runs { degraded: Some(why) } => Outcome::Degraded(why.clone()),
        State::Starts => Outcome::Unknown("it is being started".into()),
        State::Stops => Outcome::Unknown("it is being stopped".into()),
        State::Stopped => Outcome::Failed("it does not run".into()),
        State::Failed(why) => Outcome::Failed(why.clone()),
        State::Unknown(why) => Outcome::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_or_not_known_is_no_failure() {
        assert_eq!(judge(&State::Runs { degraded: None }), Outcome::Ok);
        for state in [State::Starts, State::Stops, State::Unknown("no bus".into())] {
            assert!(matches!(judge(&state), Outcome::Unknown(_)), "{state:?}");
        }
        for state in [State::Stopped, State::Failed("exit code 7".into())] {
            assert!(matches!(judge(&state), Outcome::Failed(_)), "{state:?}");
        }
        let worn = judge(&State::Runs { degraded: Some("one of two".into()) });
        assert_eq!(worn, Outcome::Degraded("one of two".into()));
    }
}

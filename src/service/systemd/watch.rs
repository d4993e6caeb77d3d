//! Watches a unit: systemd tells of each change, and then it is looked at as a whole. So a death is known within
//! milliseconds, and what was missed while there was no bus is found when there is one again.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::select;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::sleep;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

use super::Unit;
use super::bus::{Bus, PROPERTIES, SYSTEMD};
use super::error::UnitError;
use super::properties::Properties;
use crate::service::state::{Failure, Sight, State};

/// The first pause before another try with a bus that has gone; each is twice as long, up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// It is looked at so often without a word from systemd, too: one that hangs is to be known as that.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is kept from one look to the next.
#[derive(Debug, Default)]
struct Before {
    /// It was up, and its death has not been counted.
    up: bool,
    restarts: u32,
}

/// Watches a unit for as long as somebody reads what is seen. `asked` is a request's number: a look that was begun
/// after it answers it.
pub async fn watch(unit: Unit, sight: Sender<Sight>, mut asked: Receiver<u64>) {
    let mut before = Before::default();
    let mut pause = AGAIN.0;
    loop {
        let error = tokio::select! {
            error = follow(&unit, &sight, &mut asked, &mut before, &mut pause) => error,
            () = sight.closed() => return,
        };
        let request = *asked.borrow_and_update();
        sight.send_modify(|seen| {
            seen.state = State::Unknown(error.to_string());
            seen.answers = request;
        });
        tokio::select! {
            () = sleep(pause) => {}
            _ = asked.changed() => {}
        }
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Follows a unit until that fails.
async fn follow(
    unit: &Unit,
    sight: &Sender<Sight>,
    asked: &mut Receiver<u64>,
    before: &mut Before,
    pause: &mut Duration,
) -> UnitError {
    let followed = async {
        let bus = Bus::connect().await?;
        let mut news = news(&bus, unit).await?;
        loop {
            let request = *asked.borrow_and_update();
            look(&bus, unit, sight, before, request).await?;
            *pause = AGAIN.0;
            tokio::select! {
                told = news.next() => match told {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(UnitError::NoBus(error.to_string())),
                    None => return Err(UnitError::NoBus("the bus has gone".to_owned())),
                },
                changed = asked.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
                () = sleep(LOOK_EVERY) => {}
            }
        }
    };
    let ended: Result<std::convert::Infallible, UnitError> = followed.await;
    match ended {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Tells whenever the unit may have changed, or systemd itself.
async fn news(
    bus: &Bus,
    unit: &Unit,
) -> Result<impl futures_util::Stream<Item = zbus::Result<zbus::Message>> + Unpin, UnitError> {
    let no_bus = |error: zbus::Error| UnitError::NoBus(error.to_string());
    let path = bus.unit(unit.name()).await?;
    let changes = || {
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(SYSTEMD)?.path(path.into_inner())?;
        Ok(rule.interface(PROPERTIES)?.member("PropertiesChanged")?.build().into_owned())
    };
    let other = || {
        let bus = "org.freedesktop.DBus";
        let rule = MatchRule::builder().msg_type(Type::Signal).sender(bus)?.interface(bus)?;
        Ok(rule.member("NameOwnerChanged")?.arg(0, SYSTEMD)?.build().into_owned())
    };
    let changes: MessageStream = bus.signals(changes().map_err(no_bus)?).await?;
    // A systemd that has executed itself anew has forgotten who wanted signals.
    let other = bus
        .signals(other().map_err(no_bus)?)
        .await?
        .map(|_| Err(zbus::Error::Failure("systemd has left the bus, or come back to it".to_owned())));
    bus.tell("Subscribe", &()).await?;
    Ok(select(changes, other))
}

async fn look(
    bus: &Bus,
    unit: &Unit,
    sight: &Sender<Sight>,
    before: &mut Before,
    request: u64,
) -> Result<(), UnitError> {
    let said = Properties::read(bus, unit.name()).await?;
    let shown = said.shown(bus).await;
    let died = before.died(&said);
    sight.send_modify(|seen| {
        seen.state = said.state();
        seen.answers = request;
        if died {
            seen.deaths += 1;
            let again = || "it died, and systemd has started it again".to_owned();
            seen.death = Failure::soft(if said.state().runs() == Some(true) { again() } else { said.why() });
        }
        match shown {
            Ok(shown) => seen.unit = Some(shown),
            Err(UnitError::NotThere { .. }) => seen.unit = None,
            // Where it was, it still is, if systemd does not say otherwise.
            Err(_) => {}
        }
    });
    Ok(())
}

impl Before {
    /// Whether it has died since the last look. One death is counted once, however many looks it takes to come back.
    fn died(&mut self, said: &Properties) -> bool {
        let state = said.state();
        let came_back = said.restarts > self.restarts && state.runs() == Some(true);
        let down = state.runs() == Some(false) || said.restarts_itself();
        let died = self.up && (down || came_back);
        self.restarts = said.restarts;
        match state {
            State::Runs { .. } => self.up = true,
            State::Failed(_) | State::Stopped => self.up = false,
            State::Starts | State::Stops | State::Unknown(_) => self.up &= !died,
        }
        died
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_counted_once() {
        let look = |active: &str, sub: &str, restarts| Properties {
            load_state: "loaded".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            restarts,
            ..Properties::default()
        };
        let mut before = Before::default();
        let mut deaths = |looks: &[(&str, &str, u32)]| -> usize {
            looks.iter().filter(|(active, sub, n)| before.died(&look(active, sub, *n))).count()
        };
        assert_eq!(deaths(&[("inactive", "dead", 0), ("activating", "start", 0)]), 0, "it was never up");
        assert_eq!(deaths(&[("active", "running", 0), ("active", "running", 0)]), 0);
        // With Restart=: as it goes, and seen only when all was over.
        assert_eq!(deaths(&[("activating", "auto-restart", 0), ("activating", "start", 1)]), 1);
        assert_eq!(deaths(&[("active", "running", 1)]), 0, "the same one");
        assert_eq!(deaths(&[("active", "running", 2)]), 1, "nobody has seen it down");
        assert_eq!(deaths(&[("deactivating", "stop-sigterm", 2), ("failed", "failed", 2)]), 1);
        assert_eq!(
            deaths(&[("activating", "start", 0), ("active", "running", 0), ("inactive", "dead", 0)]),
            1
        );
    }
}

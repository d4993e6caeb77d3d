//! The checks of a group, in the words of the protocol.

use super::{ms, us};
use crate::agent::shell::World;
use crate::cluster::Time;
use crate::config;
use crate::control::protocol::Check;

pub(super) fn of(settings: &config::Group, world: &World, now: Time) -> Vec<Check> {
    let found = world.checks.found();
    let pairs = settings.checks.iter().zip(&found.all);
    let check = pairs.map(|(check, it)| Check {
        name: check.name.clone(),
        kind: check.kind.word().to_owned(),
        state: it.shown.word().to_owned(),
        since_ms: ms(now.since(it.since)),
        text: it.verdict.text().to_owned(),
        fails: it.verdict.fails(),
        age_ms: it.ran.map(|(at, _)| ms(now.since(at))),
        took_us: it.ran.map(|(_, took)| us(took)),
        on_fail: check.on_fail.word().to_owned(),
    });
    check.collect()
}

//! Asterisk over AMI: it lets us in, is booted, and answers Ping and CoreStatus.

use std::time::Duration;

use super::Outcome;
use crate::config::Asterisk;
use crate::service::ami::{self, Watch};

/// Asks over the connection that is kept between two runs.
pub(super) async fn ask(watch: &mut Watch, settings: Option<&Asterisk>, timeout: Duration) -> Outcome {
    // The configuration has seen to it.
    let Some(settings) = settings else { return Outcome::Unknown("there is no [group.asterisk]".into()) };
    match watch.check(settings, timeout).await {
        ami::Outcome::Ok(_) => Outcome::Ok,
        ami::Outcome::Failed(text) => Outcome::Failed(text),
        ami::Outcome::Unknown(text) => Outcome::Unknown(text),
    }
}

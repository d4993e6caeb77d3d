//! Asterisk over AMI: it lets us in, is booted, and answers Ping and CoreStatus.

use std::time::Duration;

use super::Outcome;
use crate::config::Asterisk;
use crate::service::ami::Watch;

/// Asks over the connection that is kept between two runs.
pub(super) async fn ask(watch: &mut Watch, settings: Option<&Asterisk>, timeout: Duration) -> Outcome {
    // The configuration has seen to it.
    let Some(settings) = settings else { return Outcome::Unknown("there is no [group.asterisk]".into()) };
    watch.check(settings, timeout).await
}

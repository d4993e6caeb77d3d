//! The check `asterisk-ami`: is Asterisk booted, and does it answer? One connection, kept from one check to the next.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::{AmiError, Client};
use crate::config::Asterisk;
use crate::service::check::Outcome;

/// One check's connection.
#[derive(Debug, Default)]
pub struct Watch {
    client: Option<Client>,
}

impl Watch {
    /// Logs in if need be, waits for FullyBooted, and asks Ping and CoreStatus; all of it within `within`.
    pub async fn check(&mut self, settings: &Asterisk, within: Duration) -> Outcome {
        let had_one = self.client.is_some();
        let mut outcome = self.once(settings, within).await;
        // Asterisk may have been restarted since the last check: that is no failure of the new one.
        if had_one && matches!(outcome, Err(AmiError::Closed(_))) {
            outcome = self.once(settings, within).await;
        }
        outcome.unwrap_or_else(|error| judge(&error))
    }

    async fn once(&mut self, settings: &Asterisk, within: Duration) -> Result<Outcome, AmiError> {
        let asked = timeout(within, self.ask(settings, within)).await;
        let outcome = asked.unwrap_or_else(|_elapsed| {
            Err(AmiError::Silence { action: "Login, Ping and CoreStatus".to_owned(), after: within })
        });
        if outcome.is_err() {
            self.client = None;
        }
        outcome
    }

    async fn ask(&mut self, settings: &Asterisk, within: Duration) -> Result<Outcome, AmiError> {
        let client = match &mut self.client {
            Some(client) => client,
            none @ None => none.insert(Client::login(settings, within).await?),
        };
        client.ping().await?;
        client.core_status().await?;
        if client.booted().is_none() {
            let lacks = "or its AMI user lacks `read = system` in manager.conf";
            return Ok(Outcome::Unknown(format!("asterisk is still booting, {lacks}")));
        }
        Ok(Outcome::Ok)
    }
}

/// What an error says about Asterisk. Whoever is not let in has learnt nothing.
fn judge(error: &AmiError) -> Outcome {
    let text = error.to_string();
    match error {
        AmiError::Secret(_)
        | AmiError::NotAmi { .. }
        | AmiError::Denied { .. }
        | AmiError::Refused { .. } => Outcome::Unknown(text),
        AmiError::Connect { source, .. } if source.kind() != io::ErrorKind::ConnectionRefused => {
            Outcome::Unknown(text)
        }
        AmiError::Connect { .. }
        | AmiError::Silence { .. }
        | AmiError::Malformed(_)
        | AmiError::Closed(_) => Outcome::Failed(text),
    }
}

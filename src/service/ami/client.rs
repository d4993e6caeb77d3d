//! One connection to AMI.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::message::action;
use super::{AmiError, Message, Reader, read_secret};
use crate::config::Asterisk;

/// Events that nobody has asked for yet; the oldest ones go.
const EVENTS_KEPT: usize = 1024;
/// So many parts of one list are read: a system has not nearly as many registrations.
const LONGEST_LIST: usize = 10_000;

/// One connection, logged in.
pub struct Client {
    stream: TcpStream,
    reader: Reader,
    events: VecDeque<Message>,
    actions: u64,
    patience: Duration,
    booted: Option<Booted>,
}

/// FullyBooted, as it was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Booted {
    /// How long Asterisk ran then, if it says so.
    pub uptime: Option<Duration>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What CoreStatus says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CoreStatus {
    /// Channels that are up: a call into an application has one, a call between two parties two.
    pub channels: u32,
    /// When Asterisk was started, as it writes it: another one is another process.
    pub started: String,
}

/// An outbound registration of pjsip.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// Its section in pjsip.conf.
    pub name: String,
    /// "Registered", "Unregistered", "Rejected", "Stopped".
    pub state: String,
}

impl Registration {
    /// Whether the registrar knows us.
    pub fn is_registered(&self) -> bool {
        self.state.eq_ignore_ascii_case("Registered")
    }
}

impl Client {
    /// Connects and logs in; each step, and each later action, has to be answered within `patience`. Only events of
    /// class `system` are listened to: nothing comes for each call.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn login(settings: &Asterisk, patience: Duration) -> Result<Self, AmiError> {
        Self::login_for(settings, "system", patience).await
    }

    /// The same, with events of other classes.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn login_for(settings: &Asterisk, events: &str, patience: Duration) -> Result<Self, AmiError> {
        let secret = read_secret(&settings.secret_file).map_err(AmiError::Secret)?;
        let address = settings.ami;
        let stream = timeout(patience, TcpStream::connect(address))
            .await
            .map_err(|_elapsed| silence("the connection", patience))?
            .map_err(|source| AmiError::Connect { address, source })?;
        // Small messages, each of which is waited for.
        stream.set_nodelay(true).map_err(AmiError::Closed)?;
        let (reader, kept) = (Reader::default(), VecDeque::new());
        let mut client = Self { stream, reader, events: kept, actions: 0, patience, booted: None };
        let greeting = timeout(patience, client.greeting()).await;
        let greeting = greeting.map_err(|_elapsed| silence("with AMI's greeting", patience))??;
        if !greeting.starts_with("Asterisk Call Manager/") {
            let said = greeting.chars().take(80).collect();
            return Err(AmiError::NotAmi { address, said });
        }
        let fields = [("Username", settings.user.as_str()), ("Secret", secret.reveal()), ("Events", events)];
        match client.act("Login", &fields).await {
            Ok(_) => Ok(client),
            Err(AmiError::Refused { why, .. }) => {
                Err(AmiError::Denied { address, user: settings.user.clone(), why })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it has said FullyBooted: to a client that logs in later it says it at once, right after the answer
    /// to Login (and to nobody who may not read class `system`).
    pub fn booted(&self) -> Option<Booted> {
        self.booted
    }

    /// "Are you there?"
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn ping(&mut self) -> Result<(), AmiError> {
        self.act("Ping", &[]).await.map(drop)
    }

    /// How it is. Class `system` or `reporting`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn core_status(&mut self) -> Result<CoreStatus, AmiError> {
        let said = self.act("CoreStatus", &[]).await?;
        let channels = said.get("CoreCurrentCalls").and_then(|it| it.parse().ok());
        let channels = channels.ok_or_else(|| AmiError::Refused {
            action: "CoreStatus".to_owned(),
            why: "there is no CoreCurrentCalls in its answer".to_owned(),
        })?;
        let part = |key| said.get(key).unwrap_or_default();
        let started = format!("{} {}", part("CoreStartupDate"), part("CoreStartupTime"));
        Ok(CoreStatus { channels, started })
    }

    /// What a line of Asterisk's command line answers. Class `command`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn command(&mut self, line: &str) -> Result<Vec<String>, AmiError> {
        let said = self.act("Command", &[("Command", line)]).await?;
        Ok(said.all("Output").map(str::to_owned).collect())
    }

    /// The unique ids of all channels. Class `system` or `reporting`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn channels(&mut self) -> Result<Vec<String>, AmiError> {
        let list = self.list("CoreShowChannels").await?;
        Ok(list.iter().filter_map(|it| it.get("Uniqueid")).map(str::to_owned).collect())
    }

    /// All outbound registrations of pjsip. Class `system` or `reporting`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn registrations(&mut self) -> Result<Vec<Registration>, AmiError> {
        let all = match self.list("PJSIPShowRegistrationsOutbound").await {
            // It says so where there is none.
            Err(AmiError::Refused { why, .. }) if why.contains("No outbound registrations") => Vec::new(),
            other => other?,
        };
        let details = all.iter().filter(|it| it.is("Event", "OutboundRegistrationDetail"));
        let registration = |it: &Message| {
            Some(Registration { name: it.get("ObjectName")?.to_owned(), state: it.get("Status")?.to_owned() })
        };
        Ok(details.filter_map(registration).collect())
    }

    /// Has a registration sent now. Class `system` or `reporting`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn register(&mut self, name: &str) -> Result<(), AmiError> {
        self.act("PJSIPRegister", &[("Registration", name)]).await.map(drop)
    }

    /// Has a registration taken back, and no longer refreshed. Class `system` or `reporting`.
    ///
    /// # Errors
    /// See [`AmiError`].
    pub async fn unregister(&mut self, name: &str) -> Result<(), AmiError> {
        self.act("PJSIPUnregister", &[("Registration", name)]).await.map(drop)
    }

    /// The next event; it waits for as long as it is polled, and may be dropped at any time.
    ///
    /// # Errors
    /// The connection has ended, or what comes is no AMI.
    pub async fn event(&mut self) -> Result<Message, AmiError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let message = self.message().await?;
            self.keep(message);
        }
    }

    /// An action that is answered by one message.
    async fn act(&mut self, name: &str, fields: &[(&str, &str)]) -> Result<Message, AmiError> {
        let patience = self.patience;
        let answered = timeout(patience, async {
            let id = self.send(name, fields).await?;
            self.response(name, &id).await
        });
        answered.await.unwrap_or_else(|_elapsed| Err(silence(name, patience)))
    }

    /// An action that is answered by a list of events; the last one is left out.
    async fn list(&mut self, name: &str) -> Result<Vec<Message>, AmiError> {
        let patience = self.patience;
        let answered = timeout(patience, async {
            let id = self.send(name, &[]).await?;
            self.response(name, &id).await?;
            let mut list = Vec::new();
            loop {
                let message = self.message().await?;
                if !message.is("ActionID", &id) {
                    self.keep(message);
                } else if message.is("EventList", "Complete") || list.len() >= LONGEST_LIST {
                    return Ok(list);
                } else {
                    list.push(message);
                }
            }
        });
        answered.await.unwrap_or_else(|_elapsed| Err(silence(name, patience)))
    }

    async fn send(&mut self, name: &str, fields: &[(&str, &str)]) -> Result<String, AmiError> {
        self.actions += 1;
        let id = format!("standin-{}", self.actions);
        self.stream.write_all(action(name, &id, fields).as_bytes()).await.map_err(AmiError::Closed)?;
        Ok(id)
    }

    /// The response to an action; events that come first are kept.
    async fn response(&mut self, name: &str, id: &str) -> Result<Message, AmiError> {
        loop {
            let message = self.message().await?;
            if message.get("Response").is_none() || !message.is("ActionID", id) {
                self.keep(message);
            } else if message.is("Response", "Error") {
                let why = message.get("Message").unwrap_or("it does not say why").to_owned();
                return Err(AmiError::Refused { action: name.to_owned(), why });
            } else {
                return Ok(message);
            }
        }
    }

    /// Events are for [`event`](Self::event); anything else is an answer that nobody waits for any more.
    fn keep(&mut self, message: Message) {
        if message.is("Event", "FullyBooted") {
            let seconds = message.get("Uptime").and_then(|it| it.parse().ok());
            self.booted = Some(Booted { uptime: seconds.map(Duration::from_secs) });
        }
        if message.get("Event").is_some() {
            self.events.push_back(message);
        }
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }

    async fn greeting(&mut self) -> Result<String, AmiError> {
        loop {
            if let Some(line) = self.reader.line()? {
                return Ok(line);
            }
            self.receive().await?;
        }
    }

    async fn message(&mut self) -> Result<Message, AmiError> {
        loop {
            if let Some(message) = self.reader.message()? {
                return Ok(message);
            }
            self.receive().await?;
        }
    }

    /// Nothing is lost when this is dropped.
    async fn receive(&mut self) -> Result<(), AmiError> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes).await {
            Ok(0) => Err(AmiError::Closed(io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => {
                self.reader.push(&bytes[..length]);
                Ok(())
            }
            Err(error) => Err(AmiError::Closed(error)),
        }
    }
}

fn silence(action: &str, after: Duration) -> AmiError {
    AmiError::Silence { action: action.to_owned(), after }
}

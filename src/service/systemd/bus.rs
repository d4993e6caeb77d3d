//! A connection to the system bus, and systemd at its other end. Each question has a bound.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type};
use zbus::{Connection, MatchRule, MessageStream, connection};

use super::error::UnitError;

/// systemd answers a question within milliseconds; longer than this is no answer.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Signals that wait to be read. The bus is held up beyond that; a unit's are few.
const QUEUE: usize = 256;

pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
/// What the interface for everything that is not one unit's is called.
pub(super) const SYSTEMD_WHOLE: &str = "org.freedesktop.systemd1.Manager";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A connection to the system bus.
#[derive(Clone, Debug)]
pub(super) struct Bus {
    connection: Connection,
}

impl Bus {
    /// Connects: by DBUS_SYSTEM_BUS_ADDRESS, else where every system has its bus.
    pub(super) async fn connect() -> Result<Self, UnitError> {
        let no_bus = |error: zbus::Error| UnitError::NoBus(words(&error));
        let connecting = connection::Builder::system().map_err(no_bus)?.method_timeout(ANSWER).build();
        match timeout(ANSWER, connecting).await {
            Ok(connected) => Ok(Self { connection: connected.map_err(no_bus)? }),
            Err(_elapsed) => Err(UnitError::NoBus("the bus does not answer".to_owned())),
        }
    }

    /// Asks systemd for something about everything.
    pub(super) async fn ask<A, B>(&self, method: &str, arguments: &B) -> Result<A, UnitError>
    where
        A: DeserializeOwned + Type,
        B: Serialize + DynamicType + Sync,
    {
        self.call(SYSTEMD_PATH, SYSTEMD_WHOLE, method, arguments).await
    }

    /// Tells systemd something.
    pub(super) async fn tell<B>(&self, method: &str, arguments: &B) -> Result<(), UnitError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.ask(method, arguments).await
    }

    /// Where the unit is on the bus.
    pub(super) async fn unit(&self, name: &str) -> Result<OwnedObjectPath, UnitError> {
        self.ask("LoadUnit", &name).await
    }

    /// All properties of one interface, of one moment.
    pub(super) async fn properties(
        &self,
        path: &str,
        interface: &str,
    ) -> Result<HashMap<String, OwnedValue>, UnitError> {
        self.call(path, PROPERTIES, "GetAll", &interface).await
    }

    /// The signals that match, from now on.
    pub(super) async fn signals(&self, rule: MatchRule<'static>) -> Result<MessageStream, UnitError> {
        let subscribing = MessageStream::for_match_rule(rule, &self.connection, Some(QUEUE));
        match timeout(ANSWER, subscribing).await {
            Ok(stream) => stream.map_err(|error| UnitError::NoBus(words(&error))),
            Err(_elapsed) => Err(UnitError::NoBus("the bus does not answer".to_owned())),
        }
    }

    async fn call<A, B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        arguments: &B,
    ) -> Result<A, UnitError>
    where
        A: DeserializeOwned + Type,
        B: Serialize + DynamicType + Sync,
    {
        let call = self.connection.call_method(Some(SYSTEMD), path, Some(interface), method, arguments);
        let what = || format!("systemd's {method}");
        let answered = match timeout(ANSWER, call).await {
            Ok(answered) => answered,
            Err(_elapsed) => return Err(UnitError::NoAnswer { what: what(), after: ANSWER }),
        };
        let read = |error: &zbus::Error| UnitError::Failed { what: what(), said: words(error) };
        let message = answered.map_err(|error| {
            if let zbus::Error::MethodError(name, said, _) = &error {
                UnitError::Failed { what: what(), said: said.clone().unwrap_or_else(|| name.to_string()) }
            } else {
                UnitError::NoBus(words(&error))
            }
        })?;
        message.body().deserialize().map_err(|error| read(&error))
    }
}

/// What a library says, as one line.
fn words(error: &zbus::Error) -> String {
    error.to_string().trim().replace('\n', "; ")
}

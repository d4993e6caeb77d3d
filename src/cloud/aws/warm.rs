//! Credentials that are there before they are needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, Result, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;

/// Not used any more so long before they expire: a request takes its time to arrive.
const MARGIN: Duration = Duration::from_secs(10);

/// The credentials in hand, over the provider that the AWS tools would use. A caller waits for that
/// provider only if there is nothing in hand that is still valid.
#[derive(Clone, Debug)]
pub(in crate::cloud) struct WarmCredentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: SharedCredentialsProvider,
    // The wall clock of the SDK: expiry is a wall time.
    clock: SharedTimeSource,
    in_hand: Mutex<Option<Credentials>>,
    // Of several callers without credentials one asks, the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

impl WarmCredentials {
    pub(in crate::cloud) fn new(inner: SharedCredentialsProvider, clock: SharedTimeSource) -> Self {
        let asking = tokio::sync::Mutex::default();
        Self(Arc::new(Shared { inner, clock, in_hand: Mutex::default(), asking }))
    }

    /// How long the ones in hand are still valid: `None` if there are none, `MAX` if they do not expire.
    pub(in crate::cloud) fn remaining(&self) -> Option<Duration> {
        let in_hand = self.0.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        let credentials = in_hand.as_ref()?;
        let Some(expiry) = credentials.expiry() else { return Some(Duration::MAX) };
        Some(expiry.duration_since(self.0.clock.now()).unwrap_or_default())
    }

    /// Asks the provider, whatever is in hand; what is in hand stays if it fails.
    pub(in crate::cloud) async fn refresh(&self) -> Result {
        let fresh = self.0.inner.provide_credentials().await?;
        *self.0.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }

    /// EC2 has refused the ones in hand.
    pub(in crate::cloud) fn forget(&self) {
        *self.0.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn valid(&self) -> Option<Credentials> {
        if self.remaining()? <= MARGIN {
            return None;
        }
        self.0.in_hand.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn get(&self) -> Result {
        if let Some(credentials) = self.valid() {
            return Ok(credentials);
        }
        let _asking = self.0.asking.lock().await;
        match self.valid() {
            Some(credentials) => Ok(credentials),
            None => self.refresh().await,
        }
    }
}

impl ProvideCredentials for WarmCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[derive(Debug)]
    struct Source {
        asked: Arc<AtomicUsize>,
        expiry: Option<SystemTime>,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(Ok(Credentials::new("id", "secret", None, self.expiry, "test")))
        }
    }

    fn warm(expires_in: Option<u64>) -> (WarmCredentials, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let expiry = expires_in.map(|it| UNIX_EPOCH + Duration::from_secs(1000 + it));
        let source = Source { asked: Arc::clone(&asked), expiry };
        let clock = SharedTimeSource::new(aws_smithy_async::time::StaticTimeSource::from_secs(1000));
        (WarmCredentials::new(SharedCredentialsProvider::new(source), clock), asked)
    }

    #[tokio::test]
    async fn the_provider_is_asked_once_while_they_are_valid() {
        for expiry in [None, Some(3600)] {
            let (warm, asked) = warm(expiry);
            assert_eq!(warm.remaining(), None);
            for _ in 0..3 {
                warm.provide_credentials().await.unwrap();
            }
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            warm.forget();
            warm.provide_credentials().await.unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), 2);
        }
    }

    #[tokio::test]
    async fn credentials_that_are_about_to_expire_are_replaced() {
        let (warm, asked) = warm(Some(5));
        warm.provide_credentials().await.unwrap();
        warm.provide_credentials().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

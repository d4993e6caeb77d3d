//! A lease table in memory: what DynamoDB promises, without DynamoDB.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use standin::cloud::{Answer, CloudError, ErrorKind, LeaseItem, LeaseTable};

#[derive(Default)]
pub(crate) struct Leases {
    items: Mutex<BTreeMap<String, LeaseItem>>,
    /// No call is answered.
    pub(crate) down: AtomicBool,
}

impl Leases {
    pub(crate) fn item(&self, group: &str) -> Option<LeaseItem> {
        self.items.lock().unwrap().get(group).cloned()
    }

    /// Puts something there as if it had been written.
    pub(crate) fn put(&self, group: &str, item: LeaseItem) {
        self.items.lock().unwrap().insert(group.to_owned(), item);
    }

    async fn reach(&self, action: &'static str) -> Result<(), CloudError> {
        if self.down.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Err(CloudError::new(ErrorKind::NoAnswer, action, "the test has cut the line"));
        }
        Ok(())
    }
}

impl LeaseTable for Leases {
    fn read<'a>(&'a self, group: &'a str) -> Answer<'a, Option<LeaseItem>> {
        Box::pin(async move {
            self.reach("GetItem").await?;
            Ok(self.item(group))
        })
    }

    fn write<'a>(&'a self, group: &'a str, expect: Option<u64>, item: &'a LeaseItem) -> Answer<'a, ()> {
        Box::pin(async move {
            self.reach("PutItem").await?;
            let mut items = self.items.lock().unwrap();
            let stands = items.get(group).map(|it| it.nonce);
            if stands == Some(item.nonce) {
                return Ok(());
            }
            if stands != expect {
                return Err(CloudError::new(ErrorKind::Conflict, "PutItem", "somebody was faster"));
            }
            items.insert(group.to_owned(), item.clone());
            Ok(())
        })
    }
}

//! [`LeaseTable`] over DynamoDB.
//!
//! A read is a GetItem with ConsistentRead: "a strongly consistent read … reflects all successful writes" (Developer
//! Guide, "DynamoDB read consistency"); a write is a PutItem with a condition, which is evaluated and carried out in
//! one step ("Condition expressions"). That holds within one region; a global table with eventual consistency
//! between regions is no place for a lease.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{IdentityCache, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::aws::line::{self, Line};
use super::aws::{Access, renew};
use super::lease::{KEY, LeaseItem, LeaseTable, creation};
use super::{Answer, CloudError, ErrorKind};

/// No group has this name: a slash is not allowed in one.
const NO_GROUP: &str = "standin/keeps/warm";

/// Which table, and how it is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Another endpoint for DynamoDB; else AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL.
    pub endpoint_url: Option<String>,
    /// Bound on each call, from request to answer.
    pub call_timeout: Duration,
}

/// DynamoDB, as this node reaches it.
#[derive(Debug)]
pub struct DynamoDb {
    line: Line<Client>,
    table: String,
    region: String,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoDb {
    /// The table there. Makes no call.
    pub fn on(access: &Access, table: &Table) -> Self {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&access.config)
            .credentials_provider(access.credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(line::timeouts(table.call_timeout));
        if let Some(url) = &table.endpoint_url {
            config.set_endpoint_url(Some(url.clone()));
        }
        let place = (access.place("DynamoDB", table.endpoint_url.as_deref()), "lease.endpoint-url");
        let client = Client::from_conf(config.build());
        let line = Line::new(client, access.credentials.clone(), place, table.call_timeout);
        Self { line, table: table.name.clone(), region: access.region().to_owned() }
    }

    /// Keeps credentials and a connection ready, for as long as it is polled: a contender reads seldom.
    pub async fn keep_warm(&self, every: Duration) {
        loop {
            let read = self.get(NO_GROUP);
            if let ((), Err(error)) = futures_util::future::join(renew(&self.line.credentials), read).await {
                tracing::debug!(%error, "keeping the connection to DynamoDB warm");
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Leaves all connections behind, as for EC2.
    pub fn reconnect(&self) {
        self.line.reconnect();
    }

    async fn get(&self, group: &str) -> Result<Option<LeaseItem>, CloudError> {
        let call = |client: Client, sent| {
            let key = AttributeValue::S(group.to_owned());
            let read = client.get_item().table_name(&self.table).key(KEY, key).consistent_read(true);
            read.customize().interceptor(sent).send()
        };
        let answer = self.line.once("GetItem", call).await.map_err(|error| self.with_remedy(error))?;
        answer.item.map(|item| read_item(&self.table, group, &item)).transpose()
    }

    async fn put(&self, group: &str, expect: Option<u64>, item: &LeaseItem) -> Result<(), CloudError> {
        let call = |client: Client, sent| {
            let mut write = client.put_item().table_name(&self.table).set_item(Some(written(group, item)));
            write = match expect {
                // "attribute_not_exists(pk)" is how PutItem's page says: only if there is no such item.
                None => write
                    .condition_expression("attribute_not_exists(#group)")
                    .expression_attribute_names("#group", KEY),
                Some(nonce) => write
                    .condition_expression("#nonce = :expected")
                    .expression_attribute_names("#nonce", "nonce")
                    .expression_attribute_values(":expected", AttributeValue::S(hexadecimal(nonce))),
            };
            let write =
                write.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            let write = write.customize().interceptor(sent).send();
            async move {
                match write.await {
                    Ok(_) => Ok(None),
                    Err(error) => condition_failed(&error).map(Some).ok_or(error),
                }
            }
        };
        match self.line.once("PutItem", call).await.map_err(|error| self.with_remedy(error))? {
            None => Ok(()),
            Some(failed) => settle(&self.table, group, item.nonce, failed),
        }
    }

    fn with_remedy(&self, mut error: CloudError) -> CloudError {
        // "The provided key element does not match the schema": the table is one of something else.
        let is_other = error.kind == ErrorKind::Invalid && error.message.contains("schema");
        if error.kind == ErrorKind::NotFound || is_other {
            let command = creation(&self.table, &self.region);
            error.message.push_str(&format!(
                "; `lease.table` is {:?}, looked for in {}: make it by {command}",
                self.table, self.region
            ));
        }
        error
    }
}

impl LeaseTable for DynamoDb {
    fn read<'a>(&'a self, group: &'a str) -> Answer<'a, Option<LeaseItem>> {
        Box::pin(self.get(group))
    }

    fn write<'a>(&'a self, group: &'a str, expect: Option<u64>, item: &'a LeaseItem) -> Answer<'a, ()> {
        Box::pin(self.put(group, expect, item))
    }
}

impl line::Client for Client {
    fn over(&self, connections: SharedHttpClient) -> Self {
        Self::from_conf(self.config().to_builder().http_client(connections).build())
    }
}

/// A failed condition is an answer; everything else is a failure.
fn condition_failed(error: &SdkError<PutItemError>) -> Option<ConditionalCheckFailedException> {
    if let PutItemError::ConditionalCheckFailedException(failed) = error.as_service_error()? {
        return Some(failed.clone());
    }
    None
}

/// What stands there decides: our own nonce means that an attempt without an answer has landed.
fn settle(
    table: &str,
    group: &str,
    nonce: u64,
    failed: ConditionalCheckFailedException,
) -> Result<(), CloudError> {
    let stands = failed.item().map(|item| read_item(table, group, item));
    let who = match &stands {
        Some(Ok(there)) if there.nonce == nonce => return Ok(()),
        Some(Ok(LeaseItem { owner: Some(owner), term, .. })) => format!("{owner} has it, with term {term}"),
        Some(Ok(LeaseItem { owner: None, .. })) => "it has been given back meanwhile".to_owned(),
        Some(Err(error)) => error.message.clone(),
        None => "something else stands there".to_owned(),
    };
    let message = format!("the lease of {group}: {who}");
    let code = failed.meta().code().unwrap_or("ConditionalCheckFailedException").to_owned();
    Err(CloudError { code: Some(code), ..CloudError::new(ErrorKind::Conflict, "PutItem", message) })
}

fn written(group: &str, item: &LeaseItem) -> Item {
    let text = |it: &str| AttributeValue::S(it.to_owned());
    let mut all = Item::from([
        (KEY.to_owned(), text(group)),
        ("nonce".to_owned(), AttributeValue::S(hexadecimal(item.nonce))),
        ("term".to_owned(), AttributeValue::N(item.term.to_string())),
        ("length".to_owned(), AttributeValue::N(item.length_ms.to_string())),
        ("written-at".to_owned(), text(&item.written_at)),
    ]);
    all.extend(item.owner.iter().map(|owner| ("owner".to_owned(), text(owner))));
    all
}

/// Reads an item; attributes that this version does not know are left alone.
fn read_item(table: &str, group: &str, item: &Item) -> Result<LeaseItem, CloudError> {
    let wrong = |name: &str, rule: &str| {
        let key = format!("'{{\"{KEY}\": {{\"S\": \"{group}\"}}}}'");
        let message = format!(
            "the item of {group} in the table {table} has no {name} that is {rule}; if no node is to be active, \
             aws dynamodb delete-item --table-name {table} --key {key} begins anew"
        );
        CloudError::new(ErrorKind::Invalid, "GetItem", message)
    };
    let text = |name: &str| item.get(name).and_then(|it| it.as_s().ok());
    let number = |name: &'static str| {
        let value = item.get(name).and_then(|it| it.as_n().ok()).and_then(|it| it.parse().ok());
        value.ok_or_else(|| wrong(name, "a whole number"))
    };
    let nonce = text("nonce").filter(|it| it.len() == 16).and_then(|it| u64::from_str_radix(it, 16).ok());
    let owner = match item.get("owner") {
        None => None,
        Some(AttributeValue::S(owner)) => Some(owner.clone()),
        Some(_) => return Err(wrong("owner", "a string")),
    };
    Ok(LeaseItem {
        owner,
        nonce: nonce.ok_or_else(|| wrong("nonce", "a string of 16 hexadecimal digits"))?,
        term: number("term")?,
        length_ms: number("length")?,
        written_at: text("written-at").cloned().unwrap_or_default(),
    })
}

fn hexadecimal(nonce: u64) -> String {
    format!("{nonce:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> LeaseItem {
        LeaseItem {
            owner: Some("ivr-a".to_owned()),
            nonce: 0x0102,
            term: 7,
            length_ms: 10_000,
            written_at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for item in [item(), LeaseItem { owner: None, nonce: u64::MAX, term: u64::MAX, ..item() }] {
            let mut all = written("c/g", &item);
            assert_eq!(all["nonce"].as_s().unwrap().len(), 16);
            all.insert("of-tomorrow".to_owned(), AttributeValue::Bool(true));
            assert_eq!(read_item("t", "c/g", &all), Ok(item));
        }
    }

    #[test]
    fn an_item_that_somebody_else_wrote_is_refused_with_the_way_out() {
        let cases = [
            ("nonce", AttributeValue::S("102".to_owned())),
            ("nonce", AttributeValue::N("258".to_owned())),
            ("term", AttributeValue::S("7".to_owned())),
            ("length", AttributeValue::N("-1".to_owned())),
            ("owner", AttributeValue::N("0".to_owned())),
        ];
        for (name, value) in cases {
            let mut all = written("c/g", &item());
            all.insert(name.to_owned(), value);
            let error = read_item("leases", "c/g", &all).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            let text = error.to_string();
            assert!(text.contains(&format!("has no {name} that is")), "{text}");
            assert!(text.contains(r#"--table-name leases --key '{"group": {"S": "c/g"}}'"#), "{text}");
        }
    }

    #[test]
    fn ones_own_nonce_settles_an_attempt_without_an_answer() {
        let failed = |stands: Option<LeaseItem>| {
            let stands = stands.map(|it| written("c/g", &it));
            ConditionalCheckFailedException::builder().set_item(stands).build()
        };
        assert_eq!(settle("t", "c/g", 0x0102, failed(Some(item()))), Ok(()));
        let cases = [
            (Some(LeaseItem { nonce: 9, ..item() }), "ivr-a has it, with term 7"),
            (Some(LeaseItem { nonce: 9, owner: None, ..item() }), "given back"),
            (None, "something else"),
        ];
        for (stands, expected) in cases {
            let error = settle("t", "c/g", 0x0102, failed(stands)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

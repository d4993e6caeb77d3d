//! Tags: CreateTags, DeleteTags.

use super::Vpc;
use super::error::ApiError;
use super::response::Response;

/// User Guide, "Tag restrictions".
const TAGS_PER_RESOURCE: usize = 50;

impl Vpc {
    pub(super) fn create_tags(
        &mut self,
        resources: &[String],
        tags: &[(String, String)],
    ) -> Result<Response, ApiError> {
        for (key, value) in tags {
            check(key, value)?;
        }
        for id in resources {
            let present = self.state_mut().tags_mut(id).ok_or_else(|| ApiError::unknown_id(id))?;
            // CreateTags: an existing key's value is overwritten.
            present.extend(tags.iter().cloned());
            if present.len() > TAGS_PER_RESOURCE {
                let message = format!("{id} would have more than {TAGS_PER_RESOURCE} tags");
                return Err(ApiError::new("TagLimitExceeded", message));
            }
        }
        Ok(Response::Done)
    }

    pub(super) fn delete_tags(
        &mut self,
        resources: &[String],
        tags: &[(String, Option<String>)],
    ) -> Result<Response, ApiError> {
        for id in resources {
            let present = self.state_mut().tags_mut(id).ok_or_else(|| ApiError::unknown_id(id))?;
            // DeleteTags: with a value only if it is the value; without any tag, all go.
            if tags.is_empty() {
                present.clear();
            }
            present.retain(|key, value| {
                !tags.iter().any(|(k, v)| k == key && v.as_ref().is_none_or(|v| v == value))
            });
        }
        Ok(Response::Done)
    }
}

/// User Guide, "Tag restrictions": 128 and 256 characters, and no "aws:".
fn check(key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(ApiError::value("Tag keys must be between 1 and 128 characters in length"));
    }
    if value.chars().count() > 256 {
        return Err(ApiError::value("Tag values must be between 0 and 256 characters in length"));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(ApiError::value("Tag keys starting with 'aws:' are reserved for internal use"));
    }
    Ok(())
}

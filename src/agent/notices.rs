//! The core's sentences, in the log.

use super::names::Names;
use crate::cluster::{Level, Notice};

/// Logs a notice. The id is its stable name, for filters.
pub(super) fn log(notice: &Notice, names: &Names) {
    let id = notice.id;
    let group = notice.group.map(|group| names.group(group));
    let row = notice.row.map(crate::cluster::Row::number);
    // The same clock as every other process of this machine: for tools that compare logs.
    let boot_us = notice.at.as_nanos() / 1000;
    let text = names.text(&notice.text);
    match notice.level {
        Level::Info => tracing::info!(id, group, row, boot_us, "{text}"),
        Level::Warn => tracing::warn!(id, group, row, boot_us, "{text}"),
        Level::Alarm => tracing::error!(id, group, row, boot_us, "{text}"),
    }
}

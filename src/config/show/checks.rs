//! The checks of a group.

use super::super::checks::{Check, CheckKind, Need};
use super::{Page, duration, list, masked, quoted};

pub(super) fn show(check: &Check, page: &mut Page) {
    page.table("[[group.check]]");
    page.value("name", quoted(&check.name));
    let word = check.kind.word();
    match &check.kind {
        CheckKind::Systemd(unit) => page.value(word, quoted(unit)),
        CheckKind::AsteriskAmi => page.value(word, true),
        CheckKind::Tcp(targets, need) => show_targets(word, targets, *need, page),
        CheckKind::Ping(targets, need) => show_targets(word, targets, *need, page),
        CheckKind::Http(http) => {
            page.value(word, quoted(&http.to_string()));
            match http.status {
                Some(status) => page.value("status", status),
                None => page.comment("status: 200 to 399"),
            }
            page.optional("body-contains", http.body_contains.as_deref(), "anything");
        }
        CheckKind::Command(command) => page.value(word, masked(command)),
        CheckKind::SipOptions(sip) => page.value(word, quoted(&sip.to_string())),
        CheckKind::Disk(folder) => page.value(word, quoted(&folder.display().to_string())),
        CheckKind::Interface(interface) => page.value(word, quoted(interface)),
    }
    match check.kind {
        CheckKind::Systemd(_) => page.comment("every: systemd tells of each change"),
        CheckKind::Tcp(..)
        | CheckKind::Http(_)
        | CheckKind::Command(_)
        | CheckKind::SipOptions(_)
        | CheckKind::AsteriskAmi
        | CheckKind::Ping(..)
        | CheckKind::Disk(_)
        | CheckKind::Interface(_) => {
            page.value("every", duration(check.every));
            page.value("timeout", duration(check.timeout));
        }
    }
    page.value("rise", check.rise);
    page.value("fall", check.fall);
    page.value("when", quoted(check.when.word()));
    page.value("on-fail", quoted(check.on_fail.word()));
}

fn show_targets<T: ToString>(word: &str, targets: &[T], need: Need, page: &mut Page) {
    page.value(word, list(targets));
    if targets.len() > 1 {
        page.value("need", quoted(need.word()));
    }
}

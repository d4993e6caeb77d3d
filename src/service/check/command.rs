//! The operator's own program. Its exit code says what it found, as OCF has the codes ("Resource Agent API",
//! version 1.1): 0 is well, 190 and 191 are degraded, any other is a failure. A program that cannot run at all has
//! found nothing: unknown.

use std::time::Duration;

use super::super::hooks::{About, run_program};
use super::super::program::How;
use super::Outcome;

/// OCF_DEGRADED and OCF_DEGRADED_PROMOTED.
const DEGRADED: [i32; 2] = [190, 191];
/// What a shell answers for a program that it cannot execute, or does not find (POSIX, "Exit Status for Commands").
const CANNOT_RUN: [i32; 2] = [126, 127];

/// Runs it to its end, which comes within the timeout: then its process group is killed.
pub(in super::super) async fn program(
    words: &[String],
    about: &About,
    event: &str,
    timeout: Duration,
) -> Outcome {
    let ended = run_program(words, about, event, timeout).await;
    let text = || format!("it {ended}");
    match (&ended.how, ended.code) {
        (How::Well, _) => Outcome::Ok,
        (How::Badly(_), Some(code)) if DEGRADED.contains(&code) => {
            let said = if ended.said.is_empty() {
                String::new()
            } else {
                format!(": {}", ended.said.escape_debug())
            };
            Outcome::Degraded(format!("it says that it is degraded ({code}){said}"))
        }
        (How::Badly(_), Some(code)) if CANNOT_RUN.contains(&code) => Outcome::Unknown(text()),
        (How::NotStarted(_), _) => Outcome::Unknown(text()),
        (How::Badly(_) | How::TooLate(_), _) => Outcome::Failed(text()),
    }
}

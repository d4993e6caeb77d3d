//! The operator's programs that run when a node becomes active or standby.

use std::time::Duration;

use super::program::{Ended, Program};
use crate::config::Hook;

/// So much of what a hook says is kept, in bytes.
const KEPT: usize = 2048;

/// What a hook is told in its environment, besides what it inherits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// STANDIN_CLUSTER.
    pub cluster: String,
    /// STANDIN_GROUP.
    pub group: String,
    /// STANDIN_NODE: this node.
    pub node: String,
}

/// Runs one hook to its end, which comes within its timeout: then its process group is killed. `input` is what it
/// may read from standard input.
pub async fn run(hook: &Hook, about: &About, input: String) -> Ended {
    program(&hook.run, about, hook.on.word(), hook.timeout, Some(input)).run().await
}

/// Runs a program to its end, which comes within the timeout: then its process group is killed. `event` is what
/// STANDIN_EVENT says.
pub async fn run_program(words: &[String], about: &About, event: &str, timeout: Duration) -> Ended {
    program(words, about, event, timeout, None).run().await
}

fn program<'a>(
    words: &'a [String],
    about: &About,
    event: &str,
    timeout: Duration,
    input: Option<String>,
) -> Program<'a> {
    let environment = [
        ("STANDIN_CLUSTER", about.cluster.as_str()),
        ("STANDIN_GROUP", &about.group),
        ("STANDIN_NODE", &about.node),
        ("STANDIN_EVENT", event),
    ];
    Program {
        words,
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        input,
        timeout,
        // A hook that runs while the agent ends runs on: half a promotion is worse than a late one.
        dies_unwatched: false,
        kept: KEPT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HookEvent, HookFailure, HookWhen};
    use crate::service::program::How;

    fn shell(script: &str, timeout: u64) -> Hook {
        Hook {
            on: HookEvent::Promote,
            when: HookWhen::After,
            on_failure: HookFailure::Ignore,
            run: vec!["/bin/sh".into(), "-c".into(), script.into()],
            timeout: Duration::from_millis(timeout),
        }
    }

    fn about() -> About {
        About { cluster: "c".into(), group: "g".into(), node: "n".into() }
    }

    #[tokio::test]
    async fn a_hook_knows_what_happened_and_its_words_are_kept() {
        let script =
            "echo $STANDIN_CLUSTER $STANDIN_GROUP $STANDIN_NODE $STANDIN_EVENT; cat; echo bad >&2; exit 3";
        let ended = run(&shell(script, 5000), &about(), "{\"version\":1}".into()).await;
        assert_eq!(ended.how, How::Badly("exit status: 3".into()));
        for said in ["c g n promote", "{\"version\":1}", "bad"] {
            assert!(ended.said.contains(said), "{}", ended.said);
        }
    }

    #[tokio::test]
    async fn a_hook_that_does_not_end_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let sign = folder.path().join("sign");
        let script = format!("(sleep 0.6; touch {}) & sleep 5", sign.display());
        let ended = run(&shell(&script, 200), &about(), String::new()).await;
        assert_eq!(ended.how, How::TooLate(Duration::from_millis(200)));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!sign.exists(), "its child lived on");
    }

    #[tokio::test]
    async fn a_service_that_a_hook_leaves_behind_does_not_hold_it_up() {
        let (hook, about) = (shell("sleep 3 & exit 0", 1500), about());
        let ended = tokio::time::timeout(Duration::from_secs(2), run(&hook, &about, String::new()));
        assert_eq!(ended.await.unwrap().how, How::Well);
    }

    #[tokio::test]
    async fn a_hook_that_does_not_read_its_input_is_not_held_up_by_it() {
        let ended = run(&shell("exit 0", 5000), &about(), "x".repeat(1 << 20)).await;
        assert_eq!(ended.how, How::Well);
    }

    #[tokio::test]
    async fn much_output_and_no_program_are_no_trouble() {
        let ended = run(&shell("head -c 300000 /dev/zero | tr '\\0' x", 5000), &about(), String::new()).await;
        assert_eq!((ended.how, ended.said.len()), (How::Well, KEPT));
        let none = Hook { run: vec!["/nonexistent".into()], ..shell("", 100) };
        let ended = run(&none, &about(), String::new()).await;
        assert!(ended.to_string().starts_with("could not be started (No such file"), "{ended}");
    }
}

//! Watches what does not tell when it changes: it is asked every so often.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::sleep;

use super::state::{Failure, Seriousness, Sight, State};

/// Whether a start or a stop is under way. Until it is over nobody asks: what is half started answers nonsense, and
/// a question that hangs is not to hold up a stop.
#[derive(Clone, Debug)]
pub(super) struct Busy(Arc<Sender<bool>>);

/// A start or a stop, for as long as this lives.
pub(super) struct Work<'a>(&'a Busy);

/// What a question has found.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) state: State,
    /// What may help, if that is a failure.
    pub(super) kind: Seriousness,
}

impl Default for Busy {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Busy {
    /// Ends a question that is under way, and begins the work.
    pub(super) fn work(&self) -> Work<'_> {
        self.0.send_replace(true);
        Work(self)
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.0.send_replace(false);
    }
}

/// Asks every so often, and at once for each request, for as long as somebody reads what is seen.
pub(super) async fn poll<Asking: Future<Output = Answer>>(
    ask: impl Fn() -> Asking,
    every: Duration,
    busy: Busy,
    sight: Sender<Sight>,
    mut asked: Receiver<u64>,
) {
    let (mut idle, mut up) = (busy.0.subscribe(), false);
    loop {
        drop(idle.wait_for(|busy| !busy).await);
        let request = *asked.borrow_and_update();
        let answer = tokio::select! {
            answer = ask() => answer,
            _working = idle.wait_for(|busy| *busy) => continue,
            () = sight.closed() => return,
        };
        sight.send_modify(|seen| note(seen, answer, request, &mut up));
        tokio::select! {
            () = sleep(every) => {}
            _ = asked.changed() => {}
            () = sight.closed() => return,
        }
    }
}

fn note(seen: &mut Sight, answer: Answer, request: u64, up: &mut bool) {
    let Answer { state, kind } = answer;
    if *up && state.runs() == Some(false) {
        seen.deaths += 1;
        let why = match &state {
            State::Failed(why) => why.clone(),
            State::Unknown(_) | State::Runs { .. } | State::Starts | State::Stops | State::Stopped => {
                "it has stopped".to_owned()
            }
        };
        seen.death = Failure::of(why, kind);
    }
    // What is unknown changes nothing.
    *up = state.runs().unwrap_or(*up);
    seen.state = state;
    seen.answers = request;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_end_is_a_death() {
        let (mut seen, mut up) = (Sight::default(), false);
        let mut deaths = |state: State| {
            note(&mut seen, Answer { state, kind: Seriousness::Soft }, 1, &mut up);
            seen.deaths
        };
        let runs = || State::Runs { degraded: None };
        assert_eq!(deaths(State::Stopped), 0);
        assert_eq!(deaths(runs()), 0);
        assert_eq!(deaths(State::Unknown("x".into())), 0);
        assert_eq!(deaths(State::Failed("x".into())), 1, "nobody has seen it end, but it did");
        assert_eq!(deaths(State::Failed("y".into())), 1, "still the same");
        assert_eq!(deaths(runs()), 1);
        assert_eq!(deaths(State::Stopped), 2);
    }

    #[tokio::test]
    async fn a_question_that_hangs_does_not_hold_up_the_work() {
        let (seen, mut sight) = watch::channel(Sight::default());
        let (request, asked) = watch::channel(0);
        let (busy, hangs) = (Busy::default(), Arc::new(std::sync::atomic::AtomicBool::new(true)));
        let flag = Arc::clone(&hangs);
        let ask = move || {
            let hangs = flag.load(std::sync::atomic::Ordering::Relaxed);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Answer { state: State::Stopped, kind: Seriousness::Soft }
            }
        };
        tokio::spawn(poll(ask, Duration::from_secs(600), busy.clone(), seen, asked));
        tokio::task::yield_now().await;
        let work = busy.work();
        hangs.store(false, std::sync::atomic::Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
        assert!(matches!(sight.borrow_and_update().state, State::Unknown(_)), "nobody asks meanwhile");
        drop(work);
        request.send_replace(1);
        sight.wait_for(|it| it.answers == 1 && it.state == State::Stopped).await.unwrap();
    }
}

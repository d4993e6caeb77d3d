//! What becomes of a check's results over time: so many failures in a row are a failure, so many good results end it,
//! and what is unknown changes nothing.

use std::time::Duration;

use super::Outcome;
use crate::cluster::Time;

/// A witness that is lost here may be lost everywhere: so many further results are waited for, until the others have
/// seen the same and say so.
const FOR_THE_OTHERS: u32 = 2;
/// A check that runs on the active node only cannot see whether its failure has passed. After it has moved the group
/// away, the node is not able for so long; without that, what fails everywhere would send the group to and fro.
const REMEMBERED: Duration = Duration::from_secs(60);

/// One check's verdict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    rise: u32,
    fall: u32,
    standing: Standing,
    /// Failed results in a row.
    fails: u32,
    /// Good results in a row.
    goods: u32,
    /// Failures do not count: the service has just been started.
    grace: bool,
    /// The last result said nothing.
    unknown: bool,
    /// It does not run here now.
    quiet: bool,
    /// When it fell quiet while it was down.
    left_down: Option<Time>,
    text: String,
}

/// What counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    NotYet,
    Well,
    Degraded,
    Down,
}

/// What a check is, as it is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// No result has counted yet.
    NotYet,
    /// The last results were good.
    Ok,
    /// They are good, and somebody should look.
    Degraded,
    /// It is down.
    Failed,
    /// It is not known to be down, and the last result says nothing.
    Unknown,
    /// It does not run on this node now.
    NotNow,
}

impl State {
    /// For `status` and the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotYet => "not yet",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotNow => "not now",
        }
    }
}

impl Verdict {
    /// Before the first result.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self {
            rise,
            fall,
            standing: Standing::NotYet,
            fails: 0,
            goods: 0,
            grace: false,
            unknown: false,
            quiet: false,
            left_down: None,
            text: String::new(),
        }
    }

    /// One result. Answers whether the service is in trouble: it has failed so often in a row, again and again for as
    /// long as that goes on.
    pub fn heard(&mut self, outcome: &Outcome) -> bool {
        outcome.text().clone_into(&mut self.text);
        self.unknown = false;
        match outcome {
            Outcome::Unknown(_) => self.unknown = true,
            Outcome::Ok => self.good(Standing::Well),
            Outcome::Degraded(_) => self.good(Standing::Degraded),
            Outcome::Failed(_) if self.grace => self.goods = 0,
            Outcome::Failed(_) => {
                self.goods = 0;
                self.fails = self.fails.saturating_add(1);
                if self.fails >= self.fall {
                    self.standing = Standing::Down;
                }
                return self.fails.is_multiple_of(self.fall.max(1));
            }
        }
        false
    }

    fn good(&mut self, standing: Standing) {
        self.grace = false;
        self.fails = 0;
        self.goods = self.goods.saturating_add(1);
        if self.standing != Standing::Down || self.goods >= self.rise {
            self.standing = standing;
        }
    }

    /// The service starts: until the first good result, or until the grace is over, failures do not count. What is down
    /// stays down.
    pub fn grace_begins(&mut self) {
        self.grace = true;
        self.fails = 0;
        self.goods = 0;
        if self.standing != Standing::Down {
            self.standing = Standing::NotYet;
        }
    }

    /// From now on they count.
    pub fn grace_ends(&mut self) {
        self.grace = false;
    }

    /// This node's role has changed, and the check runs in both: counting begins anew.
    pub fn role_changed(&mut self) {
        self.fails = 0;
        self.goods = 0;
    }

    /// It does not run on this node any more, in its present role.
    pub fn falls_quiet(&mut self, now: Time) {
        if !self.quiet {
            self.left_down = (self.standing == Standing::Down).then_some(now);
            let text = std::mem::take(&mut self.text);
            *self = Self { quiet: true, left_down: self.left_down, text, ..Self::new(self.rise, self.fall) };
        }
    }

    /// It runs again.
    pub fn speaks_up(&mut self) {
        *self = Self::new(self.rise, self.fall);
    }

    /// Whether it is down.
    pub fn is_down(&self) -> bool {
        self.standing == Standing::Down
    }

    /// Whether it has been down for so long that the other nodes have had the time to see the same.
    pub fn is_down_here_only(&self) -> bool {
        self.is_down() && self.fails >= self.fall.saturating_add(FOR_THE_OTHERS)
    }

    /// Whether a standby should not take the group because of it. What has never been well has to be: there one failed
    /// result is enough.
    pub fn is_in_the_way(&self) -> bool {
        match self.standing {
            Standing::Down => true,
            Standing::NotYet => !self.quiet && !self.unknown && !self.text.is_empty(),
            Standing::Well | Standing::Degraded => false,
        }
    }

    /// For how long yet it is held against this node that the check was down when its part here ended.
    pub fn remembered(&self, now: Time) -> Option<Duration> {
        let left = REMEMBERED.saturating_sub(now.since(self.left_down?));
        (!left.is_zero()).then_some(left)
    }

    /// What it is.
    pub fn state(&self) -> State {
        match self.standing {
            _ if self.quiet => State::NotNow,
            Standing::Down => State::Failed,
            Standing::NotYet | Standing::Well | Standing::Degraded if self.unknown => State::Unknown,
            Standing::NotYet => State::NotYet,
            Standing::Well => State::Ok,
            Standing::Degraded => State::Degraded,
        }
    }

    /// What the last result had to say.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Failed results in a row.
    pub fn fails(&self) -> u32 {
        self.fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Outcome {
        Outcome::Failed("no answer".into())
    }

    fn unknown() -> Outcome {
        Outcome::Unknown("no permission".into())
    }

    fn heard(verdict: &mut Verdict, outcomes: &[Outcome]) -> Vec<State> {
        let state = |outcome| {
            verdict.heard(outcome);
            verdict.state()
        };
        outcomes.iter().map(state).collect()
    }

    #[test]
    fn it_falls_and_rises_by_results_in_a_row() {
        let mut it = Verdict::new(2, 3);
        assert_eq!(it.state(), State::NotYet);
        let ups = [Outcome::Ok, failed(), failed(), Outcome::Ok, failed(), failed()];
        assert_eq!(heard(&mut it, &ups), [State::Ok; 6]);
        assert_eq!((it.fails(), it.text()), (2, "no answer"));
        assert_eq!(heard(&mut it, &[failed(), Outcome::Ok, failed(), Outcome::Ok]), [State::Failed; 4]);
        assert_eq!(heard(&mut it, &[Outcome::Ok]), [State::Ok]);
    }

    #[test]
    fn what_is_unknown_changes_neither_state_nor_counts() {
        let mut it = Verdict::new(2, 3);
        let said = heard(&mut it, &[Outcome::Ok, failed(), unknown(), failed(), unknown(), unknown()]);
        assert_eq!((said.last(), it.fails(), it.is_down()), (Some(&State::Unknown), 2, false));
        assert_eq!(heard(&mut it, &[failed(), unknown()]), [State::Failed; 2], "down is down");
        assert_eq!(heard(&mut it, &[Outcome::Ok, unknown(), Outcome::Ok]).last(), Some(&State::Ok));
        let mut never = Verdict::new(1, 1);
        assert_eq!(heard(&mut never, &[unknown(), unknown()]), [State::Unknown; 2]);
        assert!(!never.is_in_the_way() && !never.is_down());
    }

    #[test]
    fn degraded_is_good_and_shown() {
        let mut it = Verdict::new(1, 1);
        let worn = Outcome::Degraded("one of two".into());
        assert_eq!(heard(&mut it, &[failed(), worn]), [State::Failed, State::Degraded]);
        assert_eq!((it.text(), it.is_down(), it.is_in_the_way()), ("one of two", false, false));
        assert_eq!(heard(&mut it, &[Outcome::Ok]), [State::Ok]);
    }

    #[test]
    fn trouble_is_told_each_time_that_it_has_failed_so_often() {
        let mut it = Verdict::new(1, 2);
        let troubles: Vec<bool> = (0..6).map(|_| it.heard(&failed())).collect();
        assert_eq!(troubles, [false, true, false, true, false, true]);
        assert!(!it.heard(&unknown()) && !it.heard(&Outcome::Ok) && !it.heard(&failed()));
    }

    #[test]
    fn failures_do_not_count_until_a_started_service_has_been_well_or_its_grace_is_over() {
        let mut it = Verdict::new(1, 1);
        it.heard(&Outcome::Ok);
        it.grace_begins();
        assert_eq!(it.state(), State::NotYet);
        assert_eq!(heard(&mut it, &[failed(), failed()]), [State::NotYet; 2]);
        assert!(it.is_in_the_way(), "it has not been well yet");
        assert_eq!(heard(&mut it, &[Outcome::Ok, failed()]), [State::Ok, State::Failed]);
        it.grace_begins();
        assert!(!it.heard(&failed()), "no trouble in the grace");
        assert_eq!(it.state(), State::Failed, "what is down stays down until it is well");
        it.grace_ends();
        assert!(it.heard(&failed()) && it.is_down());
    }

    #[test]
    fn a_change_of_role_begins_the_counting_anew() {
        let mut it = Verdict::new(2, 2);
        heard(&mut it, &[Outcome::Ok, failed()]);
        it.role_changed();
        assert_eq!(
            heard(&mut it, &[failed(), failed(), Outcome::Ok]),
            [State::Ok, State::Failed, State::Failed]
        );
        it.role_changed();
        assert_eq!(heard(&mut it, &[Outcome::Ok, Outcome::Ok]), [State::Failed, State::Ok]);
    }

    #[test]
    fn a_witness_is_lost_here_only_when_the_others_have_had_the_time_to_lose_it_too() {
        let mut it = Verdict::new(1, 3);
        let only_here: Vec<bool> = (0..6)
            .map(|_| {
                it.heard(&failed());
                it.is_down_here_only()
            })
            .collect();
        assert_eq!(only_here, [false, false, false, false, true, true]);
        it.role_changed();
        assert!(it.is_down() && !it.is_down_here_only());
    }

    #[test]
    fn one_failure_is_in_the_way_of_what_was_never_well() {
        let mut it = Verdict::new(1, 3);
        assert!(!it.is_in_the_way());
        it.heard(&failed());
        assert!(it.is_in_the_way() && !it.is_down());
        it.heard(&Outcome::Ok);
        it.heard(&failed());
        assert!(!it.is_in_the_way());
    }

    #[test]
    fn what_was_down_when_it_fell_quiet_is_remembered_for_a_minute() {
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        let mut it = Verdict::new(1, 1);
        it.heard(&failed());
        it.falls_quiet(at(100));
        it.falls_quiet(at(150));
        assert_eq!((it.state(), it.is_down(), it.is_in_the_way()), (State::NotNow, false, false));
        assert_eq!(it.text(), "no answer");
        assert_eq!(it.remembered(at(159)), Some(Duration::from_secs(1)));
        assert_eq!(it.remembered(at(160)), None);
        it.speaks_up();
        assert_eq!((it.state(), it.remembered(at(101))), (State::NotYet, None));
        it.heard(&Outcome::Ok);
        it.falls_quiet(at(200));
        assert_eq!(it.remembered(at(200)), None);
    }
}

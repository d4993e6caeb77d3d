//! Shrinking a failing case: fewer faults, and shorter ones, as long as something still fails.

use std::time::Duration;

use crate::run::{Case, Only};

/// So many runs at most: a run takes some 30 ms.
const RUNS: u32 = 400;

/// A smaller case that fails, too.
pub(crate) fn shrink(case: &Case) -> Case {
    let mut search = Search { case: case.clone(), runs: 0 };
    let world = case.run(false);
    let all: Only = (0..world.faults.len())
        .filter_map(|at| {
            let planned = &world.faults[at];
            case.lasts(at, planned.lasts).filter(|_| planned.at <= world.now).map(|_| (at, None))
        })
        .collect();
    let mut best = if search.fails(&all) { all } else { return case.clone() };
    best = search.fewer(best);
    best = search.shorter(best, &world.faults.iter().map(|it| it.lasts).collect::<Vec<_>>());
    best = search.fewer(best);
    Case { only: Some(best), ..case.clone() }
}

struct Search {
    case: Case,
    runs: u32,
}

impl Search {
    /// Whether it fails with only these faults.
    fn fails(&mut self, only: &Only) -> bool {
        self.runs += 1;
        self.case.only = Some(only.clone());
        self.case.outcome().violation.is_some()
    }

    /// Delta debugging (Zeller): leaves out ever smaller parts.
    fn fewer(&mut self, mut best: Only) -> Only {
        let mut parts = 2;
        while !best.is_empty() && self.runs < RUNS {
            let size = best.len().div_ceil(parts);
            let without = (0..best.len()).step_by(size).find_map(|from| {
                let rest: Only = best
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| !(from..from + size).contains(at))
                    .map(|(_, it)| *it)
                    .collect();
                self.fails(&rest).then_some(rest)
            });
            match without {
                Some(rest) => {
                    best = rest;
                    parts = (parts - 1).max(2);
                }
                None if size <= 1 => break,
                None => parts = (parts * 2).min(best.len()),
            }
        }
        best
    }

    /// Halves what each fault lasts, as often as it still fails.
    fn shorter(&mut self, mut best: Only, drawn: &[Duration]) -> Only {
        for at in 0..best.len() {
            while self.runs < RUNS {
                let lasts = best[at].1.unwrap_or(drawn[best[at].0]) / 2;
                let mut shorter = best.clone();
                shorter[at].1 = Some(Duration::from_millis(lasts.as_millis() as u64));
                if lasts < Duration::from_millis(100) || !self.fails(&shorter) {
                    break;
                }
                best = shorter;
            }
        }
        best
    }
}

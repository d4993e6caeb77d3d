//! Real agents as processes (this build's binary, the real SDK) in pairs on loopback against the sandbox:
//! bad input, faults of EC2, and operators' hands. Each case looks at what EC2 has in truth, at what the
//! operator is told, and at how the process ends.
//!
//! ```text
//! cargo test --test agents                          all; many at the same time, for they mostly wait
//! cargo test --test agents -- denied                those with the word in their names
//! cargo test --test agents -- --threads 1 denied
//! ```

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program")]
#![allow(clippy::disallowed_methods, reason = "tests measure")]

mod demo;
mod ec2;
mod hands;
mod lives;
mod node;
mod pair;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A test: its name, and what it does.
type Case = (&'static str, fn());

/// Names each function of a module as a case.
macro_rules! cases {
    ($($module:ident: $($name:ident)*;)*) => {
        const CASES: &[Case] = &[$($((stringify!($name), || run($module::$name())),)*)*];
    };
}

// The long ones first.
cases! {
    node: wrong_key_on_one_node another_cluster_name;
    demo: demo_prints_one_document_and_leaves_nothing interrupted_demo_leaves_nothing;
    ec2: active_cut_off_from_ec2 standby_cut_off_from_ec2 unreachable_endpoint_and_its_return
        denied_anchor denied_elastic_ip denied_routes denied_and_done_by_hand throttled_takeover hanging_call_of_the_rest
        anchor_taken_without_an_answer stale_reads status_while_ec2_hangs
        unknown_allocation_id unknown_route_table;
    node: no_imds_at_first imds_hangs no_credentials port_in_use
        two_agents_on_one_socket two_agents_on_one_node;
    lives: stop_without_a_standby announced_restart quick_restart_after_a_kill
        both_killed_and_holder_last both_killed_and_holder_first;
    hands: anchor_detached_by_hand elastic_ip_detached_by_hand route_changed_by_another_tool;
}

/// They wait most of the time.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let mut words = Vec::new();
    let mut threads = THREADS;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => {
                CASES.iter().for_each(|(name, _)| println!("{name}: test"));
                return ExitCode::SUCCESS;
            }
            // libtest's `--test-threads` is meant for tests that compute.
            "--threads" => threads = args.next().and_then(|it| it.parse().ok()).expect("--threads N"),
            "--test-threads" => drop(args.next()),
            // Nothing is captured here, and nothing ignored.
            _ if arg.starts_with("--") => {}
            _ => words.push(arg),
        }
    }
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let cases: Vec<&Case> = CASES.iter().filter(|(name, _)| wanted(name)).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    println!("\nrunning {} tests", cases.len());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    // A thread of its own: a panic ends it and names it.
                    let thread = std::thread::Builder::new().name((*name).to_owned());
                    let ok = thread.spawn(case).unwrap().join().is_ok();
                    let verdict = if ok { "ok" } else { "FAILED" };
                    println!("test {name} ... {verdict} ({:.1} s)", begin.elapsed().as_secs_f64());
                    if !ok {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let took = start.elapsed().as_secs_f64();
    println!("\n{} passed, {} failed {failed:?}, {took:.1} s\n", cases.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On this very thread: agents end with the thread that started them.
fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(case);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

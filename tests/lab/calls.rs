//! Calls: SIPp places one every 100 ms through the Elastic IP, each answered, held for a moment, hung up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::network::{CALLER, INTERNET, PUBLIC};

/// A call that was begun when the first node died is given up by SIPp after its last repetition.
const LAST_CALLS: Duration = Duration::from_secs(20);

/// SIPp, calling.
pub(crate) struct Calls {
    sipp: Child,
    statistics: PathBuf,
    words: PathBuf,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) placed: u64,
    pub(crate) failed: u64,
}

impl Calls {
    /// Begins to call.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let (statistics, words) = (folder.join("calls.csv"), folder.join("calls.log"));
        let _ = std::fs::remove_file(&statistics);
        let log = File::create(&words)?;
        let sipp = Command::new("ip")
            .args(["netns", "exec", INTERNET, "sipp", "-sn", "uac", "-s", "100", &PUBLIC.to_string()])
            .args(["-i", &CALLER.to_string(), "-r", "10", "-rp", "1000", "-d", "300", "-m", "1000000"])
            .args(["-l", "1000", "-nostdin", "-trace_stat", "-fd", "1", "-stf"])
            .arg(&statistics)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start sipp")?;
        Ok(Self { sipp, statistics, words })
    }

    /// No more calls: waits for the end of those that were begun.
    pub(crate) fn end(mut self) -> anyhow::Result<Tally> {
        // It ends by itself, when its calls have ended.
        kill_process(self.pid()?, Signal::USR1)?;
        let deadline = Instant::now() + LAST_CALLS;
        while self.sipp.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.sipp.kill()?;
                self.sipp.wait()?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let words = || std::fs::read_to_string(&self.words).unwrap_or_default();
        let text = std::fs::read_to_string(&self.statistics).with_context(words)?;
        tally(&text).with_context(|| format!("no statistics in {text}"))
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        Pid::from_raw(i32::try_from(self.sipp.id())?).context("a process id")
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.sipp.kill();
        let _ = self.sipp.wait();
    }
}

/// The last line of SIPp's statistics, by the names in its first.
fn tally(text: &str) -> anyhow::Result<Tally> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().context("a head")?.split(';').collect();
    let last: Vec<&str> = lines.next_back().context("a line")?.split(';').collect();
    let value = |name: &str| -> anyhow::Result<u64> {
        let at = names.iter().position(|it| *it == name).with_context(|| format!("no {name}"))?;
        Ok(last.get(at).context("a value")?.parse()?)
    };
    let (placed, good) = (value("OutgoingCall(C)")?, value("SuccessfulCall(C)")?);
    ensure!(placed >= good, "more calls have succeeded than were placed");
    // What had not ended when SIPp was killed has not succeeded either.
    Ok(Tally { placed, failed: placed - good })
}

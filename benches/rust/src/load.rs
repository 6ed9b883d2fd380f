//! How busy the machine is with something else: times taken meanwhile are not worth much, most of all with several threads.

use std::fs::read_to_string;
use std::time::Instant;

/// A row during which other processes used more than this many cores is marked.
pub const DISTURBING: f64 = 0.15;
/// Linux counts processor time in hundredths of a second, whatever its own clock does.
const TICKS: f64 = 100.0;

/// The processor time of everything but this process and those it started.
pub struct Others {
    since: Instant,
    busy: Option<f64>,
}

impl Others {
    pub fn new(ours: &[u32]) -> Others {
        Others { since: Instant::now(), busy: busy(ours) }
    }

    /// The number of cores they kept busy since the start; `None` where the system does not say.
    pub fn cores(&self, ours: &[u32]) -> Option<f64> {
        let cores = (busy(ours)? - self.busy?) / self.since.elapsed().as_secs_f64();
        Some((cores.max(0.0) * 100.0).round() / 100.0)
    }
}

/// Seconds that all cores have worked, without the processes of `ours` and this one.
fn busy(ours: &[u32]) -> Option<f64> {
    let stat = read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // User, nice, system, then irq, softirq and steal: all but idle and waiting.
    let all: f64 = fields.iter().take(3).chain(fields.iter().skip(5).take(3)).sum();
    let own: f64 = ours.iter().chain([&std::process::id()]).map(|&pid| used(pid).unwrap_or(0.0)).sum();
    Some((all - own) / TICKS)
}

/// Processor time of a process, with that of its children that have ended.
fn used(pid: u32) -> Option<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain spaces.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
    Some(fields.filter_map(|f| f.parse::<f64>().ok()).sum())
}

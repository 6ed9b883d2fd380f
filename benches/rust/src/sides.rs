//! Who runs when: a process for each library at each number of threads, and for each case the libraries in turn.

use crate::libraries::{Error, LIBRARIES, Library};
use crate::load::Others;
use crate::results::Row;
use crate::worker::{Answer, Request};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Between two sides, so that the threads of the first have gone to sleep.
const PAUSE: Duration = Duration::from_millis(50);
/// What the libraries read their number of threads from.
const VARIABLES: [&str; 3] = ["RUSHLIGHT_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"];

struct Side {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Side {
    fn start(library: Library, threads: usize) -> Result<Side, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--worker", &library.name().to_lowercase()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        for name in VARIABLES {
            command.env(name, threads.to_string());
        }
        let mut process = command.spawn()?;
        let requests = process.stdin.take().ok_or("no way to send requests")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no way to read answers")?);
        Ok(Side { process, requests, answers })
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        writeln!(self.requests, "{}", serde_json::to_string(request)?)?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("its process ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // A worker may be in the middle of a case, and there is nothing it would lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The processes that have been started.
#[derive(Default)]
pub struct Sides(BTreeMap<(Library, usize), Side>);

impl Sides {
    /// The process of a library, started if it is not there.
    fn side(&mut self, library: Library, threads: usize) -> Result<&mut Side, Error> {
        Ok(match self.0.entry((library, threads)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Side::start(library, threads)?),
        })
    }

    /// The answer of a library. A process that failed to give one is started again at the next question.
    pub fn ask(&mut self, library: Library, threads: usize, request: &Request) -> Answer {
        self.side(library, threads).and_then(|side| side.ask(request)).unwrap_or_else(|e| {
            self.0.remove(&(library, threads));
            Answer::Failed(e.to_string())
        })
    }

    fn pids(&self) -> Vec<u32> {
        self.0.values().map(|side| side.process.id()).collect()
    }

    /// Times a case with each library in turn, several rounds.
    pub fn time(&mut self, case: &str, threads: usize, rounds: usize, quick: bool) -> Row {
        let mut row = Row::new(case, threads);
        for library in LIBRARIES {
            if let Err(e) = self.side(library, threads) {
                row.errors.insert(library, e.to_string());
            }
        }
        let request = Request::Time { case: case.to_string(), quick };
        // From here on, so that all of our processes are known.
        let others = Others::new(&self.pids());
        for _ in 0..rounds {
            for library in LIBRARIES {
                if row.errors.contains_key(&library) {
                    continue;
                }
                match self.ask(library, threads, &request) {
                    Answer::Time { ns } => row.ns.entry(library).or_default().push(ns.round()),
                    Answer::Failed(text) => drop(row.errors.insert(library, text)),
                    Answer::Check(_) => drop(row.errors.insert(library, "answered something else".to_string())),
                }
                sleep(PAUSE);
            }
        }
        row.others = others.cores(&self.pids());
        row
    }
}

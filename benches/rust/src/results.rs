//! What was measured, as it is stored: one JSON object, whose rows can be replaced one by one.

use crate::libraries::{Error, LIBRARIES, Library, PEERS};
use crate::load::DISTURBING;
use crate::machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Clone, Deserialize, Serialize)]
pub struct Results {
    /// What the processor, the system and so on are called, in the order in which they are shown.
    pub machine: Vec<(String, String)>,
    pub versions: BTreeMap<Library, String>,
    pub rounds: usize,
    pub rows: Vec<Row>,
}

/// A case at one number of threads.
#[derive(Clone, Deserialize, Serialize)]
pub struct Row {
    pub case: String,
    pub threads: usize,
    /// Nanoseconds of a step in every round.
    pub ns: BTreeMap<Library, Vec<f64>>,
    pub errors: BTreeMap<Library, String>,
    /// The number of cores that other processes used meanwhile.
    pub others: Option<f64>,
}

impl Results {
    pub fn new(rounds: usize) -> Results {
        let versions = LIBRARIES.map(|l| (l, l.version().to_string())).into();
        Results { machine: machine::describe(), versions, rounds, rows: vec![] }
    }

    pub fn read(path: &Path) -> Result<Results, Error> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?)
    }

    /// One row a line, so that stored results can be compared.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let rows: Vec<String> = self.rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let rest = serde_json::to_string(&Results { rows: vec![], ..self.clone() })?;
        let text = rest.replacen("\"rows\":[]", &format!("\"rows\":[\n{}\n]", rows.join(",\n")), 1);
        fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()).into())
    }

    /// These results, and the rows of `old` that were not measured again.
    pub fn over(self, old: Results) -> Results {
        let mut rows = old.rows;
        for row in self.rows {
            match rows.iter_mut().find(|r| (&r.case, r.threads) == (&row.case, row.threads)) {
                Some(place) => *place = row,
                None => rows.push(row),
            }
        }
        Results { rows, ..self }
    }

    pub fn threads(&self) -> Vec<usize> {
        let mut counts: Vec<usize> = self.rows.iter().map(|r| r.threads).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// The rows of one number of threads, worst for Rushlight first.
    pub fn worst_first(&self, threads: usize) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|r| r.threads == threads).collect();
        let worst = |row: &Row| PEERS.iter().filter_map(|&peer| row.ratio(peer)).fold(f64::INFINITY, f64::min);
        rows.sort_by(|a, b| worst(a).total_cmp(&worst(b)));
        rows
    }

    /// The geometric mean of a peer's ratios.
    pub fn mean(&self, peer: Library, threads: usize) -> Option<f64> {
        let rows = self.rows.iter().filter(|r| r.threads == threads);
        let logs: Vec<f64> = rows.filter_map(|r| r.ratio(peer)).map(f64::ln).collect();
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
    }
}

impl Row {
    pub fn new(case: &str, threads: usize) -> Row {
        Row { case: case.to_string(), threads, ns: BTreeMap::new(), errors: BTreeMap::new(), others: None }
    }

    pub fn median(&self, library: Library) -> Option<f64> {
        let mut sorted = self.ns.get(&library)?.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let upper = *sorted.get(half)?;
        Some(if sorted.len() % 2 == 0 { (sorted[half - 1] + upper) / 2.0 } else { upper })
    }

    /// The peer's time over Rushlight's: above 1 Rushlight is faster.
    pub fn ratio(&self, peer: Library) -> Option<f64> {
        Some(self.median(peer)? / self.median(Library::Rushlight)?)
    }

    /// Whether other processes were busy meanwhile.
    pub fn disturbed(&self) -> bool {
        self.others.is_some_and(|cores| cores > DISTURBING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, rushlight: &[f64], candle: &[f64]) -> Row {
        let ns = [(Library::Rushlight, rushlight.to_vec()), (Library::Candle, candle.to_vec())].into();
        Row { ns, ..Row::new(case, 1) }
    }

    fn results(rows: Vec<Row>) -> Results {
        Results { machine: vec![], versions: BTreeMap::new(), rounds: 1, rows }
    }

    #[test]
    fn ratios_are_those_of_medians() {
        let row = row("a", &[3.0, 1.0, 2.0], &[9.0, 1.0, 5.0, 7.0]);
        assert_eq!(row.ratio(Library::Candle), Some(3.0));
        assert_eq!(row.ratio(Library::Burn), None);
    }

    #[test]
    fn the_worst_row_comes_first_and_means_are_geometric() {
        let results = results(vec![row("a", &[1.0], &[8.0]), row("b", &[1.0], &[2.0])]);
        let names: Vec<&str> = results.worst_first(1).iter().map(|r| r.case.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert!((results.mean(Library::Candle, 1).unwrap() - 4.0).abs() < 1e-12);
        assert_eq!(results.mean(Library::Burn, 1), None);
    }

    #[test]
    fn new_rows_replace_their_own_and_survive_a_file() {
        let old = results(vec![row("a", &[1.0], &[1.0]), row("b", &[1.0], &[1.0])]);
        let merged = results(vec![row("b", &[2.0], &[1.0]), row("c", &[3.0], &[1.0])]).over(old);
        let path = std::env::temp_dir().join(format!("results-{}.json", std::process::id()));
        merged.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let found: Vec<_> = read.rows.iter().map(|r| (r.case.as_str(), r.median(Library::Rushlight))).collect();
        assert_eq!(found, [("a", Some(1.0)), ("b", Some(2.0)), ("c", Some(3.0))]);
    }

    #[test]
    fn the_lock_file_names_every_version() {
        assert!(LIBRARIES.iter().all(|library| library.version().starts_with(|c: char| c.is_ascii_digit())));
    }
}

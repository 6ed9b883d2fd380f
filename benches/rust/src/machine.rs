//! Where the results were measured.

use std::fs::read_to_string;
use std::process::Command;
use std::thread::available_parallelism;

/// What is known about the machine and the program, in the order in which it is shown.
pub fn describe() -> Vec<(String, String)> {
    let cores = available_parallelism().map_or(String::new(), |n| n.to_string());
    let known = [
        ("Processor", field("/proc/cpuinfo", "model name")),
        ("Cores", cores),
        ("Memory", memory()),
        ("System", said("uname", &["-sr"])),
        ("Compiler", format!("{}, `{}`", said("rustc", &["--version"]), env!("RUST_FLAGS"))),
        ("Date", said("date", &["+%Y-%m-%d"])),
    ];
    known.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_string(), value)).collect()
}

/// The first value of `name: value` lines with this name, or nothing.
fn field(path: &str, name: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let found = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    found.map_or(String::new(), |(_, value)| value.trim().to_string())
}

fn memory() -> String {
    let kib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>();
    kib.map_or(String::new(), |kib| format!("{:.0} GB", kib / f64::from(1 << 20)))
}

/// What a command prints, or nothing.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or(String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_string())
}

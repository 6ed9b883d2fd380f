//! The examples, run as a user runs them, with `--quick`: the loss falls and the pictures are there. (`digits` has tests of its own.)

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example's program, which cargo builds together with this test.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    folder.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Runs it, and reads the first and the last loss from `loss 0.7 → 0.1`.
fn losses(name: &str, out: &Path, threads: &str) -> (f64, f64) {
    let program = program(name);
    assert!(program.exists(), "{} is missing: `cargo build --examples` makes it", program.display());
    let output = Command::new(program).args(["--quick", "--threads", threads, "--out"]).arg(out).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find_map(|l| l.strip_prefix("loss ")).unwrap_or_else(|| panic!("{name} names no loss:\n{said}"));
    let (first, rest) = line.split_once(" → ").expect("two losses");
    let last = rest.split([' ', ',', ';']).next().expect("a number");
    (first.parse().unwrap(), last.parse().unwrap())
}

fn check(name: &str, pictures: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = losses(name, folder.path(), "2");
    assert!(last < 0.98 * first, "{name}: the loss went from {first} to {last}");
    for picture in pictures {
        let text = std::fs::read_to_string(folder.path().join(picture)).unwrap_or_else(|e| panic!("{name}: {picture}: {e}"));
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>") && text.len() > 1000, "{name}: {picture}");
    }
    let again = tempfile::tempdir().unwrap();
    assert_eq!((first, last), losses(name, again.path(), "1"), "{name}: another loss with one thread");
}

#[test]
fn xor() {
    check("xor", &["loss.svg", "surface.svg"]);
}

#[test]
fn vae() {
    check("vae", &["loss.svg", "digits.svg"]);
}

#[test]
fn lstm_sine() {
    check("lstm_sine", &["loss.svg", "wave.svg"]);
}

#[test]
fn char_gpt() {
    check("char_gpt", &["loss.svg"]);
}

//! The Python door: building it, installing it, testing it.

use crate::{root, step};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

/// A wheel larger than this fails the build.
const WHEEL_LIMIT: u64 = 10 << 20;

/// The interpreter of the project's own virtual environment, made at first use with what the tests need. (`.ci/run` adds PyTorch to it.)
fn interpreter() -> Result<PathBuf, String> {
    let python = root().join(".venv/bin/python");
    if !python.exists() {
        step("virtual environment", Command::new("python3").args(["-m", "venv", ".venv"]))?;
    }
    if !can_import(&python, "pytest, numpy") {
        let packages = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "python/tests/requirements.txt"];
        step("test packages", Command::new(&python).args(packages))?;
    }
    Ok(python)
}

fn can_import(python: &Path, modules: &str) -> bool {
    let probe =
        Command::new(python).args(["-c", &format!("import {modules}")]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|s| s.success())
}

/// Builds the native module and lays it beside the package's files in `target/develop`, from where `PYTHONPATH` finds it.
pub(crate) fn develop(profile: &str) -> Result<PathBuf, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "rushlight-python", "--profile", profile]);
    step("native module", &mut build)?;
    let place = root().join("target/develop");
    let library = root().join("target").join(if profile == "dev" { "debug" } else { profile }).join(native_name());
    lay_out(&place.join("rushlight"), &library).map_err(|e| format!("target/develop: {e}"))?;
    Ok(place)
}

/// Times the package, built as it is shipped, side by side with PyTorch; `args` go to the harness.
pub(crate) fn compare(build: bool, args: &[String]) -> Result<(), String> {
    let python = std::env::var_os("PYTHON").map_or_else(interpreter, |p| Ok(p.into()))?;
    if !can_import(&python, "torch") {
        return Err(format!("{} has no torch to compare with", python.display()));
    }
    let place = if build { develop("dist")? } else { root().join("target/develop") };
    let mut command = Command::new(&python);
    command.arg("benches/compare").args(args).env("PYTHONPATH", &place);
    step("comparison with PyTorch", &mut command)
}

fn native_name() -> String {
    format!("{}_C{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// A folder that looks like the installed package: the sources by links, and the library.
fn lay_out(package: &Path, library: &Path) -> io::Result<()> {
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    fs::create_dir_all(package)?;
    for entry in fs::read_dir(root().join("python/rushlight"))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("_C.") || name == "__pycache__" {
            continue;
        }
        link(&entry.path(), &package.join(name))?;
    }
    let module = if cfg!(windows) { "_C.pyd" } else { "_C.abi3.so" };
    fs::copy(library, package.join(module)).map(drop)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}
#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        return fs::read_dir(from)?.try_for_each(|e| e.and_then(|e| link(&e.path(), &to.join(e.file_name()))));
    }
    fs::copy(from, to).map(drop)
}

/// Writes the stubs and the coverage page, or with `check` says whether they are up to date.
pub(crate) fn stubs(check: bool) -> Result<(), String> {
    let python = interpreter()?;
    let place = develop("dev")?;
    for tool in ["stubs", "coverage"] {
        let mut command = Command::new(&python);
        command.arg(format!("python/tools/{tool}.py")).env("PYTHONPATH", &place);
        if check {
            command.arg("--check");
        }
        step(&format!("{tool} of the Python package"), &mut command)?;
    }
    Ok(())
}

/// Builds the wheel, installs it as a user would, and runs the Python tests against what was installed.
pub(crate) fn test() -> Result<(), String> {
    let python = interpreter()?;
    let pip = |name: &str, args: &[&str]| {
        step(name, Command::new(&python).args(["-m", "pip", "--quiet", "--disable-pip-version-check"]).args(args))
    };
    let wheels = root().join("target/wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).map_err(|e| format!("target/wheels: {e}"))?;
    }
    pip("Python wheel", &["wheel", "--no-deps", "--wheel-dir", "target/wheels", "."])?;
    let wheel = the_wheel(&wheels)?;
    pip("installation", &["install", "--force-reinstall", "--no-deps", &wheel.display().to_string()])?;
    if !can_import(&python, "torch") {
        eprintln!("SKIPPED: the parity tests against live PyTorch (.venv has no torch)");
    }
    let mut pytest = Command::new(&python);
    pytest.args(["-m", "pytest", "-q", "-rs", "python/tests"]).env_remove("PYTHONPATH");
    step("Python tests", &mut pytest)
}

fn the_wheel(folder: &Path) -> Result<PathBuf, String> {
    let read = || -> io::Result<Option<(PathBuf, u64)>> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|e| e == "whl") {
                return Ok(Some((entry.path(), entry.metadata()?.len())));
            }
        }
        Ok(None)
    };
    let (wheel, size) = read().map_err(|e| e.to_string())?.ok_or("pip built no wheel")?;
    eprintln!("{}: {:.1} MB", wheel.file_name().unwrap_or_default().to_string_lossy(), size as f64 / 1e6);
    if size > WHEEL_LIMIT {
        return Err(format!("the wheel has {size} bytes, more than {WHEEL_LIMIT}"));
    }
    Ok(wheel)
}

//! Replacing a file as one step.

use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the file at `path` through `write`, so that at every moment, a killed process and a power cut included, `path` holds either
/// what it held before or all of the new contents.
///
/// The data goes to a temporary file in the same folder (`.NAME.….partial`, which a killed process leaves behind), is flushed to the
/// disk, and the file is renamed. Permissions of a file that is replaced are kept; a symbolic link keeps pointing to its target.
///
/// # Errors
/// Of the file system, and those of `write`; they begin with the path.
pub fn write_atomic(path: impl AsRef<Path>, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    replace(path, write).map_err(|e| e.context(path.display()))
}

fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    // Renaming over a link would replace the link.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().ok_or_else(|| Error::io("not a file name"))?;
    let folder = folder_of(path);
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    if let Some(permissions) = permissions(path) {
        builder.permissions(permissions);
    }
    let temporary = builder.tempfile_in(&folder)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| Error::from(e.error))?;
    // The rename itself is on the disk only when the folder is. Not every system can open a folder; then there is nothing to do.
    if let Ok(folder) = File::open(&folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Temporary files are private unless asked otherwise; the user's `umask` decides what is left of 0666.
#[cfg(unix)]
fn permissions(path: &Path) -> Option<std::fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(path).map_or_else(|_| PermissionsExt::from_mode(0o666), |m| m.permissions()))
}

#[cfg(not(unix))]
fn permissions(_: &Path) -> Option<std::fs::Permissions> {
    None
}

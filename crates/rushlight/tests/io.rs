//! Files: round trips, what other programs write, hostile bytes, and writers that are killed.

#[path = "io/checkpoints.rs"]
mod checkpoints;
#[path = "io/formats.rs"]
mod formats;
#[path = "io/hostile.rs"]
mod hostile;

use rushlight::{DType, Layout, Tensor};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder of its own for each test, deleted at the end.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn bytes(t: &Tensor) -> Vec<u8> {
    t.with_bytes(<[u8]>::to_vec).unwrap()
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Same dtype, shape and bits.
#[track_caller]
fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    assert_eq!(bytes(a), bytes(b));
}

/// `shape` of `dtype` with varied bits (NaNs and infinities among them where there are any).
fn varied(dtype: DType, shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>() * dtype.size();
    let limit = if dtype == DType::Bool { 2 } else { 256 };
    let mut seed = 12345u32;
    let random = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
        ((seed >> 24) % limit) as u8
    });
    let bytes: Vec<u8> = random.take(n).collect();
    Tensor::from_bytes(&bytes, dtype, shape.iter().map(|&d| d as i64).collect::<Vec<_>>()).unwrap()
}

/// The tensor as it is, and under layouts that are transposed, flipped, stepped and repeated.
fn layouts(dtype: DType) -> Vec<Tensor> {
    let t = varied(dtype, &[4, 6]);
    [
        Layout::contiguous(&[4, 6]),
        Layout::strided(&[6, 4], &[1, 6], 0),
        Layout::strided(&[4, 6], &[-6, -1], 23),
        Layout::strided(&[2, 3], &[12, 2], 1),
        Layout::strided(&[3, 6], &[0, 1], 6),
        Layout::strided(&[], &[], 5),
        Layout::contiguous(&[0, 3]),
        Layout::contiguous(&[24]),
    ]
    .into_iter()
    .map(|l| t.with_layout(l).unwrap())
    .collect()
}

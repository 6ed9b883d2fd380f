//! Reads what live PyTorch answered (`generate.py`).

use flate2::read::GzDecoder;
use rushlight::op::sample::uniform;
use rushlight::{DType, Tensor};
use serde_json::Value;
use std::io::Read;

/// The file `name`.json.gz.
pub fn read(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json.gz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    serde_json::from_str(&text).expect("JSON")
}

/// A list of numbers; the generator writes those that JSON has not as texts.
pub fn numbers(value: &Value) -> Vec<f64> {
    let number = |v: &Value| match v {
        Value::String(s) => s.parse().expect("inf or nan"),
        Value::Bool(b) => *b as u8 as f64,
        v => v.as_f64().unwrap_or_else(|| panic!("{v} is not a number")),
    };
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list")).iter().map(number).collect()
}

/// The tensor that the generator's `fill` makes.
pub fn fill(tensor: u64, shape: &[usize], dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n as u64).map(|e| 4.0 * uniform(tensor, e) - 2.0).collect();
    Tensor::from_vec(values, shape).to(dtype)
}

/// Fails where `found` is farther from `wanted` than `tolerance`, relative to the largest magnitude of either list.
#[track_caller]
pub fn close(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of elements");
    let scale = wanted.iter().filter(|w| w.is_finite()).fold(1.0f64, |m, w| m.max(w.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        let same = f == w || f.is_nan() && w.is_nan();
        assert!(same || (f - w).abs() <= tolerance * scale, "{what}: element {i} is {f}, but PyTorch has {w}");
    }
}

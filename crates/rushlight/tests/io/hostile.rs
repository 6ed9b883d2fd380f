//! Hostile files: made by hand, cut anywhere, or with flipped bytes. Each gives an error that names the file, or a tensor no larger than
//! the file can hold; none a panic or a huge allocation.

use super::formats::{gzipped, idx_file, npy_file, numpys_npz};
use super::*;
use rushlight::io::{checkpoint, csv, idx, npy, npz, pt, safetensors};
use rushlight::{ErrorKind, Result, State};
use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Largest single request of the process.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Watching;

#[allow(unsafe_code)]
// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        LARGEST.fetch_max(block.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(block) }
    }
    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// No test of this program needs more at once.
const ENOUGH: usize = 64 << 20;

fn assert_modest() {
    let (vec, buffers) = (LARGEST.load(Relaxed), rushlight_kernels::memory::memory_stats().peak_bytes);
    assert!(vec < ENOUGH && buffers < ENOUGH, "a header was believed: {vec} and {buffers} bytes were allocated");
}

type Load = fn(&Path) -> Result<usize>;

/// Bytes in the tensors of a map.
fn total<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> usize {
    tensors.map(|(_, t)| bytes(t).len()).sum()
}

fn state_bytes(state: &State) -> usize {
    match state {
        State::Tensor(t) => bytes(t).len(),
        State::List(items) => items.iter().map(state_bytes).sum(),
        State::Map(entries) => entries.iter().map(|(_, s)| state_bytes(s)).sum(),
        _ => 0,
    }
}

/// Each format: its name, a small valid file, its loader.
fn formats() -> Vec<(&'static str, Vec<u8>, Load)> {
    let f = Folder::new();
    let (x, flags) = (varied(DType::F32, &[2, 3]), varied(DType::Bool, &[5]));
    safetensors::save(f.path("s"), [("x", &x), ("flags", &flags)], &safetensors::Metadata::from([("a".into(), "b".into())]))
        .unwrap();
    let state = State::map().with("w", &x).with("lr", f64::NAN).with("list", vec![State::Int(3), State::Str("s".into())]);
    checkpoint::save(f.path("c"), &state).unwrap();
    pt::save(f.path("p"), &state).unwrap();
    npy::save(f.path("n"), &x).unwrap();
    npz::save(f.path("z"), [("x", &x), ("flags", &flags)]).unwrap();
    let digits = idx_file(8, &[2, 3], &[1, 2, 3, 4, 5, 6]);
    vec![
        ("safetensors", read(f.path("s")), |p| safetensors::load(p).map(|t| total(t.iter()))),
        ("checkpoint", read(f.path("c")), |p| checkpoint::load(p).map(|s| state_bytes(&s))),
        ("pt", read(f.path("p")), |p| pt::load(p).map(|s| state_bytes(&s))),
        ("npy", read(f.path("n")), |p| npy::load(p).map(|t| bytes(&t).len())),
        ("npz", read(f.path("z")), |p| npz::load(p).map(|t| total(t.iter()))),
        ("npz, compressed", numpys_npz(), |p| npz::load(p).map(|t| total(t.iter()))),
        ("idx", digits.clone(), |p| idx::load(p).map(|t| bytes(&t).len())),
        ("idx.gz", gzipped(&digits), |p| idx::load(p).map(|t| bytes(&t).len())),
        ("csv", b"a,b\n1,2\n3,4.5\n".to_vec(), |p| csv::load(p, &Default::default()).map(|t| bytes(&t.values).len())),
    ]
}

/// Loads `file`: what it gives is modest, or an error of the right kind that names the file.
#[track_caller]
fn survive(f: &Folder, load: Load, file: &[u8], what: &str) -> bool {
    let path = f.file("hostile", file);
    match load(&path) {
        Ok(n) => {
            assert!(n <= 2000 * file.len().max(1), "{what}: {n} bytes from {}", file.len());
            true
        }
        Err(e) => {
            assert!(matches!(e.kind(), ErrorKind::Io | ErrorKind::Value), "{what}: {:?} {e}", e.kind());
            assert!(e.message().starts_with(&path.display().to_string()), "{what}: {e}");
            false
        }
    }
}

#[test]
fn cut_anywhere() {
    let f = Folder::new();
    for (format, file, load) in formats() {
        assert!(survive(&f, load, &file, format), "{format}: the whole file is good");
        for end in 0..file.len() {
            let good = survive(&f, load, &file[..end], &format!("{format} cut at {end}"));
            // A table of text is a table wherever a number ends.
            assert!(!good || format == "csv", "{format} cut at {end} of {} is taken for whole", file.len());
        }
    }
    assert_modest();
}

#[test]
fn flipped_bytes() {
    let f = Folder::new();
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % n
    };
    for (format, file, load) in formats() {
        let (mut refused, rounds) = (0, 1500);
        for round in 0..rounds {
            let mut bad = file.clone();
            // One to four bytes; every third file grows or shrinks as well.
            for _ in 0..1 + next(4) {
                let at = next(bad.len());
                bad[at] = match next(4) {
                    0 => bad[at] ^ 1 << next(8),
                    1 => 0,
                    2 => 255,
                    _ => next(256) as u8,
                };
            }
            match next(6) {
                0 => bad.truncate(next(bad.len())),
                1 => bad.insert(next(bad.len()), next(256) as u8),
                _ => {}
            }
            refused += !survive(&f, load, &bad, &format!("{format}, round {round}")) as usize;
        }
        println!("{format}: {refused} of {rounds} damaged files refused, none believed");
        assert!(refused > rounds / 10);
    }
    assert_modest();
}

/// A safetensors file with any header.
fn st(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 1);
    file
}

#[track_caller]
fn refused(load: Load, file: &[u8], text: &str) {
    let f = Folder::new();
    let path = f.file("hostile", file);
    let e = load(&path).expect_err(text);
    assert!(e.message().starts_with(&path.display().to_string()), "{e}");
    assert!(e.message().contains(text), "{e}\nshould say: {text}");
    assert!(matches!(e.kind(), ErrorKind::Io | ErrorKind::Value), "{e}");
}

#[test]
fn lying_safetensors() {
    let load: Load = |p| safetensors::load(p).map(|t| total(t.iter()));
    let bad = |header: &str, data: usize, text: &str| refused(load, &st(header, data), text);
    refused(load, b"", "0 bytes are too short");
    refused(load, &u64::MAX.to_le_bytes(), "header length 18446744073709551615 exceeds");
    refused(load, &(1u64 << 40).to_le_bytes(), "header length 1099511627776 exceeds");
    refused(load, &[&9u64.to_le_bytes()[..], b"\xff{}      "].concat(), "header: invalid utf-8");
    bad("[]", 0, "header: should be a JSON object");
    bad("{", 0, "header: EOF");
    bad(&("[".repeat(100_000)), 0, "header: recursion limit exceeded");
    bad(&(r#"{"a":"#.repeat(100_000)), 0, "header: recursion limit exceeded");
    bad(r#"{"__metadata__":{"a":1}}"#, 0, "__metadata__: 'a' should be a text");
    bad(r#"{"__metadata__":3}"#, 0, "__metadata__: should be an object");
    bad(r#"{"x":{}}"#, 0, "tensor 'x': has no field 'dtype'");
    bad(r#"{"x":7}"#, 0, "tensor 'x': has no field 'dtype'");
    bad(r#"{"x":{"dtype":"C64","shape":[],"data_offsets":[0,8]}}"#, 8, "tensor 'x': dtype 'C64' is unknown");
    bad(r#"{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1, "tensor 'x': shape should be a list of sizes");
    bad(r#"{"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, 1, "tensor 'x': shape should be a list of sizes");
    bad(r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,-1]}}"#, 1, "data_offsets should be two offsets");
    bad(r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1, "data_offsets should be two offsets");
    bad(r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, 1, "data_offsets [1, 0] do not lie in");
    bad(r#"{"x":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#, 1, "data_offsets [0, 9] do not lie in the file's 1 bytes");
    bad(r#"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8, "shape [3] of float32 takes 12 bytes");
    bad(
        r#"{"x":{"dtype":"F64","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}"#,
        0,
        "tensor 'x': shape: sizes [4294967296, 4294967296, 2] are larger than any memory",
    );
    bad(
        r#"{"x":{"dtype":"F64","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}}"#,
        0,
        "larger than any",
    );
    bad(r#"{"x":{"dtype":"U8","shape":[99999999999999999999999],"data_offsets":[0,0]}}"#, 0, "shape should be a list of sizes");
    let many = vec!["1"; 65].join(",");
    bad(&format!(r#"{{"x":{{"dtype":"U8","shape":[{many}],"data_offsets":[0,1]}}}}"#), 1, "65 dimensions");
    let two = |a: &str, b: &str| {
        format!(r#"{{"x":{{"dtype":"U8","shape":[2],"data_offsets":{a}}},"y":{{"dtype":"U8","shape":[2],"data_offsets":{b}}}}}"#)
    };
    bad(&two("[0,2]", "[1,3]"), 3, "tensor 'y': data_offsets [1, 3]: overlaps another tensor");
    bad(&two("[0,2]", "[0,2]"), 2, "overlaps another tensor");
    bad(&two("[0,2]", "[3,5]"), 5, "tensor 'y': data_offsets [3, 5]: leaves a gap before it");
    bad(&two("[0,2]", "[2,4]"), 6, "tensors cover 4 of the file's 6 bytes");
    let twin = r#""x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    bad(&format!("{{{twin},{twin}}}"), 0, "the name \"x\" stands twice");
    bad(r#"{"x":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#, 0, "the name \"dtype\" stands twice");
    let mut flags = st(r#"{"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}"#, 3);
    *flags.last_mut().unwrap() = 2;
    refused(load, &flags, "tensor 'x': byte");
    refused(|p| safetensors::load(p.parent().unwrap()).map(|_| 0).map_err(|e| e.context(p.display())), b"", "not a regular file");
    assert_modest();
}

#[test]
fn misaligned_data_is_copied() {
    let mut file =
        st(r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"F64","shape":[2],"data_offsets":[1,17]}}"#, 1);
    file.extend([1.5f64, -2.0].iter().flat_map(|x| x.to_le_bytes()));
    let f = Folder::new();
    let loaded = safetensors::load(f.file("a", &file)).unwrap();
    assert_eq!(loaded.get("x").unwrap().to_vec::<f64>(), [1.5, -2.0]);
}

#[test]
fn lying_npy() {
    let load: Load = |p| npy::load(p).map(|t| bytes(&t).len());
    let bad = |header: &str, data: usize, text: &str| refused(load, &npy_file(1, header, &vec![1; data]), text);
    let full = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    refused(load, b"PK\x03\x04", "magic bytes are missing");
    refused(load, &npy_file(9, &full("'<f4'", "()"), &[0; 4]), "version 9.0");
    refused(load, b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header length 4294967295 exceeds the 0 bytes left");
    refused(load, &[&b"\x93NUMPY\x01\x00\x02\x00"[..], b"\xff\xff"].concat(), "header: invalid utf-8");
    bad(&full("'|O'", "(1,)"), 8, "arrays of Python objects are pickled");
    bad(&full("'O'", "(1,)"), 8, "arrays of Python objects are pickled");
    bad(&full("[('a', '<f4')]", "(1,)"), 4, "structured arrays are not supported");
    for descr in ["<c8", "<U4", "<u4", "<f16", "<M8[ns]", "", "<", "<<f4", "f", "<f3", "\u{e9}"] {
        bad(&full(&format!("'{descr}'"), "(1,)"), 4, &format!("descr '{descr}': no tensor"));
    }
    bad(&full("'<f4'", "(2,)"), 4, "shape [2] of float32 takes 8 bytes, but 4 follow");
    bad(&full("'<f4'", "(1,)"), 5, "takes 4 bytes, but 5 follow");
    bad(&full("'<f4'", "(4611686018427387904, 16)"), 4, "larger than any memory");
    bad(&full("'<f4'", "(0, 9223372036854775807, 3)"), 0, "larger than any memory");
    bad(&full("'<f4'", "(99999999999999999999,)"), 4, "shape should hold sizes only");
    bad(&full("'<f4'", "(-1,)"), 4, "shape should hold sizes only");
    bad(&full("'<f4'", "(1"), 4, "shape should hold sizes only");
    bad(&full("'<f4'", "1"), 4, "shape should be a tuple");
    bad(&full("'<f4'", &format!("({})", "1,".repeat(65))), 4, "65 dimensions");
    bad(&full("'<f4", "(1,)"), 4, "header: ");
    bad("{'descr': '<f4', 'descr': '<f4'}", 4, "field 'descr' stands twice");
    bad("{'descr': '<f4', 'shape': (1,)}", 4, "has no field 'fortran_order'");
    bad("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", 4, "fortran_order should be True or False");
    bad("{'evil': '<f4'}", 4, "unknown field 'evil'");
    bad(&format!("{}; import os", full("'<f4'", "(1,)")), 4, "text after the closing brace");
    bad(&full("'|b1'", "(1,)").replace("b1", "?"), 0, "takes 1 bytes, but 0 follow");
    refused(load, &npy_file(1, &full("'|b1'", "(1,)"), &[7]), "is 7, which is no bool");
    assert_modest();
}

/// A zip archive of entries that may be anything.
fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents) in entries {
        let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        out.start_file(*name, deflated).unwrap();
        out.write_all(contents).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// Replaces the `n`-th field of four bytes at `offset` after the central directory's mark.
fn patched(file: &[u8], offset: usize, value: u32) -> Vec<u8> {
    let at = file.windows(4).position(|w| w == b"PK\x01\x02").unwrap() + offset;
    let mut file = file.to_vec();
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    file
}

#[test]
fn lying_npz() {
    let load: Load = |p| npz::load(p).map(|t| total(t.iter()));
    let array = npy_file(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[1, 2, 3, 4]);
    let good = zipped(&[("a.npy", &array)]);
    let f = Folder::new();
    assert!(survive(&f, load, &good, "good"));
    refused(load, b"no zip", "");
    refused(load, &zipped(&[("a.npy", b"no npy")]), "entry 'a.npy': not a .npy file");
    // Sizes in the central directory: compressed at 20, unpacked at 24.
    refused(load, &patched(&good, 24, 3_000_000_000), "entry 'a.npy': claims 3000000000 bytes of contents");
    refused(load, &patched(&good, 20, 3_000_000_000), "");
    refused(load, &patched(&good, 24, 1), "entry 'a.npy': File is larger than its declared");
    refused(load, &patched(&good, 24, array.len() as u32 + 1), "ends after");
    refused(load, &patched(&good, 16, 7), "entry 'a.npy': ");
    // One name twice: the reader would keep only one of them.
    let mut twins = zipped(&[("a.npy", &array), ("b.npy", &array)]);
    while let Some(at) = twins.windows(5).position(|w| w == b"b.npy") {
        twins[at] = b'a';
    }
    refused(load, &twins, "lists 2 entries, but they have 1 distinct names");
    // A bomb: 16 MiB in 16 KiB.
    let zeros = npy_file(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (16777216,), }", &vec![0; 1 << 24]);
    let path = f.file("bomb", &zipped(&[("a.npy", &zeros)]));
    let e = npz::load_with_limit(&path, 1 << 20).unwrap_err();
    assert!(e.message().ends_with("exceeds the limit for this file; set another with load_with_limit"), "{e}");
    assert_eq!(npz::load_with_limit(&path, 1 << 25).unwrap().get("a").unwrap().numel(), 1 << 24);
    assert_modest();
}

#[test]
fn lying_idx() {
    let load: Load = |p| idx::load(p).map(|t| bytes(&t).len());
    for pack in [<[u8]>::to_vec, gzipped] {
        refused(load, &pack(b""), "header: ");
        refused(load, &pack(b"\x00\x01\x08\x01"), "not an IDX file");
        refused(load, &pack(&idx_file(7, &[1], &[0])), "header: unknown element type 0x07");
        refused(load, &pack(b"\x00\x00\x08\x03\x00\x00"), "header: ");
        refused(load, &pack(&idx_file(8, &[u32::MAX; 2], &[0])), "");
        refused(load, &pack(&idx_file(14, &[u32::MAX; 8], &[0])), "larger than any memory");
        refused(load, &pack(&idx_file(8, &[1; 65], &[0])), "65 dimensions");
        refused(load, &pack(&idx_file(8, &[2], &[0])), "");
        refused(load, &pack(&idx_file(8, &[1], &[0, 0])), "");
    }
    refused(load, &gzipped(&idx_file(8, &[1 << 30], &[0])), "claims 1073741824 bytes of contents");
    refused(load, &[gzipped(b"")[..10].to_vec(), vec![0xff; 20]].concat(), "header: ");
    assert_modest();
}

#[test]
fn lying_checkpoints() {
    let load: Load = |p| checkpoint::load(p).map(|s| state_bytes(&s));
    let with = |state: &str, version: &str| {
        let f = Folder::new();
        let metadata = [("rushlight.version".into(), version.into()), ("rushlight.state".into(), state.into())];
        safetensors::save(f.path("a"), [("x", &Tensor::scalar(1u8))], &safetensors::Metadata::from(metadata)).unwrap();
        read(f.path("a"))
    };
    let bad = |state: &str, text: &str| refused(load, &with(state, "1"), text);
    let f = Folder::new();
    assert!(survive(&f, load, &with(r#"{"$tensor":"x"}"#, "1"), "good"));
    bad(r#"{"a":{"$tensor":"y"}}"#, "there is no tensor 'y'");
    bad(r#"[{"$tensor":"x"},{"$tensor":"x"}]"#, "there is no tensor 'x', or it is used twice");
    bad("{}", "does not say where tensor 'x' belongs");
    bad(r#"[{"$float":"zz"},{"$tensor":"x"}]"#, "$float 'zz'");
    bad(r#"[{"$evil":"zz"},{"$tensor":"x"}]"#, "unknown tag '$evil'");
    bad(r#"{"a":1,"a":2}"#, "the name \"a\" stands twice");
    bad(&"[".repeat(10_000), "recursion limit exceeded");
    bad("", "rushlight.state: EOF");
    refused(load, &with("null", "2"), "version 2 of the checkpoint format is not supported");
    refused(load, &st("{}", 0), "not a checkpoint of this library");
    let not_a_map = f.path("list");
    checkpoint::save(&not_a_map, &State::List(vec![])).unwrap();
    let e = rushlight::io::Checkpoint::load(&not_a_map).unwrap_err();
    assert!(e.message().ends_with("should be a map, but is a list"), "{e}");
}

//! PyTorch's checkpoints: what live PyTorch wrote (`golden/pt.py`), round trips, and pickles that lie.

use rushlight::io::{Checkpoint, pt};
use rushlight::nn::{BatchNorm1d, Linear, Module, Sequential, StateDict};
use rushlight::optim::{Adam, AdamOptions};
use rushlight::{DType, ErrorKind, Layout, State, Stateful, Tensor, seq};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

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

/// A tree as a text: every value and every bit.
fn shown(state: &State) -> String {
    match state {
        State::Float(x) => format!("f{:016x}", x.to_bits()),
        State::Tensor(t) => format!("{}{:?}{:?}{:?}", t.dtype(), t.shape(), t.strides(), bytes(t)),
        State::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        State::Map(entries) => entries.iter().fold(String::new(), |mut out, (name, value)| {
            let _ = write!(out, "{{{name:?}: {}}}", shown(value));
            out
        }),
        other => format!("{other:?}"),
    }
}

fn at<'a>(state: &'a State, path: &str) -> &'a State {
    path.split('/').fold(state, |s, name| s.get(name).unwrap())
}

// ---- what PyTorch writes ----------------------------------------------------------------------------------------------------

#[test]
fn tensors_of_pytorch() {
    let state = pt::load(golden("checkpoint.pt")).unwrap();
    let described = at(&state, "tensors").as_map().unwrap();
    assert_eq!(described.len(), 23);
    for (name, entry) in described {
        let tensor = entry.read("tensor", State::as_tensor).unwrap();
        let sizes: Vec<usize> = entry.read("shape", State::as_list).unwrap().iter().map(|s| s.as_usize().unwrap()).collect();
        let values: Vec<f64> = entry.read("values", State::as_list).unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(format!("torch.{}", tensor.dtype()), entry.read("dtype", State::as_str).unwrap(), "{name}");
        assert_eq!(tensor.shape().as_slice(), sizes, "{name}");
        assert!(!tensor.requires_grad(), "{name}");
        let found = tensor.to_f64_vec();
        assert_eq!(found.len(), values.len(), "{name}");
        for (f, v) in found.iter().zip(&values) {
            assert!(f.to_bits() == v.to_bits() || f.is_nan() && v.is_nan(), "{name}: {found:?} instead of {values:?}");
        }
    }
    let tensor = |name: &str| at(&state, &format!("tensors/{name}/tensor")).as_tensor().unwrap();
    assert_eq!(tensor("transposed").strides().as_slice(), [1, 6]);
    assert_eq!(tensor("stepped").strides().as_slice(), [6, 2]);
    assert_eq!(tensor("expanded").strides().as_slice(), [1, 0]);
    assert_eq!(tensor("channels_last").strides().as_slice(), [24, 1, 8, 2]);
    // Shared memory is shared again, and a write reaches neither the file nor other storages.
    for view in ["transposed", "stepped", "column", "element"] {
        assert!(tensor("base").shares_storage(tensor(view)), "{view}");
    }
    assert!(!tensor("base").shares_storage(tensor("float32")));
    tensor("base").fill_(9.0);
    assert_eq!(tensor("column").to_vec::<f32>(), [9.0; 4]);
    let again = pt::load(golden("checkpoint.pt")).unwrap();
    assert_ne!(at(&again, "tensors/column/tensor").as_tensor().unwrap().to_vec::<f32>(), [9.0; 4]);
}

#[test]
fn values_of_pytorch_in_every_protocol() {
    let text = |s: &str| State::Str(s.into());
    let ints = |i: &[i64]| State::List(i.iter().map(|&i| State::Int(i)).collect());
    let deep = State::map().with("deep", State::List(vec![]));
    let tree = State::map()
        .with("none", State::None)
        .with("flags", vec![State::Bool(true), State::Bool(false)])
        .with("ints", ints(&[0, -1, 255, 256, 65535, 65536, -(1 << 31), 1 << 31, 1 << 62, i64::MIN, i64::MAX]))
        .with("floats", vec![0.1, -0.0, f64::INFINITY, f64::NAN])
        .with("text", "Straße 雪")
        .with("long text", "ab".repeat(200))
        .with("ordered", State::map().with("z", 1).with("a", vec![2.into(), State::List(vec![3.into(), deep])]))
        .with("numbered", State::map().with("0", "zero").with("-7", "minus seven"))
        .with("counter", State::map().with("10", 2).with("20", 1))
        .with("size", ints(&[2, 3]))
        .with("dtype", text("torch.bfloat16"))
        .with("device", text("cpu"))
        .with("second device", text("cuda:1"));
    for file in ["checkpoint.pt", "protocol3.pt", "protocol4.pt", "protocol5.pt"] {
        let state = pt::load(golden(file)).unwrap();
        assert_eq!(shown(at(&state, "tree")), shown(&tree), "{file}");
        if file != "checkpoint.pt" {
            assert_eq!(at(&state, "w").as_tensor().unwrap().to_vec::<i16>(), [1, 2, 3], "{file}");
        }
    }
}

fn model() -> Sequential {
    seq![Linear::new(3, 4), BatchNorm1d::new(4), Linear::new(4, 2)]
}

#[test]
fn training_goes_on_where_pytorch_left_it() {
    let checkpoint = Checkpoint::load(golden("checkpoint.pt")).unwrap();
    let training = checkpoint.get("training").unwrap();
    let model = model();
    let weights = StateDict::try_from(at(training, "model")).unwrap();
    model.load_state_dict(&weights, true).unwrap();
    assert_eq!(bytes(model.state_dict().get("2.weight").unwrap()), bytes(weights.get("2.weight").unwrap()));
    let mut optimizer = Adam::new(model.parameters(), AdamOptions::default());
    optimizer.load_state(at(training, "optimizer")).unwrap();
    let state = optimizer.state();
    let group = &at(&state, "param_groups").as_list().unwrap()[0];
    assert_eq!(group.read("lr", State::as_f64).unwrap(), 0.01);
    for name in ["exp_avg", "exp_avg_sq"] {
        for number in 0..6 {
            let path = format!("state/{number}/{name}");
            assert_eq!(shown(at(&state, &path)), shown(at(training, &format!("optimizer/{path}"))), "{path}");
        }
    }
    assert_eq!(at(&state, "state/5/step").as_f64().unwrap(), 3.0);
}

// ---- round trips ------------------------------------------------------------------------------------------------------------

const DTYPES: [DType; 10] =
    [DType::Bool, DType::U8, DType::I8, DType::I16, DType::I32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64];

/// A tensor of varied bits.
fn varied(dtype: DType, shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>() * dtype.size();
    let limit = if dtype == DType::Bool { 2 } else { 251 };
    let bytes: Vec<u8> = (0..n).map(|i| (i * 37 % limit) as u8).collect();
    Tensor::from_bytes(&bytes, dtype, shape.iter().map(|&d| d as i64).collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_dtype_and_layout_comes_back() {
    let layouts = [
        Layout::contiguous(&[4, 6]),
        Layout::strided(&[6, 4], &[1, 6], 0),
        Layout::strided(&[4, 6], &[-6, -1], 23),
        Layout::strided(&[2, 3], &[12, 2], 1),
        Layout::strided(&[3, 6], &[0, 1], 6),
        Layout::strided(&[], &[], 5),
        Layout::contiguous(&[0, 3]),
        Layout::strided(&[1, 2], &[100, 1], 3),
    ];
    let f = Folder::new();
    let path = f.path("x.pt");
    for dtype in DTYPES {
        for layout in &layouts {
            // A fresh storage each: alone, and then all views of one together.
            let tensor = varied(dtype, &[24]).with_layout(layout.clone()).unwrap();
            pt::save(&path, &State::from(&tensor)).unwrap();
            let loaded = pt::load(&path).unwrap();
            let loaded = loaded.as_tensor().unwrap();
            assert_eq!((loaded.dtype(), loaded.shape()), (dtype, tensor.shape()), "{layout:?}");
            assert_eq!(bytes(loaded), bytes(&tensor), "{dtype} {layout:?}");
        }
        let storage = varied(dtype, &[24]);
        let views: Vec<State> = layouts.iter().map(|l| storage.with_layout(l.clone()).unwrap().into()).collect();
        pt::save(&path, &views.clone().into()).unwrap();
        for (view, loaded) in views.iter().zip(pt::load(&path).unwrap().as_list().unwrap()) {
            assert_eq!(bytes(view.as_tensor().unwrap()), bytes(loaded.as_tensor().unwrap()), "{dtype}");
        }
    }
}

#[test]
fn overlapping_tensors_share_memory_and_the_rest_is_not_written() {
    let f = Folder::new();
    let path = f.path("x.pt");
    let storage = varied(DType::F32, &[100_000]);
    let part = |shape: &[usize], strides: &[isize], offset| storage.with_layout(Layout::strided(shape, strides, offset)).unwrap();
    let state = State::map()
        .with("left", part(&[10], &[1], 20))
        .with("far", part(&[10], &[1], 90_000))
        .with("right", part(&[10], &[1], 25))
        .with("inside", part(&[2], &[3], 26))
        .with("column", varied(DType::F32, &[90, 1000]).with_layout(Layout::strided(&[90], &[1000], 7)).unwrap())
        .with("permuted", part(&[3, 4], &[1, 3], 300))
        .with("repeated", part(&[50, 2], &[0, 1], 400));
    pt::save(&path, &state).unwrap();
    let loaded = pt::load(&path).unwrap();
    let tensor = |name: &str| loaded.read(name, State::as_tensor).unwrap();
    for (name, value) in state.as_map().unwrap() {
        assert_eq!(bytes(tensor(name)), bytes(value.as_tensor().unwrap()), "{name}");
    }
    assert!(tensor("left").shares_storage(tensor("right")) && tensor("left").shares_storage(tensor("inside")));
    assert!(!tensor("left").shares_storage(tensor("far")));
    assert_eq!(tensor("permuted").strides().as_slice(), [1, 3]);
    assert_eq!(tensor("repeated").storage().nbytes(), 8);
    assert!(std::fs::metadata(&path).unwrap().len() < 4000, "the whole storage was written");
    // One memory of two dtypes cannot be said in the format: each is written by itself.
    let twice = State::List(vec![storage.clone().into(), storage.view_dtype(DType::I32).into()]);
    pt::save(&path, &twice).unwrap();
    assert_eq!(shown(&pt::load(&path).unwrap()), shown(&twice));
}

#[test]
fn trees_come_back_and_equal_trees_give_equal_files() {
    let f = Folder::new();
    let mut tree = State::map()
        .with("none", State::None)
        .with("flags", vec![State::Bool(true), State::Bool(false)])
        .with("floats", vec![f64::NAN, f64::NEG_INFINITY, -0.0, 0.1])
        .with("empty", vec![State::map(), State::List(vec![]), State::Str(String::new())])
        .with("0", "a number for a name")
        .with("x", varied(DType::F16, &[3, 3]));
    for i in [0, 1, -1, 255, 256, 65535, 65536, i64::from(i32::MIN), 1 << 31, i64::MIN, i64::MAX] {
        tree = tree.with(&format!("int {i}"), i);
    }
    for i in 0..300 {
        tree = tree.with(&format!("many texts, which outgrow the short numbers of the memo: {i}"), format!("{i}"));
    }
    let (a, b) = (f.path("a.pt"), f.path("other name.pt"));
    pt::save(&a, &tree).unwrap();
    pt::save(&b, &tree).unwrap();
    assert_eq!(shown(&pt::load(&a).unwrap()), shown(&tree));
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    // The records' places, which let other readers map them too.
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&a).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|n| n.unwrap().into_owned()).collect();
    assert_eq!(names, ["archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/version"]);
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).unwrap();
        assert_eq!((entry.data_start().unwrap() % 64, entry.compression()), (0, CompressionMethod::Stored));
    }
}

#[test]
fn checkpoints_by_extension() {
    let f = Folder::new();
    let (a, b) = (model(), model());
    let mut optimizer = Adam::new(a.parameters(), AdamOptions::default());
    for p in a.parameters() {
        p.sum().backward();
    }
    rushlight::optim::Optimizer::step(&mut optimizer).unwrap();
    let checkpoint = Checkpoint::new().with_module("model", &a).with_part("optimizer", &optimizer).with("epoch", 3);
    for (name, start) in [("run.pt", &b"PK\x03\x04"[..]), ("run.PTH", b"PK\x03\x04"), ("run.safetensors", b"")] {
        let path = f.path(name);
        checkpoint.save(&path).unwrap();
        assert!(std::fs::read(&path).unwrap().starts_with(start), "{name}");
        let loaded = Checkpoint::load(&path).unwrap();
        loaded.restore_module("model", &b).unwrap();
        assert_eq!(shown(&b.state_dict().into()), shown(&a.state_dict().into()), "{name}");
        let mut restored = Adam::new(b.parameters(), AdamOptions::default());
        loaded.restore("optimizer", &mut restored).unwrap();
        assert_eq!(shown(&restored.state()), shown(&optimizer.state()), "{name}");
    }
    pt::save(f.path("list.pt"), &State::List(vec![])).unwrap();
    let e = Checkpoint::load(f.path("list.pt")).unwrap_err();
    assert!(e.message().ends_with("should be a map, but is a list"), "{e}");
}

#[test]
fn unwritable_trees() {
    let f = Folder::new();
    let path = f.path("x.pt");
    let deep = (0..101).fold(State::None, |s, _| State::List(vec![s]));
    let e = pt::save(&path, &deep).unwrap_err();
    assert!(e.message().contains("nested more than 100 deep"), "{e}");
    let twins = State::Map(vec![("a".into(), State::None), ("a".into(), State::None)]);
    assert!(pt::save(&path, &twins).unwrap_err().message().contains("the field 'a' twice"));
    assert!(!path.exists());
    let deep = (0..100).fold(State::None, |s, _| State::List(vec![s]));
    pt::save(&path, &deep).unwrap();
    assert_eq!(shown(&pt::load(&path).unwrap()), shown(&deep));
}

// ---- files that lie ---------------------------------------------------------------------------------------------------------

/// An archive of any records, with right checksums.
fn archive(records: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut out = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents) in records {
        out.start_file(*name, SimpleFileOptions::default().compression_method(method).with_alignment(64)).unwrap();
        out.write_all(contents).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// A checkpoint with any pickle, and a storage `0` of 24 bytes.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let records = [("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &[1; 24]), ("a/version", b"3\n")];
    archive(&records, CompressionMethod::Stored)
}

#[track_caller]
fn refused(file: &[u8], text: &str) {
    let f = Folder::new();
    let path = f.file("hostile.pt", file);
    let e = pt::load(&path).expect_err(text);
    assert!(e.message().starts_with(&path.display().to_string()), "{e}");
    assert!(e.message().contains(text), "{e}\nshould say: {text}");
    assert!(matches!(e.kind(), ErrorKind::Io), "{e}");
}

/// The pickle of `{"w": tensor}`, by its storage's type, key and length, and the tensor's offset, sizes and strides (all below 256).
fn tensor_pickle(class: &str, key: &str, len: &[u8], offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let ints = |ints: &[u8]| [&b"("[..], &ints.iter().flat_map(|i| [b'K', *i]).collect::<Vec<u8>>(), b"t"].concat();
    let text = |t: &str| [&b"X"[..], &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
    let mut out = b"\x80\x02}".to_vec();
    out.extend(text("w"));
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    out.extend(text("storage"));
    out.extend(format!("ctorch\n{class}\n").as_bytes());
    out.extend(text(key));
    out.extend(text("cpu"));
    out.extend(len);
    out.extend(b"tQ");
    out.extend([b'K', offset]);
    out.extend(ints(shape));
    out.extend(ints(strides));
    out.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    out
}

#[test]
fn lying_tensors() {
    let six = b"K\x06";
    let f = Folder::new();
    let good = f.file("good.pt", &checkpoint(&tensor_pickle("FloatStorage", "0", six, 0, &[2, 3], &[3, 1])));
    assert_eq!(pt::load(good).unwrap().get("w").unwrap().as_tensor().unwrap().shape().as_slice(), [2, 3]);
    let bad = |class, key, len: &[u8], offset, shape: &[u8], strides: &[u8], text: &str| {
        refused(&checkpoint(&tensor_pickle(class, key, len, offset, shape, strides)), text);
    };
    bad("ComplexFloatStorage", "0", six, 0, &[2], &[1], "'w': tensors of complex64 are not supported");
    bad("QInt8Storage", "0", six, 0, &[2], &[1], "'w': tensors of qint8 are not supported");
    bad("UntypedStorage", "0", six, 0, &[2], &[1], "a tensor in an untyped storage should have a dtype");
    bad("EvilStorage", "0", six, 0, &[2], &[1], "'torch.EvilStorage' is refused");
    bad("FloatStorage", "1", six, 0, &[2], &[1], "'w': there is no record 'data/1'");
    bad("FloatStorage", "../version", six, 0, &[2], &[1], "there is no record 'data/../version'");
    bad("FloatStorage", "0", b"K\x07", 0, &[2], &[1], "claims 7 elements of float32, but its record 'data/0' has 24 bytes");
    bad("FloatStorage", "0", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 0, &[2], &[1], "claims 9223372036854775807 elements");
    bad("FloatStorage", "0", b"J\xff\xff\xff\xff", 0, &[2], &[1], "-1 is no size");
    bad(
        "FloatStorage",
        "0",
        six,
        5,
        &[2],
        &[1],
        "'w': setStorage: sizes [2], strides [1], storage offset 5 reach elements 5..=6",
    );
    bad("FloatStorage", "0", six, 0, &[2, 4], &[4, 1], "out of bounds for storage of 6 elements");
    bad("FloatStorage", "0", six, 0, &[255; 10], &[0; 10], "larger than any memory");
    bad("FloatStorage", "0", six, 0, &[1; 65], &[0; 65], "65 dimensions");
    bad("FloatStorage", "0", six, 0, &[2, 3], &[1], "a tensor has 2 sizes but 1 strides");
    let bools =
        [("a/data.pkl", &tensor_pickle("BoolStorage", "0", six, 0, &[2], &[1])[..]), ("a/data/0", &[2; 6]), ("a/version", b"3")];
    refused(&archive(&bools, CompressionMethod::Stored), "which is no bool");
}

#[test]
fn lying_pickles() {
    let bad = |pickle: &[u8], text: &str| refused(&checkpoint(&[b"\x80\x02", pickle].concat()), text);
    bad(b"cos\nsystem\nX\x02\0\0\0ls\x85R.", "byte 2: 'os.system' is refused");
    bad(b"cbuiltins\neval\n.", "'builtins.eval' is refused");
    bad(b"ctorch\nload\n.", "'torch.load' is refused");
    bad(b"X\x02\0\0\0osX\x06\0\0\0system\x93.", "'os.system' is refused");
    bad(b"(ios\nsystem\n.", "opcode 'i' (0x69) is refused");
    bad(b"ctorch\nTensor\n)\x81.", "(0x81) is refused");
    bad(b"ctorch\nTensor\n)R.", "TensorType cannot be called with 0 arguments");
    bad(b"ctorch\nTensor\n.", "TensorType stands where a value should");
    bad(b"K\x01)R.", "calls what is no function");
    bad(b"K\x01}b.", "gives attributes to an object that can have none");
    bad(b"ccollections\nOrderedDict\n]\x85R.", "OrderedDict cannot be called with 1 arguments");
    bad(b"", "1 bytes should follow, but 0 do");
    bad(b".", "takes a value, but there is none");
    bad(b"(.", "takes a value, but there is none");
    bad(b"NN.", "ends with values left over");
    bad(b"(N.", "ends with values left over");
    bad(b"N(.", "takes a value");
    bad(b"t.", "above a mark, but there is none");
    bad(b"h\x07.", "recalls value 7");
    bad(b"K\x01K\x02a.", "appends to what is no list");
    bad(b"K\x01K\x02K\x03s.", "sets an item of what is no dict");
    bad(b"}(Nu.", "sets a key without a value");
    bad(b"}(NK\x01u.", "neither text nor integer");
    bad(b"}(K\x01NX\x01\0\0\x001Nu.", "the key '1' stands twice");
    bad(b"X\xff\xff\xff\xffab.", "4294967295 bytes should follow");
    bad(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.", "bytes should follow");
    bad(b"X\x01\0\0\0\xff.", "a text: ");
    bad(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.", "an integer of 9 bytes does not fit into 64 bits");
    bad(b"X\x01\0\0\0aQ.", "a tuple should stand there");
    bad(b"ccollections\nOrd", "a name does not end");
    bad(b"\x80\x02N.", "a pickle should begin with its protocol");
    refused(&checkpoint(b"N."), "a pickle should begin with its protocol");
    refused(&checkpoint(b""), "data.pkl");
    refused(&checkpoint(b"\x80\x01N."), "pickle protocol 1 is not supported");
    refused(&checkpoint(b"\x80\x06N."), "pickle protocol 6 is not supported");
    // Nesting, by itself and in a circle; neither may end the process.
    bad(&[&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat(), "nested more than 100 deep");
    bad(b"]q\x00h\x00a.", "nested more than 100 deep");
    bad(&[&b"("[..], &b"t".repeat(2)].concat(), "above a mark");
    // Fifty lists, each twice in the next, are 2^50 values.
    let doubled: Vec<u8> = (0..50u8).flat_map(|i| [b'q', i, b']', b'(', b'h', i, b'h', i, b'e']).collect();
    bad(&[&b"(]"[..], &doubled, b"t."].concat(), "values are repeated too often");
    // A long text, recalled many times.
    let text = [&b"X"[..], &(1u32 << 20).to_le_bytes(), &vec![b'a'; 1 << 20], b"q\x00"].concat();
    bad(&[&b"]("[..], &text, &b"h\x00".repeat(1000), b"e."].concat(), "values are repeated too often");
}

#[test]
fn lying_archives() {
    let pickle: &[u8] = b"\x80\x02N.";
    let with = |records: &[(&str, &[u8])], text: &str| refused(&archive(records, CompressionMethod::Stored), text);
    refused(b"", "not a checkpoint in PyTorch's zip format");
    refused(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "files from before PyTorch 1.6");
    refused(b"PK\x03\x04", "");
    with(&[("a/other", b"")], "there is no record 'data.pkl'");
    with(&[("data.pkl", pickle)], "there is no record 'data.pkl'");
    with(&[("a/data.pkl", pickle), ("b/data.pkl", pickle)], "several records 'data.pkl'");
    with(&[("a/data.pkl", pickle)], "there is no record 'version'");
    with(&[("a/data.pkl", pickle), ("a/version", b"11\n")], "version of the format is not supported");
    with(&[("a/data.pkl", pickle), ("a/version", b"-1")], "version of the format is not supported");
    with(&[("a/data.pkl", pickle), ("a/version", &[b'1'; 100])], "100 bytes are too many");
    with(&[("a/data.pkl", pickle), ("a/version", b"3"), ("a/byteorder", b"big")], "only little-endian files are supported");
    with(&[("a/data.pkl", pickle), ("a/version", b"3"), ("a/constants.pkl", b"")], "a TorchScript program");
    // A damaged record.
    let good = checkpoint(&tensor_pickle("FloatStorage", "0", b"K\x06", 0, &[6], &[1]));
    let at = good.windows(24).position(|w| w == [1; 24]).unwrap();
    let mut bad = good.clone();
    bad[at + 3] ^= 64;
    refused(&bad, "'w': record 'data/0': has been damaged: its checksum is wrong");
    // Compressed records are read as well, but not bombs.
    let f = Folder::new();
    let pickle = tensor_pickle("FloatStorage", "0", b"K\x06", 0, &[6], &[1]);
    let deflated = archive(&[("a/data.pkl", &pickle), ("a/data/0", &[1; 24]), ("a/version", b"3")], CompressionMethod::Deflated);
    let loaded = pt::load(f.file("deflated.pt", &deflated)).unwrap();
    assert_eq!(bytes(loaded.get("w").unwrap().as_tensor().unwrap()), [1; 24]);
    let bomb = [&b"\x80\x02"[..], &b"N".repeat(2 << 20)].concat();
    refused(&archive(&[("a/data.pkl", &bomb), ("a/version", b"3")], CompressionMethod::Deflated), "bytes are too many");
}

/// Reads what is not too large to be read: a lying shape with strides of 0 repeats numbers for ever.
fn touch(state: &State) {
    match state {
        State::Tensor(t) if t.numel() < 1 << 16 => drop(bytes(t)),
        State::List(items) => items.iter().for_each(touch),
        State::Map(entries) => entries.iter().for_each(|(_, s)| touch(s)),
        _ => {}
    }
}

#[test]
fn damaged_pickles_under_right_checksums() {
    let mut file = zip::ZipArchive::new(std::fs::File::open(golden("checkpoint.pt")).unwrap()).unwrap();
    let names: Vec<String> = file.file_names().map(|n| n.unwrap().into_owned()).collect();
    let records: Vec<(String, Vec<u8>)> = names
        .into_iter()
        .map(|name| {
            let mut contents = Vec::new();
            std::io::Read::read_to_end(&mut file.by_name(&name).unwrap(), &mut contents).unwrap();
            (name, contents)
        })
        .collect();
    let pickle = records[0].1.clone();
    let f = Folder::new();
    let survive = |pickle: &[u8]| {
        let with = |(name, contents): &'_ (String, Vec<u8>)| (name.clone(), contents.clone());
        let records: Vec<(String, Vec<u8>)> = records.iter().map(with).collect();
        let rows: Vec<(&str, &[u8])> =
            records.iter().map(|(n, c)| (&n[..], if n.ends_with("/data.pkl") { pickle } else { &c[..] })).collect();
        match pt::load(f.file("damaged.pt", &archive(&rows, CompressionMethod::Stored))) {
            Ok(state) => {
                touch(&state);
                true
            }
            Err(e) => {
                assert!(matches!(e.kind(), ErrorKind::Io), "{e}");
                false
            }
        }
    };
    assert!(survive(&pickle));
    for end in (0..pickle.len()).step_by(7) {
        assert!(!survive(&pickle[..end]), "cut at {end}");
    }
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % n
    };
    let opcodes = b"\x80N\x88\x89KMJ\x8aGX)\x85\x86\x87t]ae}su(qr\x94hjc\x93QRb.\x95\x8c";
    let (mut refused, rounds) = (0, 1500);
    for _ in 0..rounds {
        let mut bad = pickle.clone();
        for _ in 0..1 + next(4) {
            let at = next(bad.len());
            match next(5) {
                0 => bad[at] ^= 1 << next(8),
                1 => bad[at] = next(256) as u8,
                2 => bad[at] = opcodes[next(opcodes.len())],
                3 => bad.insert(at, opcodes[next(opcodes.len())]),
                _ => drop(bad.remove(at)),
            }
        }
        refused += !survive(&bad) as usize;
    }
    println!("{refused} of {rounds} damaged pickles refused");
    assert!(refused > rounds / 3);
}

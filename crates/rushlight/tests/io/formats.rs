//! Each format gives back what was put in, and reads what others wrote.

use super::*;
use rushlight::io::{csv, idx, npy, npz, safetensors};
use rushlight::nn::StateDict;
use std::io::Write;

#[test]
fn safetensors_round_trip() {
    let f = Folder::new();
    let all: Vec<(String, Tensor)> =
        DType::ALL.iter().flat_map(|d| layouts(*d).into_iter().enumerate().map(move |(i, t)| (format!("{d}.{i}"), t))).collect();
    let metadata = safetensors::Metadata::from([("format".into(), "pt".into()), ("note".into(), "\"quoted\"\n\u{e9}".into())]);
    safetensors::save(f.path("a"), all.iter().map(|(n, t)| (n, t)), &metadata).unwrap();
    let (loaded, read_back) = safetensors::load_with_metadata(f.path("a")).unwrap();
    assert_eq!(read_back, metadata);
    assert!(loaded.keys().eq(all.iter().map(|(n, _)| n.as_str())), "the order is kept");
    all.iter().for_each(|(n, t)| assert_same(loaded.get(n).unwrap(), t));
    let (from_memory, _) = safetensors::from_bytes("memory", read(f.path("a"))).unwrap();
    all.iter().for_each(|(n, t)| assert_same(from_memory.get(n).unwrap(), t));
    // Equal contents, equal files.
    safetensors::save(f.path("b"), loaded.iter(), &metadata).unwrap();
    assert_eq!(read(f.path("a")), read(f.path("b")));
}

#[test]
fn safetensors_without_tensors() {
    let f = Folder::new();
    safetensors::save::<&str>(f.path("a"), [], &safetensors::Metadata::new()).unwrap();
    assert!(safetensors::load(f.path("a")).unwrap().is_empty());
}

#[test]
fn safetensors_names() {
    let f = Folder::new();
    let t = Tensor::scalar(1.0f32);
    let save = |names: &[&str]| safetensors::save(f.path("a"), names.iter().map(|n| (n, &t)), &safetensors::Metadata::new());
    save(&["", "a b", "\u{1F600}", "a\"b\\"]).unwrap();
    assert_eq!(safetensors::load(f.path("a")).unwrap().keys().collect::<Vec<_>>(), ["", "a b", "\u{1F600}", "a\"b\\"]);
    let before = read(f.path("a"));
    assert!(save(&["x", "x"]).unwrap_err().message().ends_with("the name 'x' is given twice"));
    assert!(save(&["__metadata__"]).unwrap_err().message().ends_with("the name '__metadata__' is reserved"));
    assert_eq!(read(f.path("a")), before, "a failed save leaves the old file");
    assert_eq!(std::fs::read_dir(f.0.path()).unwrap().count(), 1, "and no other");
}

#[test]
fn safetensors_agrees_with_the_reference() {
    use ::safetensors::{Dtype, SafeTensors, tensor::TensorView};
    let f = Folder::new();
    let (x, flags) = (varied(DType::F32, &[2, 3]), varied(DType::Bool, &[5]));
    safetensors::save(f.path("ours"), [("flags", &flags), ("x", &x)], &safetensors::Metadata::new()).unwrap();
    let ours = read(f.path("ours"));
    let reference = SafeTensors::deserialize(&ours).unwrap();
    let view = reference.tensor("x").unwrap();
    assert_eq!((view.dtype(), view.shape(), view.data()), (Dtype::F32, &[2, 3][..], &bytes(&x)[..]));
    assert_eq!(reference.tensor("flags").unwrap().data(), bytes(&flags));
    let (b, h) = (bytes(&x), bytes(&flags));
    let theirs = [
        ("x", TensorView::new(Dtype::F32, vec![2, 3], &b).unwrap()),
        ("flags", TensorView::new(Dtype::BOOL, vec![5], &h).unwrap()),
    ];
    let path = f.file("theirs", &::safetensors::serialize(theirs, None).unwrap());
    let loaded = safetensors::load(path).unwrap();
    assert_same(loaded.get("x").unwrap(), &x);
    assert_same(loaded.get("flags").unwrap(), &flags);
}

#[test]
fn mapped_tensors_never_write_to_the_file() {
    let f = Folder::new();
    let x = varied(DType::I32, &[1000]);
    safetensors::save(f.path("a"), [("x", &x)], &safetensors::Metadata::new()).unwrap();
    let before = read(f.path("a"));
    let first = safetensors::load(f.path("a")).unwrap().remove("x").unwrap();
    let second = safetensors::load(f.path("a")).unwrap().remove("x").unwrap();
    first.add_(&first);
    assert_ne!(bytes(&first), bytes(&x));
    assert_same(&second, &x);
    assert_eq!(read(f.path("a")), before);
    // Replacing the file does not reach tensors that were loaded from it.
    safetensors::save(f.path("a"), [("x", &Tensor::scalar(1.0f32))], &safetensors::Metadata::new()).unwrap();
    assert_same(&second, &x);
}

#[cfg(unix)]
#[test]
fn replaced_files_keep_mode_and_links() {
    use std::os::unix::fs::PermissionsExt;
    let f = Folder::new();
    let target = f.file("target", b"old");
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&target, f.path("link")).unwrap();
    npy::save(f.path("link"), &Tensor::scalar(1i64)).unwrap();
    assert!(f.path("link").is_symlink());
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(npy::load(&target).unwrap().item::<i64>(), 1);
}

#[test]
fn npy_round_trip() {
    let f = Folder::new();
    for t in DType::ALL.iter().flat_map(|d| layouts(*d)) {
        npy::save(f.path("a.npy"), &t).unwrap();
        assert_same(&npy::load(f.path("a.npy")).unwrap(), &t);
        assert_same(&npy::from_bytes("a", read(f.path("a.npy"))).unwrap(), &t);
        let header = read(f.path("a.npy")).iter().position(|b| *b == b'\n').unwrap() + 1;
        assert_eq!(header % 64, 0, "the data are aligned");
    }
}

/// A `.npy` file with any header.
pub fn npy_file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    file.extend(&(header.len() as u32).to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

#[test]
fn npy_headers_of_others() {
    let data: Vec<u8> = (1..=6i16).flat_map(i16::to_be_bytes).collect();
    let c = "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }";
    for version in [1, 2, 3] {
        let t = npy::from_bytes("a", npy_file(version, c, &data)).unwrap();
        assert_eq!((t.shape().as_slice(), t.to_vec::<i16>()), (&[2, 3][..], vec![1, 2, 3, 4, 5, 6]));
    }
    // Python 2 wrote long integers; keys may come in any order.
    let fortran = "{\"shape\":(2L,3L),'fortran_order':True,'descr':'>i2'}\n";
    let t = npy::from_bytes("a", npy_file(1, fortran, &data)).unwrap();
    assert_eq!(t.to_vec::<i16>(), [1, 3, 5, 2, 4, 6]);
    assert_eq!(t.strides().as_slice(), [1, 2]);
    let one = "{'descr': '|b1', 'fortran_order': False, 'shape': (), }";
    assert!(npy::from_bytes("a", npy_file(1, one, &[1])).unwrap().item::<bool>());
}

/// `np.savez_compressed(a=np.arange(6, dtype=int16).reshape(2, 3), b=np.asfortranarray(np.arange(6, dtype='>f4').reshape(2, 3)),
/// s=np.float64(2.5))` of NumPy 2.4.
const NUMPYS_NPZ: &str = "504b03042d0000000800000021001a4e987effffffffffffffff05001400612e6e7079010010008c000000000000005200\
0000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a4aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a46\
3a0ac69a3a0ab50a64032e06064606260666061606560600504b03042d00000008000000210009d9d18fffffffffffffffff05001400622e6e70790100100098\
0000000000000056000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9766a2aea3a09e965f54529498179f5f94920a120f292a4d050a17\
672416a402b91a463a0ac69a3a0ab50ae4032e062070706060b06f00d2200ce22f60600000504b03042d00000008000000210035b43a93ffffffffffffffff05\
001400732e6e707901001000880000000000000047000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a1aea3a09e965f54529498179f\
5f94920a12774bcc294e058a17672416a402f91a9a3a0ab50a14012e063060710000504b01022d032d0000000800000021001a4e987e520000008c0000000500\
00000000000000000000800100000000612e6e7079504b01022d032d00000008000000210009d9d18f5600000098000000050000000000000000000000800189\
000000622e6e7079504b01022d032d00000008000000210035b43a934700000088000000050000000000000000000000800116010000732e6e7079504b050600\
0000000300030099000000940100000000";

pub fn numpys_npz() -> Vec<u8> {
    (0..NUMPYS_NPZ.len() / 2).map(|i| u8::from_str_radix(&NUMPYS_NPZ[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn npz_of_numpy() {
    let f = Folder::new();
    let arrays = npz::load(f.file("a.npz", &numpys_npz())).unwrap();
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["a", "b", "s"]);
    assert_eq!(arrays.get("a").unwrap().to_vec::<i16>(), [0, 1, 2, 3, 4, 5]);
    let b = arrays.get("b").unwrap();
    assert_eq!((b.strides().as_slice(), b.to_vec::<f32>()), (&[1, 2][..], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(arrays.get("s").unwrap().item::<f64>(), 2.5);
}

#[test]
fn npz_round_trip() {
    let f = Folder::new();
    let all: Vec<(String, Tensor)> =
        DType::ALL.iter().flat_map(|d| layouts(*d).into_iter().enumerate().map(move |(i, t)| (format!("{d}/{i}"), t))).collect();
    npz::save(f.path("stored"), all.iter().map(|(n, t)| (n, t))).unwrap();
    npz::save_compressed(f.path("packed"), all.iter().map(|(n, t)| (n, t))).unwrap();
    for name in ["stored", "packed"] {
        let loaded: StateDict = npz::load(f.path(name)).unwrap();
        assert!(loaded.keys().eq(all.iter().map(|(n, _)| n.as_str())));
        all.iter().for_each(|(n, t)| assert_same(loaded.get(n).unwrap(), t));
    }
    let t = Tensor::scalar(1.0f32);
    assert!(npz::save(f.path("twins"), [("x", &t), ("x", &t)]).unwrap_err().message().contains("entry 'x'"));
}

/// An IDX file.
pub fn idx_file(code: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, code, sizes.len() as u8];
    sizes.iter().for_each(|s| file.extend(s.to_be_bytes()));
    file.extend(data);
    file
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn idx_types() {
    let f = Folder::new();
    let images = idx_file(8, &[2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 255]);
    for path in [f.file("plain", &images), f.file("packed.gz", &gzipped(&images))] {
        let t = idx::load(path).unwrap();
        assert_eq!((t.shape().as_slice(), t.to_vec::<u8>()), (&[2, 2, 2][..], vec![0, 1, 2, 3, 4, 5, 6, 255]));
    }
    let load = |code, data: &[u8]| idx::load(f.file("a", &gzipped(&idx_file(code, &[2], data)))).unwrap();
    assert_eq!(load(9, &[1, 255]).to_vec::<i8>(), [1, -1]);
    assert_eq!(load(11, &[0, 1, 1, 0]).to_vec::<i16>(), [1, 256]);
    assert_eq!(load(12, &[0, 0, 0, 1, 255, 255, 255, 255]).to_vec::<i32>(), [1, -1]);
    assert_eq!(load(13, &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]).to_vec::<f32>(), [1.0, -2.0]);
    assert_eq!(load(14, &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).to_vec::<f64>(), [1.0, 0.0]);
    assert_eq!(idx::load(f.file("a", &idx_file(8, &[0, 28], &[]))).unwrap().shape().as_slice(), [0, 28]);
}

#[test]
fn csv_tables() {
    let options = csv::Options::default();
    let read = |text: &str, options: csv::Options| csv::read("t.csv", text.as_bytes(), &options);
    let t = read("\u{feff}x, \"y,\"\"z\"\"\"\r\n1,2.5\r\n\r\n-3e2 ,inf\n", options).unwrap();
    assert_eq!(t.columns, ["x", "y,\"z\""]);
    assert_eq!((t.values.shape().as_slice(), t.values.to_vec::<f32>()), (&[2, 2][..], vec![1.0, 2.5, -300.0, f32::INFINITY]));
    let ints = csv::Options { header: false, delimiter: ';', dtype: DType::I64 };
    let t = read("9223372036854775807;-1\n0;2", ints).unwrap();
    assert_eq!((t.columns.len(), t.values.to_vec::<i64>()), (0, vec![i64::MAX, -1, 0, 2]));
    let t = read("true\n0", csv::Options { dtype: DType::Bool, ..ints }).unwrap();
    assert_eq!(t.values.to_vec::<bool>(), [true, false]);
    assert_eq!(read("", ints).unwrap().values.shape().as_slice(), [0, 0]);
    assert_eq!(read("a,b\n", options).unwrap().values.shape().as_slice(), [0, 2]);
}

#[test]
fn csv_errors_name_the_place() {
    let message = |text: &[u8], dtype| {
        csv::read("t.csv", text, &csv::Options { dtype, ..Default::default() }).unwrap_err().message().to_string()
    };
    assert_eq!(message(b"a,b\n1,2\n3,x\n", DType::F32), "t.csv: line 3, column 2 ('b'): 'x' is no float32");
    assert_eq!(message(b"a,b\n1,\n", DType::F64), "t.csv: line 2, column 2 ('b'): '' is no float64");
    assert_eq!(message(b"a\n1\n300\n", DType::U8), "t.csv: line 3, column 1 ('a'): '300' is no uint8");
    assert_eq!(message(b"a\n1.5\n", DType::I32), "t.csv: line 2, column 1 ('a'): '1.5' is no int32");
    assert_eq!(message(b"a\n2\n", DType::Bool), "t.csv: line 2, column 1 ('a'): '2' is no bool");
    assert_eq!(message(b"a,b\n1,2\n\n3\n", DType::F32), "t.csv: line 4 has 1 columns, the lines before it 2");
    assert_eq!(message(b"a,\"b\n1,2\n", DType::F32), "t.csv: line 1: a quote is not closed");
    assert_eq!(message(b"a\n\xff\n", DType::F32), "t.csv: line 2, column 1 ('a'): '\u{fffd}' is no float32");
    let missing = csv::load("/no/such.csv", &csv::Options::default()).unwrap_err();
    assert!(missing.message().starts_with("/no/such.csv: "), "{missing}");
}

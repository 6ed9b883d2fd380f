//! Checkpoints: every state comes back bit by bit, and a writer that is killed leaves a whole file.

use super::*;
use rushlight::io::{Checkpoint, checkpoint, safetensors};
use rushlight::nn::StateDict;
use rushlight::optim::{Adam, AdamOptions, Optimizer};
use rushlight::{Generator, State};

/// Equal trees: numbers by their bits, tensors by their bytes, fields in order.
fn same(a: &State, b: &State) -> bool {
    match (a, b) {
        (State::None, State::None) => true,
        (State::Bool(a), State::Bool(b)) => a == b,
        (State::Int(a), State::Int(b)) => a == b,
        (State::Float(a), State::Float(b)) => a.to_bits() == b.to_bits(),
        (State::Str(a), State::Str(b)) => a == b,
        (State::Tensor(a), State::Tensor(b)) => (a.dtype(), a.shape(), bytes(a)) == (b.dtype(), b.shape(), bytes(b)),
        (State::List(a), State::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (State::Map(a), State::Map(b)) => a.len() == b.len() && a.iter().zip(b).all(|((n, a), (m, b))| n == m && same(a, b)),
        _ => false,
    }
}

#[test]
fn every_kind_of_state_comes_back() {
    let f = Folder::new();
    let floats = [0.0, -0.0, 0.1, 1.0, -1e300, 5e-324, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let ints = [0, -1, i64::MIN, i64::MAX, 1 << 53];
    let state = State::map()
        .with("none", State::None)
        .with("flags", vec![State::Bool(true), State::Bool(false)])
        .with("floats", floats.map(State::Float).to_vec())
        .with("odd nan", f64::from_bits(0x7ff8_0000_dead_beef))
        .with("ints", ints.map(State::Int).to_vec())
        .with("text", "line\n\"quote\" \u{1F600} \0")
        .with("$tensor", "not a tensor")
        .with("$", State::map().with("$$float", "7").with("$float", "x"))
        .with("empty", vec![State::List(vec![]), State::map()])
        .with("a.b", varied(DType::BF16, &[3]))
        .with("a", State::map().with("b", varied(DType::F64, &[2, 2])))
        .with("__metadata__", varied(DType::Bool, &[4]))
        .with("", varied(DType::I8, &[0, 2]))
        .with("list", vec![State::Tensor(varied(DType::F16, &[5])), State::Tensor(Tensor::scalar(7i64))]);
    checkpoint::save(f.path("a"), &state).unwrap();
    assert!(same(&checkpoint::load(f.path("a")).unwrap(), &state));
    // To any other program it is a file of named tensors.
    assert!(safetensors::load(f.path("a")).unwrap().get("list.0").is_some());
    let leaf = State::Tensor(varied(DType::F32, &[2]));
    checkpoint::save(f.path("b"), &leaf).unwrap();
    assert!(same(&checkpoint::load(f.path("b")).unwrap(), &leaf));
}

#[test]
fn nesting_is_bounded_before_the_stack_is() {
    let nested = |depth: usize| (0..depth).fold(State::Int(1), |s, _| State::List(vec![s]));
    let f = Folder::new();
    checkpoint::save(f.path("a"), &nested(100)).unwrap();
    assert!(same(&checkpoint::load(f.path("a")).unwrap(), &nested(100)));
    assert!(checkpoint::save(f.path("a"), &nested(101)).unwrap_err().message().contains("more than 100 deep"));
    let twice = State::Map(vec![("x".into(), State::None), ("x".into(), State::None)]);
    assert!(checkpoint::save(f.path("a"), &twice).unwrap_err().message().contains("field 'x' twice"));
}

#[test]
fn a_run_goes_on_bit_by_bit() {
    let f = Folder::new();
    let start = || Tensor::from_vec(vec![1.0f32, -2.0, 3.0], 3).with_requires_grad();
    let step = |w: &Tensor, optimizer: &mut Adam, rng: &Generator| {
        let noise = rng.permutation(3).into_iter().map(|i| i as f32).collect();
        (w * &Tensor::from_vec::<f32>(noise, 3)).sum().backward();
        optimizer.step().unwrap();
        optimizer.zero_grad();
    };
    let (w, mut rng) = (start(), Generator::new(3));
    let mut optimizer = Adam::new([w.clone()], AdamOptions::default());
    (0..3).for_each(|_| step(&w, &mut optimizer, &rng));
    let model: StateDict = [("w", w.detach())].into_iter().collect();
    let saved = Checkpoint::new().with("model", model).with_part("optimizer", &optimizer).with_part("rng", &rng);
    saved.with("step", 3usize).save(f.path("run")).unwrap();
    (0..3).for_each(|_| step(&w, &mut optimizer, &rng));

    let loaded = Checkpoint::load(f.path("run")).unwrap();
    let again = start();
    let mut optimizer = Adam::new([again.clone()], AdamOptions::default());
    rng = Generator::new(99);
    again.set_data(StateDict::try_from(loaded.get("model").unwrap()).unwrap().get("w").unwrap());
    loaded.restore("optimizer", &mut optimizer).unwrap();
    loaded.restore("rng", &mut rng).unwrap();
    assert_eq!(loaded.get("step").unwrap().as_usize().unwrap(), 3);
    (0..3).for_each(|_| step(&again, &mut optimizer, &rng));
    assert_same(&again.detach(), &w.detach());

    let e = loaded.restore("scheduler", &mut rng).unwrap_err();
    assert!(e.message().contains("no field 'scheduler'"), "{e}");
    let e = loaded.restore("step", &mut rng).unwrap_err();
    assert_eq!(e.message(), "state field 'step': should be a tensor, but is a integer");
}

#[test]
fn nested_maps_flatten_to_paths() {
    let t = Tensor::scalar(1i64);
    let state = State::map().with("a", State::map().with("b", &t)).with("c.d", &t);
    assert_eq!(StateDict::try_from(&state).unwrap().keys().collect::<Vec<_>>(), ["a.b", "c.d"]);
    let bad = State::map().with("a", State::map().with("b", 1.0));
    assert_eq!(StateDict::try_from(&bad).unwrap_err().message(), "state field 'a.b': should be a tensor, but is a number");
}

const VICTIM: &str = "RUSHLIGHT_TEST_SAVE_FOR_EVER";

/// A state whose every number is `i`, a few megabytes large, so that a kill is likely to fall into the middle of it.
fn big_state(i: i64) -> State {
    State::map().with("i", i).with("values", Tensor::from_vec(vec![i; 1 << 18], 1 << 18))
}

/// Not a test: what the next one starts and kills.
#[test]
fn victim() {
    let Ok(path) = std::env::var(VICTIM) else { return };
    // Ends some day even if nobody kills it.
    (1..10_000).for_each(|i| checkpoint::save(&path, &big_state(i)).unwrap());
}

#[test]
fn a_killed_writer_leaves_a_whole_file() {
    const KILLS: u64 = 15;
    let f = Folder::new();
    let path = f.path("run");
    checkpoint::save(&path, &big_state(0)).unwrap();
    let (mut changed, mut interrupted) = (0, 0);
    for kill in 0..KILLS {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["checkpoints::victim", "--exact", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = read(&path);
        // Wait until it works, then let the kills fall all over its cycle.
        let partial = || std::fs::read_dir(f.0.path()).unwrap().count() > 1;
        let begun = std::time::Instant::now();
        while !partial() && begun.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_micros(1200 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        let state = checkpoint::load(&path).expect("always a whole file");
        let i = state.read("i", State::as_i64).unwrap();
        let values = state.read("values", State::as_tensor).unwrap().to_vec::<i64>();
        assert!(values.len() == 1 << 18 && values.iter().all(|v| *v == i), "a mixture of two files");
        changed += (read(&path) != before) as u64;
        for entry in std::fs::read_dir(f.0.path()).unwrap().map(|e| e.unwrap().path()).filter(|p| *p != path) {
            std::fs::remove_file(entry).unwrap();
            interrupted += 1;
        }
    }
    println!("{KILLS} writers killed: {interrupted} within a write, {changed} after at least one");
    assert!(interrupted > 0, "no kill fell into a write");
}

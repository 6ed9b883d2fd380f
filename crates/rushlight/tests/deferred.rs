//! Deferred pointwise ops: what they must never change.

use rushlight::op::sample::Sample;
use rushlight::op::{self, OpDef, Value, bind};
use rushlight::{DType, Result, Tensor, ops};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The switch is the process's: tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn deferred() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    rushlight::set_deferred_from(1);
    turn
}

fn bits(t: &Tensor) -> Result<Vec<u8>> {
    t.with_bytes(<[u8]>::to_vec)
}

fn vector(n: usize, salt: u64) -> Tensor {
    Tensor::from_vec((0..n as u64).map(|i| op::sample::uniform(salt, i) as f32 - 0.5).collect(), n).copy()
}

/// The results of a sample, and the gradients of their sums.
fn outcome(def: &OpDef, sample: &Sample) -> Result<Vec<Vec<u8>>> {
    rushlight::manual_seed(0);
    let (positional, keyword) = sample.make(DType::F32)?;
    let values = bind::bind(def, positional, keyword)?.into_vec();
    let inputs: Vec<Tensor> = values.iter().flat_map(|v: &Value| v.tensors().to_vec()).filter(|t| t.dtype().is_float()).collect();
    inputs.iter().filter(|t| t.is_leaf() && !t.is_wrapped_number()).for_each(|t| _ = t.requires_grad_(true));
    let outs = bind::invoke(def, &values)?.tensors().to_vec();
    for out in outs.iter().filter(|t| t.requires_grad()) {
        (out * 0.5).sum().try_backward()?;
    }
    outs.iter().map(Tensor::detach).chain(inputs.iter().filter_map(Tensor::grad)).map(|t| bits(&t)).collect()
}

#[test]
fn every_sample_has_the_bits_that_it_has_at_once() {
    let _turn = deferred();
    let (mut ran, mut failures) = (0, Vec::new());
    // Ops whose results are not determined: uninitialised memory.
    for def in op::all().filter(|d| !d.name.starts_with("empty") && !d.name.starts_with("new_empty")) {
        for text in def.samples {
            let sample = Sample::parse(text).expect("checked by the registry tests");
            let [late, at_once] = [true, false].map(|on| {
                rushlight::set_deferred_from(if on { 1 } else { usize::MAX });
                outcome(def, &sample)
            });
            match (late, at_once) {
                (Ok(x), Ok(y)) if x == y => ran += 1,
                (Err(x), Err(y)) if x.message() == y.message() => {}
                (x, y) => failures.push(format!("{}({text}): {:?} {:?}", def.full_name(), x.is_ok(), y.is_ok())),
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 1500, "only {ran} samples ran");
}

#[test]
fn a_write_lets_deferred_ops_read_first() {
    let _turn = deferred();
    let x = vector(100, 1);
    let old = x.to_vec::<f32>();
    let doubled = &x * 2.0;
    let shifted = x.index(rushlight::i![10..20]) + 1.0;
    x.fill_(7.0);
    assert_eq!(doubled.to_vec::<f32>(), old.iter().map(|v| v * 2.0).collect::<Vec<_>>());
    assert_eq!(shifted.to_vec::<f32>(), old[10..20].iter().map(|v| v + 1.0).collect::<Vec<_>>());
    // Through a view, and an op that replaces the memory of a value which is itself put off.
    let y = &x + 1.0;
    let z = &y * 3.0;
    y.narrow(0, 0, 50).zero_();
    y.mul_(2.0);
    assert_eq!(z.to_vec::<f32>(), vec![24.0; 100]);
    assert_eq!(y.to_vec::<f32>(), [vec![0.0; 50], vec![16.0; 50]].concat());
}

#[test]
#[allow(unsafe_code)]
fn given_addresses_end_deferral() {
    let _turn = deferred();
    let x = vector(100, 1).copy();
    let y = &x + 1.0;
    let expected: Vec<f32> = x.to_vec::<f32>().iter().map(|v| v + 1.0).collect();
    let at = x.storage().data_ptr() as *mut f32;
    // SAFETY: the address of x's memory, which nobody else uses now.
    unsafe { at.write(100.0) };
    assert_eq!(y.to_vec::<f32>(), expected, "read before the address was known");
    let z = &x + 1.0;
    // SAFETY: as above.
    unsafe { at.write(200.0) };
    assert_eq!(z.to_vec::<f32>()[0], 101.0, "computed at its call");
}

#[test]
fn regions_join_split_and_fill_up() {
    let _turn = deferred();
    let run = |from: usize| -> Vec<Vec<u8>> {
        rushlight::set_deferred_from(from);
        let (a, b) = (vector(3000, 1).reshape([50, 60]), vector(60, 2));
        let left = (&a * &b).tanh();
        let right = (&a + 0.25).sigmoid();
        let joined = &left * &right; // two regions become one
        let across = joined.t().exp() + a.t(); // another layout: the first runs
        let mut long = joined.copy();
        for i in 0..200 {
            long = long * 0.99 + i as f64; // longer than a region may be
        }
        let many: Vec<Tensor> = (0..40).map(|i| vector(3000, 10 + i).reshape([50, 60])).collect();
        let sum = many.iter().fold(left.copy(), |sum, x| sum + x); // more operands than a region loads
        let mixed = joined.to(DType::F64) + joined.to(DType::BF16) + joined.gt(0.0);
        [left, joined, across, long, sum, mixed].iter().map(|t| bits(t).unwrap()).collect()
    };
    assert_eq!(run(1), run(usize::MAX));
}

/// Large enough for values that only pass through on their way into a sum, and for slabs that do not divide the size.
#[test]
fn reductions_take_what_is_put_off() {
    let _turn = deferred();
    let n = (1 << 22) + 12_345;
    let (a, b) = (vector(n, 1), vector(n, 2));
    let run = |from: usize| -> Vec<Vec<u8>> {
        rushlight::set_deferred_from(from);
        let y = (&a * &b + 0.5).relu();
        let sum = y.sum();
        let again = (&y * 2.0).sum(); // y was reduced without being stored, and is wanted after all
        let kept = &a - &b;
        let view = kept.detach(); // somebody else holds it
        let smallest = kept.amin([0i64; 0], false);
        let rows = (&a.narrow(0, 0, 1 << 22).reshape([1 << 12, 1 << 10]) * 3.0).sum_dim(1, false);
        let few = (&a.narrow(0, 0, 1 << 22).reshape([1 << 18, 16]) * 3.0).amax([-1], true);
        let columns = (&a.narrow(0, 0, 1 << 22).reshape([1 << 12, 1 << 10]) * 3.0).sum_dim(0, false);
        let any = (&a.gt(0.49999) & &b.gt(0.49999)).any();
        let w = a.detach().with_requires_grad();
        let loss = (&w * &b).tanh().mean();
        loss.backward();
        let halves = (a.to(DType::BF16) * b.to(DType::BF16)).sum();
        [sum, again, smallest, rows, few, columns, any, loss, halves, view, w.grad().unwrap()]
            .iter()
            .map(|t| bits(&t.detach()).unwrap())
            .collect()
    };
    let late = run(1);
    let at_once = run(usize::MAX);
    for (i, (x, y)) in late.iter().zip(&at_once).enumerate() {
        assert!(x == y, "result {i}");
    }
    rushlight::set_num_threads(3);
    assert!(run(1) == late);
    rushlight::set_num_threads(2);
}

#[test]
fn products_wait_for_what_follows_them() {
    let _turn = deferred();
    let run = |from: usize| -> Vec<Vec<u8>> {
        rushlight::set_deferred_from(from);
        let linear = |x: &Tensor, w: &Tensor, b: Option<&Tensor>| ops::linear(x, w, b).unwrap();
        let (x, w, b) = (vector(3000, 1).reshape([2, 30, 50]), vector(20 * 50, 2).reshape([20, 50]), vector(20, 3));
        let hidden = linear(&x, &w, Some(&b));
        let passing = hidden.relu() * 2.0; // the sums themselves are held, too
        let next = linear(&passing, &w.narrow(1, 0, 20), None).tanh();
        let both = x.matmul(w.t()) * linear(&x, &w, None).sigmoid(); // two products meet
        let late = (&passing + 1.0) * linear(&x, &w, None); // a product joins what is put off
        let sum = ops::gelu(&linear(&x, &w, Some(&b)), "none").unwrap().sum();
        let across = linear(&x, &w, None).transpose(0, 1).exp();
        let compared = linear(&x, &w, None).gt(0.0); // of another dtype: the sums are only passing through
        let unread = linear(&x, &w, None);
        drop(unread);
        let changed = linear(&x, &w, Some(&b));
        let late_sum = &changed + 0.5;
        w.zero_(); // read before
        let in_place = vector(100, 1).reshape([10, 10]).matmul(vector(100, 2).reshape([10, 10]));
        in_place.relu_();
        in_place.add_(in_place.matmul(&in_place));
        let leaf = vector(200, 4).reshape([20, 10]).with_requires_grad();
        let loss = passing.reshape([60, 20]).matmul(&leaf).relu().pow(2.0).sum();
        loss.backward();
        let halves = x.to(DType::BF16).matmul(x.to(DType::BF16).transpose(1, 2)).abs();
        [
            hidden,
            passing,
            next,
            both,
            late,
            sum,
            across,
            compared,
            changed,
            late_sum,
            in_place,
            loss,
            leaf.grad().unwrap(),
            halves,
        ]
        .iter()
        .map(|t| bits(&t.detach()).unwrap())
        .collect()
    };
    let (late, at_once) = (run(1), run(usize::MAX));
    for (i, (x, y)) in late.iter().zip(&at_once).enumerate() {
        assert!(x == y, "result {i}");
    }
    rushlight::set_num_threads(3);
    assert!(run(1) == late);
    rushlight::set_num_threads(2);
}

#[test]
fn long_chains_need_no_stack() {
    let _turn = deferred();
    let on_small_stack = std::thread::Builder::new().stack_size(256 << 10).spawn(|| {
        let mut x = vector(10, 1);
        for _ in 0..100_000 {
            x = &x + 1.0;
        }
        assert!((x.to_vec::<f32>()[0] - 100_000.0).abs() < 1.0);
        let mut never_read = vector(10, 1);
        for _ in 0..100_000 {
            never_read = never_read.t() * 2.0;
        }
    });
    on_small_stack.unwrap().join().unwrap();
}

#[test]
fn threads_share_what_is_deferred() {
    let _turn = deferred();
    for round in 0..50 {
        let x = vector(5000, round);
        let y = (&x * 2.0).exp();
        let expected: Vec<f32> = {
            rushlight::set_deferred(false);
            let y = (&x * 2.0).exp() + 1.0;
            rushlight::set_deferred_from(1);
            y.to_vec()
        };
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let mine = &y + 1.0;
                    assert_eq!(mine.to_vec::<f32>(), expected);
                });
            }
            s.spawn(|| x.zero_());
        });
    }
}

#[test]
fn a_saved_value_that_was_overwritten_is_still_noticed() {
    let _turn = deferred();
    let w = vector(100, 1).with_requires_grad();
    let v = w.exp();
    let view = v.narrow(0, 0, 10);
    let loss = v.sum();
    {
        let _guard = rushlight::no_grad();
        view.zero_();
    }
    assert!(loss.try_backward().unwrap_err().message().contains("modified by an inplace operation"));
}

#[test]
fn the_switch_is_seen() {
    let _turn = deferred();
    assert!(rushlight::is_deferred());
    rushlight::set_deferred(false);
    assert!(!rushlight::is_deferred());
    rushlight::set_deferred(true);
    assert!(rushlight::is_deferred());
}

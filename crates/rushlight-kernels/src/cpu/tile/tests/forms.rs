//! Results that replace an operand, operands that are one element for all, and sums that scale one: the bits of separate instructions on
//! whole tensors.

use super::*;

const OPS: [BinOp; 8] = [BinOp::Add, BinOp::Sub, BinOp::Mul, BinOp::Div, BinOp::Max, BinOp::Min, BinOp::Lt, BinOp::Eq];

fn shapes() -> Vec<Vec<usize>> {
    vec![vec![], vec![1], vec![7], vec![1025], vec![20_003], vec![3, 1500], vec![40, 33], vec![5, 3, 700], vec![2, 20_000]]
}

fn filled(d: DType, layout: Layout, salt: usize) -> Array {
    let a = Array::new(d, layout);
    fill(&a, salt);
    a
}

/// `op` of two views, into new memory: the operands are spread out before.
fn apart(op: BinOp, x: &Array, y: &Array) -> Array {
    let whole = |a: &Array| {
        let b = Array::new(a.dtype, Layout::contiguous(&a.layout.shape));
        a.values().iter().enumerate().for_each(|(i, v)| b.set(i, v.f()));
        b
    };
    let (x, y) = (whole(x), whole(y));
    let out = Array::new(op.result(x.dtype), x.layout.clone());
    run(&binary(op, x.dtype), &[&x, &y], &[&out]).unwrap();
    out
}

/// Operands that are one element for all, or for each row, or for each column.
fn narrow(d: DType, shape: &[usize]) -> Vec<Array> {
    let mut all = vec![filled(d, Layout::strided(shape, &vec![0; shape.len()], 0), 5)];
    if let [.., rows, columns] = *shape {
        let mut strides = vec![0; shape.len()];
        strides[shape.len() - 2] = 1;
        all.push(Array::new(d, Layout::strided(shape, &strides, 0)));
        (0..rows).for_each(|i| all[1].set(i * columns, sample(i * 7 + 3, d)));
        strides[shape.len() - 2] = 0;
        strides[shape.len() - 1] = 1;
        all.push(Array::new(d, Layout::strided(shape, &strides, 0)));
        (0..columns).for_each(|i| all[2].set(i, sample(i * 5 + 1, d)));
    }
    all
}

#[test]
fn narrow_operands_on_either_side_and_in_place() {
    for d in [DType::F32, DType::F64, DType::BF16] {
        for shape in shapes() {
            for (y, op) in narrow(d, &shape).iter().flat_map(|y| OPS.map(|op| (y, op))) {
                let x = filled(d, Layout::contiguous(&shape), 2);
                let out = Array::new(op.result(d), x.layout.clone());
                let what = || format!("{op:?} {d} {shape:?} {:?}", y.layout.strides);
                run(&binary(op, d), &[y, &x], &[&out]).unwrap();
                assert!(same(&out.values(), &apart(op, y, &x).values()), "{} first", what());
                let want = apart(op, &x, y).values();
                run(&binary(op, d), &[&x, y], &[&out]).unwrap();
                assert!(same(&out.values(), &want), "{} second", what());
                if op.result(d) == d {
                    run(&binary(op, d), &[&x, y], &[&x]).unwrap();
                    assert!(same(&x.values(), &want), "{} in place", what());
                }
            }
        }
    }
}

#[test]
fn either_operand_is_replaced() {
    for (d, shape) in [DType::F32, DType::F64].into_iter().flat_map(|d| shapes().into_iter().map(move |s| (d, s))) {
        for op in OPS.into_iter().filter(|op| op.result(d) == d) {
            for l in layouts(&shape) {
                let (x, y) = (filled(d, l.clone(), 2), filled(d, l, 9));
                let (want, twice) = (apart(op, &x, &y).values(), apart(op, &y, &y).values());
                run(&binary(op, d), &[&x, &y], &[&x]).unwrap();
                assert!(same(&x.values(), &want), "{op:?} {d} {shape:?} first");
                fill(&x, 2);
                let second = apart(op, &y, &x).values();
                run(&binary(op, d), &[&y, &x], &[&x]).unwrap();
                assert!(same(&x.values(), &second), "{op:?} {d} {shape:?} second");
                run(&binary(op, d), &[&y, &y], &[&y]).unwrap();
                assert!(same(&y.values(), &twice), "{op:?} {d} {shape:?} both");
            }
        }
    }
}

#[test]
fn sums_of_scaled_operands() {
    for (d, shape) in [DType::F32, DType::F64, DType::F16].into_iter().flat_map(|d| shapes().into_iter().map(move |s| (d, s))) {
        // As `a + b * c`, `c * b + a`, and `a * c + b * c`; c is a constant or an operand.
        for (form, constant) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
            let mut p = Program::new();
            let (a, b) = (p.load(0, d), p.load(1, d));
            let c = if constant { p.constant(0.3, d) } else { p.load(2, d) };
            let m = if form == 1 { p.bin(BinOp::Mul, c, b) } else { p.bin(BinOp::Mul, b, c) };
            let a = if form == 2 { p.bin(BinOp::Mul, a, c) } else { a };
            let s = if form == 1 { p.bin(BinOp::Add, m, a) } else { p.bin(BinOp::Add, a, m) };
            p.out(s);
            let number = Array::new(d, Layout::strided(&shape, &vec![0; shape.len()], 0));
            number.set(0, 0.3);
            for target in 0..3 {
                let (x, y) = (filled(d, Layout::contiguous(&shape), 2), filled(d, Layout::contiguous(&shape), 9));
                let left = if form == 2 { apart(BinOp::Mul, &x, &number) } else { filled(d, Layout::contiguous(&shape), 2) };
                let want = apart(BinOp::Add, &left, &apart(BinOp::Mul, &y, &number)).values();
                let new = Array::new(d, Layout::contiguous(&shape));
                let out = [&new, &x, &y][target];
                let ins = [&x, &y, &number];
                run(&p, &ins[..if constant { 2 } else { 3 }], &[out]).unwrap();
                assert!(same(&out.values(), &want), "{d} {shape:?} form {form} constant {constant} into {target}");
            }
        }
    }
}

#[test]
fn a_number_that_others_read_as_a_tensor() {
    let d = DType::F32;
    for shape in shapes() {
        // The column is a number to one instruction, and stored by another.
        let mut p = Program::new();
        let (a, b) = (p.load(0, d), p.load(1, d));
        let r = p.bin(BinOp::Mul, a, b);
        let t = p.un(UnOp::Exp, b);
        p.out(r);
        p.out(t);
        for y in narrow(d, &shape) {
            let x = filled(d, Layout::contiguous(&shape), 2);
            let (first, second) = (Array::new(d, x.layout.clone()), Array::new(d, x.layout.clone()));
            run(&p, &[&x, &y], &[&first, &second]).unwrap();
            assert!(same(&first.values(), &apart(BinOp::Mul, &x, &y).values()), "{shape:?}");
            let want = Array::new(d, x.layout.clone());
            run(&unary(UnOp::Exp, d), &[&y], &[&want]).unwrap();
            assert!(same(&second.values(), &want.values()), "{shape:?}");
        }
    }
}

/// `op` of three views, into new memory: all operands are spread out before.
fn three(op: TernOp, d: DType) -> Program {
    let mut p = Program::new();
    let (a, b, c) = (p.load(0, d), p.load(1, d), p.load(2, d));
    let r = p.tern(op, a, b, c);
    p.out(r);
    p
}

#[test]
fn numbers_of_ternary_instructions() {
    let whole = |a: &Array| {
        let b = Array::new(a.dtype, Layout::contiguous(&a.layout.shape));
        a.values().iter().enumerate().for_each(|(i, v)| b.set(i, v.f()));
        b
    };
    for (d, shape) in
        [DType::F32, DType::F64, DType::BF16, DType::I32].into_iter().flat_map(|d| shapes().into_iter().map(move |s| (d, s)))
    {
        for op in [TernOp::Clamp, TernOp::Lerp, TernOp::MulAdd].into_iter().filter(|op| op.accepts(d)) {
            for (kind, numbers) in (0..narrow(d, &shape).len()).flat_map(|kind| (0..8).map(move |numbers| (kind, numbers))) {
                let operand = |k: usize| {
                    let narrow = narrow(d, &shape).swap_remove(kind);
                    if numbers >> k & 1 == 1 { narrow } else { filled(d, Layout::contiguous(&shape), 3 * k + 2) }
                };
                let args = [0, 1, 2].map(operand);
                let spread = [0, 1, 2].map(|k| whole(&args[k]));
                let want = Array::new(d, Layout::contiguous(&shape));
                run(&three(op, d), &[&spread[0], &spread[1], &spread[2]], &[&want]).unwrap();
                let want = want.values();
                let what = || format!("{op:?} {d} {shape:?} {kind} {numbers:b}");
                let ins = || [&args[0], &args[1], &args[2]];
                let out = Array::new(d, Layout::contiguous(&shape));
                run(&three(op, d), &ins(), &[&out]).unwrap();
                assert!(same(&out.values(), &want), "{}", what());
                // Behind another instruction, with the result in scratch.
                let mut longer = three(op, d);
                let r = longer.outs.pop().unwrap();
                let twice = longer.bin(BinOp::Sub, r, 1);
                longer.out(twice);
                let difference = Array::new(d, Layout::contiguous(&shape));
                run(&binary(BinOp::Sub, d), &[&out, &spread[1]], &[&difference]).unwrap();
                run(&longer, &ins(), &[&out]).unwrap();
                assert!(same(&out.values(), &difference.values()), "{} in a program", what());
                // Replacing each of the operands that are whole.
                for k in (0..3).filter(|k| numbers >> k & 1 == 0) {
                    let (x, mut ins) = (whole(&args[k]), ins());
                    ins[k] = &x;
                    run(&three(op, d), &ins, &[&x]).unwrap();
                    assert!(same(&x.values(), &want), "{} onto {k}", what());
                }
            }
        }
    }
}

#[test]
fn constants_of_ternary_instructions() {
    for (d, shape) in
        [DType::F32, DType::F64, DType::F16, DType::I64].into_iter().flat_map(|d| shapes().into_iter().map(move |s| (d, s)))
    {
        let mut p = Program::new();
        let (x, lo, hi) = (p.load(0, d), p.constant(-1.5, d), p.constant(2.0, d));
        let r = p.tern(TernOp::Clamp, x, lo, hi);
        p.out(r);
        let l = Layout::contiguous(&shape);
        let (x, out) = (filled(d, l.clone(), 4), Array::new(d, l.clone()));
        let bound = |v: f64| {
            let a = Array::new(d, l.clone());
            (0..l.numel()).for_each(|i| a.set(i, v));
            a
        };
        let want = Array::new(d, l.clone());
        run(&three(TernOp::Clamp, d), &[&x, &bound(-1.5), &bound(2.0)], &[&want]).unwrap();
        run(&p, &[&x], &[&out]).unwrap();
        assert!(same(&out.values(), &want.values()), "{d} {shape:?}");
        run(&p, &[&x], &[&x]).unwrap();
        assert!(same(&x.values(), &want.values()), "{d} {shape:?} in place");
    }
}

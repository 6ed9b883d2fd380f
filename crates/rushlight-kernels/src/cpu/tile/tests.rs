//! Every primitive, dtype and layout against an interpreter that handles one element at a time, in f64 and i128.

mod forms;
mod reference;

use super::pointwise;
use crate::backend::*;
use crate::*;
use reference::*;

/// A buffer with a view of it, made from values in row-major order.
struct Array {
    buffer: Buffer,
    layout: Layout,
    dtype: DType,
}

impl Array {
    fn new(dtype: DType, layout: Layout) -> Array {
        let len = layout.span().map_or(0, |s| s.1);
        Array { buffer: Buffer::zeroed(len * dtype.size()).unwrap(), layout, dtype }
    }
    fn view(&self) -> View<'_> {
        // SAFETY: tests are the only user of the buffer.
        unsafe { View::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: as above.
        unsafe { ViewMut::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn get(&self, linear: usize) -> Value {
        let at = self.layout.position(linear);
        dispatch!(self.dtype, T => {
            // SAFETY: within the buffer.
            let x = unsafe { *self.buffer.as_ptr().cast::<T>().add(at) };
            if self.dtype.is_float() { Float(x.to_f64()) } else { Int(x.to_i64() as i128) }
        })
    }
    fn set(&self, linear: usize, x: f64) {
        let at = self.layout.position(linear);
        // SAFETY: within the buffer.
        dispatch!(self.dtype, T => unsafe { *self.buffer.as_ptr().cast::<T>().add(at) = <T as Element>::from_f64(x) })
    }
    fn values(&self) -> Vec<Value> {
        (0..self.layout.numel()).map(|i| self.get(i)).collect()
    }
}

/// Layouts of one shape: contiguous, transposed, with steps and flips, broadcast, from an offset.
fn layouts(shape: &[usize]) -> Vec<Layout> {
    let rank = shape.len();
    let mut all = vec![Layout::contiguous(shape)];
    if rank >= 2 {
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        all.push(Layout::contiguous(&reversed).permute(&(0..rank).rev().collect::<Vec<_>>()));
    }
    if rank >= 1 {
        let doubled: Vec<usize> = shape.iter().map(|d| d * 2 + 1).collect();
        let mut l = Layout::contiguous(&doubled);
        for (d, &n) in shape.iter().enumerate() {
            l = l.slice(d, 1, 2, n);
        }
        all.push(l.clone());
        all.push((0..rank).fold(l, |l, d| l.flip(d)));
    }
    all
}

fn broadcasts(shape: &[usize]) -> Vec<Layout> {
    let mut all = vec![Layout::contiguous(&[]).broadcast_to(shape).unwrap()];
    for d in 0..shape.len() {
        let mut small = shape.to_vec();
        small[d] = 1;
        all.push(Layout::contiguous(&small).broadcast_to(shape).unwrap());
        all.push(Layout::contiguous(&shape[d..]).broadcast_to(shape).unwrap());
    }
    all
}

/// Numbers that matter, and others in between.
fn sample(k: usize, d: DType) -> f64 {
    const EDGES: [f64; 16] =
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 7.0, -7.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.5, 2.5, -0.0];
    let mut h = (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^= h >> 29;
    let x = match d {
        _ if h.is_multiple_of(3) => EDGES[(h >> 8) as usize % EDGES.len()],
        DType::Bool => (h >> 40 & 1) as f64,
        _ => ((h >> 20) % 4001) as f64 / 400.0 - 5.0,
    };
    if d.is_float() {
        x
    } else if x.is_finite() {
        x.trunc()
    } else {
        100.0
    }
}

fn fill(a: &Array, salt: usize) {
    for i in 0..a.layout.numel() {
        a.set(i, sample(i * 31 + salt, a.dtype));
    }
}

/// Equal, or within a few units in the last place of `d`, for numbers of the result's size or `scale`.
fn assert_close(got: Value, want: Value, d: DType, scale: f64, what: impl Fn() -> String) {
    let (Float(g), Float(w)) = (got, want) else {
        assert_eq!(got, want, "{}", what());
        return;
    };
    let w = round(w, d);
    // Beyond the last digit of f32 or f64 arithmetic, halves are one rounding away.
    let tolerance = 8.0 * d.epsilon() * w.abs().max(scale) + d.finite_range().1.recip();
    assert!(g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance, "{}: got {g:e}, want {w:e}", what());
}

fn run(p: &Program, ins: &[&Array], outs: &[&Array]) -> Result<()> {
    let ins: Vec<View> = ins.iter().map(|a| a.view()).collect();
    let mut outs: Vec<ViewMut> = outs.iter().map(|a| a.view_mut()).collect();
    pointwise(p, &ins, &mut outs)
}

fn unary(op: UnOp, d: DType) -> Program {
    let mut p = Program::new();
    let a = p.load(0, d);
    let r = p.un(op, a);
    p.out(r);
    p
}

fn binary(op: BinOp, d: DType) -> Program {
    let mut p = Program::new();
    let (a, b) = (p.load(0, d), p.load(1, d));
    let r = p.bin(op, a, b);
    p.out(r);
    p
}

#[test]
fn unary_primitives_on_all_dtypes_and_layouts() {
    let shape = [3, 5, 7];
    for d in DType::ALL {
        for &op in UnOp::ALL.iter().filter(|op| op.accepts(d)) {
            let p = unary(op, d);
            let mut first: Option<Vec<Value>> = None;
            for l in layouts(&shape) {
                let x = Array::new(d, l);
                fill(&x, 0);
                for o in layouts(&shape) {
                    let y = Array::new(op.result(d), o);
                    run(&p, &[&x], &[&y]).unwrap();
                    let got = y.values();
                    for (i, &g) in got.iter().enumerate() {
                        if let Some(w) = reference_un(op, d, x.get(i)) {
                            assert_close(g, w, y.dtype, 0.0, || format!("{op:?} {d} of {:?}", x.get(i)));
                        }
                    }
                    // The layout must not change a single bit.
                    let first = first.get_or_insert_with(|| got.clone());
                    assert!(same(first, &got), "{op:?} {d} {:?} -> {:?}", x.layout, y.layout);
                }
                if op.result(d) == d {
                    run(&p, &[&x], &[&x]).unwrap();
                    assert!(same(first.as_ref().unwrap(), &x.values()), "{op:?} {d} in place");
                }
            }
        }
    }
}

fn same(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Float(a), Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (a, b) => a == b,
        })
}

#[test]
fn binary_primitives_on_all_dtypes_layouts_and_broadcasts() {
    let shape = [4, 3, 6];
    for d in DType::ALL {
        for &op in BinOp::ALL.iter().filter(|op| op.accepts(d)) {
            let p = binary(op, d);
            let all: Vec<Layout> = layouts(&shape).into_iter().chain(broadcasts(&shape)).collect();
            for (k, l) in all.iter().enumerate() {
                let (x, y) = (Array::new(d, all[(k + 3) % all.len()].clone()), Array::new(d, l.clone()));
                fill(&x, 1);
                fill(&y, 2);
                if op.divides(d) {
                    (0..72).filter(|&i| !nonzero(y.get(i))).for_each(|i| y.set(i, 3.0));
                }
                let outs = layouts(&shape);
                let o = Array::new(op.result(d), outs[k % outs.len()].clone());
                run(&p, &[&x, &y], &[&o]).unwrap();
                for i in 0..72 {
                    if let Some(w) = reference_bin(op, d, x.get(i), y.get(i)) {
                        // A sum of two terms that may cancel.
                        let cancels = matches!(op, BinOp::Logaddexp | BinOp::Logaddexp2) && x.get(i).f().is_finite();
                        let scale = if cancels { x.get(i).f().abs() } else { 0.0 };
                        assert_close(o.get(i), w, o.dtype, scale, || format!("{op:?} {d} of {:?}, {:?}", x.get(i), y.get(i)));
                    }
                }
                if op.result(d) == d && k < outs.len() {
                    let want = o.values();
                    run(&p, &[&x, &y], &[&y]).unwrap();
                    assert!(same(&want, &y.values()), "{op:?} {d} in place");
                }
            }
        }
    }
}

#[test]
fn ternary_primitives() {
    let shape = [2, 3, 40];
    for d in DType::ALL {
        for &op in TernOp::ALL.iter().filter(|op| op.accepts(d)) {
            let first = if op == TernOp::Where { DType::Bool } else { d };
            let mut p = Program::new();
            let (a, b, c) = (p.load(0, first), p.load(1, d), p.load(2, d));
            let r = p.tern(op, a, b, c);
            p.out(r);
            for l in layouts(&shape).into_iter().chain(broadcasts(&shape)) {
                let (x, y, z) = (Array::new(first, l.clone()), Array::new(d, Layout::contiguous(&shape)), Array::new(d, l));
                fill(&x, 3);
                fill(&y, 4);
                fill(&z, 5);
                let o = Array::new(d, Layout::contiguous(&shape));
                run(&p, &[&x, &y, &z], &[&o]).unwrap();
                for i in 0..o.layout.numel() {
                    let (a, b, c) = (x.get(i), y.get(i), z.get(i));
                    let f = |i: f64| if d.is_float() { Float(i) } else { Int(i as i128) };
                    let nan = a.f().is_nan() || b.f().is_nan() || c.f().is_nan();
                    let w = match op {
                        TernOp::Where => {
                            if nonzero(a) {
                                b
                            } else {
                                c
                            }
                        }
                        TernOp::Clamp if nan => Float(f64::NAN),
                        TernOp::Clamp => f(a.f().max(b.f()).min(c.f())),
                        TernOp::Lerp if c.f().abs() < 0.5 => f(a.f() + c.f() * (b.f() - a.f())),
                        TernOp::Lerp => f(b.f() - (b.f() - a.f()) * (1.0 - c.f())),
                        TernOp::MulAdd if d.is_float() => f(a.f() * b.f() + c.f()),
                        TernOp::MulAdd => wrap(a.i() * b.i() + c.i(), d),
                    };
                    // Cancellation in a fused or unfused sum shows at the operands' scale.
                    if let (Float(g), Float(w)) = (o.get(i), w) {
                        let scale = a.f().abs().max(b.f().abs()).max(c.f().abs()).max(1.0);
                        let ok = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= 4.0 * d.epsilon() * scale * scale;
                        assert!(ok, "{op:?} {d} of {a:?}, {b:?}, {c:?}: {g} {w}");
                    } else {
                        assert_eq!(o.get(i), w, "{op:?} {d} of {a:?}, {b:?}, {c:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn casts_of_every_pair() {
    for from in DType::ALL {
        for to in DType::ALL {
            let mut p = Program::new();
            let a = p.load(0, from);
            let r = p.cast(to, a);
            p.out(r);
            for (l, o) in layouts(&[5, 41]).into_iter().zip(layouts(&[5, 41]).into_iter().rev()) {
                let (x, y) = (Array::new(from, l), Array::new(to, o));
                fill(&x, 6);
                run(&p, &[&x], &[&y]).unwrap();
                for i in 0..x.layout.numel() {
                    let want = match x.get(i) {
                        v if to == DType::Bool => of_bool(nonzero(v)),
                        v if to.is_float() => Float(round(v.f(), to)),
                        Float(f) => wrap(f as i64 as i128, to),
                        Int(v) => wrap(v, to),
                    };
                    assert!(same(&[y.get(i)], &[want]), "{from} -> {to} of {:?}: {:?}", x.get(i), y.get(i));
                }
            }
        }
    }
}

#[test]
fn halves_round_after_every_instruction() {
    for d in [DType::F16, DType::BF16] {
        let mut p = Program::new();
        let (a, b) = (p.load(0, d), p.load(1, d));
        let third = p.constant(1.0 / 3.0, d);
        let m = p.bin(BinOp::Mul, a, third);
        let s = p.bin(BinOp::Add, m, b);
        let e = p.un(UnOp::Square, s);
        p.out(e);
        p.out(m);
        let l = Layout::contiguous(&[9, 130]);
        let x: Vec<Array> = (0..2).map(|_| Array::new(d, l.clone())).collect();
        let y: Vec<Array> = (0..2).map(|k| Array::new(d, layouts(&[9, 130])[k * 2].clone())).collect();
        fill(&x[0], 7);
        fill(&x[1], 8);
        run(&p, &[&x[0], &x[1]], &[&y[0], &y[1]]).unwrap();
        let c = round(1.0 / 3.0, d);
        for i in 0..l.numel() {
            let m = round(x[0].get(i).f() * c, d);
            let s = round(m + x[1].get(i).f(), d);
            assert!(same(&[y[1].get(i), y[0].get(i)], &[Float(m), Float(round(s * s, d))]), "{d} {i}");
        }
    }
}

#[test]
fn longer_programs_in_place_and_swapped() {
    for shape in [vec![3000], vec![7, 300], vec![300, 7], vec![2, 1, 513], vec![]] {
        let d = DType::F32;
        // out0 = b - (a * b) * 2, out1 = a; out0 is stored over a, out1 over b.
        let mut p = Program::new();
        let (a, b, two) = (p.load(0, d), p.load(1, d), p.constant(2.0, d));
        let m = p.bin(BinOp::Mul, a, b);
        let t = p.bin(BinOp::Mul, m, two);
        let s = p.bin(BinOp::Sub, b, t);
        p.out(s);
        p.out(a);
        for l in layouts(&shape) {
            let (x, y) = (Array::new(d, l.clone()), Array::new(d, l));
            let n = x.layout.numel();
            (0..n).for_each(|i| x.set(i, i as f64 % 17.0));
            (0..n).for_each(|i| y.set(i, i as f64 % 23.0 - 5.0));
            let (xs, ys) = (x.values(), y.values());
            run(&p, &[&x, &y], &[&x, &y]).unwrap();
            for i in 0..n {
                assert_eq!(x.get(i).f(), ys[i].f() - xs[i].f() * ys[i].f() * 2.0);
                assert_eq!(y.get(i), xs[i]);
            }
        }
    }
}

#[test]
fn swapping_two_buffers() {
    let mut p = Program::new();
    let (a, b) = (p.load(0, DType::I16), p.load(1, DType::I16));
    p.out(b);
    p.out(a);
    let l = Layout::contiguous(&[5000]);
    let (x, y) = (Array::new(DType::I16, l.clone()), Array::new(DType::I16, l));
    fill(&x, 1);
    fill(&y, 2);
    let (xs, ys) = (x.values(), y.values());
    run(&p, &[&x, &y], &[&x, &y]).unwrap();
    assert!(x.values() == ys && y.values() == xs);
}

#[test]
fn copies_keep_bits() {
    for d in DType::ALL {
        let mut p = Program::new();
        let a = p.load(0, d);
        p.out(a);
        for l in layouts(&[6, 70, 5]).into_iter().chain(broadcasts(&[6, 70, 5])) {
            for o in layouts(&[6, 70, 5]) {
                let (x, y) = (Array::new(d, l.clone()), Array::new(d, o));
                fill(&x, 9);
                run(&p, &[&x], &[&y]).unwrap();
                assert!(same(&x.values(), &y.values()), "{d} {l:?}");
            }
        }
    }
}

#[test]
fn transpositions_go_by_blocks() {
    for shape in [vec![33, 70], vec![3, 40, 17, 5], vec![2, 100, 64], vec![16, 16]] {
        let rank = shape.len();
        for d in [DType::U8, DType::BF16, DType::F32, DType::F64] {
            let p = binary(BinOp::Sub, d);
            let orders = [(0..rank).rev().collect::<Vec<_>>(), (0..rank).map(|k| (k + 1) % rank).collect()];
            for order in &orders {
                let mut sizes = vec![0; rank];
                order.iter().enumerate().for_each(|(k, &o)| sizes[o] = shape[k]);
                let x = Array::new(d, Layout::contiguous(&sizes).permute(order));
                assert_eq!(x.layout.shape.as_slice(), shape);
                for l in layouts(&shape).into_iter().chain(broadcasts(&shape)) {
                    let (y, o) = (Array::new(d, l), Array::new(d, Layout::contiguous(&shape)));
                    for i in 0..x.layout.numel() {
                        x.set(i, (i % 251) as f64);
                    }
                    fill(&y, 1);
                    run(&p, &[&x, &y], &[&o]).unwrap();
                    for i in 0..o.layout.numel() {
                        let want = reference_bin(BinOp::Sub, d, x.get(i), y.get(i)).unwrap();
                        assert_close(o.get(i), want, d, 0.0, || format!("{shape:?} {order:?} {d} {i}"));
                    }
                    let want = o.values();
                    run(&p, &[&x, &y], &[&x]).unwrap();
                    assert!(same(&want, &x.values()), "{shape:?} {order:?} {d} in place");
                }
            }
        }
    }
}

#[test]
fn constants_fill() {
    for d in DType::ALL {
        let mut p = Program::new();
        let c = p.constant(3.0, d);
        p.out(c);
        for l in layouts(&[3, 700]) {
            let y = Array::new(d, l);
            run(&p, &[], &[&y]).unwrap();
            let want = if d == DType::Bool { 1.0 } else { 3.0 };
            assert!(y.values().iter().all(|v| v.f() == want), "{d}");
        }
    }
}

#[test]
fn empty_zero_dim_and_large() {
    let p = binary(BinOp::Add, DType::F32);
    for shape in [vec![0], vec![3, 0, 2], vec![], vec![1, 1], vec![1_000_003], vec![700, 1500]] {
        let l = Layout::contiguous(&shape);
        let (x, y, o) = (Array::new(DType::F32, l.clone()), Array::new(DType::F32, l.clone()), Array::new(DType::F32, l.clone()));
        let n = l.numel();
        (0..n).for_each(|i| x.set(i, (i % 1000) as f64));
        (0..n).for_each(|i| y.set(i, (i % 77) as f64));
        run(&p, &[&x, &y], &[&o]).unwrap();
        assert!((0..n).all(|i| o.get(i).f() == (i % 1000 + i % 77) as f64), "{shape:?}");
    }
}

#[test]
fn integer_division_by_zero_is_an_error() {
    for op in [BinOp::FloorDiv, BinOp::TruncDiv, BinOp::Remainder, BinOp::Fmod] {
        for d in DType::ALL.into_iter().filter(|d| d.is_int()) {
            let p = binary(op, d);
            let l = Layout::contiguous(&[5000]);
            let (x, y, o) = (Array::new(d, l.clone()), Array::new(d, l.clone()), Array::new(d, l));
            (0..5000).for_each(|i| y.set(i, 3.0));
            run(&p, &[&x, &y], &[&o]).unwrap();
            y.set(4321, 0.0);
            let e = run(&p, &[&x, &y], &[&o]).unwrap_err();
            assert_eq!((e.kind(), e.message()), (ErrorKind::Runtime, "ZeroDivisionError"));
        }
        let d = DType::I64;
        let (x, y) = (Array::new(d, Layout::contiguous(&[1])), Array::new(d, Layout::contiguous(&[1])));
        // The quotient that does not fit wraps.
        // SAFETY: one element each.
        unsafe { *x.buffer.as_ptr().cast::<i64>() = i64::MIN };
        y.set(0, -1.0);
        run(&binary(op, d), &[&x, &y], &[&x]).unwrap();
    }
}

#[test]
fn wrong_programs_are_errors() {
    let (x, y) = (Array::new(DType::F32, Layout::contiguous(&[3])), Array::new(DType::F32, Layout::contiguous(&[4])));
    let b = Array::new(DType::Bool, Layout::contiguous(&[3]));
    let p = unary(UnOp::Exp, DType::F32);
    assert!(run(&p, &[&x], &[&y]).is_err());
    assert!(run(&p, &[&b], &[&x]).is_err());
    assert!(run(&p, &[], &[&x]).is_err());
    assert!(run(&p, &[&x], &[]).is_err());
    let e = run(&unary(UnOp::Abs, DType::Bool), &[&b], &[&b]).unwrap_err();
    assert_eq!((e.kind(), e.message()), (ErrorKind::NotImplemented, "\"abs_cpu\" not implemented for 'Bool'"));
}

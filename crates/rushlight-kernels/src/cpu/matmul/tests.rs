//! Values are small integers, so that every order of summation gives the same bits and results compare with `==`.

use super::*;
use crate::cpu::pool::set_num_threads;
use std::sync::Mutex;

/// The number of threads is a property of the process.
static THREADS: Mutex<()> = Mutex::new(());

struct Case {
    batch: Vec<usize>,
    m: usize,
    k: usize,
    n: usize,
}

fn case(batch: &[usize], m: usize, k: usize, n: usize) -> Case {
    Case { batch: batch.to_vec(), m, k, n }
}

/// How a tensor of some shape may lie in memory.
const WAYS: usize = 6;

fn layout_for(shape: &[usize], way: usize) -> (Layout, usize) {
    let r = shape.len();
    let mut doubled = shape.to_vec();
    match way {
        1 => {
            doubled.swap(r - 1, r - 2);
            let l = Layout::contiguous(&doubled);
            (l.transpose(r - 1, r - 2), l.numel())
        }
        2 => {
            doubled[r - 1] = shape[r - 1] * 2 + 1;
            let l = Layout::contiguous(&doubled);
            (l.slice(r - 1, 1, 2, shape[r - 1]), l.numel())
        }
        3 => {
            let l = Layout::contiguous(shape);
            (l.flip(r - 1).flip(r - 2), l.numel())
        }
        4 => {
            doubled[r - 2] = shape[r - 2] + 3;
            let l = Layout::contiguous(&doubled);
            (l.narrow(r - 2, 2, shape[r - 2]), l.numel())
        }
        5 => {
            // Broadcast along all but the last dimension.
            let l = Layout::contiguous(&shape[r - 1..]);
            (l.broadcast_to(shape).unwrap(), l.numel())
        }
        _ => (Layout::contiguous(shape), shape.iter().product()),
    }
}

fn filled<T: Element>(len: usize, seed: u64) -> Buffer {
    let buffer = Buffer::zeroed((len * size_of::<T>()).max(1)).unwrap();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for i in 0..len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // SAFETY: within the buffer, which has no other user.
        unsafe { *buffer.as_ptr().cast::<T>().add(i) = T::from_i64((state >> 33) as i64 % 7 - 3) };
    }
    buffer
}

fn bytes(b: &Buffer) -> Vec<u8> {
    // SAFETY: buffers of these tests are initialised and no longer written.
    unsafe { std::slice::from_raw_parts(b.as_ptr(), b.len()) }.to_vec()
}

/// The result's whole buffer (so that writes outside the view show) by the kernel and by the definition.
fn both<T: Number>(c: &Case, ways: [usize; 4], alpha: Scalar, beta: Scalar) -> (Vec<u8>, Vec<u8>) {
    let shape = |x: usize, y: usize| c.batch.iter().copied().chain([x, y]).collect::<Vec<_>>();
    let (la, na) = layout_for(&shape(c.m, c.k), ways[0]);
    let (lb, nb) = layout_for(&shape(c.k, c.n), ways[1]);
    let (lc, nc) = layout_for(&shape(c.m, c.n), ways[2]);
    let (ld, nd) = layout_for(&shape(c.m, c.n), ways[3]);
    let (a, b, d) = (filled::<T>(na, 1), filled::<T>(nb, 2), filled::<T>(nd, 3));
    let (fast, slow) = (filled::<T>(nc, 4), filled::<T>(nc, 4));
    let dt = T::DTYPE;
    // SAFETY: all buffers are this test's own, and only the results are written.
    unsafe {
        let (a, b) = (View::new(&a, &la, dt).unwrap(), View::new(&b, &lb, dt).unwrap());
        let d = (beta != Scalar::Int(-99)).then(|| View::new(&d, &ld, dt).unwrap());
        matmul(a, b, d, alpha, beta, &mut ViewMut::new(&fast, &lc, dt).unwrap()).unwrap();
        naive::matmul(&product::<T>(a, b, d, alpha, beta, &mut ViewMut::new(&slow, &lc, dt).unwrap()));
    }
    (bytes(&fast), bytes(&slow))
}

const NO_BIAS: Scalar = Scalar::Int(-99);

#[test]
fn every_dtype_and_layout_agrees_with_the_definition() {
    let cases = [case(&[], 5, 3, 17), case(&[], 33, 40, 70), case(&[2, 3], 4, 9, 5), case(&[3], 1, 33, 20)];
    for dtype in DType::ALL.into_iter().filter(|&d| d != DType::Bool) {
        for (i, c) in cases.iter().enumerate() {
            for wa in 0..WAYS {
                for wb in 0..WAYS {
                    let ways = [wa, wb, (wa * 5 + wb + i) % (WAYS - 1), (wa + wb) % WAYS];
                    let beta = if (wa + wb) % 2 == 0 { NO_BIAS } else { Scalar::Int(2) };
                    dispatch!(dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
                        let (x, y) = both::<T>(c, ways, Scalar::Int(3), beta);
                        assert!(x == y, "{dtype} {:?} {} {} {} ways {ways:?}", c.batch, c.m, c.k, c.n);
                    }, else => unreachable!());
                }
            }
        }
    }
}

#[test]
fn odd_sizes_agree_with_the_definition() {
    let sizes = [1, 2, 3, 5, 17, 33, 100, 257];
    for m in sizes {
        for k in sizes {
            for n in sizes {
                let ways = [m % 3, (n + k) % 3, 0, 0].map(|w: usize| [0, 1, 4][w]);
                let (x, y) = both::<f32>(&case(&[], m, k, n), ways, Scalar::Int(1), NO_BIAS);
                assert!(x == y, "{m} {k} {n} {ways:?}");
            }
        }
    }
}

#[test]
fn long_sums_and_large_blocks_agree_with_the_definition() {
    for (c, ways) in [
        (case(&[], 40, 5000, 33), [0, 0, 0, 0]),
        (case(&[], 40, 5000, 33), [1, 1, 1, 5]),
        (case(&[2], 3, 3000, 64), [0, 1, 0, 0]),
        (case(&[], 1, 2100, 300), [0, 0, 0, 0]),
        (case(&[], 500, 300, 1), [0, 0, 0, 0]),
        (case(&[], 500, 300, 1), [1, 0, 0, 0]),
        (case(&[], 530, 40, 1100), [4, 4, 4, 4]),
        (case(&[100], 8, 8, 8), [0, 0, 0, 0]),
        (case(&[7, 1, 3], 12, 300, 40), [0, 5, 0, 0]),
        // Rows times adjacent columns, as dot products; the last with more rows than are multiplied so.
        (case(&[], 64, 131, 70), [0, 1, 0, 0]),
        (case(&[], 7, 784, 5), [4, 1, 2, 5]),
        (case(&[3], 33, 256, 130), [0, 1, 1, 0]),
        (case(&[], 65, 300, 70), [0, 1, 0, 0]),
        // A few long sums.
        (case(&[], 1, 70_001, 1), [0, 1, 0, 0]),
        (case(&[2], 1, 17_000, 3), [0, 1, 2, 0]),
        (case(&[5], 1, 67, 1), [0, 1, 0, 0]),
    ] {
        let alpha = Scalar::Int(2);
        let (x, y) = both::<f32>(&c, ways, alpha, Scalar::Int(3));
        assert!(x == y, "f32 {} {} {}", c.m, c.k, c.n);
        let (x, y) = both::<f64>(&c, ways, alpha, NO_BIAS);
        assert!(x == y, "f64 {} {} {}", c.m, c.k, c.n);
        let (x, y) = both::<i64>(&c, ways, alpha, NO_BIAS);
        assert!(x == y, "i64 {} {} {}", c.m, c.k, c.n);
        let (x, y) = both::<bf16>(&c, ways, alpha, NO_BIAS);
        assert!(x == y, "bf16 {} {} {}", c.m, c.k, c.n);
    }
}

#[test]
fn empty_products_are_the_bias() {
    let (x, y) = both::<f32>(&case(&[2], 3, 0, 70), [0, 0, 2, 0], Scalar::Int(5), Scalar::Int(2));
    assert!(x == y);
    let (x, y) = both::<f16>(&case(&[], 3, 0, 4), [0; 4], Scalar::Int(1), NO_BIAS);
    assert!(x == y && x.iter().all(|&b| b == 0));
    for c in [case(&[], 0, 3, 4), case(&[], 3, 3, 0), case(&[0], 2, 2, 2)] {
        let (x, y) = both::<f64>(&c, [0; 4], Scalar::Int(1), NO_BIAS);
        assert!(x == y);
    }
}

/// `a @ b (+ beta * bias)` of small contiguous f32 matrices.
fn small(a: &[f32], b: &[f32], bias: Option<&[f32]>, beta: f64, m: usize, n: usize) -> Vec<f32> {
    let k = a.len() / m;
    let buffer = |x: &[f32]| {
        let buffer = Buffer::zeroed(x.len() * 4).unwrap();
        // SAFETY: a fresh buffer of that size.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), buffer.as_ptr().cast(), x.len()) };
        buffer
    };
    let (la, lb, lc) = (Layout::contiguous(&[m, k]), Layout::contiguous(&[k, n]), Layout::contiguous(&[m, n]));
    let (a, b, d, c) = (buffer(a), buffer(b), buffer(bias.unwrap_or(&[0.0])), buffer(&vec![0.0; m * n]));
    // SAFETY: buffers of this test; only `c` is written.
    unsafe {
        let view = |x, l| View::new(x, l, DType::F32).unwrap();
        let mut out = ViewMut::new(&c, &lc, DType::F32).unwrap();
        matmul(view(&a, &la), view(&b, &lb), bias.map(|_| view(&d, &lc)), Scalar::Int(1), Scalar::Float(beta), &mut out).unwrap();
        out.as_mut_slice::<f32>().unwrap().to_vec()
    }
}

#[test]
fn a_bias_alone_is_laid_down_before_the_sums() {
    for c in [case(&[], 40, 600, 70), case(&[2], 3, 9, 33), case(&[], 100, 16, 5)] {
        for ways in [[0, 0, 0, 5], [0, 0, 0, 0], [1, 0, 0, 5], [0, 1, 4, 4], [0, 0, 1, 5], [0, 0, 0, 1]] {
            let (x, y) = both::<f32>(&c, ways, Scalar::Int(1), Scalar::Int(1));
            assert!(x == y, "f32 {} {} {} {ways:?}", c.m, c.k, c.n);
            let (x, y) = both::<bf16>(&c, ways, Scalar::Int(1), Scalar::Int(1));
            assert!(x == y, "bf16 {} {} {} {ways:?}", c.m, c.k, c.n);
        }
    }
}

#[test]
fn nan_and_infinity_propagate_but_not_from_a_bias_times_zero() {
    let nan = f32::NAN;
    assert_eq!(small(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0], Some(&[nan; 4]), 0.0, 2, 2), [1.0, 2.0, 3.0, 4.0]);
    assert!(small(&[1.0, 2.0], &[1.0, 1.0], Some(&[nan]), 1.0, 1, 1)[0].is_nan());
    assert!(small(&[0.0, nan], &[1.0, 0.0], None, 0.0, 1, 1)[0].is_nan());
    assert!(small(&[0.0, 1.0], &[f32::INFINITY, 0.0], None, 0.0, 1, 1)[0].is_nan());
    assert_eq!(small(&[1.0, 1.0], &[f32::INFINITY, 0.0], None, 0.0, 1, 1)[0], f32::INFINITY);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let _guard = THREADS.lock().unwrap_or_else(|p| p.into_inner());
    let random = |len: usize, mut s: u32| -> Vec<f32> {
        let mut next = || {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (s >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..len).map(|_| next()).collect()
    };
    for (m, k, n) in [(64, 8192, 64), (200, 300, 250), (1, 4096, 700), (700, 900, 1), (5, 20_000, 3), (1, 50_000, 1)] {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let results: Vec<Vec<u32>> = [1, 2, 5]
            .into_iter()
            .map(|threads| {
                set_num_threads(threads);
                small(&a, &b, None, 0.0, m, n).into_iter().map(f32::to_bits).collect()
            })
            .collect();
        assert!(results[0] == results[1] && results[0] == results[2], "{m} {k} {n}");
        // And they are right: within the error bound of a sum of `k` products.
        let got = f32::from_bits(results[0][m * n - 1]) as f64;
        let terms = || (0..k).map(|p| a[(m - 1) * k + p] as f64 * b[p * n + n - 1] as f64);
        let (exact, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
        assert!((got - exact).abs() <= size * f32::EPSILON as f64 * 8.0, "{m} {k} {n}: {got} against {exact}");
    }
    set_num_threads(2);
}

#[test]
fn all_instruction_sets_agree() {
    for kernels in kernel::all_f32() {
        for rows in 1..=kernels.rows() {
            for cols in 1..=2 * kernels.lanes {
                let (a, b) = ([1.0, 2.0, 3.0].repeat(rows), (0..3 * cols).map(|x| x as f32).collect::<Vec<_>>());
                let mut c = vec![0.5f32; rows * cols + 1];
                let tile = kernel::Tile {
                    k: 3,
                    a: a.as_ptr(),
                    ars: 3,
                    acs: 1,
                    b: b.as_ptr(),
                    brs: cols as isize,
                    cols,
                    c: c.as_mut_ptr(),
                    crs: cols as isize,
                    accumulate: true,
                };
                // SAFETY: the matrices have these sizes, and the processor was asked for the instruction set.
                unsafe { kernels.tile(rows, cols).0(&tile) };
                for (i, &x) in c[..rows * cols].iter().enumerate() {
                    let j = i % cols;
                    assert_eq!(x, 0.5 + b[j] + 2.0 * b[cols + j] + 3.0 * b[2 * cols + j]);
                }
                assert_eq!(c[rows * cols], 0.5, "wrote past the end");
            }
        }
    }
}

#[test]
fn all_instruction_sets_copy_transpose_and_sum_alike() {
    let values: Vec<f32> = (0..33 * 40).map(|x| (x % 13) as f32 - 6.0).collect();
    for kernels in kernel::all_f32() {
        for cols in 1..=40 {
            let mut to = vec![0.5f32; 3 * 41];
            // SAFETY: rows of at most 40 elements on both sides, on this processor.
            unsafe { (kernels.copy)([3, cols], values.as_ptr(), 40, to.as_mut_ptr(), 41) };
            for (i, &x) in to.iter().enumerate() {
                let expected = if i % 41 < cols { values[i / 41 * 40 + i % 41] } else { 0.5 };
                assert_eq!(x, expected, "{cols} {i}");
            }
        }
        let mut to = vec![0.5f32; 16 * 30];
        // SAFETY: 24 columns of 16 elements; 16 rows of 24.
        unsafe { (kernels.transpose)([16, 24], values.as_ptr(), 40, to.as_mut_ptr(), 30) };
        for (i, &x) in to.iter().enumerate() {
            assert_eq!(x, if i % 30 < 24 { values[i % 30 * 40 + i / 30] } else { 0.5 }, "{i}");
        }
        for k in [1, 15, 16, 17, 130, 300] {
            let exact = |a: usize, b: usize| (0..k).map(|p| values[a + p] * values[b + p]).sum::<f32>();
            // SAFETY: four rows of each, of `k` elements.
            unsafe {
                assert_eq!((kernels.dot)(k, values.as_ptr(), values.as_ptr().add(1)), exact(0, 1));
                for rows in 1..=DOT_ROWS {
                    let mut out = [[0.0; DOT_COLUMNS]; DOT_ROWS];
                    kernels.dots[rows - 1](k, values.as_ptr(), 40, values.as_ptr().add(7), 41, &mut out);
                    for (i, row) in out[..rows].iter().enumerate() {
                        (0..DOT_COLUMNS).for_each(|j| assert_eq!(row[j], exact(40 * i, 7 + 41 * j), "{k} {i} {j}"));
                    }
                }
            }
        }
    }
}

#[test]
fn misfits_are_errors() {
    let x = filled::<f32>(12, 1);
    let (a, b, c) = (Layout::contiguous(&[3, 4]), Layout::contiguous(&[3, 4]), Layout::contiguous(&[3, 4]));
    // SAFETY: nothing is computed.
    unsafe {
        let view = |l, d| View::new(&x, l, d).unwrap();
        let mut out = ViewMut::new(&x, &c, DType::F32).unwrap();
        let one = Scalar::Int(1);
        let e = matmul(view(&a, DType::F32), view(&b, DType::F32), None, one, one, &mut out).unwrap_err();
        assert_eq!(e.message(), "matmul: shapes [3, 4] @ [3, 4] do not fit the result [3, 4]");
        let square = Layout::contiguous(&[2, 2]);
        let mut out = ViewMut::new(&x, &square, DType::Bool).unwrap();
        let e = matmul(view(&square, DType::Bool), view(&square, DType::Bool), None, one, one, &mut out).unwrap_err();
        assert_eq!((e.kind(), e.message()), (ErrorKind::NotImplemented, "\"addmm_impl_cpu_\" not implemented for 'Bool'"));
    }
}

/// `cargo test --release -p rushlight-kernels gemm_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn gemm_speed() {
    let _guard = THREADS.lock().unwrap_or_else(|p| p.into_inner());
    for threads in [1, 2] {
        set_num_threads(threads);
        for (m, k, n, ways) in [
            (512, 512, 512, [0, 0]),
            (512, 512, 512, [0, 1]),
            (512, 512, 512, [1, 0]),
            (1024, 1024, 1024, [0, 0]),
            (64, 64, 64, [0, 0]),
            (128, 128, 128, [0, 0]),
            (64, 784, 128, [0, 1]),
            (64, 8192, 64, [0, 0]),
            (1, 1024, 1024, [0, 0]),
            (1, 1024, 1024, [0, 1]),
            (2, 8, 8, [0, 1]),
        ] {
            let (la, lb, lc) = (layout_for(&[m, k], ways[0]).0, layout_for(&[k, n], ways[1]).0, Layout::contiguous(&[m, n]));
            let (a, b, c) = (filled::<f32>(m * k, 1), filled::<f32>(k * n, 2), filled::<f32>(m * n, 3));
            // SAFETY: buffers of this test; only `c` is written.
            let once = || unsafe {
                let (a, b) = (View::new(&a, &la, DType::F32).unwrap(), View::new(&b, &lb, DType::F32).unwrap());
                let mut c = ViewMut::new(&c, &lc, DType::F32).unwrap();
                matmul(a, b, None, Scalar::Int(1), Scalar::Int(0), &mut c).unwrap();
            };
            once();
            let flops = 2.0 * (m * k * n) as f64;
            let repeat = ((2e8 / flops) as usize).clamp(3, 100_000);
            let best = (0..7)
                .map(|_| {
                    let start = std::time::Instant::now();
                    (0..repeat).for_each(|_| once());
                    start.elapsed().as_secs_f64() / repeat as f64
                })
                .fold(f64::INFINITY, f64::min);
            println!("{threads} threads {m}x{k}x{n} {ways:?}: {:.1} GFLOP/s, {:.2} us", flops / best / 1e9, best * 1e6);
        }
    }
}

/// A product, then `relu(product + row) * other` over it: with the product's memory as the second of two outputs; all in one call or in two.
fn followed<T: Number>(c: &Case, at_once: bool) -> [Vec<u8>; 2] {
    let shape = |x: usize, y: usize| c.batch.iter().copied().chain([x, y]).collect::<Vec<_>>();
    let whole = Layout::contiguous(&shape(c.m, c.n));
    let ways = if c.batch.is_empty() { [0, 1, 0] } else { [4, 5, 2] };
    let (la, na) = layout_for(&shape(c.m, c.k), ways[0]);
    let (lb, nb) = layout_for(&shape(c.k, c.n), ways[1]);
    let (lo, no) = layout_for(&shape(c.m, c.n), ways[2]);
    let (lr, nr) = layout_for(&shape(c.m, c.n), 5);
    let dt = T::DTYPE;
    let mut program = Program::new();
    let [p, row, other] = [0, 1, 2].map(|i| program.load(i, dt));
    let sum = program.bin(BinOp::Add, p, row);
    let kept = program.un(UnOp::Relu, sum);
    let scaled = program.bin(BinOp::Mul, kept, other);
    program.out(kept);
    program.out(scaled);
    let room = || Buffer::zeroed(whole.numel() * dt.size()).unwrap();
    let (a, b, row, other, y, z) =
        (filled::<T>(na, 1), filled::<T>(nb, 2), filled::<T>(nr, 3), filled::<T>(no, 4), room(), room());
    // SAFETY: all buffers are this test's own; the product's is the second output's, which the kernels allow.
    unsafe {
        let view = |b, l| View::new(b, l, dt).unwrap();
        let (a, b) = (view(&a, &la), view(&b, &lb));
        let (made, out) = (&mut ViewMut::new(&z, &whole, dt).unwrap(), |b| ViewMut::new(b, &whole, dt).unwrap());
        let (alpha, ins, outs) =
            (Scalar::Float(0.3), [view(&z, &whole), view(&row, &lr), view(&other, &lo)], &mut [out(&y), out(&z)]);
        if at_once {
            matmul_then(a, b, None, alpha, Scalar::Int(0), made, &program, &ins, outs).unwrap();
        } else {
            matmul(a, b, None, alpha, Scalar::Int(0), made).unwrap();
            tile::pointwise(&program, &ins, outs).unwrap();
        }
    }
    [bytes(&y), bytes(&z)]
}

#[test]
fn what_follows_a_product_has_the_bits_of_a_second_pass() {
    let _guard = THREADS.lock().unwrap_or_else(|p| p.into_inner());
    let cases = [
        case(&[], 700, 33, 64),
        case(&[], 1500, 300, 100),
        case(&[5], 300, 8, 48),
        case(&[2, 3], 70, 12, 40),
        case(&[200], 1, 30, 33),
        case(&[], 40, 3000, 33),  // the sums are cut
        case(&[], 500, 300, 3),   // computed the other way round
        case(&[], 30, 0, 20),     // no terms
        case(&[], 300, 20, 1100), // rows are too long
        case(&[3], 2, 40, 70),    // dot products
    ];
    for c in &cases {
        for dtype in [DType::F32, DType::F64, DType::BF16, DType::I32] {
            dispatch!(dtype, [I32 BF16 F32 F64], T => {
                set_num_threads(1);
                let expected = followed::<T>(c, false);
                for threads in [1, 3] {
                    set_num_threads(threads);
                    assert!(followed::<T>(c, true) == expected, "{dtype} {:?} {} {} {}", c.batch, c.m, c.k, c.n);
                }
            }, else => unreachable!());
        }
    }
    set_num_threads(2);
}

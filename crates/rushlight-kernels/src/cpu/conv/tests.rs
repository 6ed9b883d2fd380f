//! Values are small integers, so that every order of summation gives the same bits and results compare with `==`.

use super::*;
use crate::cpu::pool::set_num_threads;

/// Sizes of a convolution: batch, channels per group, outputs per group, groups, then image, kernel, stride, padding and dilation.
struct Case {
    n: usize,
    c: usize,
    o: usize,
    groups: usize,
    spatial: &'static [[usize; 5]],
}

const fn case(n: usize, [c, o, groups]: [usize; 3], spatial: &'static [[usize; 5]]) -> Case {
    Case { n, c, o, groups, spatial }
}

const CASES: &[Case] = &[
    case(2, [3, 5, 1], &[[9, 3, 1, 1, 1], [11, 3, 1, 1, 1]]),
    case(2, [3, 5, 1], &[[10, 3, 2, 1, 1], [13, 2, 3, 2, 2]]),
    case(1, [4, 20, 1], &[[7, 1, 1, 0, 1], [6, 1, 1, 0, 1]]),
    case(3, [2, 3, 2], &[[8, 3, 1, 2, 2], [5, 1, 1, 0, 1]]),
    case(2, [1, 1, 6], &[[8, 3, 1, 1, 1], [9, 3, 1, 1, 1]]),
    case(2, [1, 2, 3], &[[8, 5, 2, 0, 1], [9, 3, 2, 1, 1]]),
    case(2, [3, 4, 1], &[[17, 4, 3, 2, 2]]),
    case(1, [2, 3, 2], &[[5, 3, 1, 1, 1], [6, 2, 2, 0, 1], [7, 3, 2, 3, 2]]),
    case(9, [40, 33, 1], &[[3, 3, 1, 0, 1], [3, 3, 1, 0, 1]]),
    case(4, [16, 20, 1], &[[20, 3, 1, 1, 1], [40, 3, 1, 1, 1]]),
    case(2, [3, 4, 1], &[[2, 2, 5, 4, 1], [3, 1, 4, 3, 1]]),
    case(0, [3, 4, 1], &[[5, 3, 1, 1, 1]]),
    case(2, [1, 1, 9], &[[9, 3, 2, 1, 1], [40, 5, 2, 2, 1]]),
    case(9, [2, 2, 9], &[[4, 2, 1, 1, 2], [5, 3, 3, 1, 2], [70, 3, 1, 0, 1]]),
    case(2, [1, 1, 8], &[[6, 1, 3, 0, 1], [6, 1, 2, 1, 1]]),
    case(2, [0, 4, 1], &[[5, 3, 1, 1, 1]]),
    case(2, [5, 6, 5], &[[30, 3, 1, 1, 1], [37, 3, 1, 1, 1]]),
    case(1, [70, 30, 1], &[[40, 3, 2, 1, 1], [45, 3, 2, 1, 1]]),
    case(2, [3, 17, 1], &[[30, 7, 2, 3, 1], [31, 7, 2, 3, 1]]),
    case(3, [20, 12, 1], &[[700, 5, 1, 2, 1]]),
    case(1, [9, 33, 1], &[[6, 3, 1, 1, 1], [20, 3, 1, 1, 1], [21, 3, 1, 1, 1]]),
    case(2, [12, 70, 1], &[[9, 4, 2, 1, 1], [10, 4, 2, 1, 1]]),
];

/// Where Winograd's algorithm is chosen for the convolution and its transpose: one tile and many, edges, groups, asymmetry.
const WINOGRAD: &[Case] = &[
    case(32, [16, 16, 1], &[[4, 3, 1, 1, 1], [4, 3, 1, 1, 1]]),
    case(3, [33, 47, 1], &[[31, 3, 1, 1, 1], [18, 3, 1, 0, 1]]),
    case(1, [32, 32, 1], &[[40, 3, 1, 2, 1], [45, 3, 1, 2, 1]]),
    case(9, [16, 30, 3], &[[14, 3, 1, 1, 1], [14, 3, 1, 1, 1]]),
    case(2, [160, 20, 1], &[[29, 3, 1, 0, 1], [60, 3, 1, 1, 1]]),
];

/// Holds the switch of [`set_precise`] for a test.
fn precisely(on: bool) -> std::sync::MutexGuard<'static, ()> {
    static SWITCH: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = SWITCH.lock().unwrap_or_else(|e| e.into_inner());
    set_precise(on);
    guard
}

impl Case {
    fn shape(&self) -> ConvShape {
        let list = |i: usize| self.spatial.iter().map(|s| s[i]).collect();
        ConvShape { stride: list(2), padding: list(3), dilation: list(4), groups: self.groups }
    }
    /// Shapes of image, weight and result.
    fn shapes(&self) -> [Vec<usize>; 3] {
        let with = |head: [usize; 2], f: &dyn Fn(&[usize; 5]) -> usize| -> Vec<usize> {
            head.into_iter().chain(self.spatial.iter().map(f)).collect()
        };
        [
            with([self.n, self.c * self.groups], &|s| s[0]),
            with([self.o * self.groups, self.c], &|s| s[1]),
            with([self.n, self.o * self.groups], &|s| (s[0] + 2 * s[3] - s[4] * (s[1] - 1) - 1) / s[2] + 1),
        ]
    }
}

/// A layout of `shape`: contiguous, channels last, or flipped with gaps.
fn layout_for(shape: &[usize], way: usize) -> (Layout, usize) {
    let r = shape.len();
    let numel: usize = shape.iter().product();
    match way {
        1 => {
            let mut order: Vec<usize> = (0..r).filter(|&d| d != 1).collect();
            order.push(1);
            let stored: Vec<usize> = order.iter().map(|&d| shape[d]).collect();
            let back: Vec<usize> = (0..r).map(|d| order.iter().position(|&o| o == d).unwrap()).collect();
            (Layout::contiguous(&stored).permute(&back), numel)
        }
        2 => {
            let mut wide = shape.to_vec();
            wide[r - 1] = shape[r - 1] * 2 + 1;
            let l = Layout::contiguous(&wide);
            (l.slice(r - 1, 1, 2, shape[r - 1]).flip(r - 1).flip(0), l.numel())
        }
        _ => (Layout::contiguous(shape), numel),
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
        unsafe { *buffer.as_ptr().cast::<T>().add(i) = T::from_i64((state >> 33) as i64 % 5 - 2) };
    }
    buffer
}

fn bytes(b: &Buffer) -> &[u8] {
    // SAFETY: buffers of these tests are initialised and no longer written.
    unsafe { std::slice::from_raw_parts(b.as_ptr(), b.len()) }
}

/// One tensor of a test.
struct Sample {
    layout: Layout,
    buffer: Buffer,
    dtype: DType,
}

impl Sample {
    fn new<T: Element>(shape: &[usize], way: usize, seed: u64) -> Sample {
        let (layout, len) = layout_for(shape, way);
        Sample { layout, buffer: filled::<T>(len, seed), dtype: T::DTYPE }
    }
    fn view(&self) -> View<'_> {
        // SAFETY: nobody writes it while the test reads.
        unsafe { View::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: used for one call at a time, whose other operands are other buffers.
        unsafe { ViewMut::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn tensor<T: Element>(&self, steps: Steps) -> Tensor<*const T> {
        Tensor { ptr: self.view().ptr(), steps }
    }
    fn tensor_mut<T: Element>(&self, steps: Steps) -> Tensor<*mut T> {
        Tensor { ptr: self.view_mut().ptr(), steps }
    }
}

/// All three maps by the kernels and by the definition.
fn compare<T: crate::cpu::matmul::Number>(case: &Case, ways: [usize; 3], label: &str) {
    // Winograd's algorithm divides; it has tests of its own.
    let _precise = precisely(true);
    let [xs, ws, ys] = case.shapes();
    let make = |seed: u64| {
        [Sample::new::<T>(&xs, ways[0], seed), Sample::new::<T>(&ws, ways[1], seed + 1), Sample::new::<T>(&ys, ways[2], seed + 2)]
    };
    let (inputs, fast, slow) = (make(1), make(10), make(10));
    let [x, w, dy] = &inputs;
    let bias = Sample::new::<T>(&[ws[0], 1], 0, 7);
    let bias_layout = Layout::contiguous(&ws[..1]);
    let bias_view = bias.view().with_layout(&bias_layout);
    let shape = case.shape();
    conv(x.view(), w.view(), Some(bias_view), &shape, &mut fast[2].view_mut()).unwrap();
    conv_input_grad(dy.view(), w.view(), &shape, &mut fast[0].view_mut()).unwrap();
    conv_weight_grad(dy.view(), x.view(), &shape, &mut fast[1].view_mut()).unwrap();

    let (g, [sx, sw, sy]) = Geometry::new(&x.layout, &w.layout, &dy.layout, &shape).unwrap();
    // SAFETY: `Geometry::new` found the shapes right; results are other buffers.
    unsafe {
        naive::forward::<T>(&g, x.tensor(sx), w.tensor(sw), Some(bias.tensor([1, 0, 0, 0, 0])), slow[2].tensor_mut(sy));
        naive::input_grad::<T>(&g, dy.tensor(sy), w.tensor(sw), slow[0].tensor_mut(sx));
        naive::weight_grad::<T>(&g, dy.tensor(sy), x.tensor(sx), slow[1].tensor_mut(sw));
    }
    for (i, map) in ["input_grad", "weight_grad", "conv"].into_iter().enumerate() {
        assert!(
            bytes(&fast[i].buffer) == bytes(&slow[i].buffer),
            "{map} {label} ways {ways:?} image {xs:?} weight {ws:?} {shape:?}"
        );
    }
}

#[test]
fn every_map_agrees_with_its_definition() {
    for case in CASES {
        let ways = [[0, 0, 0], [1, 2, 0], [1, 1, 1], [2, 2, 2], [0, 1, 2], [2, 0, 1]];
        // The definition takes its time.
        let [_, w, y] = case.shapes();
        let large = w[1..].iter().chain(&y).product::<usize>() > 500_000;
        for ways in &ways[..if large { 2 } else { 6 }] {
            compare::<f32>(case, *ways, "f32");
        }
        compare::<f64>(case, [0, 0, 0], "f64");
    }
}

#[test]
fn every_dtype_agrees_with_the_definition() {
    for dtype in DType::ALL.into_iter().filter(|&d| d != DType::Bool) {
        for case in CASES[..9].iter().chain(&CASES[12..14]) {
            for ways in [[0, 0, 0], [1, 2, 0]] {
                dispatch!(dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
                    compare::<T>(case, ways, dtype.name());
                }, else => unreachable!());
            }
        }
    }
}

/// The definitions against known values, and against each other: `<conv(x, w), g> = <x, input_grad> = <w, weight_grad>`.
#[test]
fn the_definitions_are_transposes_of_each_other() {
    let _precise = precisely(true);
    let dot = |a: &Sample, b: &Sample| -> i64 {
        let get = |s: &Sample, i: usize| unsafe { *s.buffer.as_ptr().cast::<i64>().add(s.layout.position(i)) };
        (0..a.layout.numel()).map(|i| get(a, i) * get(b, i)).sum()
    };
    for case in CASES.iter().filter(|c| c.n * c.c > 0) {
        let [xs, ws, ys] = case.shapes();
        let new = |shape: &[usize], seed| Sample::new::<i64>(shape, 0, seed);
        let (x, w, g) = (new(&xs, 1), new(&ws, 2), new(&ys, 3));
        let (y, dx, dw) = (new(&ys, 4), new(&xs, 5), new(&ws, 6));
        conv(x.view(), w.view(), None, &case.shape(), &mut y.view_mut()).unwrap();
        conv_input_grad(g.view(), w.view(), &case.shape(), &mut dx.view_mut()).unwrap();
        conv_weight_grad(g.view(), x.view(), &case.shape(), &mut dw.view_mut()).unwrap();
        assert_eq!(dot(&y, &g), dot(&x, &dx));
        assert_eq!(dot(&y, &g), dot(&w, &dw));
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let _precise = precisely(false);
    for case in CASES.iter().chain(WINOGRAD) {
        let [xs, ws, ys] = case.shapes();
        // Values whose sums round differently in every order.
        let sample = |shape: &[usize], seed| {
            let s = Sample::new::<f32>(shape, 0, seed);
            for i in 0..s.layout.numel() {
                // SAFETY: an element of a buffer of this test's own.
                unsafe { *s.buffer.as_ptr().cast::<f32>().add(i) *= 0.1 + i as f32 * 0.37 };
            }
            s
        };
        let (x, w, g) = (sample(&xs, 1), sample(&ws, 2), sample(&ys, 3));
        let results: Vec<Vec<u8>> = [1, 2, 4]
            .into_iter()
            .map(|threads| {
                set_num_threads(threads);
                let (y, dx, dw) = (sample(&ys, 4), sample(&xs, 5), sample(&ws, 6));
                conv(x.view(), w.view(), None, &case.shape(), &mut y.view_mut()).unwrap();
                conv_input_grad(g.view(), w.view(), &case.shape(), &mut dx.view_mut()).unwrap();
                conv_weight_grad(g.view(), x.view(), &case.shape(), &mut dw.view_mut()).unwrap();
                [bytes(&y.buffer), bytes(&dx.buffer), bytes(&dw.buffer)].concat()
            })
            .collect();
        assert!(results[0] == results[1] && results[0] == results[2], "{xs:?} {ws:?}");
    }
    set_num_threads(2);
}

/// A tensor of values in [-1, 1), in both types.
fn uniform(shape: &[usize], seed: u64) -> [Sample; 2] {
    let (single, double) = (Sample::new::<f32>(shape, 0, 1), Sample::new::<f64>(shape, 0, 1));
    let mut state = seed;
    for i in 0..single.layout.numel() {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        // SAFETY: elements of buffers of this test's own.
        unsafe {
            *single.buffer.as_ptr().cast::<f32>().add(i) = x;
            *double.buffer.as_ptr().cast::<f64>().add(i) = x as f64;
        }
    }
    [single, double]
}

#[test]
fn winograd_is_within_its_bound() {
    let _precise = precisely(false);
    for case in WINOGRAD {
        let [xs, ws, ys] = case.shapes();
        let ([x, x64], [w, w64], [dy, dy64]) = (uniform(&xs, 1), uniform(&ws, 2), uniform(&ys, 3));
        let [b, b64] = uniform(&ws[..1], 4);
        let [y, dx] = [Sample::new::<f32>(&ys, 0, 1), Sample::new::<f32>(&xs, 0, 1)];
        let [y64, dx64] = [Sample::new::<f64>(&ys, 0, 1), Sample::new::<f64>(&xs, 0, 1)];
        let shape = case.shape();
        conv(x.view(), w.view(), Some(b.view()), &shape, &mut y.view_mut()).unwrap();
        conv_input_grad(dy.view(), w.view(), &shape, &mut dx.view_mut()).unwrap();
        let (g, [sx, sw, sy]) = Geometry::new(&x.layout, &w.layout, &y.layout, &shape).unwrap();
        // SAFETY: as in `compare`.
        unsafe {
            let bias = Some(b64.tensor([1, 0, 0, 0, 0]));
            naive::forward::<f64>(&g, x64.tensor(sx), w64.tensor(sw), bias, y64.tensor_mut(sy));
            naive::input_grad::<f64>(&g, dy64.tensor(sy), w64.tensor(sw), dx64.tensor_mut(sx));
        }
        for (fast, right) in [(&y, &y64), (&dx, &dx64)] {
            let (fast, right) = (fast.view(), right.view());
            let (fast, right) = (fast.as_slice::<f32>().unwrap(), right.as_slice::<f64>().unwrap());
            let largest = right.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            let error = fast.iter().zip(right).fold(0.0, |m: f64, (a, b)| m.max((*a as f64 - b).abs()));
            assert!(error <= 2e-5 * largest, "{xs:?} {ws:?}: error {error:e} of {largest}");
            // Or else this tested nothing.
            assert!(error > 1e-8 * largest);
        }
    }
}

#[test]
fn winograd_leaves_infinities_where_they_are() {
    let _precise = precisely(false);
    let case = &WINOGRAD[1];
    let [xs, ws, ys] = case.shapes();
    let ([x, _], [w, _]) = (uniform(&xs, 1), uniform(&ws, 2));
    let y = Sample::new::<f32>(&ys, 0, 1);
    x.view_mut().as_mut_slice::<f32>().unwrap()[0] = f32::INFINITY;
    conv(x.view(), w.view(), None, &case.shape(), &mut y.view_mut()).unwrap();
    let view = y.view();
    let y = view.as_slice::<f32>().unwrap();
    let plane = ys[2] * ys[3];
    for (i, y) in y.iter().enumerate() {
        // Output (1, 0) and what is next to it read the first element of the first image, which padding of one moves down by a row.
        let touched = i / plane < ws[0] && i % plane / ys[3] < 2 && i % ys[3] == 0;
        assert_eq!(y.is_infinite(), touched, "{i}");
        assert!(!y.is_nan());
    }
}

#[test]
fn known_values() {
    // A row of ones under [1, 2, 3] with padding one: the ends miss one tap each.
    let x = Sample::new::<f32>(&[1, 1, 4], 0, 1);
    let w = Sample::new::<f32>(&[1, 1, 3], 0, 1);
    let y = Sample::new::<f32>(&[1, 1, 4], 0, 1);
    x.view_mut().as_mut_slice::<f32>().unwrap().fill(1.0);
    w.view_mut().as_mut_slice::<f32>().unwrap().copy_from_slice(&[1.0, 2.0, 3.0]);
    let one = || Dims::from_slice(&[1]);
    let shape = ConvShape { stride: one(), padding: one(), dilation: one(), groups: 1 };
    conv(x.view(), w.view(), None, &shape, &mut y.view_mut()).unwrap();
    assert_eq!(y.view().as_slice::<f32>().unwrap(), [5.0, 6.0, 6.0, 3.0]);
}

#[test]
fn misfits_are_errors() {
    let x = Sample::new::<f32>(&[1, 4, 5], 0, 1);
    let w = Sample::new::<f32>(&[2, 3, 3], 0, 1);
    let y = Sample::new::<f32>(&[1, 2, 3], 0, 1);
    let one = || Dims::from_slice(&[1]);
    let shape = ConvShape { stride: one(), padding: Dims::from_slice(&[0]), dilation: one(), groups: 1 };
    assert_eq!(conv(x.view(), w.view(), None, &shape, &mut y.view_mut()).unwrap_err().kind(), ErrorKind::Runtime);
    let b = Sample::new::<bool>(&[1, 1, 3], 0, 1);
    let out = Sample::new::<bool>(&[1, 1, 1], 0, 1);
    assert_eq!(conv(b.view(), b.view(), None, &shape, &mut out.view_mut()).unwrap_err().kind(), ErrorKind::NotImplemented);
}

/// `cargo test --release -p rushlight-kernels conv_speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn conv_speed() {
    const SPEED: &[Case] = &[
        case(8, [64, 64, 1], &[[56, 3, 1, 1, 1], [56, 3, 1, 1, 1]]),
        case(64, [1, 32, 1], &[[28, 3, 1, 0, 1], [28, 3, 1, 0, 1]]),
        case(8, [256, 64, 1], &[[56, 1, 1, 0, 1], [56, 1, 1, 0, 1]]),
        case(8, [1, 1, 128], &[[56, 3, 1, 1, 1], [56, 3, 1, 1, 1]]),
        case(8, [64, 128, 1], &[[56, 3, 2, 1, 1], [56, 3, 2, 1, 1]]),
    ];
    for threads in [1, 2] {
        set_num_threads(threads);
        for case in SPEED {
            let [xs, ws, ys] = case.shapes();
            let new = |shape: &[usize]| Sample::new::<f32>(shape, 0, 1);
            let (x, w, y, dx, dw) = (new(&xs), new(&ws), new(&ys), new(&xs), new(&ws));
            let flops = 2.0 * ys.iter().product::<usize>() as f64 * ws[1..].iter().product::<usize>() as f64;
            let shape = case.shape();
            let time = |f: &dyn Fn()| {
                let best = (0..4)
                    .map(|_| {
                        let start = std::time::Instant::now();
                        f();
                        start.elapsed().as_secs_f64()
                    })
                    .fold(f64::INFINITY, f64::min);
                flops / best / 1e9
            };
            println!(
                "{threads} threads {xs:?} {ws:?}: GFLOP/s forward {:.1}, input gradient {:.1}, weight gradient {:.1}",
                time(&|| conv(x.view(), w.view(), None, &shape, &mut y.view_mut()).unwrap()),
                time(&|| conv_input_grad(y.view(), w.view(), &shape, &mut dx.view_mut()).unwrap()),
                time(&|| conv_weight_grad(y.view(), x.view(), &shape, &mut dw.view_mut()).unwrap()),
            );
        }
    }
}

//! Against the definition in f64, and the derivative against differences of the kernel itself.

use super::*;
use crate::cpu::pool::tests::with_threads;

const CELLS: [RecurrentCell; 4] = [RecurrentCell::Tanh, RecurrentCell::Relu, RecurrentCell::Lstm, RecurrentCell::Gru];

fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A dense tensor of `dtype`.
struct Dense {
    buffer: Buffer,
    layout: Layout,
    dtype: DType,
}

impl Dense {
    fn new(values: &[f64], shape: &[usize], dtype: DType) -> Dense {
        let buffer = Buffer::zeroed((values.len() * dtype.size()).max(1)).unwrap();
        for (i, &x) in values.iter().enumerate() {
            // SAFETY: a fresh buffer of that size.
            unsafe {
                match dtype {
                    DType::F32 => *buffer.as_ptr().cast::<f32>().add(i) = x as f32,
                    _ => *buffer.as_ptr().cast::<f64>().add(i) = x,
                }
            }
        }
        Dense { buffer, layout: Layout::contiguous(shape), dtype }
    }
    fn zeros(shape: &[usize], dtype: DType) -> Dense {
        Dense::new(&vec![0.0; shape.iter().product()], shape, dtype)
    }
    fn view(&self) -> View<'_> {
        // SAFETY: initialised, and nobody writes while the view lives.
        unsafe { View::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: each tensor is an output at most once.
        unsafe { ViewMut::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    fn values(&self) -> Vec<f64> {
        // SAFETY: initialised, of this many elements.
        let get = |i: usize| unsafe {
            match self.dtype {
                DType::F32 => *self.buffer.as_ptr().cast::<f32>().add(i) as f64,
                _ => *self.buffer.as_ptr().cast::<f64>().add(i),
            }
        };
        (0..self.layout.numel()).map(get).collect()
    }
}

/// A layer: its sizes, and values for everything that goes in.
#[derive(Clone)]
struct Case {
    cell: RecurrentCell,
    sizes: Sizes,
    /// Projected inputs, hidden state, weights, and a cell state or a second bias.
    ins: [Vec<f64>; 4],
}

impl Case {
    fn new(cell: RecurrentCell, [steps, batch, hidden]: [usize; 3], backwards: bool) -> Case {
        let mut case = Case { cell, sizes: Sizes { steps, batch, hidden, backwards }, ins: Default::default() };
        for i in 0..4 {
            let scale = if i == 2 { 1.0 / (hidden as f64).sqrt() } else { 1.0 };
            case.ins[i] = random(case.shapes()[i].iter().product(), i as u64 + 1).iter().map(|x| x * scale).collect();
        }
        case
    }
    fn shapes(&self) -> [Vec<usize>; 4] {
        let (z, width) = (self.sizes, self.cell.gates() * self.sizes.hidden);
        let more = match self.cell {
            RecurrentCell::Lstm => vec![z.batch, z.hidden],
            RecurrentCell::Gru => vec![width],
            _ => vec![0],
        };
        [vec![z.steps, z.batch, width], vec![z.batch, z.hidden], vec![width, z.hidden], more]
    }
    fn operands(&self, dtype: DType) -> Vec<Dense> {
        let shapes = self.shapes();
        let n = if matches!(self.cell, RecurrentCell::Lstm | RecurrentCell::Gru) { 4 } else { 3 };
        (0..n).map(|i| Dense::new(&self.ins[i], &shapes[i], dtype)).collect()
    }
    /// Outputs of the kernel: `y`, an LSTM's cell, and `saved` if it is asked for.
    fn run(&self, dtype: DType, keep: bool) -> Vec<Dense> {
        let z = self.sizes;
        let ins = self.operands(dtype);
        let mut outs = vec![Dense::zeros(&[z.steps, z.batch, z.hidden], dtype)];
        outs.extend((self.cell == RecurrentCell::Lstm).then(|| Dense::zeros(&[z.batch, z.hidden], dtype)));
        outs.extend(keep.then(|| Dense::zeros(&[z.steps, z.batch, self.cell.saved() * z.hidden], dtype)));
        let views: Vec<View> = ins.iter().map(Dense::view).collect();
        let mut out_views: Vec<ViewMut> = outs.iter().map(Dense::view_mut).collect();
        assert_eq!(forward(self.cell, z.backwards, &views, &mut out_views).unwrap(), Some(()));
        drop(out_views);
        outs
    }
    /// The definition.
    fn expected(&self) -> [Vec<f64>; 2] {
        let (z, width) = (self.sizes, self.cell.gates() * self.sizes.hidden);
        let h = z.hidden;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut state, mut c) = (self.ins[1].clone(), self.ins[3].clone());
        let mut y = vec![0.0; z.steps * z.batch * h];
        for s in 0..z.steps {
            let t = z.time(s);
            for b in 0..z.batch {
                let x = &self.ins[0][(t * z.batch + b) * width..][..width];
                let before = state[b * h..(b + 1) * h].to_vec();
                let from_h: Vec<f64> =
                    (0..width).map(|g| (0..h).map(|k| self.ins[2][g * h + k] * before[k]).sum::<f64>()).collect();
                for j in 0..h {
                    let at = |g: usize| x[g * h + j] + from_h[g * h + j];
                    let out = match self.cell {
                        RecurrentCell::Tanh => at(0).tanh(),
                        RecurrentCell::Relu => at(0).max(0.0),
                        RecurrentCell::Lstm => {
                            let c = &mut c[b * h + j];
                            *c = sigmoid(at(1)) * *c + sigmoid(at(0)) * at(2).tanh();
                            sigmoid(at(3)) * c.tanh()
                        }
                        RecurrentCell::Gru => {
                            let bias = |g: usize| self.ins[3][g * h + j];
                            let (r, u) = (sigmoid(at(0) + bias(0)), sigmoid(at(1) + bias(1)));
                            let n = (x[2 * h + j] + r * (from_h[2 * h + j] + bias(2))).tanh();
                            (1.0 - u) * n + u * before[j]
                        }
                    };
                    (state[b * h + j], y[(t * z.batch + b) * h + j]) = (out, out);
                }
            }
        }
        [y, c]
    }
}

/// Sizes that reach one and several tasks, part of a register and several panels, and more terms than a panel's part.
const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [3, 2, 5], [2, 9, 16], [4, 37, 19], [2, 3, 300], [5, 16, 32]];

fn close(found: &[f64], expected: &[f64], bound: f64, label: &str) {
    assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() <= bound * y.abs().max(1.0), "{label}: {x} against {y}");
    }
}

#[test]
fn all_cells_agree_with_the_definition() {
    for cell in CELLS {
        for sizes in SIZES {
            for backwards in [false, true] {
                let case = Case::new(cell, sizes, backwards);
                let [y, c] = case.expected();
                for (dtype, bound) in [(DType::F32, 2e-5), (DType::F64, 1e-12)] {
                    let label = format!("{cell:?} {sizes:?} {backwards} {dtype}");
                    let outs = case.run(dtype, true);
                    close(&outs[0].values(), &y, bound, &label);
                    if cell == RecurrentCell::Lstm {
                        close(&outs[1].values(), &c, bound, &label);
                    }
                    // What is not kept does not change the rest.
                    let without = case.run(dtype, false);
                    assert!(without.iter().zip(&outs).all(|(x, y)| x.values() == y.values()), "{label}");
                }
            }
        }
    }
}

/// Gradients of `sum(u * y)`, and of `sum(v * c)` for an LSTM, by the kernel.
fn gradients(case: &Case, u: &[f64], v: &[f64]) -> Vec<Dense> {
    let (z, d) = (case.sizes, DType::F64);
    let outs = case.run(d, true);
    let ins = case.operands(d);
    let state = [z.batch, z.hidden];
    let (gy, gc) = (Dense::new(u, &outs[0].layout.shape, d), Dense::new(v, &state, d));
    let mut views = vec![gy.view(), outs[0].view(), ins[1].view(), ins[2].view(), outs[outs.len() - 1].view()];
    let mut grads = vec![Dense::zeros(&case.shapes()[0], d), Dense::zeros(&state, d)];
    match case.cell {
        RecurrentCell::Lstm => {
            views.extend([ins[3].view(), gc.view()]);
            grads.push(Dense::zeros(&state, d));
        }
        RecurrentCell::Gru => grads.push(Dense::zeros(&case.shapes()[0], d)),
        _ => {}
    }
    let mut out_views: Vec<ViewMut> = grads.iter().map(Dense::view_mut).collect();
    assert_eq!(backward(case.cell, z.backwards, &views, &mut out_views).unwrap(), Some(()));
    drop(out_views);
    grads
}

#[test]
fn derivatives_agree_with_differences() {
    for cell in CELLS {
        for sizes in SIZES {
            for backwards in [false, true] {
                let case = Case::new(cell, sizes, backwards);
                let (u, v) = (random(case.expected()[0].len(), 11), random(sizes[1] * sizes[2], 12));
                let grads = gradients(&case, &u, &v);
                let value = |case: &Case| {
                    let [y, c] = case.expected();
                    let cells = if cell == RecurrentCell::Lstm { c.iter().zip(&v).map(|(x, y)| x * y).sum() } else { 0.0 };
                    y.iter().zip(&u).map(|(x, y)| x * y).sum::<f64>() + cells
                };
                let inputs: &[(usize, usize)] = match cell {
                    RecurrentCell::Lstm => &[(0, 0), (1, 1), (3, 2)],
                    _ => &[(0, 0), (1, 1)],
                };
                for &(input, grad) in inputs {
                    let direction = random(case.ins[input].len(), 13);
                    let step = 1e-6;
                    let moved = |by: f64| {
                        let mut case = case.clone();
                        case.ins[input].iter_mut().zip(&direction).for_each(|(x, d)| *x += by * d);
                        value(&case)
                    };
                    let slope = (moved(step) - moved(-step)) / (2.0 * step);
                    let found: f64 = grads[grad].values().iter().zip(&direction).map(|(g, d)| g * d).sum();
                    assert!((found - slope).abs() <= 1e-5 * slope.abs().max(1.0), "{cell:?} {sizes:?} {input}: {found} {slope}");
                }
            }
        }
    }
}

#[test]
fn a_gru_has_gradients_for_what_the_hidden_state_adds() {
    let case = Case::new(RecurrentCell::Gru, [3, 4, 6], false);
    let u = random(case.expected()[0].len(), 11);
    let grads = gradients(&case, &u, &[0.0; 24]);
    // The second bias is added at every step to every row.
    for unit in 0..18 {
        let moved = |by: f64| {
            let mut case = case.clone();
            case.ins[3][unit] += by;
            case.expected()[0].iter().zip(&u).map(|(x, y)| x * y).sum::<f64>()
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        let found: f64 = grads[2].values().iter().skip(unit).step_by(18).sum();
        assert!((found - slope).abs() <= 1e-6, "{unit}: {found} {slope}");
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for cell in CELLS {
        let case = Case::new(cell, [3, 37, 40], false);
        let mut results = Vec::new();
        for threads in [1, 2, 3] {
            with_threads(threads, || results.push(case.run(DType::F32, true).iter().map(Dense::values).collect::<Vec<_>>()));
        }
        assert!(results[0] == results[1] && results[0] == results[2], "{cell:?}");
    }
}

#[test]
fn what_the_kernel_does_not_do_is_left_to_others() {
    let case = Case::new(RecurrentCell::Tanh, [2, 3, 4], false);
    let ins = case.operands(DType::F32);
    let turned = ins[1].layout.transpose(0, 1).transpose(0, 1).flip(0);
    // SAFETY: the same elements in another order.
    let odd = unsafe { View::new(&ins[1].buffer, &turned, DType::F32).unwrap() };
    let y = Dense::zeros(&[2, 3, 4], DType::F32);
    let outs = &mut [y.view_mut()];
    assert_eq!(forward(RecurrentCell::Tanh, false, &[ins[0].view(), odd, ins[2].view()], outs).unwrap(), None);
}

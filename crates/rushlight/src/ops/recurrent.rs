//! Recurrent networks over whole sequences, and their single steps.
//!
//! The inputs of all steps are projected by one product; only the product with the hidden state has to wait for the step before. What
//! follows the products runs as one pass for all gates. The order of the gates is PyTorch's: input, forget, cell, output; reset, update, new.

use super::formula::{compute, compute_many, evaluate};
use super::*;
use crate::autograd::{grad_fn, grad_fn_many, record};
use rushlight_kernels::backend::RecurrentCell;

ops![lstm, gru, rnn_tanh, rnn_relu, lstm_cell, gru_cell, rnn_tanh_cell, rnn_relu_cell];

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tanh,
    ReLU,
    Lstm,
    Gru,
}

impl Kind {
    pub(super) fn cell(self) -> RecurrentCell {
        match self {
            Kind::Tanh => RecurrentCell::Tanh,
            Kind::ReLU => RecurrentCell::Relu,
            Kind::Lstm => RecurrentCell::Lstm,
            Kind::Gru => RecurrentCell::Gru,
        }
    }
    fn gates(self) -> usize {
        self.cell().gates()
    }
}

/// The parameters of one layer in one direction.
pub(super) struct Weights<'a> {
    pub(super) ih: &'a Tensor,
    pub(super) hh: &'a Tensor,
    pub(super) bias_ih: Option<&'a Tensor>,
    pub(super) bias_hh: Option<&'a Tensor>,
    /// Projects the hidden state (LSTM).
    pub(super) hr: Option<&'a Tensor>,
}

/// The hidden state, and an LSTM's cell state; `[n, size]`.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) h: Tensor,
    pub(super) c: Option<Tensor>,
}

impl<'a> Weights<'a> {
    /// From their place in a list: `w_ih, w_hh`, then the biases, then `w_hr`.
    fn of(list: &'a [Tensor], biases: bool) -> Weights<'a> {
        let rest = if biases { &list[4..] } else { &list[2..] };
        Weights {
            ih: &list[0],
            hh: &list[1],
            bias_ih: biases.then(|| &list[2]),
            bias_hh: biases.then(|| &list[3]),
            hr: rest.first(),
        }
    }

    /// Checks the shapes for inputs of `input`, a cell of `hidden` and outputs of `output` features.
    fn check(&self, kind: Kind, [input, hidden, output]: [usize; 3]) -> Result<()> {
        let rows = kind.gates() * hidden;
        let named = [
            ("w_ih", Some(self.ih), &[rows, input][..]),
            ("w_hh", Some(self.hh), &[rows, output]),
            ("b_ih", self.bias_ih, &[rows]),
            ("b_hh", self.bias_hh, &[rows]),
            ("w_hr", self.hr, &[output, hidden]),
        ];
        for (name, t, wanted) in named {
            if let Some(t) = t.filter(|t| t.shape().as_slice() != wanted) {
                return Err(fault(format!("{name} must have shape {wanted:?}, but it is {:?}", t.shape())));
            }
        }
        Ok(())
    }

    /// What the inputs of all steps add to the gates.
    fn project(&self, kind: Kind, x: &Tensor) -> Result<Tensor> {
        // A GRU's reset gate multiplies the second bias; elsewhere it only adds, and need not wait for the step.
        match (self.bias_ih, self.bias_hh) {
            (Some(a), Some(b)) if kind != Kind::Gru => linear(x, self.ih, Some(&add(a, b, Scalar::Int(1))?)),
            (a, b) => linear(x, self.ih, if kind == Kind::Gru { a } else { a.or(b) }),
        }
    }

    /// One step, from projected inputs `[n, gates · hidden]`.
    fn step(&self, kind: Kind, x: &Tensor, memory: &Memory) -> Result<Memory> {
        if kind == Kind::Gru {
            let h = gru_step(x, &linear(&memory.h, self.hh, self.bias_hh)?, &memory.h)?;
            return Ok(Memory { h, c: None });
        }
        let gates = linear(&memory.h, self.hh, Some(x))?;
        let Some(c) = &memory.c else {
            return Ok(Memory { h: if kind == Kind::Tanh { tanh(&gates)? } else { relu(&gates)? }, c: None });
        };
        let (h, c) = lstm_step(&gates, c)?;
        Ok(Memory { h: self.hr.map_or(Ok(h.clone()), |hr| linear(&h, hr, None))?, c: Some(c) })
    }

    /// All steps of `x` `[l, n, size]`: the outputs, and the last state.
    fn sweep(&self, kind: Kind, x: &Tensor, memory: Memory, backwards: bool) -> Result<(Tensor, Memory)> {
        let projected = self.project(kind, &contiguous(x)?)?;
        match super::sweep::in_one_kernel(self, kind, &projected, &memory, backwards)? {
            Some(done) => Ok(done),
            None => self.by_steps(kind, &projected, memory, backwards),
        }
    }

    /// As `sweep`, from the projected inputs.
    pub(super) fn by_steps(
        &self,
        kind: Kind,
        projected: &Tensor,
        mut memory: Memory,
        backwards: bool,
    ) -> Result<(Tensor, Memory)> {
        let mut steps = unbind(projected, 0)?;
        if backwards {
            steps.reverse();
        }
        let mut outputs = Vec::with_capacity(steps.len());
        for step in &steps {
            memory = self.step(kind, step, &memory)?;
            outputs.push(memory.h.clone());
        }
        if backwards {
            outputs.reverse();
        }
        Ok((stack(&outputs, 0)?, memory))
    }
}

#[cold]
fn fault(text: String) -> Error {
    Error::runtime(format!("{}: {text}", crate::op::current_op()))
}

/// The columns of one gate after the other.
fn gate<const N: usize>(gates: &Tensor) -> Result<[Tensor; N]> {
    Ok(chunk(gates, N as i64, 1)?.try_into().expect("the width is a multiple of the number of gates"))
}

/// From the gates before their nonlinearities, `[n, 4 · hidden]`, and the cell: the hidden state and the cell.
fn lstm_step(gates: &Tensor, c: &Tensor) -> Result<(Tensor, Tensor)> {
    let [i, f, g, o] = &gate(&gates.detach())?;
    let outs = compute_many([i, f, g, o, &c.detach()], |[i, f, g, o, c]| {
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        [o.sigmoid() * c.tanh(), c]
    })?;
    record(&outs, &[gates, c], |s| {
        // The nonlinearities are computed again rather than kept: that costs less than to store and to load them.
        let (gates, before, after) = (s.input(gates), s.input(c), s.output_at(1));
        grad_fn_many(move |ctx, grads| {
            let [gh, gc] = std::array::from_fn(|k| grads[k].clone().unwrap_or_else(|| num(0.0)));
            let [i, f, g, o] = &gate(&gates.get(ctx)?)?;
            let operands = [i, f, g, o, &before.get(ctx)?, &after.get(ctx)?, &gh, &gc];
            let [i, f, g, o, c] = evaluate(operands, |[i, f, g, o, before, after, gh, gc]| {
                let (i, f, g, o, t) = (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid(), after.tanh());
                let gc = gc + gh * o * (1.0 - t * t);
                [
                    gc * g * (i * (1.0 - i)),
                    gc * before * (f * (1.0 - f)),
                    gc * i * (1.0 - g * g),
                    gh * t * (o * (1.0 - o)),
                    gc * f,
                ]
            })?;
            Ok([Some(cat(&[i, f, g, o], 1)?), Some(c)])
        })
    })?;
    let [h, c] = outs;
    Ok((h, c))
}

/// From what the inputs and the hidden state `h` add to the gates, `[n, 3 · hidden]` each: the next hidden state.
fn gru_step(from_x: &Tensor, from_h: &Tensor, h: &Tensor) -> Result<Tensor> {
    let ([xr, xz, xn], [hr, hz, hn]) = (&gate(&from_x.detach())?, &gate(&from_h.detach())?);
    let y = compute([xr, xz, xn, hr, hz, hn, &h.detach()], |[xr, xz, xn, hr, hz, hn, h]| {
        let (reset, update) = ((xr + hr).sigmoid(), (xz + hz).sigmoid());
        let new = (xn + reset * hn).tanh();
        (h - new) * update + new
    })?;
    y.with_grad([from_x, from_h, h], |s| {
        let (from_x, from_h, h) = (s.input(from_x), s.input(from_h), s.input(h));
        grad_fn(move |ctx, grad| {
            let ([xr, xz, xn], [hr, hz, hn]) = (&gate(&from_x.get(ctx)?)?, &gate(&from_h.get(ctx)?)?);
            let operands = [xr, xz, xn, hr, hz, hn, &h.get(ctx)?, grad];
            let [r, z, n, reset_n, h] = evaluate(operands, |[xr, xz, xn, hr, hz, hn, h, grad]| {
                let (r, z) = ((xr + hr).sigmoid(), (xz + hz).sigmoid());
                let n = (xn + r * hn).tanh();
                let gn = grad * (1.0 - z) * (1.0 - n * n);
                [gn * hn * (r * (1.0 - r)), grad * (h - n) * (z * (1.0 - z)), gn, gn * r, grad * z]
            })?;
            let to_x = cat(&[r.clone(), z.clone(), n], 1)?;
            Ok([Some(to_x), Some(cat(&[r, z, reset_n], 1)?), Some(h)])
        })
    })
}

// ---- whole sequences --------------------------------------------------------------------------------------------------------------

/// What all recurrent networks are called with, besides the tensors.
struct Network<'a> {
    kind: Kind,
    params: &'a [Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
}

impl Network<'_> {
    /// Outputs of the last layer at all steps, and the last states of all layers: hidden, and an LSTM's cells.
    fn run(&self, x: &Tensor, hx: &[Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
        let mut x = if self.batch_first && x.rank() == 3 { transpose(x, 0, 1)? } else { x.clone() };
        let weights = self.check(&x, hx)?;
        let states = hx.iter().map(|t| unbind(t, 0)).collect::<Result<Vec<_>>>()?;
        let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); hx.len()];
        let directions = 1 + self.bidirectional as usize;
        for (layer, weights) in weights.chunks(directions).enumerate() {
            let mut outputs = Vec::with_capacity(2);
            for (d, w) in weights.iter().enumerate() {
                let at = layer * directions + d;
                let start = Memory { h: states[0][at].clone(), c: states.get(1).map(|c| c[at].clone()) };
                let (output, end) = w.sweep(self.kind, &x, start, d == 1)?;
                outputs.push(output);
                last.iter_mut().zip(std::iter::once(end.h).chain(end.c)).for_each(|(all, t)| all.push(t));
            }
            x = if directions == 1 { outputs.remove(0) } else { cat(&outputs, 2)? };
            if layer + 1 < self.num_layers as usize && self.train {
                x = super::dropout(&x, self.dropout, true)?;
            }
        }
        let last = last.iter().map(|all| stack(all, 0)).collect::<Result<_>>()?;
        Ok((if self.batch_first { transpose(&x, 0, 1)? } else { x }, last))
    }

    /// As `run`, with one state.
    fn run_one(&self, x: &Tensor, hx: &Tensor) -> Result<(Tensor, Tensor)> {
        let (y, mut last) = self.run(x, std::slice::from_ref(hx))?;
        Ok((y, last.remove(0)))
    }

    /// Checks everything, for `x` `[l, n, size]`, and gives the parameters layer by layer, direction by direction.
    fn check(&self, x: &Tensor, hx: &[Tensor]) -> Result<Vec<Weights<'_>>> {
        let name = crate::op::current_op();
        let shape = x.shape();
        let [steps, batch, features] = shape[..] else {
            return Err(Error::index(format!(
                "Dimension out of range ({name} expects an input of 3 dimensions, but its shape is {shape:?})"
            )));
        };
        same_float(x, hx.iter().chain(self.params))?;
        if steps == 0 {
            return Err(Error::runtime("Expected sequence length to be larger than 0 in RNN"));
        }
        if self.num_layers <= 0 {
            return Err(fault(format!("num_layers must be greater than zero, but it is {}", self.num_layers)));
        }
        let directions = 1 + self.bidirectional as usize;
        let Some(count) = (self.num_layers as usize).checked_mul(directions) else {
            return Err(fault(format!("num_layers is too large: {}", self.num_layers)));
        };
        // As in PyTorch, the states tell whether there is a projection.
        let size = |t: &Tensor| t.shape().last().copied().unwrap_or(0);
        let (output, hidden) = (size(&hx[0]), size(&hx[hx.len() - 1]));
        for (i, t) in hx.iter().enumerate() {
            let wanted = [count, batch, if i == 0 { output } else { hidden }];
            if t.shape().as_slice() != wanted {
                return Err(Error::runtime(format!("Expected hidden[{i}] size {wanted:?}, got {:?}", t.shape())));
            }
        }
        let each = 2 + 2 * self.has_biases as usize + (output != hidden) as usize;
        if count.checked_mul(each) != Some(self.params.len()) {
            return Err(fault(format!(
                "expected {each} parameters for each of {} layers in {directions} directions, got {} in all",
                self.num_layers,
                self.params.len()
            )));
        }
        let weights: Vec<Weights> = self.params.chunks(each).map(|list| Weights::of(list, self.has_biases)).collect();
        for (i, w) in weights.iter().enumerate() {
            let input = if i < directions { features } else { output * directions };
            w.check(self.kind, [input, hidden, output])?;
        }
        Ok(weights)
    }
}

/// Refuses dtypes that are not floating or not all the same.
fn same_float<'a>(x: &Tensor, others: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    if let Some(t) = others.into_iter().find(|t| t.dtype() != x.dtype()) {
        return Err(fault(format!(
            "expected all tensors to have the same dtype, but input is {} and another {}",
            x.dtype(),
            t.dtype()
        )));
    }
    if x.dtype().is_float() { Ok(()) } else { Err(unsupported(x.dtype())) }
}

/// Runs a long short-term memory (Hochreiter and Schmidhuber, 1997) over `input` `[l, n, size]`, or `[n, l, size]` with `batch_first`.
///
/// Returns the outputs `[l, n, directions · hidden]`, and the last hidden and cell states `[layers · directions, n, hidden]`. `hx` holds the
/// first hidden and cell states; `params` for each layer, and each direction in it, `w_ih` `[4 · hidden, size]`, `w_hh`, with biases `b_ih`
/// and `b_hh`, and where the two states differ in size `w_hr`, which projects the hidden state.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html>
#[op("(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)", float_only, function,
    samples = ["T(3, 2, 2), [T(1, 2, 3), T(1, 2, 3)], [T(12, 2), T(12, 3), T(12), T(12)], True, 1, 0.0, False, False, False",
        "T(2, 3, 1), [T(2, 2, 2), T(2, 2, 2)], [T(8, 1), T(8, 2), T(8, 1), T(8, 2)], False, 1, 0.0, True, True, True",
        "T(2, 1, 2), [T(2, 1, 1), T(2, 1, 2)], [T(8, 2), T(8, 1), T(1, 2), T(8, 1), T(8, 1), T(1, 2)], False, 2, 0.0, False, False, False",
        "T(2, 0, 2), [T(1, 0, 1), T(1, 0, 1)], [T(4, 2), T(4, 1)], False, 1, 0.0, False, False, False"],
    errors = [("T(2, 3), [T(1, 2, 1), T(1, 2, 1)], [T(4, 3), T(4, 1)], False, 1, 0.0, False, False, False", "Dimension out of range"),
        ("T(2, 2, 3), [T(1, 2, 1)], [T(4, 3), T(4, 1)], False, 1, 0.0, False, False, False", "lstm expects two hidden states"),
        ("T(2, 2, 3), [T(1, 2, 1), T(1, 2, 1)], [T(4, 3)], False, 1, 0.0, False, False, False", "expected 2 parameters for each of 1 layers in 1 directions, got 1 in all"),
        ("T(0, 2, 3), [T(1, 2, 1), T(1, 2, 1)], [T(4, 3), T(4, 1)], False, 1, 0.0, False, False, False", "Expected sequence length to be larger than 0 in RNN")])]
#[allow(clippy::too_many_arguments, reason = "they are PyTorch's")]
pub fn lstm(
    input: &Tensor,
    hx: &[Tensor],
    params: &[Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Result<(Tensor, Tensor, Tensor)> {
    if hx.len() != 2 {
        return Err(Error::runtime(format!("lstm expects two hidden states, but got {}", hx.len())));
    }
    let network = Network { kind: Kind::Lstm, params, has_biases, num_layers, dropout, train, bidirectional, batch_first };
    let (y, last) = network.run(input, hx)?;
    let [h, c] = last.try_into().expect("an LSTM has two states");
    Ok((y, h, c))
}

/// Runs a gated recurrent unit (Cho et al., 2014) over `input` `[l, n, size]`, or `[n, l, size]` with `batch_first`.
///
/// Returns the outputs `[l, n, directions · hidden]` and the last states `[layers · directions, n, hidden]`; `hx` holds the first states, and
/// `params` for each layer, and each direction in it, `w_ih` `[3 · hidden, size]`, `w_hh`, and with biases `b_ih` and `b_hh`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html>
#[op("(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)", float_only, function,
    samples = ["T(3, 2, 2), T(1, 2, 3), [T(9, 2), T(9, 3), T(9), T(9)], True, 1, 0.0, False, False, False",
        "T(2, 3, 1), T(2, 2, 2), [T(6, 1), T(6, 2), T(6, 1), T(6, 2)], False, 1, 0.0, True, True, True",
        "T(2, 1, 2), T(2, 1, 1), [T(3, 2), T(3, 1), T(3, 1), T(3, 1)], False, 2, 0.0, False, False, False"],
    errors = [("T(2, 2, 3), T(1, 2, 4), [T(16, 3), T(16, 4)], False, 1, 0.0, False, False, False", "w_ih must have shape [12, 3], but it is [16, 3]"),
        ("T(2, 2, 3), T(1, 3, 4), [T(12, 3), T(12, 4)], False, 1, 0.0, False, False, False", "Expected hidden[0] size [1, 2, 4], got [1, 3, 4]"),
        ("T(2, 2, 3), T(1, 2, 4, dtype=float64), [T(12, 3), T(12, 4)], False, 1, 0.0, False, False, False", "expected all tensors to have the same dtype")])]
#[allow(clippy::too_many_arguments, reason = "they are PyTorch's")]
pub fn gru(
    input: &Tensor,
    hx: &Tensor,
    params: &[Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Result<(Tensor, Tensor)> {
    let kind = Kind::Gru;
    Network { kind, params, has_biases, num_layers, dropout, train, bidirectional, batch_first }.run_one(input, hx)
}

/// Runs a plain recurrent network (Elman, 1990), `h' = tanh(w_ih x + b_ih + w_hh h + b_hh)`, over `input` `[l, n, size]`, or `[n, l, size]`
/// with `batch_first`.
///
/// Returns the outputs `[l, n, directions · hidden]` and the last states `[layers · directions, n, hidden]`; `hx` holds the first states, and
/// `params` for each layer, and each direction in it, `w_ih` `[hidden, size]`, `w_hh`, and with biases `b_ih` and `b_hh`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html>
#[op("(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)", float_only, function,
    samples = ["T(3, 2, 2), T(1, 2, 3), [T(3, 2), T(3, 3), T(3), T(3)], True, 1, 0.0, False, False, False",
        "T(2, 3, 1), T(2, 2, 2), [T(2, 1), T(2, 2), T(2, 1), T(2, 2)], False, 1, 0.0, True, True, True",
        "T(2, 1, 2), T(2, 1, 2), [T(2, 2), T(2, 2), T(2), T(2), T(2, 2), T(2, 2), T(2), T(2)], True, 2, 0.0, True, False, False"],
    errors = [("T(2, 2, 3), T(1, 2, 4), [], False, 1, 0.0, False, False, False", "expected 2 parameters for each of 1 layers in 1 directions, got 0 in all"),
        ("T(2, 2, 3), T(1, 2, 4), [T(4, 3), T(4, 4)], False, 0, 0.0, False, False, False", "num_layers must be greater than zero, but it is 0"),
        ("I(2, 2, 3), T(1, 2, 4), [T(4, 3), T(4, 4)], False, 1, 0.0, False, False, False", "expected all tensors to have the same dtype")])]
#[allow(clippy::too_many_arguments, reason = "they are PyTorch's")]
pub fn rnn_tanh(
    input: &Tensor,
    hx: &Tensor,
    params: &[Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Result<(Tensor, Tensor)> {
    let kind = Kind::Tanh;
    Network { kind, params, has_biases, num_layers, dropout, train, bidirectional, batch_first }.run_one(input, hx)
}

/// Runs a plain recurrent network (Elman, 1990), `h' = relu(w_ih x + b_ih + w_hh h + b_hh)`, over `input` `[l, n, size]`, or `[n, l, size]`
/// with `batch_first`.
///
/// Returns the outputs `[l, n, directions · hidden]` and the last states `[layers · directions, n, hidden]`; `hx` holds the first states, and
/// `params` for each layer, and each direction in it, `w_ih` `[hidden, size]`, `w_hh`, and with biases `b_ih` and `b_hh`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html>
#[op("(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)", float_only, function,
    samples = ["T(3, 2, 2), T(1, 2, 3), [T(3, 2), T(3, 3), T(3), T(3)], True, 1, 0.0, False, False, False",
        "T(2, 3, 1), T(2, 2, 2), [T(2, 1), T(2, 2), T(2, 1), T(2, 2)], False, 1, 0.0, True, True, True",
        "T(2, 1, 2), T(2, 1, 2), [T(2, 2), T(2, 2), T(2), T(2), T(2, 2), T(2, 2), T(2), T(2)], True, 2, 0.0, True, False, False"],
    errors = [("T(2, 2, 3), T(1, 2, 4), [], False, 1, 0.0, False, False, False", "expected 2 parameters for each of 1 layers in 1 directions, got 0 in all"),
        ("T(2, 2, 3), T(1, 2, 4), [T(4, 3), T(4, 4)], False, 0, 0.0, False, False, False", "num_layers must be greater than zero, but it is 0"),
        ("I(2, 2, 3), T(1, 2, 4), [T(4, 3), T(4, 4)], False, 1, 0.0, False, False, False", "expected all tensors to have the same dtype")])]
#[allow(clippy::too_many_arguments, reason = "they are PyTorch's")]
pub fn rnn_relu(
    input: &Tensor,
    hx: &Tensor,
    params: &[Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Result<(Tensor, Tensor)> {
    let kind = Kind::ReLU;
    Network { kind, params, has_biases, num_layers, dropout, train, bidirectional, batch_first }.run_one(input, hx)
}

// ---- single steps -----------------------------------------------------------------------------------------------------------------

/// One step from `input` `[n, size]` and the states `[n, hidden]`.
fn cell(kind: Kind, x: &Tensor, hx: &[Tensor], w: &Weights) -> Result<Memory> {
    let (shape, hidden) = (x.shape(), w.hh.shape().last().copied().unwrap_or(0));
    let [batch, size] = shape[..] else {
        return Err(Error::runtime(format!(
            "Expected 2D input (batch x feature), but got {}D input; shape {shape:?}",
            shape.len()
        )));
    };
    let weights = [Some(w.ih), Some(w.hh), w.bias_ih, w.bias_hh];
    same_float(x, hx.iter().chain(weights.into_iter().flatten()))?;
    if w.ih.shape().get(1) != Some(&size) {
        return Err(Error::runtime(format!(
            "input has inconsistent input_size: got {size}, but w_ih has shape {:?}",
            w.ih.shape()
        )));
    }
    for (i, t) in hx.iter().enumerate() {
        let [n, given] = t.shape()[..] else {
            return Err(Error::runtime(format!(
                "Expected 2D hidden{i} (batch x feature), but got {}D; shape {:?}",
                t.rank(),
                t.shape()
            )));
        };
        if n != batch {
            return Err(Error::runtime(format!("Input batch size {batch} doesn't match hidden{i} batch size {n}")));
        }
        if given != hidden {
            return Err(Error::runtime(format!("hidden{i} has inconsistent hidden_size: got {given}, expected {hidden}")));
        }
    }
    w.check(kind, [size, hidden, hidden])?;
    w.step(kind, &w.project(kind, x)?, &Memory { h: hx[0].clone(), c: hx.get(1).cloned() })
}

/// Returns the next hidden and cell states, `[n, hidden]` each, of a long short-term memory for `input` `[n, size]` and the states `hx`.
///
/// Parameters as in `lstm`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html>
#[op("(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", float_only, function,
    samples = ["T(2, 3), [T(2, 2), T(2, 2)], T(8, 3), T(8, 2), T(8), T(8)", "T(1, 2), [T(1, 3), T(1, 3)], T(12, 2), T(12, 3)", "T(2, 1), [T(2, 1), T(2, 1)], T(4, 1), T(4, 1), b_ih=T(4)",
        "T(0, 2), [T(0, 1), T(0, 1)], T(4, 2), T(4, 1)"],
    errors = [("T(3), [T(4), T(4)], T(16, 3), T(16, 4)", "Expected 2D input (batch x feature), but got 1D input"),
        ("T(2, 3), [T(2, 4)], T(16, 3), T(16, 4)", "lstm_cell expects two hidden states"),
        ("T(2, 3), [T(2, 4), T(2, 5)], T(16, 3), T(16, 4)", "hidden1 has inconsistent hidden_size: got 5, expected 4")])]
pub fn lstm_cell(
    input: &Tensor,
    hx: &[Tensor],
    w_ih: &Tensor,
    w_hh: &Tensor,
    b_ih: Option<&Tensor>,
    b_hh: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    if hx.len() != 2 {
        return Err(Error::runtime(format!("lstm_cell expects two hidden states, but got {}", hx.len())));
    }
    let weights = Weights { ih: w_ih, hh: w_hh, bias_ih: b_ih, bias_hh: b_hh, hr: None };
    let next = cell(Kind::Lstm, input, hx, &weights)?;
    Ok((next.h, next.c.expect("an LSTM has a cell state")))
}

/// Returns the next hidden state, `[n, hidden]`, of a gated recurrent unit for `input` `[n, size]` and the state `hx`.
///
/// Parameters as in `gru`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html>
#[op("(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", float_only, function,
    samples = ["T(2, 3), T(2, 2), T(6, 3), T(6, 2), T(6), T(6)", "T(1, 2), T(1, 3), T(9, 2), T(9, 3)", "T(2, 1), T(2, 1), T(3, 1), T(3, 1), b_hh=T(3)", "T(0, 2), T(0, 1), T(3, 2), T(3, 1)"],
    errors = [("T(2, 3), T(2, 4), T(16, 3), T(16, 4)", "w_ih must have shape [12, 3], but it is [16, 3]"), ("T(2, 3), T(3, 4), T(12, 3), T(12, 4)", "Input batch size 2 doesn't match hidden0 batch size 3"),
        ("T(2, 3), T(2, 5), T(12, 3), T(12, 4)", "hidden0 has inconsistent hidden_size: got 5, expected 4")])]
pub fn gru_cell(
    input: &Tensor,
    hx: &Tensor,
    w_ih: &Tensor,
    w_hh: &Tensor,
    b_ih: Option<&Tensor>,
    b_hh: Option<&Tensor>,
) -> Result<Tensor> {
    let weights = Weights { ih: w_ih, hh: w_hh, bias_ih: b_ih, bias_hh: b_hh, hr: None };
    Ok(cell(Kind::Gru, input, std::slice::from_ref(hx), &weights)?.h)
}

/// Returns the next hidden state `tanh(w_ih input + b_ih + w_hh hx + b_hh)`, `[n, hidden]`, for `input` `[n, size]` and the state `hx`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html>
#[op("(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", float_only, function,
    samples = ["T(2, 3), T(2, 2), T(2, 3), T(2, 2), T(2), T(2)", "T(1, 2), T(1, 3), T(3, 2), T(3, 3)", "T(2, 1), T(2, 1), T(1, 1), T(1, 1), b_ih=T(1)", "T(0, 2), T(0, 1), T(1, 2), T(1, 1)"],
    errors = [("T(2, 5), T(2, 4), T(4, 3), T(4, 4)", "input has inconsistent input_size: got 5"), ("T(2, 3), T(1, 4), T(4, 3), T(4, 4)", "Input batch size 2 doesn't match hidden0 batch size 1")])]
pub fn rnn_tanh_cell(
    input: &Tensor,
    hx: &Tensor,
    w_ih: &Tensor,
    w_hh: &Tensor,
    b_ih: Option<&Tensor>,
    b_hh: Option<&Tensor>,
) -> Result<Tensor> {
    let weights = Weights { ih: w_ih, hh: w_hh, bias_ih: b_ih, bias_hh: b_hh, hr: None };
    Ok(cell(Kind::Tanh, input, std::slice::from_ref(hx), &weights)?.h)
}

/// Returns the next hidden state `relu(w_ih input + b_ih + w_hh hx + b_hh)`, `[n, hidden]`, for `input` `[n, size]` and the state `hx`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html>
#[op("(input, hx, w_ih, w_hh, b_ih=None, b_hh=None)", float_only, function,
    samples = ["T(2, 3), T(2, 2), T(2, 3), T(2, 2), T(2), T(2)", "T(1, 2), T(1, 3), T(3, 2), T(3, 3)", "T(2, 1), T(2, 1), T(1, 1), T(1, 1), b_ih=T(1)", "T(0, 2), T(0, 1), T(1, 2), T(1, 1)"],
    errors = [("T(2, 5), T(2, 4), T(4, 3), T(4, 4)", "input has inconsistent input_size: got 5"), ("T(2, 3), T(1, 4), T(4, 3), T(4, 4)", "Input batch size 2 doesn't match hidden0 batch size 1")])]
pub fn rnn_relu_cell(
    input: &Tensor,
    hx: &Tensor,
    w_ih: &Tensor,
    w_hh: &Tensor,
    b_ih: Option<&Tensor>,
    b_hh: Option<&Tensor>,
) -> Result<Tensor> {
    let weights = Weights { ih: w_ih, hh: w_hh, bias_ih: b_ih, bias_hh: b_hh, hr: None };
    Ok(cell(Kind::ReLU, input, std::slice::from_ref(hx), &weights)?.h)
}

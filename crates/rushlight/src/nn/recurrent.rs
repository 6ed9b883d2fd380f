//! Recurrent layers: RNN, LSTM and GRU over whole sequences, and single steps.
//!
//! The arithmetic is that of the ops of the same names (`ops/recurrent.rs`); here are the parameters, under PyTorch's names, and what happens
//! to inputs without a batch.

use super::builder::builder;
use super::forward::inside;
use super::{Forward, Module, Parameter, Training, Visitor, init};
use crate::{Error, Result, Tensor, ops};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tanh,
    ReLU,
    Lstm,
    Gru,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Tanh | Kind::ReLU => 1,
            Kind::Gru => 3,
            Kind::Lstm => 4,
        }
    }
}

/// The nonlinearity of a plain recurrent layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RNNNonlinearity {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(0, x)`.
    ReLU,
}

impl RNNNonlinearity {
    fn kind(self) -> Kind {
        if self == RNNNonlinearity::Tanh { Kind::Tanh } else { Kind::ReLU }
    }
}

/// The parameters of one layer in one direction.
#[derive(Clone, Debug)]
struct Weights {
    ih: Parameter,
    hh: Parameter,
    bias_ih: Option<Parameter>,
    bias_hh: Option<Parameter>,
    /// Projects the hidden state (LSTM with `proj_size`).
    hr: Option<Parameter>,
}

impl Weights {
    /// Even within one over the root of `hidden`, in the order of registration.
    fn new(kind: Kind, input: usize, hidden: usize, proj: usize, bias: bool) -> Result<Weights> {
        let bound = 1.0 / (hidden as f64).sqrt();
        let draw = |shape: &[usize]| -> Result<Parameter> {
            let p = Parameter::zeros(shape)?;
            init::uniform_(&p, -bound, bound)?;
            Ok(p)
        };
        let rows = kind.gates() * hidden;
        Ok(Weights {
            ih: draw(&[rows, input])?,
            hh: draw(&[rows, if proj > 0 { proj } else { hidden }])?,
            bias_ih: bias.then(|| draw(&[rows])).transpose()?,
            bias_hh: bias.then(|| draw(&[rows])).transpose()?,
            hr: (proj > 0).then(|| draw(&[proj, hidden])).transpose()?,
        })
    }

    fn visit<'a>(&'a self, suffix: &str, visitor: &mut Visitor<'_, 'a>) {
        visitor.field(&format!("weight_ih{suffix}"), &self.ih);
        visitor.field(&format!("weight_hh{suffix}"), &self.hh);
        visitor.field(&format!("bias_ih{suffix}"), &self.bias_ih);
        visitor.field(&format!("bias_hh{suffix}"), &self.bias_hh);
        visitor.field(&format!("weight_hr{suffix}"), &self.hr);
    }

    /// In the order in which the ops take them.
    fn list(&self) -> impl Iterator<Item = Tensor> {
        let rest = [&self.bias_ih, &self.bias_hh, &self.hr];
        [&self.ih, &self.hh].into_iter().chain(rest.into_iter().flatten()).map(|p| Tensor::clone(p))
    }
}

/// What all recurrent layers have in common.
#[derive(Clone, Debug)]
struct Recurrent {
    kind: Kind,
    /// By layer, and by direction in it.
    weights: Vec<Weights>,
    input_size: usize,
    hidden_size: usize,
    proj_size: usize,
    num_layers: usize,
    batch_first: bool,
    dropout: f64,
    bidirectional: bool,
    training: Training,
}

impl Recurrent {
    fn build(mut self, bias: bool) -> Result<Recurrent> {
        for (name, size) in [("input_size", self.input_size), ("hidden_size", self.hidden_size), ("num_layers", self.num_layers)]
        {
            if size == 0 {
                return Err(Error::value(format!("{name} must be greater than zero")));
            }
        }
        if self.proj_size >= self.hidden_size {
            return Err(Error::value("proj_size has to be smaller than hidden_size"));
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            let text = "dropout should be a number in range [0, 1] representing the probability of an element being zeroed";
            return Err(Error::value(format!("{text}, but got {}", self.dropout)));
        }
        for layer in 0..self.num_layers {
            let input = if layer == 0 { self.input_size } else { self.output_size() * self.directions() };
            for _ in 0..self.directions() {
                self.weights.push(Weights::new(self.kind, input, self.hidden_size, self.proj_size, bias)?);
            }
        }
        Ok(self)
    }
    fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }
    /// Size of the hidden state as others see it.
    fn output_size(&self) -> usize {
        if self.proj_size > 0 { self.proj_size } else { self.hidden_size }
    }

    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.field("training", &self.training);
        for (i, w) in self.weights.iter().enumerate() {
            let (layer, backwards) = (i / self.directions(), i % self.directions() == 1);
            w.visit(&format!("_l{layer}{}", if backwards { "_reverse" } else { "" }), visitor);
        }
    }

    /// Outputs of the last layer at all steps, and the last states of all layers: hidden, and an LSTM's cells.
    fn run(&self, x: &Tensor, h0: Option<&Tensor>, c0: Option<&Tensor>) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let (rank, shape) = (x.rank(), x.shape());
        if rank != 2 && rank != 3 {
            return Err(Error::value(format!(
                "expected input to be 2D or 3D, got {rank}D instead; shape {:?}",
                shape.as_slice()
            )));
        }
        if shape[rank - 1] != self.input_size {
            return Err(Error::runtime(format!(
                "input.size(-1) must be equal to input_size. Expected {}, got {}; shape {:?}",
                self.input_size,
                shape[rank - 1],
                shape.as_slice()
            )));
        }
        let batched = rank == 3;
        let batch_dim = if self.batch_first { 0 } else { 1 };
        let x = if batched { x.clone() } else { ops::unsqueeze(x, batch_dim)? };
        let h = self.states("hidden[0]", &x, h0, batched, self.output_size())?;
        let params: Vec<Tensor> = self.weights.iter().flat_map(Weights::list).collect();
        let (layers, training) = (self.num_layers as i64, self.training.get());
        let biases = self.weights[0].bias_ih.is_some();
        let (dropout, both, first) = (self.dropout, self.bidirectional, self.batch_first);
        let (y, h, c) = if self.kind == Kind::Lstm {
            let c = self.states("hidden[1]", &x, c0, batched, self.hidden_size)?;
            let (y, h, c) = ops::lstm(&x, &[h, c], &params, biases, layers, dropout, training, both, first)?;
            (y, h, Some(c))
        } else {
            let op = match self.kind {
                Kind::Gru => ops::gru,
                Kind::ReLU => ops::rnn_relu,
                _ => ops::rnn_tanh,
            };
            let (y, h) = op(&x, &h, &params, biases, layers, dropout, training, both, first)?;
            (y, h, None)
        };
        if batched {
            return Ok((y, h, c));
        }
        let without = |t: &Tensor, dim: i64| ops::squeeze_dim(t, &[dim]);
        Ok((without(&y, batch_dim)?, without(&h, 1)?, c.as_ref().map(|c| without(c, 1)).transpose()?))
    }

    /// The initial states of all layers and directions: zeros, or the given ones, checked.
    fn states(&self, name: &str, x: &Tensor, given: Option<&Tensor>, batched: bool, size: usize) -> Result<Tensor> {
        let batch = x.shape()[if self.batch_first { 0 } else { 1 }];
        let full = [self.num_layers * self.directions(), batch, size];
        let Some(given) = given else { return ops::creation::filled(&full, 0i64.into(), x.dtype()) };
        let wanted: &[usize] = if batched { &full } else { &[full[0], size] };
        if given.shape().as_slice() != wanted {
            return Err(Error::runtime(format!("Expected {name} size {wanted:?}, got {:?}", given.shape().as_slice())));
        }
        if batched { Ok(given.clone()) } else { ops::unsqueeze(given, 1) }
    }
}

/// The settings that all recurrent layers have, and more.
macro_rules! recurrent_builder {
    ($(#[$meta:meta])* $name:ident for $layer:ident { $($more:tt)* }) => {
        builder! {
            $(#[$meta])*
            $name for $layer {
                input_size: usize, hidden_size: usize;
                /// Layers, each on the outputs of the one before.
                num_layers: usize = 1usize,
                /// Add biases.
                bias: bool = true,
                /// Inputs and outputs are `[n, l, …]` instead of `[l, n, …]`.
                batch_first: bool = false,
                /// Probability of dropout between layers.
                dropout: f64 = 0.0,
                /// Run over the sequence from both ends, and join the outputs.
                bidirectional: bool = false,
                $($more)*
            }
        }
    };
}

macro_rules! recurrent_layer {
    ($layer:ident, $builder:ident, |$o:ident| $kind:expr, $proj:expr) => {
        impl $layer {
            fn make($o: $builder) -> Result<$layer> {
                let inner = Recurrent {
                    kind: $kind,
                    weights: Vec::new(),
                    input_size: $o.input_size,
                    hidden_size: $o.hidden_size,
                    proj_size: $proj,
                    num_layers: $o.num_layers,
                    batch_first: $o.batch_first,
                    dropout: $o.dropout,
                    bidirectional: $o.bidirectional,
                    training: Training::default(),
                };
                inner.build($o.bias).map($layer)
            }
        }
        impl Module for $layer {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
                self.0.visit(visitor);
            }
        }
        /// The outputs at all steps, from states of zero.
        impl Forward for $layer {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                Ok(self.forward_from(x, None)?.0)
            }
        }
    };
}

/// A plain recurrent network (Elman): `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`, over `[l, n, input_size]` or `[l, input_size]`.
///
/// Parameters, of each layer and direction: `weight_ih_l0` `[hidden_size, input]`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`; with
/// `_reverse` for the way back. All even within `1/√hidden_size`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html>
#[derive(Clone, Debug)]
pub struct RNN(Recurrent);

recurrent_builder! {
    /// Settings of [`RNN`].
    RNNBuilder for RNN {
        /// What is applied to the sum.
        nonlinearity: RNNNonlinearity = RNNNonlinearity::Tanh,
    }
}
recurrent_layer!(RNN, RNNBuilder, |o| o.nonlinearity.kind(), 0);

impl RNN {
    /// Outputs `[l, n, directions · hidden_size]`, and the last hidden states `[layers · directions, n, hidden_size]`, from such states or
    /// zeros.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_from(&self, x: &Tensor, h0: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let (y, h, _) = inside(self, self.0.run(x, h0, None))?;
        Ok((y, h))
    }
}

/// A long short-term memory (Hochreiter and Schmidhuber, 1997), over `[l, n, input_size]` or `[l, input_size]`.
///
/// Parameters as those of [`RNN`], with four gates' rows in each: input, forget, cell, output; with `proj_size` also `weight_hr_l0`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html>
#[derive(Clone, Debug)]
pub struct LSTM(Recurrent);

recurrent_builder! {
    /// Settings of [`LSTM`].
    LSTMBuilder for LSTM {
        /// Project the hidden state to this size; not if zero.
        proj_size: usize = 0usize,
    }
}
recurrent_layer!(LSTM, LSTMBuilder, |o| Kind::Lstm, o.proj_size);

impl LSTM {
    /// Outputs `[l, n, directions · hidden_size]`, and the last hidden and cell states `[layers · directions, n, hidden_size]`, from such
    /// states or zeros.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_from(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, (Tensor, Tensor))> {
        let (y, h, c) = inside(self, self.0.run(x, state.map(|s| s.0), state.map(|s| s.1)))?;
        Ok((y, (h, c.expect("an LSTM has cell states"))))
    }
}

/// A gated recurrent unit (Cho et al., 2014), over `[l, n, input_size]` or `[l, input_size]`.
///
/// Parameters as those of [`RNN`], with three gates' rows in each: reset, update, new.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html>
#[derive(Clone, Debug)]
pub struct GRU(Recurrent);

recurrent_builder! {
    /// Settings of [`GRU`].
    GRUBuilder for GRU {}
}
recurrent_layer!(GRU, GRUBuilder, |o| Kind::Gru, 0);

impl GRU {
    /// Outputs `[l, n, directions · hidden_size]`, and the last hidden states `[layers · directions, n, hidden_size]`, from such states or
    /// zeros.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_from(&self, x: &Tensor, h0: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let (y, h, _) = inside(self, self.0.run(x, h0, None))?;
        Ok((y, h))
    }
}

/// One step of a recurrent layer.
#[derive(Clone, Debug)]
struct Cell {
    kind: Kind,
    weights: Weights,
    hidden_size: usize,
}

impl Cell {
    fn new(kind: Kind, input: usize, hidden: usize, bias: bool) -> Result<Cell> {
        if hidden == 0 {
            return Err(Error::value("hidden_size must be greater than zero"));
        }
        Ok(Cell { kind, weights: Weights::new(kind, input, hidden, 0, bias)?, hidden_size: hidden })
    }

    /// The next hidden state, and an LSTM's cell state.
    fn run(&self, x: &Tensor, h: Option<&Tensor>, c: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        let batched = match x.rank() {
            1 => false,
            2 => true,
            rank => return Err(Error::value(format!("Expected input to be 1D or 2D, got {rank}D instead"))),
        };
        let with_batch = |t: &Tensor| if batched { Ok(t.clone()) } else { ops::unsqueeze(t, 0) };
        let x = with_batch(x)?;
        let state = |t: Option<&Tensor>| match t {
            Some(t) => with_batch(t),
            None => ops::creation::filled(&[x.shape()[0], self.hidden_size], 0i64.into(), x.dtype()),
        };
        let w = &self.weights;
        let (h, bias_ih, bias_hh) = (state(h)?, w.bias_ih.as_deref(), w.bias_hh.as_deref());
        let (h, c) = match self.kind {
            Kind::Lstm => {
                let (h, c) = ops::lstm_cell(&x, &[h, state(c)?], &w.ih, &w.hh, bias_ih, bias_hh)?;
                (h, Some(c))
            }
            Kind::Gru => (ops::gru_cell(&x, &h, &w.ih, &w.hh, bias_ih, bias_hh)?, None),
            Kind::Tanh => (ops::rnn_tanh_cell(&x, &h, &w.ih, &w.hh, bias_ih, bias_hh)?, None),
            Kind::ReLU => (ops::rnn_relu_cell(&x, &h, &w.ih, &w.hh, bias_ih, bias_hh)?, None),
        };
        let without = |t: Tensor| if batched { Ok(t) } else { ops::squeeze_dim(&t, &[0]) };
        Ok((without(h)?, c.map(without).transpose()?))
    }
}

macro_rules! cell {
    ($(#[$meta:meta])* $layer:ident $builder:ident { $($more:tt)* } |$o:ident| $kind:expr) => {
        $(#[$meta])*
        ///
        /// Parameters: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
        #[derive(Clone, Debug)]
        pub struct $layer(Cell);

        builder! {
            #[doc = concat!("Settings of [`", stringify!($layer), "`].")]
            $builder for $layer {
                input_size: usize, hidden_size: usize;
                /// Add biases.
                bias: bool = true,
                $($more)*
            }
        }

        impl $layer {
            fn make($o: $builder) -> Result<$layer> {
                Cell::new($kind, $o.input_size, $o.hidden_size, $o.bias).map($layer)
            }
        }

        impl Module for $layer {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
                self.0.weights.visit("", visitor);
            }
        }
    };
}

cell! {
    /// One step of [`RNN`].
    RNNCell RNNCellBuilder {
        /// What is applied to the sum.
        nonlinearity: RNNNonlinearity = RNNNonlinearity::Tanh,
    } |o| o.nonlinearity.kind()
}
cell! {
    /// One step of [`LSTM`].
    LSTMCell LSTMCellBuilder {} |o| Kind::Lstm
}
cell! {
    /// One step of [`GRU`].
    GRUCell GRUCellBuilder {} |o| Kind::Gru
}

impl RNNCell {
    /// The next hidden state, for `[n, input_size]` or `[input_size]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(inside(self, self.0.run(x, h, None))?.0)
    }
}

impl LSTMCell {
    /// The next hidden and cell states, for `[n, input_size]` or `[input_size]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Tensor)> {
        let (h, c) = inside(self, self.0.run(x, state.map(|s| s.0), state.map(|s| s.1)))?;
        Ok((h, c.expect("an LSTM has a cell state")))
    }
}

impl GRUCell {
    /// The next hidden state, for `[n, input_size]` or `[input_size]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(inside(self, self.0.run(x, h, None))?.0)
    }
}

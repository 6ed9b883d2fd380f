//! Averaged parameters: an exponential moving average that often generalises better than the last step.
//!
//! Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.AveragedModel.html>

use super::load_like;
use crate::ops::{self, Pointwise};
use crate::{BinOp, Error, Result, State, Stateful, Tensor, no_grad};

/// An exponential moving average of parameters: `average ← decay · average + (1 − decay) · parameter`. The first update copies.
pub struct Ema {
    decay: f64,
    updates: usize,
    params: Vec<Tensor>,
    averages: Vec<Tensor>,
    swapped: bool,
}

impl Ema {
    /// An average of `params` with the given decay, in [0, 1].
    ///
    /// # Errors
    /// If the decay is out of range.
    pub fn new(params: impl IntoIterator<Item = Tensor>, decay: f64) -> Result<Ema> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::value(format!("Invalid decay value {decay} provided. Please provide a value in [0,1] range.")));
        }
        let params: Vec<Tensor> = params.into_iter().collect();
        let averages = params.iter().map(|p| ops::copy(&p.detach())).collect::<Result<_>>()?;
        Ok(Ema { decay, updates: 0, params, averages, swapped: false })
    }
    /// Takes the parameters' present values into the average.
    ///
    /// # Errors
    /// While the averages stand in the parameters' place ([`Ema::swap`]).
    pub fn update(&mut self) -> Result<()> {
        if self.swapped {
            return Err(Error::runtime("Ema::update: the parameters hold the averages; call swap() first"));
        }
        let _guard = no_grad();
        let keep = if self.updates == 0 { 0.0 } else { self.decay };
        for (average, param) in self.averages.iter().zip(&self.params) {
            let mut k = Pointwise::new();
            let (a, p) = (k.input(average), k.input(param));
            let new = if keep == 0.0 {
                p
            } else {
                let distance = k.bin(BinOp::Sub, p, a)?;
                k.add_scaled(a, distance, 1.0 - keep)?
            };
            k.run_into(&[(new, average)])?;
        }
        self.updates += 1;
        Ok(())
    }
    /// Exchanges parameters and averages: once before an evaluation, once after it.
    ///
    /// # Errors
    /// If a parameter has changed its shape.
    pub fn swap(&mut self) -> Result<()> {
        let _guard = no_grad();
        for (average, param) in self.averages.iter().zip(&self.params) {
            let mut k = Pointwise::new();
            let (a, p) = (k.input(average), k.input(param));
            k.run_into(&[(p, average), (a, param)])?;
        }
        self.swapped = !self.swapped;
        Ok(())
    }
    /// The averages, in the parameters' order.
    pub fn averages(&self) -> &[Tensor] {
        &self.averages
    }
}

impl Stateful for Ema {
    fn state(&self) -> State {
        let averages: Vec<State> = self.averages.iter().map(State::from).collect();
        State::map()
            .with("decay", self.decay)
            .with("n_averaged", self.updates)
            .with("swapped", self.swapped)
            .with("averages", averages)
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let saved = state.read("averages", State::as_list)?;
        if saved.len() != self.params.len() {
            return Err(Error::value(format!("the state holds {} averages for {} parameters", saved.len(), self.params.len())));
        }
        let read = |(i, (s, p)): (usize, (&State, &Tensor))| {
            load_like(&State::map().with("average", s.clone()), "average", p).map_err(|e| e.context(format!("averages {i}")))
        };
        let averages = saved.iter().zip(&self.params).enumerate().map(read).collect::<Result<_>>()?;
        let (decay, updates, swapped) = (
            state.read("decay", State::as_f64)?,
            state.read("n_averaged", State::as_usize)?,
            state.read("swapped", State::as_bool)?,
        );
        (self.decay, self.updates, self.swapped, self.averages) = (decay, updates, swapped, averages);
        Ok(())
    }
}

//! L-BFGS: a quasi-Newton method that keeps a few past steps in place of a Hessian.
//!
//! The arithmetic on whole directions runs in f64 whatever the parameters' dtype: a few dot products per step cost nothing beside the
//! closure, and the curvature along nearly converged directions needs the digits.
//!
//! Sources: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989); Nocedal and Wright, "Numerical
//! Optimization", algorithms 3.5, 3.6 and 7.4; <https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html>.

use super::options::at_least_zero;
use crate::{Error, Result, State, Stateful, Tensor, enable_grad, no_grad, ops};
use std::collections::VecDeque;

/// Options of [`Lbfgs`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbfgsOptions {
    /// Length of a step, in units of the quasi-Newton step; with a line search, of its first trial.
    pub lr: f64,
    /// Iterations per call of [`Lbfgs::step`].
    pub max_iter: usize,
    /// Calls of the closure per step; 5/4 of `max_iter` where it is `None`.
    pub max_eval: Option<usize>,
    /// Stop where no gradient is larger than this.
    pub tolerance_grad: f64,
    /// Stop where neither the loss nor a parameter changes by more than this.
    pub tolerance_change: f64,
    /// Number of past steps to keep.
    pub history_size: usize,
    /// Search along each direction for a point that satisfies the strong Wolfe conditions.
    pub strong_wolfe: bool,
    /// Climb instead of descend.
    pub maximize: bool,
}

impl Default for LbfgsOptions {
    fn default() -> LbfgsOptions {
        LbfgsOptions {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            strong_wolfe: false,
            maximize: false,
        }
    }
}

/// A past step, the change of the gradient over it, and one over their product.
#[derive(Clone)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    rho: f64,
}

/// What stays between calls.
#[derive(Clone)]
struct Memory {
    evaluations: usize,
    iterations: usize,
    direction: Vec<f64>,
    t: f64,
    pairs: VecDeque<Pair>,
    scale: f64,
    gradient: Vec<f64>,
}

/// L-BFGS. It evaluates the loss several times per step, so [`Lbfgs::step`] takes a closure.
///
/// ```
/// use rushlight::optim::{Lbfgs, LbfgsOptions};
/// use rushlight::Tensor;
///
/// let x = Tensor::from_vec(vec![3.0f64, -2.0], 2).with_requires_grad();
/// let mut optimizer = Lbfgs::new([x.clone()], LbfgsOptions { strong_wolfe: true, ..Default::default() });
/// optimizer.step(|| {
///     x.set_grad(None);
///     let loss = (&x * &x).sum();
///     loss.try_backward()?;
///     Ok(loss)
/// })?;
/// assert!(x.to_vec::<f64>().iter().all(|v| v.abs() < 1e-6));
/// # Ok::<(), rushlight::Error>(())
/// ```
pub struct Lbfgs {
    params: Vec<Tensor>,
    options: LbfgsOptions,
    memory: Memory,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |m, x| if x.abs() > m || x.is_nan() { x.abs() } else { m })
}

/// `y += a * x`.
fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

impl Lbfgs {
    /// An optimizer of `params`.
    ///
    /// # Panics
    /// Where [`Lbfgs::try_new`] gives an error.
    #[track_caller]
    pub fn new(params: impl IntoIterator<Item = Tensor>, options: LbfgsOptions) -> Lbfgs {
        crate::error::or_panic(Lbfgs::try_new(params, options))
    }
    /// An optimizer of `params`.
    ///
    /// # Errors
    /// If there is no parameter, one is not a leaf, or an option is out of range.
    pub fn try_new(params: impl IntoIterator<Item = Tensor>, options: LbfgsOptions) -> Result<Lbfgs> {
        let params: Vec<Tensor> = params.into_iter().collect();
        at_least_zero("learning rate", options.lr)?;
        if params.is_empty() {
            return Err(Error::value("optimizer got an empty parameter list"));
        }
        if params.iter().any(|p| !p.is_leaf()) {
            return Err(Error::value("can't optimize a non-leaf Tensor"));
        }
        let memory = Memory {
            evaluations: 0,
            iterations: 0,
            direction: vec![],
            t: 0.0,
            pairs: VecDeque::new(),
            scale: 1.0,
            gradient: vec![],
        };
        Ok(Lbfgs { params, options, memory })
    }
    /// The parameters.
    pub fn parameters(&self) -> &[Tensor] {
        &self.params
    }
    /// The options, to change them.
    pub fn options_mut(&mut self) -> &mut LbfgsOptions {
        &mut self.options
    }
    /// How often the closure has been called so far.
    pub fn evaluations(&self) -> usize {
        self.memory.evaluations
    }

    fn sign(&self) -> f64 {
        if self.options.maximize { -1.0 } else { 1.0 }
    }
    /// All gradients end to end, of what is to become small.
    fn flat_gradient(&self) -> Vec<f64> {
        let mut flat = Vec::new();
        for p in &self.params {
            match p.grad() {
                Some(g) => flat.extend(g.to_f64_vec().into_iter().map(|g| g * self.sign())),
                None => flat.resize(flat.len() + p.numel(), 0.0),
            }
        }
        flat
    }
    fn values(&self) -> Vec<f64> {
        self.params.iter().flat_map(Tensor::to_f64_vec).collect()
    }
    /// Puts the parameters at `x + t * d`.
    fn place(&self, x: &[f64], t: f64, d: &[f64]) -> Result<()> {
        let _guard = no_grad();
        let mut start = 0;
        for p in &self.params {
            let end = start + p.numel();
            let new = x[start..end].iter().zip(&d[start..end]).map(|(x, d)| x + t * d).collect();
            ops::copy_(p, &Tensor::try_from_vec(new, p.shape())?, false)?;
            start = end;
        }
        Ok(())
    }
    fn evaluate(&self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<(Tensor, f64, Vec<f64>)> {
        let loss = {
            let _guard = enable_grad();
            closure()?
        };
        let number = self.sign() * loss.detach().try_item::<f64>()?;
        Ok((loss, number, self.flat_gradient()))
    }

    /// Takes up the last step into the memory and gives the next direction: the gradient times an approximation of the inverse Hessian.
    fn next_direction(&mut self, gradient: &[f64]) -> Vec<f64> {
        let m = &mut self.memory;
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        if m.iterations == 1 {
            m.pairs.clear();
            m.scale = 1.0;
            return q;
        }
        let change: Vec<f64> = gradient.iter().zip(&m.gradient).map(|(g, old)| g - old).collect();
        let step: Vec<f64> = m.direction.iter().map(|d| d * m.t).collect();
        let curvature = dot(&change, &step);
        if curvature > 1e-10 {
            m.scale = curvature / dot(&change, &change);
            if m.pairs.len() >= self.options.history_size {
                m.pairs.pop_front();
            }
            if self.options.history_size > 0 {
                m.pairs.push_back(Pair { step, change, rho: 1.0 / curvature });
            }
        }
        // The two-loop recursion.
        let mut factors = Vec::with_capacity(m.pairs.len());
        for pair in m.pairs.iter().rev() {
            let factor = dot(&pair.step, &q) * pair.rho;
            add_scaled(&mut q, -factor, &pair.change);
            factors.push(factor);
        }
        q.iter_mut().for_each(|q| *q *= m.scale);
        for (pair, factor) in m.pairs.iter().zip(factors.into_iter().rev()) {
            let other = dot(&pair.change, &q) * pair.rho;
            add_scaled(&mut q, factor - other, &pair.step);
        }
        q
    }

    /// Moves the parameters by up to `max_iter` iterations. `closure` clears the gradients, computes the loss, runs backward and gives the
    /// loss; the result is the loss before the step.
    ///
    /// # Errors
    /// Those of the closure.
    pub fn step(&mut self, mut closure: impl FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let o = self.options;
        let max_eval = o.max_eval.unwrap_or(o.max_iter * 5 / 4);
        let (first, mut loss, mut gradient) = self.evaluate(&mut closure)?;
        let mut calls = 1;
        self.memory.evaluations += 1;
        if largest(&gradient) <= o.tolerance_grad {
            return Ok(first);
        }
        for iteration in 1..=o.max_iter {
            self.memory.iterations += 1;
            let direction = self.next_direction(&gradient);
            let mut t = o.lr;
            if self.memory.iterations == 1 {
                t *= (1.0 / gradient.iter().map(|g| g.abs()).sum::<f64>()).min(1.0);
            }
            let slope = dot(&gradient, &direction);
            (self.memory.direction, self.memory.t) = (direction, t);
            self.memory.gradient.clone_from(&gradient);
            if slope > -o.tolerance_change {
                break;
            }
            let (before, x, d) = (loss, self.values(), self.memory.direction.clone());
            let mut now = 0;
            if o.strong_wolfe {
                let start = Point { t: 0.0, loss, gradient, slope };
                let (found, evaluations) = strong_wolfe(start, t, largest(&d), max_eval.saturating_sub(calls), |t| {
                    self.place(&x, t, &d)?;
                    let (_, loss, gradient) = self.evaluate(&mut closure)?;
                    Ok(Point { t, loss, slope: dot(&gradient, &d), gradient })
                })?;
                now = evaluations;
                self.place(&x, found.t, &d)?;
                (t, loss, gradient) = (found.t, found.loss, found.gradient);
                self.memory.t = t;
            } else {
                self.place(&x, t, &d)?;
                // After the last step nobody asks for the loss: in a stochastic setting it would be another one anyway.
                if iteration != o.max_iter {
                    (_, loss, gradient) = self.evaluate(&mut closure)?;
                    now = 1;
                }
            }
            calls += now;
            self.memory.evaluations += now;
            let still = largest(&d) * t.abs() <= o.tolerance_change || (loss - before).abs() < o.tolerance_change;
            if calls >= max_eval || largest(&gradient) <= o.tolerance_grad || still {
                break;
            }
        }
        Ok(first)
    }
}

/// A point on the line: the step to it, and the loss, gradient and slope there.
#[derive(Clone)]
struct Point {
    t: f64,
    loss: f64,
    gradient: Vec<f64>,
    slope: f64,
}

/// The minimum of the cubic through two points with their slopes, within bounds; the middle where it has none.
fn interpolate(a: &Point, b: &Point, bounds: Option<(f64, f64)>) -> f64 {
    let (a, b) = if a.t <= b.t { (a, b) } else { (b, a) };
    let (low, high) = bounds.unwrap_or((a.t, b.t));
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return (low + high) / 2.0;
    }
    let d2 = square.sqrt();
    let least = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    // `clamp` would panic where the bounds are NaN.
    low.max(least).min(high)
}

/// A point whose loss is low enough (`C1`) and whose slope is flat enough (`C2`), first bracketed, then closed in on. Also gives the number
/// of evaluations.
fn strong_wolfe(
    start: Point,
    mut t: f64,
    reach: f64,
    max_evaluations: usize,
    mut at: impl FnMut(f64) -> Result<Point>,
) -> Result<(Point, usize)> {
    const C1: f64 = 1e-4;
    const C2: f64 = 0.9;
    const CLOSE: f64 = 1e-9;
    let too_high = |p: &Point| p.loss > start.loss + C1 * p.t * start.slope;
    let flat = |p: &Point| p.slope.abs() <= -C2 * start.slope;
    let mut evaluations = 1;
    let (mut previous, mut new) = (start.clone(), at(t)?);
    let mut rounds = 0;
    let mut bracket = loop {
        if rounds >= max_evaluations {
            break [start.clone(), new];
        }
        if too_high(&new) || (rounds > 1 && new.loss >= previous.loss) {
            break [previous, new];
        }
        if flat(&new) {
            return Ok((new, evaluations));
        }
        if new.slope >= 0.0 {
            break [previous, new];
        }
        t = interpolate(&previous, &new, Some((t + 0.01 * (t - previous.t), t * 10.0)));
        previous = std::mem::replace(&mut new, at(t)?);
        evaluations += 1;
        rounds += 1;
    };
    let lower = |b: &[Point; 2]| if b[0].loss <= b[1].loss { 0 } else { 1 };
    let (mut low, mut stuck) = (lower(&bracket), false);
    while rounds < max_evaluations && (bracket[1].t - bracket[0].t).abs() * reach >= CLOSE {
        t = interpolate(&bracket[0], &bracket[1], None);
        // Near an end of the bracket twice, or at it: move away from the end, so that the bracket shrinks.
        let (left, right) = (bracket[0].t.min(bracket[1].t), bracket[0].t.max(bracket[1].t));
        let margin = 0.1 * (right - left);
        if (right - t).min(t - left) < margin {
            if stuck || t >= right || t <= left {
                t = if (t - right).abs() < (t - left).abs() { right - margin } else { left + margin };
                stuck = false;
            } else {
                stuck = true;
            }
        } else {
            stuck = false;
        }
        let new = at(t)?;
        evaluations += 1;
        rounds += 1;
        if too_high(&new) || new.loss >= bracket[low].loss {
            bracket[1 - low] = new;
            low = lower(&bracket);
            continue;
        }
        let done = flat(&new);
        if !done && new.slope * (bracket[1 - low].t - bracket[low].t) >= 0.0 {
            bracket[1 - low] = bracket[low].clone();
        }
        bracket[low] = new;
        if done {
            break;
        }
    }
    let [a, b] = bracket;
    Ok((if low == 0 { a } else { b }, evaluations))
}

fn vector(values: &[f64]) -> State {
    State::Tensor(Tensor::from_vec(values.to_vec(), values.len()))
}

impl Stateful for Lbfgs {
    fn state(&self) -> State {
        let m = &self.memory;
        let all = |f: fn(&Pair) -> &[f64]| m.pairs.iter().map(|p| vector(f(p))).collect::<Vec<State>>();
        State::map()
            .with("optimizer", "LBFGS")
            .with("func_evals", m.evaluations)
            .with("n_iter", m.iterations)
            .with("d", vector(&m.direction))
            .with("t", m.t)
            .with("old_dirs", all(|p| &p.change))
            .with("old_stps", all(|p| &p.step))
            .with("H_diag", m.scale)
            .with("prev_flat_grad", vector(&m.gradient))
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let read = |s: &State| s.as_tensor()?.try_to_vec::<f64>();
        let all = |s: &State| s.as_list()?.iter().map(read).collect::<Result<Vec<_>>>();
        let (changes, steps) = (state.read("old_dirs", all)?, state.read("old_stps", all)?);
        let memory = Memory {
            evaluations: state.read("func_evals", State::as_usize)?,
            iterations: state.read("n_iter", State::as_usize)?,
            direction: state.read("d", read)?,
            t: state.read("t", State::as_f64)?,
            scale: state.read("H_diag", State::as_f64)?,
            gradient: state.read("prev_flat_grad", read)?,
            pairs: changes
                .into_iter()
                .zip(steps)
                .map(|(change, step)| Pair { rho: 1.0 / dot(&change, &step), change, step })
                .collect(),
        };
        let n: usize = self.params.iter().map(Tensor::numel).sum();
        let vectors = memory.pairs.iter().flat_map(|p| [&p.step, &p.change]);
        let started = [&memory.direction, &memory.gradient].into_iter().filter(|_| memory.iterations > 0);
        if let Some(bad) = vectors.chain(started).find(|v| v.len() != n) {
            return Err(Error::value(format!("the state is for {} elements, but the parameters have {n}", bad.len())));
        }
        self.memory = memory;
        Ok(())
    }
}

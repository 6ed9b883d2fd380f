//! Initialisation of parameters, in place and without recording, from the default generator: the same seed gives the same values as
//! `torch.nn.init`.
//!
//! Source: <https://docs.pytorch.org/docs/stable/nn.init.html>

use crate::ops;
use crate::{DType, Element, Error, Generator, Result, Scalar, Tensor, UnOp, no_grad};
use rushlight_kernels::dispatch;

/// Which side's size keeps its variance: that of the activations on the way forward, or of the gradients on the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fan {
    /// Number of inputs.
    #[default]
    In,
    /// Number of outputs.
    Out,
}

/// What follows a layer, as far as its weights' scale must know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// None, or a convolution or linear layer.
    Linear,
    /// The logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(0, x)`.
    ReLU,
    /// With this slope for negative numbers (PyTorch's `a`; 0.01 in `calculate_gain`, 0 in `kaiming_*`).
    LeakyReLU(f64),
    /// Scaled exponential unit.
    SELU,
}

/// The factor by which a nonlinearity wants its inputs' deviation larger.
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::ReLU => 2f64.sqrt(),
        Nonlinearity::LeakyReLU(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::SELU => 0.75,
    }
}

/// Numbers of inputs and outputs of one element of the result, for a weight `[out, in, kernel…]`.
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn fans(tensor: &Tensor) -> Result<(usize, usize)> {
    match tensor.shape().as_slice() {
        [outputs, inputs, kernel @ ..] => {
            let field: usize = kernel.iter().product();
            Ok((inputs * field, outputs * field))
        }
        shape => Err(Error::value(format!(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions; got shape {shape:?}"
        ))),
    }
}

/// Fills with numbers drawn evenly from `[low, high)`.
///
/// # Errors
/// If the tensor is not of a floating type (so for all functions here), or `low > high`.
pub fn uniform_(tensor: &Tensor, low: f64, high: f64) -> Result<()> {
    let _guard = no_grad();
    ops::uniform_(tensor, low, high, None).map(|_| ())
}

/// Fills with normal numbers.
///
/// # Errors
/// If `std` is negative.
pub fn normal_(tensor: &Tensor, mean: f64, std: f64) -> Result<()> {
    let _guard = no_grad();
    ops::normal_(tensor, mean, std, None).map(|_| ())
}

/// Fills with one number.
///
/// # Errors
/// If the number does not fit the dtype.
pub fn constant_(tensor: &Tensor, value: impl Into<Scalar>) -> Result<()> {
    let _guard = no_grad();
    ops::fill_(tensor, value.into()).map(|_| ())
}

/// Fills with ones.
///
/// # Errors
/// If the tensor may not be written.
pub fn ones_(tensor: &Tensor) -> Result<()> {
    constant_(tensor, 1i64)
}

/// Fills with zeros.
///
/// # Errors
/// If the tensor may not be written.
pub fn zeros_(tensor: &Tensor) -> Result<()> {
    constant_(tensor, 0i64)
}

/// Writes numbers, rounded to the tensor's dtype.
fn write(tensor: &Tensor, values: Vec<f64>) -> Result<()> {
    let _guard = no_grad();
    ops::copy_(tensor, &Tensor::try_from_vec(values, tensor.shape())?, false).map(|_| ())
}

/// Makes a matrix the identity, as far as it goes.
///
/// # Errors
/// If the tensor is not a matrix.
pub fn eye_(tensor: &Tensor) -> Result<()> {
    let &[rows, cols] = tensor.shape().as_slice() else {
        return Err(Error::value(format!(
            "Only tensors with 2 dimensions are supported; got shape {:?}",
            tensor.shape().as_slice()
        )));
    };
    let mut values = vec![0.0; rows * cols];
    (0..rows.min(cols)).for_each(|i| values[i * cols + i] = 1.0);
    write(tensor, values)
}

/// Makes the weight of a convolution pass its input channels on, group by group.
///
/// # Errors
/// If the tensor has not 3, 4 or 5 dimensions, or dimension 0 cannot be divided by `groups`.
pub fn dirac_(tensor: &Tensor, groups: usize) -> Result<()> {
    let shape = tensor.shape();
    let &[outputs, inputs, ref kernel @ ..] = shape.as_slice() else { return Err(no_kernel(&shape)) };
    if !(1..=3).contains(&kernel.len()) {
        return Err(no_kernel(&shape));
    }
    if groups == 0 || !outputs.is_multiple_of(groups) {
        return Err(Error::value(format!(
            "dim 0 must be divisible by groups; got shape {:?} and groups {groups}",
            shape.as_slice()
        )));
    }
    let (field, per_group) = (kernel.iter().product::<usize>(), outputs / groups);
    let centre = kernel.iter().fold(0, |at, &k| at * k + k / 2);
    let mut values = vec![0.0; outputs * inputs * field];
    if field > 0 {
        for g in 0..groups {
            for d in 0..per_group.min(inputs) {
                values[((g * per_group + d) * inputs + d) * field + centre] = 1.0;
            }
        }
    }
    write(tensor, values)
}

#[cold]
fn no_kernel(shape: &[usize]) -> Error {
    Error::value(format!("Only tensors with 3, 4, or 5 dimensions are supported; got shape {shape:?}"))
}

/// The deviation with which activations and gradients keep theirs, on average.
fn xavier(tensor: &Tensor, gain: f64) -> Result<f64> {
    let (inputs, outputs) = fans(tensor)?;
    Ok(gain * (2.0 / (inputs + outputs) as f64).sqrt())
}

/// Draws evenly, with the deviation of Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
/// (2010).
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn xavier_uniform_(tensor: &Tensor, gain: f64) -> Result<()> {
    let bound = 3f64.sqrt() * xavier(tensor, gain)?;
    uniform_(tensor, -bound, bound)
}

/// As [`xavier_uniform_`], normally.
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn xavier_normal_(tensor: &Tensor, gain: f64) -> Result<()> {
    normal_(tensor, 0.0, xavier(tensor, gain)?)
}

fn kaiming(tensor: &Tensor, fan: Fan, nonlinearity: Nonlinearity) -> Result<f64> {
    let (inputs, outputs) = fans(tensor)?;
    let fan = if fan == Fan::In { inputs } else { outputs };
    Ok(calculate_gain(nonlinearity) / (fan as f64).sqrt())
}

/// Draws evenly, with the deviation of He et al., "Delving deep into rectifiers" (2015). An empty tensor is left alone.
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn kaiming_uniform_(tensor: &Tensor, fan: Fan, nonlinearity: Nonlinearity) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    let bound = 3f64.sqrt() * kaiming(tensor, fan, nonlinearity)?;
    uniform_(tensor, -bound, bound)
}

/// As [`kaiming_uniform_`], normally.
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn kaiming_normal_(tensor: &Tensor, fan: Fan, nonlinearity: Nonlinearity) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    normal_(tensor, 0.0, kaiming(tensor, fan, nonlinearity)?)
}

/// `x` rounded to `dtype`.
fn rounded(x: f64, dtype: DType) -> f64 {
    dispatch!(dtype, T => Scalar::Float(x).to::<T>().to_scalar().to_f64())
}

/// Fills with normal numbers, drawn again until they lie in `[low, high]`.
///
/// Where the interval holds little of the mass, even draws are accepted in proportion to the density instead.
///
/// # Errors
/// If the interval is empty or `std` is not positive: nothing could ever be accepted.
pub fn trunc_normal_(tensor: &Tensor, mean: f64, std: f64, low: f64, high: f64) -> Result<()> {
    if !(std > 0.0 && low < high) {
        return Err(Error::value(format!(
            "trunc_normal_ needs std > 0 and low < high, but got std={std}, low={low}, high={high}"
        )));
    }
    let below = |x: f64| -> Result<f64> {
        let erf = ops::unary(UnOp::Erf, &Tensor::scalar((x - mean) / std / 2f64.sqrt()))?;
        Ok((1.0 + erf.try_item::<f64>()?) / 2.0)
    };
    let dtype = tensor.dtype();
    let fresh = ops::zeros_like(&tensor.detach(), None)?;
    let normals = || normal_(&fresh, mean, std).map(|()| fresh.to_f64_vec());
    let evens = |low, high| uniform_(&fresh, low, high).map(|()| fresh.to_f64_vec());
    let mut values;
    if below(high)? - below(low)? > 0.3 {
        let (lo, hi) = (rounded(low, dtype), rounded(high, dtype));
        let outside = |x: &f64| *x < lo || *x > hi;
        values = normals()?;
        while values.iter().any(outside) {
            let again = normals()?;
            values.iter_mut().zip(again).filter(|(v, _)| outside(v)).for_each(|(v, a)| *v = a);
        }
    } else {
        let round = |x: f64| rounded(x, dtype);
        let peak = -0.5 * ((low.max(mean.min(high)) - mean) / std).powi(2);
        // Rounded after every step, as PyTorch's sequence of in-place ops does.
        let density = |x: f64| {
            let z = round(round(x - round(mean)) / round(std));
            round(round(round(z * z) * -0.5) - round(peak))
        };
        values = evens(low, high)?;
        let mut pending = vec![true; values.len()];
        let mut candidates = values.clone();
        loop {
            let accept = evens(0.0, 1.0)?;
            for i in 0..values.len() {
                pending[i] = pending[i] && round(accept[i].ln()) > density(candidates[i]);
            }
            if !pending.contains(&true) {
                break;
            }
            candidates = evens(low, high)?;
            for i in (0..values.len()).filter(|&i| pending[i]) {
                values[i] = candidates[i];
            }
        }
    }
    write(tensor, values)
}

/// Fills with `gain` times a random orthogonal matrix (trailing dimensions count as one), evenly distributed: Saxe et al., "Exact
/// solutions to the nonlinear dynamics of learning in deep linear neural networks" (2013).
///
/// # Errors
/// If the tensor has fewer than two dimensions.
pub fn orthogonal_(tensor: &Tensor, gain: f64) -> Result<()> {
    let shape = tensor.shape();
    if shape.len() < 2 {
        return Err(Error::value(format!(
            "Only tensors with 2 or more dimensions are supported; got shape {:?}",
            shape.as_slice()
        )));
    }
    if tensor.numel() == 0 {
        return Ok(());
    }
    let (rows, cols) = (shape[0], tensor.numel() / shape[0]);
    let flat = ops::zeros(&[rows as i64, cols as i64], Some(tensor.dtype()))?;
    normal_(&flat, 0.0, 1.0)?;
    let values = flat.to_f64_vec();
    let (long, short) = (rows.max(cols), rows.min(cols));
    let at = |i: usize, j: usize| if rows < cols { j * cols + i } else { i * cols + j };
    let mut columns: Vec<Vec<f64>> = (0..short).map(|j| (0..long).map(|i| values[at(i, j)]).collect()).collect();
    orthonormalise(&mut columns);
    let mut result = vec![0.0; rows * cols];
    for (j, column) in columns.iter().enumerate() {
        for (i, &q) in column.iter().enumerate() {
            result[at(i, j)] = rounded(q, tensor.dtype()) * gain;
        }
    }
    write(tensor, result)
}

/// The Q of a QR factorisation whose R has a positive diagonal, which makes it unique: by Gram and Schmidt, twice, because once is not
/// accurate enough where columns are nearly dependent.
fn orthonormalise(columns: &mut [Vec<f64>]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    for j in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(j);
        let column = &mut rest[0];
        for _ in 0..2 {
            for q in done.iter() {
                let part = dot(q, column);
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= part * q);
            }
        }
        let norm = dot(column, column).sqrt();
        column.iter_mut().for_each(|c| *c /= norm);
    }
}

/// Fills a matrix with normal numbers, and `sparsity` of each column with zeros: Martens, "Deep learning via Hessian-free optimization"
/// (2010).
///
/// # Errors
/// If the tensor is not a matrix, or `sparsity` not in [0, 1].
pub fn sparse_(tensor: &Tensor, sparsity: f64, std: f64) -> Result<()> {
    let &[rows, cols] = tensor.shape().as_slice() else {
        return Err(Error::value(format!(
            "Only tensors with 2 dimensions are supported; got shape {:?}",
            tensor.shape().as_slice()
        )));
    };
    if !(0.0..=1.0).contains(&sparsity) {
        return Err(Error::value(format!("sparsity should be in [0, 1], but got {sparsity}")));
    }
    normal_(tensor, 0.0, std)?;
    let mut values = tensor.to_f64_vec();
    let zeros = (sparsity * rows as f64).ceil() as usize;
    for col in 0..cols {
        for &row in &Generator::default_cpu().permutation(rows)[..zeros] {
            values[row as usize * cols + col] = 0.0;
        }
    }
    write(tensor, values)
}

//! Variances and norms.

use super::*;
use crate::autograd::{self, grad_fn, grad_fn_many, no_grad};
use rushlight_kernels::backend::{KernelId, ReduceOp};

ops![
    var,
    var_unbiased,
    std_,
    std_unbiased,
    var_mean,
    var_mean_unbiased,
    std_mean,
    std_mean_unbiased,
    vector_norm,
    norm,
    norm_name,
    dist
];

const ONE: Scalar = Scalar::Int(1);

/// What a variance is taken over, and how.
struct Spread {
    over: Dims,
    correction: f64,
    keepdim: bool,
}

impl Spread {
    fn new(
        names: &str,
        x: &Tensor,
        dim: Option<&[i64]>,
        unbiased: bool,
        correction: Option<Scalar>,
        keepdim: bool,
    ) -> Result<Spread> {
        if !x.dtype().is_float() {
            return Err(Error::not_implemented(format!("{names} only support floating point and complex dtypes")));
        }
        let correction = correction.map_or(if unbiased { 1.0 } else { 0.0 }, |c| c.to_f64());
        Ok(Spread { over: dims(dim, x.rank())?, correction, keepdim })
    }
    /// Variance and mean, without history.
    fn moments(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let (shape, rank) = (x.shape(), x.rank());
        let kept: Dims = (0..rank).filter(|d| !self.over.contains(d)).collect();
        let result: Dims = match self.keepdim {
            true => (0..rank).map(|d| if self.over.contains(&d) { 1 } else { shape[d] }).collect(),
            false => kept.iter().map(|&d| shape[d]).collect(),
        };
        let rows: Dims = kept.iter().map(|&d| shape[d]).collect();
        let order: Dims = kept.iter().chain(&self.over).copied().collect();
        let mut data = x.data();
        data.layout = data.layout.permute(&order);
        // The kernel finds the rows by their number, so a dimension in front of everything stands for "one row".
        data.layout = data.layout.unsqueeze(0);
        let (layout, wide) = (Layout::contiguous(&rows), x.dtype());
        let mut done = None;
        let outs = storage::compute_many(&[(layout.clone(), wide), (layout, wide)], &[data], |ins, outs| {
            done = backend().custom(KernelId::Moments { correction: self.correction }, ins, outs)?;
            Ok(())
        })?;
        let relaid = |d: &Data| Tensor::from_data(d.with_layout(Layout::contiguous(&result)));
        if done.is_some() {
            return Ok([relaid(&outs[1]), relaid(&outs[0])]);
        }
        let _guard = no_grad();
        let all: SmallVec<[i64; 6]> = self.over.iter().map(|&d| d as i64).collect();
        let sum = |x: &Tensor, keepdim: bool| if all.is_empty() { Ok(x.clone()) } else { sum_dim(x, Some(&all), keepdim, None) };
        let x = to_dtype(x, x.dtype().compute())?;
        let mean = div(&sum(&x, true)?, &num(self.count(&shape)), None)?;
        let squares = square(&sub(&x, &mean, ONE)?)?;
        let var = div(&sum(&squares, self.keepdim)?, &num((self.count(&shape) - self.correction).max(0.0)), None)?;
        Ok([to_dtype(&var, wide)?, to_dtype(&reshape(&mean, &as_i64(&result))?, wide)?])
    }
    fn count(&self, shape: &[usize]) -> f64 {
        self.over.iter().map(|&d| shape[d] as f64).product()
    }
    /// The gradient of x from the variance's: `2 g (x - mean) / (n - correction)`.
    fn var_grad(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        let all: SmallVec<[i64; 6]> = self.over.iter().map(|&d| d as i64).collect();
        let mean = if all.is_empty() { x.clone() } else { mean_dim(x, Some(&all), true, None)? };
        let factor = 2.0 / (self.count(&x.shape()) - self.correction).max(0.0);
        mul(&mul(&restore(g, &self.over, self.keepdim)?, &num(factor))?, &sub(x, &mean, ONE)?)
    }
    /// The gradient of x from the mean's.
    fn mean_grad(&self, g: &Tensor, shape: &[usize]) -> Result<Tensor> {
        expand_to(&restore(&div(g, &num(self.count(shape)), None)?, &self.over, self.keepdim)?, shape)
    }
    /// The variance's gradient from the standard deviation's; none where nothing varies.
    fn std_grad(g: &Tensor, std: &Tensor) -> Result<Tensor> {
        let flat = eq(&std.detach(), &num(0i64))?;
        let safe = where_(&flat, &num(1i64), std)?;
        where_(&flat, &num(0i64), &div(g, &mul(&safe, &num(2i64))?, None)?)
    }
    /// The variance, or its root.
    fn one(self, x: &Tensor, root: bool) -> Result<Tensor> {
        let [var, _] = self.moments(x)?;
        let y = if root { unary(UnOp::Sqrt, &var)? } else { var };
        y.with_grad([x], |s| {
            let (sx, sy) = (s.input(x), root.then(|| s.output()));
            grad_fn(move |c, g| {
                let g = match &sy {
                    Some(std) => Spread::std_grad(g, &std.get(c)?)?,
                    None => g.clone(),
                };
                Ok([Some(self.var_grad(&g, &sx.get(c)?)?)])
            })
        })
    }
    /// The variance, or its root, and the mean.
    fn both(self, x: &Tensor, root: bool) -> Result<(Tensor, Tensor)> {
        let [var, mean] = self.moments(x)?;
        let outs = [if root { unary(UnOp::Sqrt, &var)? } else { var }, mean];
        autograd::record(&outs, &[x], |s| {
            let (sx, sy) = (s.input(x), root.then(|| s.output_at(0)));
            grad_fn_many(move |c, g| {
                let x = sx.get(c)?;
                let spread = match (&g[0], &sy) {
                    (Some(g), Some(std)) => Some(self.var_grad(&Spread::std_grad(g, &std.get(c)?)?, &x)?),
                    (Some(g), None) => Some(self.var_grad(g, &x)?),
                    _ => None,
                };
                let shift = g[1].as_ref().map(|g| self.mean_grad(g, &x.shape())).transpose()?;
                Ok([match (spread, shift) {
                    (Some(a), Some(b)) => Some(add(&a, &b, ONE)?),
                    (a, b) => a.or(b),
                }])
            })
        })?;
        let [first, mean] = outs;
        Ok((first, mean))
    }
}

/// Returns the variance over `dim` (all dimensions for None). The divisor is the number of elements less `correction`, which is one if
/// `unbiased` and zero otherwise unless it is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.var.html>
#[op("(input, dim=None, unbiased=True, keepdim=False, *, correction=None)", float_only,
    samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], keepdim=True", "T(3, 4), 0, correction=0", "T(4), correction=1.5", "T(3, 4), 1, False, True"],
    errors = [("I(3)", "std and var only support floating point and complex dtypes"), ("T(3), 5", "Dimension out of range"),
        ("T(3, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn var(x: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool, correction: Option<Scalar>) -> Result<Tensor> {
    Spread::new("std and var", x, dim, unbiased, correction, keepdim)?.one(x, false)
}

/// Returns the variance of all elements; the divisor is the number of elements, less one if `unbiased`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.var.html>
#[op("(input, unbiased)", overload = "unbiased", float_only, samples = ["T(3, 4), False", "T(5), True"],
    errors = [("I(3), True", "std and var only support floating point and complex dtypes")])]
pub fn var_unbiased(x: &Tensor, unbiased: bool) -> Result<Tensor> {
    Spread::new("std and var", x, None, unbiased, None, false)?.one(x, false)
}

/// Returns the standard deviation over `dim` (all dimensions for None). The divisor is the number of elements less `correction`, which is one if
/// `unbiased` and zero otherwise unless it is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.std.html>
#[op("(input, dim=None, unbiased=True, keepdim=False, *, correction=None)", name = "std", rust = "std", float_only,
    samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], keepdim=True", "T(3, 4), 0, correction=0", "T(4), correction=1.5", "T(3, 4), 1, False, True"],
    errors = [("I(3)", "std and var only support floating point and complex dtypes"), ("T(3), 5", "Dimension out of range"),
        ("T(3, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn std_(x: &Tensor, dim: Option<&[i64]>, unbiased: bool, keepdim: bool, correction: Option<Scalar>) -> Result<Tensor> {
    Spread::new("std and var", x, dim, unbiased, correction, keepdim)?.one(x, true)
}

/// Returns the standard deviation of all elements; the divisor is the number of elements, less one if `unbiased`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.std.html>
#[op("(input, unbiased)", name = "std", overload = "unbiased", float_only, samples = ["T(3, 4), False", "T(5), True"],
    errors = [("I(3), True", "std and var only support floating point and complex dtypes")])]
pub fn std_unbiased(x: &Tensor, unbiased: bool) -> Result<Tensor> {
    Spread::new("std and var", x, None, unbiased, None, false)?.one(x, true)
}

/// Returns the variance and the mean over `dim` (all dimensions for None). The divisor is the number of elements less `correction`, which is one if
/// `unbiased` and zero otherwise unless it is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.var_mean.html>
#[op("(input, dim=None, unbiased=True, keepdim=False, *, correction=None)", float_only, function,
    samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], keepdim=True", "T(3, 4), 0, correction=0", "T(4), correction=1.5", "T(3, 4), 1, False, True"],
    errors = [("I(3)", "var_mean only support floating point and complex dtypes"), ("T(3), 5", "Dimension out of range"),
        ("T(3, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn var_mean(
    x: &Tensor,
    dim: Option<&[i64]>,
    unbiased: bool,
    keepdim: bool,
    correction: Option<Scalar>,
) -> Result<(Tensor, Tensor)> {
    Spread::new("var_mean", x, dim, unbiased, correction, keepdim)?.both(x, false)
}

/// Returns the variance and the mean of all elements; the divisor is the number of elements, less one if `unbiased`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.var_mean.html>
#[op("(input, unbiased)", overload = "unbiased", float_only, function, samples = ["T(3, 4), False", "T(5), True"],
    errors = [("I(3), True", "var_mean only support floating point and complex dtypes")])]
pub fn var_mean_unbiased(x: &Tensor, unbiased: bool) -> Result<(Tensor, Tensor)> {
    Spread::new("var_mean", x, None, unbiased, None, false)?.both(x, false)
}

/// Returns the standard deviation and the mean over `dim` (all dimensions for None). The divisor is the number of elements less `correction`, which is one if
/// `unbiased` and zero otherwise unless it is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.std_mean.html>
#[op("(input, dim=None, unbiased=True, keepdim=False, *, correction=None)", float_only, function,
    samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], keepdim=True", "T(3, 4), 0, correction=0", "T(4), correction=1.5", "T(3, 4), 1, False, True"],
    errors = [("I(3)", "std_mean only support floating point and complex dtypes"), ("T(3), 5", "Dimension out of range"),
        ("T(3, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn std_mean(
    x: &Tensor,
    dim: Option<&[i64]>,
    unbiased: bool,
    keepdim: bool,
    correction: Option<Scalar>,
) -> Result<(Tensor, Tensor)> {
    Spread::new("std_mean", x, dim, unbiased, correction, keepdim)?.both(x, true)
}

/// Returns the standard deviation and the mean of all elements; the divisor is the number of elements, less one if `unbiased`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.std_mean.html>
#[op("(input, unbiased)", overload = "unbiased", float_only, function, samples = ["T(3, 4), False", "T(5), True"],
    errors = [("I(3), True", "std_mean only support floating point and complex dtypes")])]
pub fn std_mean_unbiased(x: &Tensor, unbiased: bool) -> Result<(Tensor, Tensor)> {
    Spread::new("std_mean", x, None, unbiased, None, false)?.both(x, true)
}

/// How the `ord`-norm of a vector is put together and taken apart.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// The number of elements that are not zero.
    Count,
    One,
    Two,
    Largest,
    Smallest,
    Other(f64),
}

impl Order {
    fn of(p: f64) -> Order {
        match p {
            0.0 => Order::Count,
            1.0 => Order::One,
            2.0 => Order::Two,
            f64::INFINITY => Order::Largest,
            f64::NEG_INFINITY => Order::Smallest,
            p => Order::Other(p),
        }
    }
    /// The norm over `over`, without history.
    fn value(self, x: &Tensor, over: &[usize], keepdim: bool) -> Result<Tensor> {
        let _guard = no_grad();
        let fold = |op: ReduceOp, x: &Tensor| reduce(op, x, over, keepdim, x.dtype());
        match self {
            Order::Count => fold(ReduceOp::Sum, &to_dtype(&ne(x, &num(0i64))?, x.dtype())?),
            Order::One => fold(ReduceOp::Sum, &abs(x)?),
            Order::Two => sqrt(&fold(ReduceOp::SumOfSquares, x)?),
            Order::Largest => fold(ReduceOp::Max, &abs(x)?),
            Order::Smallest => fold(ReduceOp::Min, &abs(x)?),
            Order::Other(p) => pow(&fold(ReduceOp::Sum, &pow(&abs(x)?, &num(p))?)?, &num(1.0 / p)),
        }
    }
    /// The gradient of `x` from that of its norm `y`; both have the reduced dimensions, as size one.
    fn gradient(self, g: &Tensor, x: &Tensor, y: &Tensor, over: &[usize]) -> Result<Tensor> {
        // A factor where it is not multiplied by zero: the subgradient at zero is zero.
        let unless_zero = |at: &Tensor, value: &dyn Fn(&Tensor) -> Result<Tensor>| -> Result<Tensor> {
            let zero = eq(&at.detach(), &num(0i64))?;
            where_(&zero, &num(0i64), &value(&where_(&zero, &num(1i64), at)?)?)
        };
        match self {
            Order::Count => zeros_like(x, None),
            Order::One => mul(&sign(x)?, g),
            Order::Two => mul(x, &unless_zero(y, &|y| div(g, y, None))?),
            Order::Largest | Order::Smallest => {
                let ties = eq(&abs(&x.detach())?, &y.detach())?;
                let all: SmallVec<[i64; 6]> = over.iter().map(|&d| d as i64).collect();
                let count =
                    if all.is_empty() { ones_like(&ties, Some(DType::I64))? } else { sum_dim(&ties, Some(&all), true, None)? };
                mul(&mul(&sign(x)?, &ties)?, &div(g, &count, None)?)
            }
            Order::Other(p) => {
                let slope = unless_zero(x, &|x| mul(&sign(x)?, &pow(&abs(x)?, &num(p - 1.0))?))?;
                mul(&slope, &unless_zero(y, &|y| mul(g, &pow(y, &num(1.0 - p))?))?)
            }
        }
    }
}

/// Returns the `ord`-norm of `input` as a vector over `dim` (all dimensions for None): `sum(|x|^ord)^(1/ord)`, the largest `|x|` for inf, the
/// smallest for -inf, the number of non-zero elements for 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html>
#[op("(x, ord=2, dim=None, keepdim=False, *, dtype=None)", float_only, function,
    samples = ["T(3, 4)", "T(3, 4), 1, 1", "T(2, 3, 2), 3, [0, 2], True", "T(3, 4), inf, 1", "T(3, 4), -inf, 0", "T(3, 4), 0", "T(3), 0.5", "T()", "T(0, 2)",
        "T(3), dtype=float64"],
    errors = [("I(3)", "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long"), ("T(3), 2, 5", "Dimension out of range"),
        ("T(0), inf", "linalg.vector_norm cannot compute the inf norm on an empty tensor because the operation does not have an identity"),
        ("T(3), dtype=int64", "linalg.vector_norm: dtype should be floating point or complex, but got Long"),
        ("T(3, dtype=float64), dtype=float32", "the dtype of the input (Double) should be convertible without narrowing to the specified dtype (Float)")])]
pub fn vector_norm(x: &Tensor, ord: Scalar, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::not_implemented(format!(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got {}",
            x.dtype().scalar_type_name()
        )));
    }
    if let Some(d) = dtype.filter(|d| !d.is_float()) {
        return Err(Error::runtime(format!(
            "linalg.vector_norm: dtype should be floating point or complex, but got {}",
            d.scalar_type_name()
        )));
    }
    if let Some(d) = dtype.filter(|&d| x.dtype().promote(d) != d) {
        return Err(Error::runtime(format!(
            "linalg.vector_norm: the dtype of the input ({}) should be convertible without narrowing to the specified dtype ({})",
            x.dtype().scalar_type_name(),
            d.scalar_type_name()
        )));
    }
    let over = dims(dim, x.rank())?;
    let p = ord.to_f64();
    if (p < 0.0 || p == f64::INFINITY) && over.iter().any(|&d| x.shape()[d] == 0) {
        return Err(Error::runtime(format!(
            "linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does not have an identity; its shape is {:?}",
            x.shape()
        )));
    }
    let result = dtype.unwrap_or(x.dtype());
    // Half precision computes in float32: the squares of what it holds overflow it.
    let x = &to_dtype(x, result.compute())?;
    let order = Order::of(p);
    let y = order.value(x, &over, keepdim)?.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let (g, y) = (restore(g, &over, keepdim)?, restore(&sy.get(c)?, &over, keepdim)?);
            Ok([Some(order.gradient(&g, &sx.get(c)?, &y, &over)?)])
        })
    })?;
    to_dtype(&y, result)
}

/// Returns the `p`-norm of `input` as a vector over `dim`; the 2-norm for None.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.norm.html>
#[op("(input, p=2, dim=None, keepdim=False, *, dtype=None)", float_only,
    samples = ["T(3, 4)", "T(3, 4), 1, 1", "T(3, 4), inf", "T(3, 4), None, 1, True", "T(3), p=3"],
    errors = [("I(3)", "Expected a floating point or complex tensor as input. Got Long"), ("T(3), 2, 5", "Dimension out of range")])]
pub fn norm(x: &Tensor, p: Option<Scalar>, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    vector_norm(x, p.unwrap_or(Scalar::Int(2)), dim, keepdim, dtype)
}

/// Returns the norm called `p` over `dim`: 'fro', the root of the sum of squares, or 'nuc', the sum of the singular values of matrices.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.norm.html>
#[op("(input, p, dim=None, keepdim=False, *, dtype=None)", overload = "name", float_only,
    samples = ["T(3, 4), 'fro'", "T(3, 4), 'fro', 1, True", "T(3, 4, dtype=float64), 'nuc'", "T(3, 2, 2, dtype=float64), 'nuc', [0, 2], True", "T(3, 2, 2, dtype=float64), 'nuc', [2, 1]"],
    errors = [("T(3), 'nuc'", "linalg.matrix_norm: "), ("T(3), 'foo'", "Order foo not supported")])]
pub fn norm_name(x: &Tensor, p: &str, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    match p {
        "fro" => vector_norm(x, Scalar::Int(2), dim, keepdim, dtype),
        "nuc" => nuclear(&to_dtype(x, dtype.unwrap_or(x.dtype()))?, dim, keepdim),
        _ => Err(Error::runtime(format!("linalg.matrix_norm: Order {p} not supported."))),
    }
}

/// The sums of the singular values of the matrices that the two dimensions `dim` make; of a matrix, its own.
fn nuclear(x: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
    let given = match dim {
        None if x.rank() == 2 => &[0, 1],
        Some(pair) if pair.len() == 2 => pair,
        _ => {
            return Err(Error::runtime(format!(
                "linalg.matrix_norm: dim must be a 2-tuple, but got {dim:?} for an input of shape {:?}",
                x.shape().as_slice()
            )));
        }
    };
    let over = dims(Some(given), x.rank())?;
    let y = sum_dim(&linalg_svdvals(&movedim(x, given, &[-2, -1])?, None)?, Some(&[-1]), false, None)?;
    if keepdim { restore(&y, &over, false) } else { Ok(y) }
}

/// Returns the `p`-norm of `input - other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.dist.html>
#[op("(input, other, p=2)", float_only, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), 1", "T(3), T(3), inf", "T(), T()"], errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn dist(x: &Tensor, other: &Tensor, p: Scalar) -> Result<Tensor> {
    vector_norm(&sub(x, other, ONE)?, p, None, false, None)
}

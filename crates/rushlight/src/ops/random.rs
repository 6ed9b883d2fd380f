//! Random numbers: the same seed gives the same numbers as PyTorch's CPU generator.

use super::*;
use crate::Generator;
use crate::autograd::{grad_fn, inplace};
use crate::error::or_panic;
use crate::op::AsInts;
use rushlight_kernels::backend::RandomOp;

ops![
    rand,
    randn,
    randint,
    randint_low,
    randperm,
    rand_like,
    randn_like,
    randint_like,
    randint_like_low,
    normal,
    normal_mean,
    normal_std,
    normal_numbers,
    bernoulli,
    bernoulli_p,
    multinomial,
    uniform_,
    normal_,
    exponential_,
    bernoulli_,
    bernoulli_tensor_,
    random_,
    random_to_,
    random_range_
];

fn or_default(generator: Option<&Generator>) -> Generator {
    generator.cloned().unwrap_or_else(Generator::default_cpu)
}

fn float_or_default(dtype: Option<DType>) -> DType {
    dtype.unwrap_or_else(promote::default_dtype)
}

/// A fresh tensor of draws.
fn drawn(op: RandomOp, shape: &[usize], dtype: DType, generator: Option<&Generator>) -> Result<Tensor> {
    if dtype == DType::Bool {
        // The kernel walks over bools as values, which fresh memory need not hold.
        return draw_into(op, &filled(shape, Scalar::Int(0), dtype)?, generator);
    }
    let generator = or_default(generator);
    storage::compute(Layout::contiguous(shape), dtype, &[], |_, out| backend().random(op, &mut generator.lock(), out))
        .map(Tensor::from_data)
}

/// Draws in place of the elements of `x`.
fn draw_into(op: RandomOp, x: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    let generator = or_default(generator);
    inplace::fill(x, |out| backend().random(op, &mut generator.lock(), out))?;
    Ok(x.clone())
}

// ---- new tensors ----------------------------------------------------------------------------------------------------------------

/// Returns numbers drawn uniformly from `[0, 1)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.rand.html>
#[op("(size, *, generator=None, dtype=None)", any, nondiff, random, function, samples = ["[2, 3]", "[]", "[0, 2]", "[20], dtype=float64"],
    errors = [("[-1]", "Trying to create tensor with negative dimension -1: [-1]"), ("[2], dtype=int64", "not implemented for 'Long'")])]
pub fn rand(size: &[i64], generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    drawn(RandomOp::Uniform { low: 0.0, high: 1.0 }, &crate::tensor::sizes(size)?, float_or_default(dtype), generator)
}

/// Returns numbers drawn from the standard normal distribution.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randn.html>
#[op("(size, *, generator=None, dtype=None)", any, nondiff, random, function, samples = ["[2, 3]", "[]", "[0, 2]", "[20], dtype=float64"],
    errors = [("[-1]", "Trying to create tensor with negative dimension -1: [-1]"), ("[2], dtype=int64", "not implemented for 'Long'")])]
pub fn randn(size: &[i64], generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    drawn(RandomOp::Normal { mean: 0.0, std: 1.0 }, &crate::tensor::sizes(size)?, float_or_default(dtype), generator)
}

/// Returns integers drawn uniformly from `[0, high)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randint.html>
#[op("(high, size, *, generator=None, dtype=None)", any, nondiff, random, function, samples = ["10, [2, 3]", "3, []", "5, [0, 2]", "9, [4], dtype=float32"],
    errors = [("0, [2]", "random_ expects 'from' to be less than 'to', but got from=0 >= to=0"), ("5, [-1]", "negative dimension -1")])]
pub fn randint(high: i64, size: &[i64], generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    randint_low(0, high, size, generator, dtype)
}

/// Returns integers drawn uniformly from `[low, high)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randint.html>
#[op("(low, high, size, *, generator=None, dtype=None)", overload = "low", any, nondiff, random, function,
    samples = ["-3, 10, [2, 3]", "2, 3, []", "0, 256, [4], dtype=uint8"],
    errors = [("3, 3, [2]", "random_ expects 'from' to be less than 'to', but got from=3 >= to=3"),
        ("0, 257, [2], dtype=uint8", "to - 1 is out of bounds for unsigned char"), ("-1, 5, [2], dtype=uint8", "from is out of bounds for unsigned char")])]
pub fn randint_low(low: i64, high: i64, size: &[i64], generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(DType::I64);
    check_range(low, high, dtype)?;
    drawn(RandomOp::RandInt { low, high }, &crate::tensor::sizes(size)?, dtype, generator)
}

/// The largest integer up to which a dtype holds every integer, C++'s name of it, and whether it is unsigned.
fn integer_range(dtype: DType) -> (i64, i64, &'static str) {
    match dtype {
        DType::Bool => (0, 1, "bool"),
        DType::U8 => (0, 255, "unsigned char"),
        DType::I8 => (i8::MIN as i64, i8::MAX as i64, "signed char"),
        DType::I16 => (i16::MIN as i64, i16::MAX as i64, "short"),
        DType::I32 => (i32::MIN as i64, i32::MAX as i64, "int"),
        DType::I64 => (i64::MIN, i64::MAX, "long"),
        DType::F16 => (-(1 << 11), 1 << 11, "c10::Half"),
        DType::BF16 => (-(1 << 8), 1 << 8, "c10::BFloat16"),
        DType::F32 => (-(1 << 24), 1 << 24, "float"),
        DType::F64 => (-(1 << 53), 1 << 53, "double"),
    }
}

fn check_range(low: i64, high: i64, dtype: DType) -> Result<()> {
    if low >= high {
        return Err(Error::runtime(format!("random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")));
    }
    if !dtype.is_float() {
        let (least, most, name) = integer_range(dtype);
        for (what, bound) in [("from", low), ("to - 1", high - 1)] {
            if bound < least || bound > most {
                return Err(Error::runtime(format!("{what} is out of bounds for {name}")));
            }
        }
    }
    Ok(())
}

/// Returns the integers from 0 to `n - 1` in random order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randperm.html>
#[op("(n, *, generator=None, dtype=None)", any, nondiff, random, function, samples = ["5", "0", "1", "9, dtype=int32"],
    errors = [("-1", "Trying to create tensor with negative dimension -1: [-1]")])]
pub fn randperm(n: i64, generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(DType::I64);
    let size = crate::tensor::sizes(&[n])?;
    storage::nbytes(&size, DType::I64)?;
    if n - 1 > integer_range(dtype).1 {
        return Err(Error::runtime(format!("n is too large for result tensor type: '{dtype}' holds no {}", n - 1)));
    }
    to_dtype(&Tensor::try_from_vec(or_default(generator).permutation(n as usize), n)?, dtype)
}

/// Returns numbers drawn uniformly from `[0, 1)`, with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.rand_like.html>
#[op("(input, *, generator=None, dtype=None)", float_only, nondiff, random, function, samples = ["T(2, 3)", "T()", "T(0, 2)", "I(3), dtype=float32"],
    errors = [("I(3)", "not implemented for 'Long'")])]
pub fn rand_like(x: &Tensor, generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    drawn(RandomOp::Uniform { low: 0.0, high: 1.0 }, &x.shape(), dtype.unwrap_or(x.dtype()), generator)
}

/// Returns numbers drawn from the standard normal distribution, with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randn_like.html>
#[op("(input, *, generator=None, dtype=None)", float_only, nondiff, random, function, samples = ["T(2, 3)", "T()", "T(0, 2)", "I(3), dtype=float32"],
    errors = [("I(3)", "not implemented for 'Long'")])]
pub fn randn_like(x: &Tensor, generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    drawn(RandomOp::Normal { mean: 0.0, std: 1.0 }, &x.shape(), dtype.unwrap_or(x.dtype()), generator)
}

/// Returns integers drawn uniformly from `[0, high)`, with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randint_like.html>
#[op("(input, high, *, generator=None, dtype=None)", any, nondiff, random, function, samples = ["I(2, 3), 5", "T(), 3", "T(0, 2), 3, dtype=int32"],
    errors = [("T(2), 0", "random_ expects 'from' to be less than 'to'")])]
pub fn randint_like(x: &Tensor, high: i64, generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    randint_low(0, high, &as_i64(&x.shape()), generator, Some(dtype.unwrap_or(x.dtype())))
}

/// Returns integers drawn uniformly from `[low, high)`, with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.randint_like.html>
#[op("(input, low, high, *, generator=None, dtype=None)", overload = "low", any, nondiff, random, function, samples = ["I(2, 3), -5, 5", "T(), 1, 3"],
    errors = [("T(2), 5, 3", "random_ expects 'from' to be less than 'to', but got from=5 >= to=3")])]
pub fn randint_like_low(x: &Tensor, low: i64, high: i64, generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    randint_low(low, high, &as_i64(&x.shape()), generator, Some(dtype.unwrap_or(x.dtype())))
}

fn check_std(std: f64) -> Result<()> {
    if std >= 0.0 { Ok(()) } else { Err(Error::runtime(format!("normal expects std >= 0.0, but found std {std}"))) }
}

/// `mean + std * n` for standard normal `n`, in the broadcast shape; the draws take no gradient to their parameters.
fn normal_of(mean: &Tensor, std: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    let shape = broadcast(&mean.shape(), &std.shape())?;
    let wanted = if mean.data_ref().wrapped { std.dtype() } else { mean.dtype() };
    if std.dtype().is_float() && smallest_float(std)?.is_some_and(|least| least < 0.0) {
        return Err(Error::runtime("normal expects all elements of std >= 0.0"));
    }
    let n = drawn(RandomOp::Normal { mean: 0.0, std: 1.0 }, &shape, wanted, generator)?;
    to_dtype(&add(&mul(&n, &std.detach())?, &mean.detach(), Scalar::Int(1))?, wanted)
}

/// The smallest element, if there is one; NaN where there is a NaN.
fn smallest_float(x: &Tensor) -> Result<Option<f64>> {
    if x.numel() == 0 {
        return Ok(None);
    }
    let all: Dims = (0..x.rank()).collect();
    reduce(rushlight_kernels::backend::ReduceOp::Min, &x.detach(), &all, false, x.dtype())?.try_item::<f64>().map(Some)
}

/// Returns numbers drawn from normal distributions whose means and standard deviations are the elements of `mean` and `std`; the shapes broadcast.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.normal.html>
#[op("(mean, std, *, generator=None)", float_only, nondiff, random, function, samples = ["T(2, 3), T(3, lo=0.5)", "T(), T(lo=0.5)", "T(0, 2), T(2, lo=0.5)"],
    errors = [("T(2), T(3, lo=0.5)", "must match the size of tensor b (3)"), ("T(2), T(2, hi=-1)", "normal expects all elements of std >= 0.0")])]
pub fn normal(mean: &Tensor, std: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    normal_of(mean, std, generator)
}

/// As `normal`, with one standard deviation for all.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.normal.html>
#[op("(mean, std=1.0, *, generator=None)", overload = "mean", float_only, nondiff, random, function, samples = ["T(2, 3)", "T(2, 3), 0.5", "T(0, 2), 1"],
    errors = [("T(2), -1.0", "normal expects std >= 0.0, but found std -1")])]
pub fn normal_mean(mean: &Tensor, std: f64, generator: Option<&Generator>) -> Result<Tensor> {
    check_std(std)?;
    let n = drawn(RandomOp::Normal { mean: 0.0, std }, &mean.shape(), mean.dtype(), generator)?;
    add(&n, &mean.detach(), Scalar::Int(1))
}

/// As `normal`, with one mean for all.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.normal.html>
#[op("(mean, std, *, generator=None)", overload = "std", float_only, nondiff, random, function, samples = ["1.5, T(2, 3, lo=0.5)", "0, T(0, 2)"],
    errors = [("0, T(2, hi=-1)", "normal expects all elements of std >= 0.0")])]
pub fn normal_std(mean: f64, std: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    normal_of(&Tensor::wrapped_number(Scalar::Float(mean)), std, generator)
}

/// Returns numbers drawn from one normal distribution.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.normal.html>
#[op("(mean, std, size, *, generator=None, dtype=None)", overload = "numbers", any, nondiff, random, function, samples = ["1.5, 2.0, [2, 3]", "0, 1, []", "0.0, 1.0, [0]"],
    errors = [("0.0, -1.0, [2]", "normal expects std >= 0.0, but found std -1")])]
pub fn normal_numbers(mean: f64, std: f64, size: &[i64], generator: Option<&Generator>, dtype: Option<DType>) -> Result<Tensor> {
    check_std(std)?;
    drawn(RandomOp::Normal { mean, std }, &crate::tensor::sizes(size)?, float_or_default(dtype), generator)
}

/// Ones with the probabilities in `p` (of a floating dtype), else zeros, as a tensor of dtype `out`.
fn coins(p: &Tensor, out: DType, generator: Option<&Generator>) -> Result<Tensor> {
    if !p.dtype().is_float() {
        return Err(Error::not_implemented(format!(
            "\"bernoulli_tensor_cpu_p_\" not implemented for '{}'",
            p.dtype().scalar_type_name()
        )));
    }
    let p = p.detach();
    let mut k = Pointwise::new();
    let v = k.input(&p);
    let (zero, one) = (k.constant(0i64, p.dtype()), k.constant(1i64, p.dtype()));
    let (a, b) = (k.bin(BinOp::Ge, v, zero)?, k.bin(BinOp::Le, v, one)?);
    let inside = k.bin(BinOp::LogicalAnd, a, b)?;
    let inside = k.run(inside)?;
    if !all(&inside)?.try_item::<bool>()? {
        return Err(Error::runtime(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false: a probability is outside [0, 1] or NaN",
        ));
    }
    // PyTorch compares in float64 for float64 probabilities, else in float32.
    let compute = if p.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let u = drawn(RandomOp::Uniform { low: 0.0, high: 1.0 }, &p.shape(), compute, generator)?;
    let mut k = Pointwise::new();
    let (u, v) = (k.input(&u), k.input(&p));
    let v = k.cast(compute, v);
    let r = k.bin(BinOp::Lt, u, v)?;
    let r = k.cast(out, r);
    k.run(r)
}

/// Returns ones with the probabilities in `input`, else zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bernoulli.html>
#[op("(input, *, generator=None)", float_only, random, nondiff, samples = ["T(3, 4, lo=0, hi=1)", "T(lo=0, hi=1)", "T(0, 2)"],
    errors = [("T(1, lo=2, hi=3)", "Expected p_in >= 0 && p_in <= 1"), ("I(2, hi=2)", "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long'")])]
pub fn bernoulli(x: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    coins(x, x.dtype(), generator)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(zeros_like(g, None)?)])))
}

/// Returns ones with probability `p`, else zeros, with the shape and dtype of `input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bernoulli.html>
#[op("(input, p, *, generator=None)", overload = "p", any, random, nondiff, samples = ["T(3, 4), 0.5", "T(), 0.5", "I(3), 1.0", "T(0, 2), 0.5"],
    errors = [("T(2), 1.5", "bernoulli_ expects p to be in [0, 1], but got p=1.5")])]
pub fn bernoulli_p(x: &Tensor, p: f64, generator: Option<&Generator>) -> Result<Tensor> {
    drawn(RandomOp::Bernoulli { p }, &x.shape(), x.dtype(), generator)?
        .with_grad([x], |_| grad_fn(|_, g| Ok([Some(zeros_like(g, None)?)])))
}

/// Returns `num_samples` positions per row of `input`, drawn with probabilities proportional to its elements; each at most once unless
/// `replacement` is true.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.multinomial.html>
#[op("(input, num_samples, replacement=False, *, generator=None)", any, random, nondiff,
    samples = ["T(5, lo=0.1), 3", "T(2, 5, lo=0.1), 4, True", "T(3, lo=0.1), 1", "T(2, 3, lo=0.1), 3"],
    errors = [("T(2, lo=0.1), 3", "cannot sample n_sample > prob_dist.size(-1) samples without replacement"),
        ("I(2), 1", "multinomial only supports floating-point dtypes for input, got: Long"),
        ("T(2, hi=-1), 1", "probability tensor contains either `inf`, `nan` or element < 0"),
        ("T(2, lo=0, hi=0), 1", "invalid multinomial distribution (sum of probabilities <= 0)"), ("T(2, 2, 2), 1", "prob_dist must be 1 or 2 dim"),
        ("T(2, lo=0.1), 0", "cannot sample n_sample <= 0 samples")])]
pub fn multinomial(x: &Tensor, num_samples: i64, replacement: bool, generator: Option<&Generator>) -> Result<Tensor> {
    let shape = x.shape();
    let &categories = match shape.as_slice() {
        [n] | [_, n] => n,
        _ => return Err(Error::runtime("prob_dist must be 1 or 2 dim")),
    };
    if !x.dtype().is_float() {
        let name = x.dtype().scalar_type_name();
        return Err(Error::runtime(format!("multinomial only supports floating-point dtypes for input, got: {name}")));
    }
    if num_samples <= 0 {
        return Err(Error::runtime("cannot sample n_sample <= 0 samples"));
    }
    let weights = x.to_f64_vec();
    let draws = or_default(generator).lock().multinomial(&weights, categories, num_samples as usize, replacement)?;
    let mut out = as_i64(&shape);
    *out.last_mut().expect("one or two dimensions") = num_samples;
    Tensor::try_from_vec(draws, out)
}

// ---- in place -------------------------------------------------------------------------------------------------------------------

/// Overwrites `input` with numbers drawn uniformly from `[from, to)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.uniform_.html>
#[op("(input, from=0.0, to=1.0, *, generator=None)", name = "uniform_", float_only, random, nondiff, samples = ["T(2, 3)", "T(20), -1, 1", "T(0, 2)"],
    errors = [("T(2), 2, 1", "uniform_ expects to return a [from, to) range, but found from=2 > to=1"), ("I(2)", "not implemented for 'Long'")])]
pub fn uniform_(x: &Tensor, low: f64, high: f64, generator: Option<&Generator>) -> Result<Tensor> {
    if low > high {
        return Err(Error::runtime(format!("uniform_ expects to return a [from, to) range, but found from={low} > to={high}")));
    }
    draw_into(RandomOp::Uniform { low, high }, x, generator)
}

/// Overwrites `input` with numbers drawn from a normal distribution.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.normal_.html>
#[op("(input, mean=0.0, std=1.0, *, generator=None)", name = "normal_", float_only, random, nondiff, samples = ["T(2, 3)", "T(20), -1, 0.5", "T(0, 2)"],
    errors = [("T(2), 0, -1", "normal expects std >= 0.0, but found std -1"), ("I(2)", "not implemented for 'Long'")])]
pub fn normal_(x: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<Tensor> {
    check_std(std)?;
    draw_into(RandomOp::Normal { mean, std }, x, generator)
}

/// Overwrites `input` with numbers drawn from the exponential distribution of rate `lambd`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.exponential_.html>
#[op("(input, lambd=1.0, *, generator=None)", name = "exponential_", float_only, random, nondiff, samples = ["T(2, 3)", "T(20), 1.5", "T(0, 2)"],
    errors = [("T(2), 0", "exponential_ expects lambda > 0.0, but found lambda=0"),
        ("I(2)", "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you specified Long")])]
pub fn exponential_(x: &Tensor, lambda: f64, generator: Option<&Generator>) -> Result<Tensor> {
    if lambda.is_nan() || lambda <= 0.0 {
        return Err(Error::runtime(format!("exponential_ expects lambda > 0.0, but found lambda={lambda}")));
    }
    if !x.dtype().is_float() {
        let name = x.dtype().scalar_type_name();
        return Err(Error::runtime(format!(
            "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you specified {name}"
        )));
    }
    draw_into(RandomOp::Exponential { lambda }, x, generator)
}

/// Overwrites `input` with ones, with probability `p`, and zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.bernoulli_.html>
#[op("(input, p=0.5, *, generator=None)", name = "bernoulli_", any, random, nondiff, samples = ["T(2, 3)", "I(5), 0.25", "B(4)", "T(0, 2)"],
    errors = [("T(2), 2.0", "bernoulli_ expects p to be in [0, 1], but got p=2")])]
pub fn bernoulli_(x: &Tensor, p: f64, generator: Option<&Generator>) -> Result<Tensor> {
    draw_into(RandomOp::Bernoulli { p }, x, generator)
}

/// Overwrites `input` with ones, with the probabilities in `p`, and zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.bernoulli_.html>
#[op("(input, p, *, generator=None)", name = "bernoulli_", overload = "tensor", any, random, nondiff, samples = ["T(2, 3), T(3, lo=0, hi=1)", "I(5), T(5, lo=0, hi=1)"],
    errors = [("T(1), T(1, lo=2, hi=3)", "Expected p_in >= 0 && p_in <= 1")])]
pub fn bernoulli_tensor_(x: &Tensor, p: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    inplace::check(x)?;
    let drawn = coins(&expand_to(p, &x.shape())?, x.dtype(), generator)?;
    copy_from(x, &drawn)
}

/// Overwrites `x` with `low + z`, for `z` uniform in `0..range`, where a range of 0 means all 64 bits. `wide` draws 64 bits for each.
fn draw_integers(x: &Tensor, low: i64, range: u64, wide: bool, generator: Option<&Generator>) -> Result<Tensor> {
    inplace::check(x)?;
    let generator = or_default(generator);
    let values: Vec<i64> = {
        let mut g = generator.lock();
        let draw = |_| {
            let z = if wide { g.random64() } else { g.random() as u64 };
            low.wrapping_add(z.checked_rem(range).unwrap_or(z) as i64)
        };
        (0..x.numel()).map(draw).collect()
    };
    copy_from(x, &Tensor::try_from_vec(values, as_i64(&x.shape()))?)
}

/// Overwrites `input` with integers drawn uniformly from all that its dtype holds from 0 on (for floats: without gaps).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.random_.html>
#[op("(input, *, generator=None)", name = "random_", any, random, nondiff, samples = ["T(2, 3)", "I(5)", "B(4)", "I(4, dtype=uint8)", "T(0, 2)"])]
pub fn random_(x: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    let most = integer_range(x.dtype()).1;
    draw_integers(x, 0, most as u64 + 1, matches!(x.dtype(), DType::I64 | DType::F64), generator)
}

/// Overwrites `input` with integers drawn uniformly from `[0, to)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.random_.html>
#[op("(input, to, *, generator=None)", name = "random_", overload = "to", any, random, nondiff, samples = ["T(2, 3), 10", "I(5), 3", "T(0, 2), 1"],
    errors = [("T(2), 0", "random_ expects 'from' to be less than 'to', but got from=0 >= to=0"), ("B(2), 5", "to - 1 is out of bounds for bool")])]
pub fn random_to_(x: &Tensor, to: i64, generator: Option<&Generator>) -> Result<Tensor> {
    random_range_(x, 0, Some(to), generator)
}

/// Overwrites `input` with integers drawn uniformly from `[from, to)`; `None` means up to the largest that its dtype holds.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.random_.html>
#[op("(input, from, to, *, generator=None)", name = "random_", overload = "from", any, random, nondiff, samples = ["T(2, 3), -5, 10", "I(5), 3, None", "T(0, 2), 0, 1"],
    errors = [("T(2), 5, 5", "random_ expects 'from' to be less than 'to', but got from=5 >= to=5"), ("I(2, dtype=uint8), 0, 300", "to - 1 is out of bounds for unsigned char")])]
pub fn random_range_(x: &Tensor, from: i64, to: Option<i64>, generator: Option<&Generator>) -> Result<Tensor> {
    if let Some(to) = to {
        check_range(from, to, x.dtype())?;
        return draw_into(RandomOp::RandInt { low: from, high: to }, x, generator);
    }
    let (least, most, name) = integer_range(x.dtype());
    if from < least || from > most {
        return Err(Error::runtime(format!("from is out of bounds for {name}")));
    }
    let range = (most.wrapping_sub(from) as u64).wrapping_add(1);
    draw_integers(x, from, range, range == 0 || range >= 1 << 28, generator)
}

/// Random tensors in Rust, from the default generator and in the default float dtype.
impl Tensor {
    /// Numbers drawn uniformly from `[0, 1)`.
    ///
    /// # Panics
    /// If a size is negative or there is not enough memory.
    #[track_caller]
    pub fn rand(shape: impl AsInts) -> Tensor {
        or_panic(rand(&shape.as_ints(), None, None))
    }
    /// Numbers drawn from the standard normal distribution.
    ///
    /// # Panics
    /// As [`Tensor::rand`].
    #[track_caller]
    pub fn randn(shape: impl AsInts) -> Tensor {
        or_panic(randn(&shape.as_ints(), None, None))
    }
    /// Integers drawn uniformly from `range`, as int64.
    ///
    /// # Panics
    /// As [`Tensor::rand`], and if the range is empty.
    #[track_caller]
    pub fn randint(range: std::ops::Range<i64>, shape: impl AsInts) -> Tensor {
        or_panic(randint_low(range.start, range.end, &shape.as_ints(), None, None))
    }
}

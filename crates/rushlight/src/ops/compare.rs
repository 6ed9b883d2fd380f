//! Comparisons, closeness, membership and logic.

use super::*;
use rushlight_kernels::backend::ReduceOp;

ops![eq, ne, lt, le, gt, ge, equal, isclose, allclose, isin, logical_and, logical_or, logical_xor];

/// Returns whether each pair of elements is equal; NaN equals nothing.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.eq.html>
#[op("(input, other)", any, inplace, nondiff, samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0")])]
pub fn eq(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Eq, x, y)
}

/// Returns whether each pair of elements is not equal.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ne.html>
#[op("(input, other)", any, inplace, nondiff, alias = ["not_equal"],
    samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn ne(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Ne, x, y)
}

/// Returns whether `input < other`, element by element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lt.html>
#[op("(input, other)", any, inplace, nondiff, alias = ["less"],
    samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn lt(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Lt, x, y)
}

/// Returns whether `input <= other`, element by element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.le.html>
#[op("(input, other)", any, inplace, nondiff, alias = ["less_equal"],
    samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn le(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Le, x, y)
}

/// Returns whether `input > other`, element by element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.gt.html>
#[op("(input, other)", any, inplace, nondiff, alias = ["greater"],
    samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn gt(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Gt, x, y)
}

/// Returns whether `input >= other`, element by element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ge.html>
#[op("(input, other)", any, inplace, nondiff, alias = ["greater_equal"],
    samples = ["I(3, 4, hi=3), I(3, 4, hi=3)", "T(2, 1), T(3)", "I(3), 2.5", "B(3), B(3)", "T(0, 2), T(2)", "T(), I()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn ge(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Ge, x, y)
}

/// Returns whether both tensors have the same shape and the same elements, as one truth value; the dtypes may differ.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.equal.html>
#[op("(input, other)", any, nondiff, samples = ["T(3, 4), T(3, 4)", "T(3), T(4)", "I(3, hi=1), I(3, hi=1)", "T(0, 2), T(0, 2)", "B(), I()"])]
pub fn equal(x: &Tensor, y: &Tensor) -> Result<bool> {
    if x.shape() != y.shape() {
        return Ok(false);
    }
    all_true(&eq(x, y)?)
}

/// Whether every element is true, as one truth value.
fn all_true(x: &Tensor) -> Result<bool> {
    let every: Dims = (0..x.rank()).collect();
    reduce::reduce(ReduceOp::All, x, &every, false, DType::Bool)?.try_item::<bool>()
}

/// Returns whether each pair of elements is close: `|input - other| <= atol + rtol * |other|`. Equal infinities are close; NaNs are with
/// `equal_nan`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isclose.html>
#[op("(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)", any, nondiff,
    samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3), 0.5", "T(3), T(3), atol=1.0", "T(3), T(3), 0.1, 0.1, True", "I(3), I(3), 0.5", "B(3), B(3)", "T(0, 2), T(2)"],
    errors = [("T(3), I(3)", "Float did not match Long"), ("T(3), T(3), -1.0", "rtol must be greater than or equal to zero, but got -1"),
        ("T(3), T(3), 0.0, -1.0", "atol must be greater than or equal to zero, but got -1"), ("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn isclose(x: &Tensor, y: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
    if x.dtype() != y.dtype() {
        return Err(Error::runtime(format!("{} did not match {}", x.dtype().scalar_type_name(), y.dtype().scalar_type_name())));
    }
    for (name, value) in [("rtol", rtol), ("atol", atol)] {
        if value.is_nan() || value < 0.0 {
            return Err(Error::runtime(format!("{name} must be greater than or equal to zero, but got {value}")));
        }
    }
    let mut k = Pointwise::new();
    let (a, b) = (k.input(x), k.input(y));
    let mut close = k.bin(BinOp::Eq, a, b)?;
    if equal_nan {
        let (p, q) = (k.un(UnOp::IsNan, a)?, k.un(UnOp::IsNan, b)?);
        let both = k.bin(BinOp::LogicalAnd, p, q)?;
        close = k.bin(BinOp::LogicalOr, close, both)?;
    }
    if rtol != 0.0 || atol != 0.0 {
        let d = k.common_float();
        let (a, b) = (k.cast(d, a), k.cast(d, b));
        let (rtol, atol) = (k.constant(rtol, d), k.constant(atol, d));
        let relative = k.bin(BinOp::Mul, rtol, b)?;
        let relative = k.un(UnOp::Abs, relative)?;
        let allowed = k.bin(BinOp::Add, atol, relative)?;
        let difference = k.bin(BinOp::Sub, a, b)?;
        let difference = k.un(UnOp::Abs, difference)?;
        // An infinite difference is no small one, even where the allowance is infinite too.
        let finite = k.un(UnOp::IsFinite, difference)?;
        let within = k.bin(BinOp::Le, difference, allowed)?;
        let within = k.bin(BinOp::LogicalAnd, finite, within)?;
        close = k.bin(BinOp::LogicalOr, close, within)?;
    }
    k.run(close)
}

/// Returns whether all pairs of elements are close, as one truth value; see [`isclose()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.allclose.html>
#[op("(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)", any, nondiff,
    samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3), 0.5", "T(3), T(3), atol=9.0", "I(3), I(3), 0.5", "T(0, 2), T(2)"],
    errors = [("T(3), I(3)", "Float did not match Long"), ("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn allclose(x: &Tensor, y: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
    all_true(&isclose(x, y, rtol, atol, equal_nan)?)
}

/// Returns whether each element of `elements` occurs in `test_elements`; with `invert`, whether it does not. `assume_unique` is a hint that
/// neither holds an element twice.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isin.html>
#[op("(elements, test_elements, *, assume_unique=False, invert=False)", any, nondiff, function,
    samples = ["I(3, 4), I(5)", "I(3), 2", "2, I(3)", "I(4, hi=3), I(2, 2), invert=True", "I(0), I(3)", "I(3), I(0)", "T(3), T(2)", "I(3), T(2)"])]
pub fn isin(elements: &Tensor, test_elements: &Tensor, assume_unique: bool, invert: bool) -> Result<Tensor> {
    // Repetitions do no harm to either way of looking.
    let _ = assume_unique;
    let common = promote::result_type(&[elements, test_elements]);
    let (x, tests) = (&to_dtype(elements, common)?.detach(), &reshape(&to_dtype(test_elements, common)?.detach(), &[-1])?);
    // Comparing every pair beats sorting up to some thousands of pairs, and bounds the memory that they take.
    let found = if x.numel().saturating_mul(tests.numel()) <= 1 << 14 {
        let same = eq(&unsqueeze(x, -1)?, tests)?;
        reduce::reduce(ReduceOp::Any, &same, &[same.rank() - 1], false, DType::Bool)?
    } else {
        found_by_sorting(x, tests)?
    };
    if invert { logical_not(&found) } else { Ok(found) }
}

/// Whether each element of `x` is among `tests`. Sorted together, with the tests first among equals, an element is one of them if the last
/// test before it, which is the largest so far, equals it.
fn found_by_sorting(x: &Tensor, tests: &Tensor) -> Result<Tensor> {
    let (count, total) = (tests.numel(), tests.numel() + x.numel());
    let line = Layout::contiguous(&[total]);
    let all = cat(&[tests.clone(), reshape(x, &[-1])?], 0)?;
    let sorted = storage::compute_many(&[(line.clone(), x.dtype()), (line.clone(), DType::I64)], &[all.data()], |ins, outs| {
        let [values, places] = outs else { unreachable!("two outputs were asked for") };
        backend().sort(ins[0], 0, false, values, places)
    })?;
    let [values, places] = [0, 1].map(|i| Tensor::from_data(sorted[i].clone()));
    let is_test = lt(&places, &num(count as i64))?;
    // The first sorted value is as small as any: it stands for "no test yet", which `seen` tells from a test with that value.
    let least = narrow(&values, 0, 0, 1)?;
    let last = running_max(&where_(&is_test, &values, &least)?)?;
    let seen = running_max(&to_dtype(&is_test, DType::U8)?)?;
    let found = logical_and(&logical_and(&eq(&last, &values)?, &seen)?, &logical_not(&is_test)?)?;
    let out = storage::compute(line, DType::Bool, &[places.data(), found.data()], |ins, out| {
        backend().scatter(rushlight_kernels::backend::ScatterOp::Set, 0, ins[0], ins[1], out)
    })?;
    let out = narrow(&Tensor::from_data(out), 0, count as i64, x.numel() as i64)?;
    let shape: SmallVec<[i64; 6]> = x.shape().iter().map(|&d| d as i64).collect();
    reshape(&contiguous(&out)?, &shape)
}

fn running_max(x: &Tensor) -> Result<Tensor> {
    let y = storage::compute(x.layout(), x.dtype(), &[x.data()], |ins, out| {
        backend().scan(rushlight_kernels::backend::ScanOp::Max, ins[0], 0, out, None)
    })?;
    Ok(Tensor::from_data(y))
}

/// Returns whether both elements are non-zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logical_and.html>
#[op("(input, other)", any, inplace, nondiff, samples = ["B(3, 4), B(3, 4)", "I(2, 1, hi=2), I(3, hi=2)", "T(3), I(3, hi=2)", "B(0, 2), B(2)", "B(), B()"],
    errors = [("B(3), B(4)", "must match the size of tensor b (4)")])]
pub fn logical_and(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    logical(BinOp::LogicalAnd, x, y)
}

/// Returns whether either element is non-zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logical_or.html>
#[op("(input, other)", any, inplace, nondiff, samples = ["B(3, 4), B(3, 4)", "I(2, 1, hi=2), I(3, hi=2)", "T(3), I(3, hi=2)", "B(0, 2), B(2)", "B(), B()"],
    errors = [("B(3), B(4)", "must match the size of tensor b (4)")])]
pub fn logical_or(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    logical(BinOp::LogicalOr, x, y)
}

/// Returns whether exactly one of the two elements is non-zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logical_xor.html>
#[op("(input, other)", any, inplace, nondiff, samples = ["B(3, 4), B(3, 4)", "I(2, 1, hi=2), I(3, hi=2)", "T(3), I(3, hi=2)", "B(0, 2), B(2)", "B(), B()"],
    errors = [("B(3), B(4)", "must match the size of tensor b (4)")])]
pub fn logical_xor(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    logical(BinOp::LogicalXor, x, y)
}

/// `op` of the elements' truth values, each taken in its own dtype: a fraction that a common integer dtype would cut is true.
fn logical(op: BinOp, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mut k = Pointwise::new();
    let (a, b) = (k.input(x), k.input(y));
    let (a, b) = (k.cast(DType::Bool, a), k.cast(DType::Bool, b));
    let r = k.bin(op, a, b)?;
    k.run(r)
}

//! Selecting and overwriting by positions along a dimension, or in the flattened tensor.

use super::*;

ops![
    index_select,
    index_add,
    index_copy,
    index_fill,
    index_fill_tensor,
    take,
    put,
    take_along_dim,
    masked_select,
    masked_scatter,
    nonzero,
    nonzero_tuple,
    where_nonzero,
    argwhere
];

fn is_index(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32)
}

/// `x` and `index` with at least one dimension, and `dim` of x.
fn vector_index(x: &Tensor, dim: i64, index: &Tensor) -> Result<(Tensor, usize, Tensor)> {
    let d = super::dim(dim, x.rank())?;
    Ok((atleast_1d(x)?, d, atleast_1d(index)?))
}

/// Returns the slices of `input` at the positions `index` (a vector of integers) of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.index_select.html>
#[op("(input, dim, index)", any, samples = ["T(3, 4), 0, I(5, hi=3)", "T(3, 4), -1, I(2, hi=4, dtype=int32)", "T(3), 0, I(hi=3)", "T(), 0, I(1, hi=1)", "T(3, 0), 0, I(2, hi=3)", "T(3, 4), 0, I(0)"],
    errors = [("T(2, 3), 0, I(1, lo=2, hi=3)", "index out of range in self"), ("T(2, 3), 0, I(1, lo=-1, hi=0)", "index out of range in self"),
        ("T(2, 3), 0, I(1, 1)", "index_select(): Index is supposed to be a vector"), ("T(3), 0, T(1)", "index_select(): Expected dtype int32 or int64 for index"),
        ("T(), 0, I(2, hi=1)", "index_select(): Index to scalar can have only 1 value, got 2 value(s)"), ("T(3), 1, I(1, hi=1)", "Dimension out of range")])]
pub fn index_select(x: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    if index.rank() > 1 {
        return Err(Error::index("index_select(): Index is supposed to be a vector"));
    }
    if !is_index(index.dtype()) {
        return Err(Error::runtime(format!("index_select(): Expected dtype int32 or int64 for index (got {})", index.dtype())));
    }
    if x.rank() == 0 && index.numel() != 1 {
        return Err(Error::runtime(format!(
            "index_select(): Index to scalar can have only 1 value, got {} value(s)",
            index.numel()
        )));
    }
    let (v, d, index) = vector_index(x, dim, index)?;
    let out_of_range = |e: Error| Error::index(format!("index out of range in self ({e})"));
    refuse_negative(&index, d, v.shape()[d]).map_err(out_of_range)?;
    let y = take_at(&v, &Spots::along(d, &index))
        .map_err(|e| if e.kind() == crate::ErrorKind::Index { out_of_range(e) } else { e })?;
    if x.rank() == 0 { reshaped(y, &[]) } else { Ok(y) }
}

/// The checks that index_add and index_copy share: one slice of `source` per index, and slices of one shape.
fn check_slices(op: &str, x: &Tensor, d: usize, index: &Tensor, source: &Tensor) -> Result<()> {
    let (n, s) = (index.numel(), source.shape());
    let size = if source.rank() == 0 { 1 } else { s.get(d).copied().unwrap_or(1) };
    if n != size {
        return Err(Error::runtime(format!(
            "{op}_(): Number of indices ({n}) should be equal to source.size(dim): ({size}), for dim: {d}"
        )));
    }
    let shape = x.shape();
    if s.len() != shape.len() || (0..s.len()).any(|i| i != d && s[i] != shape[i]) {
        return Err(Error::runtime(format!(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {:?} source.shape = {:?}",
            shape.as_slice(),
            s.as_slice()
        )));
    }
    Ok(())
}

/// Adds the slices of `source`, scaled by `alpha`, to those of `input` at the positions `index` of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_add_.html>
#[op("(input, dim, index, source, *, alpha=1)", any, inplace,
    samples = ["T(3, 4), 0, I(5, hi=3), T(5, 4)", "T(3, 2), -1, I(2, hi=2), T(3, 2), alpha=2", "T(3), 0, I(hi=3), T(1)", "T(), 0, I(hi=1), T()", "T(3), 0, I(0), T(0)"],
    errors = [("T(2, 3), 0, I(1, lo=2, hi=3), T(1, 3)", "index 2 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1, lo=-1, hi=0), T(1, 3)", "index -1 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1), T(2, 3)", "index_add_(): Number of indices (1) should be equal to source.size(dim): (2), for dim: 0"),
        ("T(2, 3), 0, I(1, hi=1), T(1, 2)", "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = [2, 3] source.shape = [1, 2]"),
        ("T(2), 0, I(1, hi=1), I(1)", "index_add_(): self (Float) and source (Long) must have the same scalar type"),
        ("T(2), 0, I(1, 1), T(1)", "index_add_(): Index is supposed to be a vector, but got dim: 2"),
        ("T(2), 0, T(1), T(1)", "index_add_(): Expected dtype int32/int64 for index but got: Float")])]
pub fn index_add(x: &Tensor, dim: i64, index: &Tensor, source: &Tensor, alpha: Scalar) -> Result<Tensor> {
    if index.rank() > 1 {
        return Err(Error::index(format!("index_add_(): Index is supposed to be a vector, but got dim: {}", index.rank())));
    }
    if !is_index(index.dtype()) {
        let name = index.dtype().scalar_type_name();
        return Err(Error::runtime(format!("index_add_(): Expected dtype int32/int64 for index but got: {name}")));
    }
    if x.dtype() != source.dtype() {
        let (a, b) = (x.dtype().scalar_type_name(), source.dtype().scalar_type_name());
        return Err(Error::runtime(format!("index_add_(): self ({a}) and source ({b}) must have the same scalar type")));
    }
    let d = super::dim(dim, x.rank())?;
    check_slices("index_add", x, d, index, source)?;
    let scaled = if alpha.to_f64() == 1.0 { source.clone() } else { mul(source, &Tensor::wrapped_number(alpha))? };
    put_along(x, "index_add_", d, index, &scaled, true)
}

/// Writes or adds `source` at positions `index` of dimension `d`; negative positions are refused.
fn put_along(x: &Tensor, twin: &str, d: usize, index: &Tensor, source: &Tensor, accumulate: bool) -> Result<Tensor> {
    refuse_negative(index, d, x.shape().get(d).copied().unwrap_or(1))?;
    let index = atleast_1d(index)?;
    if x.rank() > 0 {
        return put_at(x, twin, &Spots::along(d, &index), source, accumulate);
    }
    let y = put_at(&reshape(x, &[1])?, "", &Spots::along(d, &index), &atleast_1d(source)?, accumulate)?;
    reshaped(y, &[])
}

/// Copies the slices of `source` into `input` at the positions `index` of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_copy_.html>
#[op("(input, dim, index, source)", any, inplace,
    samples = ["T(3, 4), 0, I(1, hi=3), T(1, 4)", "T(3, 2), -1, I(1, hi=2), T(3, 1)", "T(3), 0, I(hi=3), T(1)", "T(3), 0, I(hi=3), T()", "T(3), 0, I(0), T(0)"],
    errors = [("T(2, 3), 0, I(1, lo=7, hi=8), T(1, 3)", "index_copy_(): index 7 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1, hi=1), T(1, 2)", "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: [3] at dimension 0 and source slice shape: [2] at dimension 0."),
        ("T(2, 3), 0, I(2, hi=1), T(1, 3)", "index_copy_(): Number of indices (2) should be equal to source.size(dim) (1)"),
        ("T(2), 0, I(1, hi=1), I(1)", "index_copy_(): self and source expected to have the same dtype, but got (self) Float and (source) Long"),
        ("T(2), 0, I(1, 1), T(1)", "index_copy_(): Index should have dimension 1 or 0 (got 2)"),
        ("T(2), 0, I(1, dtype=int32), T(1)", "index_copy_(): Expected a long tensor for index, but got Int"),
        ("T(2, 3), 0, I(hi=1), T(3)", "their dimensionality must match. Source dimensionality (1), destination dimensionality (2)")])]
pub fn index_copy(x: &Tensor, dim: i64, index: &Tensor, source: &Tensor) -> Result<Tensor> {
    let d = super::dim(dim, x.rank())?;
    if index.rank() > 1 {
        return Err(Error::index(format!("index_copy_(): Index should have dimension 1 or 0 (got {})", index.rank())));
    }
    if index.dtype() != DType::I64 {
        return Err(Error::runtime(format!(
            "index_copy_(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_type_name()
        )));
    }
    if x.dtype() != source.dtype() {
        let (a, b) = (x.dtype().scalar_type_name(), source.dtype().scalar_type_name());
        return Err(Error::runtime(format!(
            "index_copy_(): self and source expected to have the same dtype, but got (self) {a} and (source) {b}"
        )));
    }
    let (shape, s) = (x.shape(), source.shape());
    if !s.is_empty() && !shape.is_empty() && s.len() != shape.len() {
        return Err(Error::index(format!(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality ({}), destination dimensionality ({})",
            s.len(),
            shape.len()
        )));
    }
    let without = |s: &Dims| s.iter().enumerate().filter(|(i, _)| *i != d).map(|(_, &n)| n).collect::<Dims>();
    let (to, from) = (without(&shape), without(&s));
    if to != from {
        return Err(Error::runtime(format!(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: {:?} at dimension {d} and source slice shape: {:?} at dimension {d}.",
            to.as_slice(),
            from.as_slice()
        )));
    }
    let (n, size) = (index.numel(), s.get(d).copied().unwrap_or(1));
    if n != size {
        return Err(Error::index(format!("index_copy_(): Number of indices ({n}) should be equal to source.size(dim) ({size})")));
    }
    put_along(x, "index_copy_", d, index, source, false)
        .map_err(|e| if e.kind() == crate::ErrorKind::Index { e.context("index_copy_()") } else { e })
}

/// Fills the slices of `input` at the positions `index` of dimension `dim` with the number `value`. Negative positions count from the end.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_fill_.html>
#[op("(input, dim, index, value)", any, inplace,
    samples = ["T(3, 4), 0, I(2, hi=3), 1.5", "T(3, 2), -1, I(1, lo=-1, hi=0), 7", "T(3), 0, I(hi=3), 1", "T(3), 0, I(0), 1", "I(3), 0, I(1, hi=3), 2.5"],
    errors = [("T(2), 0, I(1, lo=3, hi=4), 7", "index 3 is out of bounds for dimension 0 with size 2"), ("T(2), 0, I(1, 1), 1", "Index has to be a vector/scalar"),
        ("T(2), 0, I(1, dtype=int32), 1", "index_fill_(): Expected dtype int64 for index.")])]
pub fn index_fill(x: &Tensor, dim: i64, index: &Tensor, value: Scalar) -> Result<Tensor> {
    fill_along(x, dim, index, &filled(&[], checked_scalar(value, x.dtype())?, x.dtype())?)
}

/// As `index_fill`, with the only element of a zero-dim tensor, to which gradients flow.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_fill_.html>
#[op("(input, dim, index, value)", overload = "tensor", any, inplace, samples = ["T(3, 4), 0, I(2, hi=3), T()", "T(3), 0, I(0), T()"],
    errors = [("T(2), 0, I(1, hi=1), T(1)", "index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).")])]
pub fn index_fill_tensor(x: &Tensor, dim: i64, index: &Tensor, value: &Tensor) -> Result<Tensor> {
    if value.rank() != 0 {
        return Err(Error::runtime(format!(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
            value.rank()
        )));
    }
    fill_along(x, dim, index, &to_dtype(value, x.dtype())?)
}

fn fill_along(x: &Tensor, dim: i64, index: &Tensor, value: &Tensor) -> Result<Tensor> {
    if index.dtype() != DType::I64 {
        return Err(Error::index("index_fill_(): Expected dtype int64 for index."));
    }
    if index.rank() > 1 {
        return Err(Error::runtime("Index has to be a vector/scalar"));
    }
    let (v, d, index) = vector_index(x, dim, index)?;
    if x.rank() == 0 {
        return reshaped(put_at(&v, "", &Spots::along(d, &index), value, false)?, &[]);
    }
    put_at(x, "index_fill_", &Spots::along(d, &index), value, false)
}

// ---- in the flattened tensor ----------------------------------------------------------------------------------------------------

/// Positions in a flattened tensor of `numel` elements, checked; negative ones count from the end.
fn check_flat(op: &str, index: &Tensor, numel: usize) -> Result<()> {
    if index.dtype() != DType::I64 {
        return Err(Error::runtime(format!(
            "{op}(): Expected a long tensor for index, but got {}",
            index.dtype().scalar_type_name()
        )));
    }
    if numel == 0 && index.numel() > 0 {
        return Err(Error::index(format!("{op}(): tried to take from an empty tensor")));
    }
    Ok(())
}

/// An error about a position, in the words of take and put.
fn flat_error(e: Error, numel: usize) -> Error {
    let text = e.message().strip_prefix("index ").and_then(|m| m.split(' ').next()).map(str::to_string);
    match text {
        Some(i) if e.kind() == crate::ErrorKind::Index => {
            Error::index(format!("out of range: tried to access index {i} on a tensor of {numel} elements."))
        }
        _ => e,
    }
}

/// Returns the elements of the flattened `input` at the positions `index`, in its shape.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.take.html>
#[op("(input, index)", any, samples = ["T(3, 4), I(2, 2, lo=-12, hi=12)", "T(), I(2, hi=1)", "T(3, 4), I(0)", "T(0), I(0)", "T(4), I(hi=4)"],
    errors = [("T(2, 3), I(1, lo=6, hi=7)", "out of range: tried to access index 6 on a tensor of 6 elements."),
        ("T(2), T(1)", "take(): Expected a long tensor for index, but got Float"), ("T(0), I(1)", "take(): tried to take from an empty tensor")])]
pub fn take(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    let n = x.numel();
    check_flat("take", index, n)?;
    take_at(&reshape(x, &[-1])?, &Spots::along(0, index)).map_err(|e| flat_error(e, n))
}

/// Copies the elements of `source` into the flattened `input` at the positions `index`, or adds them.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.put_.html>
#[op("(input, index, source, accumulate=False)", any, inplace,
    samples = ["T(3, 4), I(1, lo=-12, hi=12), T(1)", "T(3, 2), I(2, 2, hi=6), T(4), True", "T(), I(1, hi=1), T(1)", "T(3), I(0), T(0)"],
    errors = [("T(2, 3), I(1, lo=9, hi=10), T(1)", "out of range: tried to access index 9 on a tensor of 6 elements."),
        ("T(2), I(2, hi=1), T(1)", "put_(): Expected source and index to have the same number of elements, but got source.numel() = 1, index.numel() = 2"),
        ("T(2), I(1, hi=1), I(1)", "put_(): self and source expected to have the same dtype, but got self.dtype = Float and source.dtype = Long"),
        ("T(2), I(1, dtype=int32), T(1)", "put_(): Expected a long tensor for index, but got Int")])]
pub fn put(x: &Tensor, index: &Tensor, source: &Tensor, accumulate: bool) -> Result<Tensor> {
    if x.dtype() != source.dtype() {
        let (a, b) = (x.dtype().scalar_type_name(), source.dtype().scalar_type_name());
        return Err(Error::runtime(format!(
            "put_(): self and source expected to have the same dtype, but got self.dtype = {a} and source.dtype = {b}"
        )));
    }
    if source.numel() != index.numel() {
        return Err(Error::index(format!(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = {}, index.numel() = {}",
            source.numel(),
            index.numel()
        )));
    }
    let n = x.numel();
    check_flat("put_", index, n)?;
    let source = reshape(source, &as_i64(&index.shape()))?;
    let y = put_at(&reshape(x, &[-1])?, "", &Spots::along(0, index), &source, accumulate).map_err(|e| flat_error(e, n))?;
    reshaped(y, &x.shape())
}

/// Returns the elements of `input` at the positions `indices` along `dim`; the other dimensions broadcast. Without `dim`, in the flattened tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.take_along_dim.html>
#[op("(input, indices, dim=None)", any, samples = ["T(3, 4), I(3, 2, hi=4), 1", "T(3, 4), I(1, 4, lo=-3, hi=3), 0", "T(1, 4), I(3, 2, hi=4), 1", "T(2, 2), I(3, hi=4)"],
    errors = [("T(2, 3), I(1), 1", "torch.take_along_dim(): input and indices should have the same number of dimensions, but got 2 dimensions for input, and 1 dimensions for indices"),
        ("T(2, 3), T(1, 1), 1", "torch.take_along_dim(): dtype of indices should be Long but got Float"), ("T(2), I(1, lo=2, hi=3), 0", "index 2 is out of bounds")])]
pub fn take_along_dim(x: &Tensor, indices: &Tensor, dim: Option<i64>) -> Result<Tensor> {
    if indices.dtype() != DType::I64 {
        let name = indices.dtype().scalar_type_name();
        return Err(Error::runtime(format!("torch.take_along_dim(): dtype of indices should be Long but got {name}")));
    }
    let Some(dim) = dim else {
        return take_along_dim(&reshape(x, &[-1])?, &reshape(indices, &[-1])?, Some(0));
    };
    if x.rank() != indices.rank() {
        return Err(Error::runtime(format!(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {} dimensions for input, and {} dimensions for indices",
            x.rank(),
            indices.rank()
        )));
    }
    let d = super::dim(dim, x.rank())?;
    let (mut a, mut b) = (x.shape(), indices.shape());
    let (mine, theirs) = (a.get(d).copied(), b.get(d).copied());
    if let (Some(n), Some(k)) = (mine, theirs) {
        (a[d], b[d]) = (1, 1);
        let common = broadcast(&a, &b)?;
        (a, b) = (common.clone(), common);
        (a[d], b[d]) = (n, k);
    }
    gather(&expand_to(x, &a)?, d as i64, &expand_to(&wrapped(indices, mine.unwrap_or(1))?, &b)?, false)
}

/// `index` with negative positions counted from the end of `n`.
fn wrapped(index: &Tensor, n: usize) -> Result<Tensor> {
    let mut k = Pointwise::new();
    let i = k.input(index);
    let (zero, size) = (k.constant(0i64, DType::I64), k.constant(n, DType::I64));
    let negative = k.bin(BinOp::Lt, i, zero)?;
    let from_end = k.bin(BinOp::Add, i, size)?;
    let r = k.tern(TernOp::Where, negative, from_end, i)?;
    k.run(r)
}

// ---- by a mask ------------------------------------------------------------------------------------------------------------------

/// Returns the elements of `input` where `mask` is true, as a vector. The shapes broadcast.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.masked_select.html>
#[op("(input, mask)", any, samples = ["T(3, 4), B(3, 4)", "T(2, 3), B(3)", "T(3), B(2, 3)", "T(), B()", "T(0, 2), B(2)"],
    errors = [("T(3), I(3)", "masked_select: expected BoolTensor for mask"), ("T(2, 3), B(2)", "The size of tensor a (3) must match the size of tensor b (2)")])]
pub fn masked_select(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return Err(Error::runtime(format!("masked_select: expected BoolTensor for mask (got {})", mask.dtype())));
    }
    let shape = broadcast(&x.shape(), &mask.shape())?;
    masked(&expand_to(x, &shape)?, &expand_to(mask, &shape)?)
}

/// Copies the elements of `source`, in order, into `input` where `mask` is true.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.masked_scatter_.html>
#[op("(input, mask, source)", any, inplace, samples = ["T(3, 4), B(3, 4), T(12)", "T(2, 3), B(3), T(7)", "T(), B(), T(1)", "T(0, 2), B(2), T(1)"],
    errors = [("T(3), I(3), T(3)", "masked_scatter_ only supports boolean masks, but got mask with dtype Long"),
        ("T(3), B(3), I(3)", "masked_scatter: expected self and source to have same dtypes but gotFloat and Long"),
        ("T(40), B(40), T(1)", "Number of elements of source < number of ones in mask"), ("T(2, 3), B(2), T(6)", "must match the size of tensor")])]
pub fn masked_scatter(x: &Tensor, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        let name = mask.dtype().scalar_type_name();
        return Err(Error::runtime(format!("masked_scatter_ only supports boolean masks, but got mask with dtype {name}")));
    }
    if x.dtype() != source.dtype() {
        let (a, b) = (x.dtype().scalar_type_name(), source.dtype().scalar_type_name());
        return Err(Error::runtime(format!("masked_scatter: expected self and source to have same dtypes but got{a} and {b}")));
    }
    let shape = broadcast(&x.shape(), &mask.shape())?;
    let places = nonzero_numbers(&expand_to(mask, &shape)?)?;
    let n = places.numel();
    if source.numel() < n {
        return Err(Error::runtime(format!("Number of elements of source < number of ones in mask ({} < {n})", source.numel())));
    }
    let source = narrow(&reshape(source, &[-1])?, 0, 0, n as i64)?;
    put(&expand_to(x, &shape)?, &places, &source, false)
}

/// Returns the positions of the non-zero elements of `input`, one per row, in row-major order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nonzero.html>
#[op("(input)", any, nondiff, samples = ["B(3, 4)", "I(2, 3, hi=2)", "T(3)", "T()", "B()", "T(0, 2)"])]
pub fn nonzero(x: &Tensor) -> Result<Tensor> {
    let positions = if x.rank() == 0 {
        let n = nonzero_numbers(x)?.numel();
        Tensor::try_from_vec(Vec::<i64>::new(), [0, n])?
    } else {
        nonzero_positions(x)?
    };
    // One list after the other in memory, as PyTorch lays them out.
    Ok(Tensor::from_data(positions.data().with_layout(positions.layout().transpose(0, 1))))
}

/// Returns the positions of the non-zero elements of `input` as one vector per dimension: `nonzero(as_tuple=True)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nonzero.html>
#[op("(input)", name = "nonzero_numpy", any, nondiff, samples = ["B(3, 4)", "I(2, 3, hi=2)", "T(3)", "T()", "B()", "T(0, 2)"])]
pub fn nonzero_tuple(x: &Tensor) -> Result<Vec<Tensor>> {
    let x = atleast_1d(&x.detach())?;
    nonzero_lists(&x)
}

/// Returns the positions where `condition` is true as one vector per dimension: `where` with one argument.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.where.html>
#[op("(condition)", name = "where", overload = "nonzero", function, any, nondiff, samples = ["B(3, 4)", "I(2, 3, hi=2)", "T()"])]
pub fn where_nonzero(condition: &Tensor) -> Result<Vec<Tensor>> {
    nonzero_tuple(condition)
}

/// Returns the positions of the non-zero elements of `input`, one per row: numpy's name for [`nonzero()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.argwhere.html>
#[op("(input)", any, nondiff, samples = ["B(3, 4)", "T(3)", "T()", "T(0, 2)"])]
pub fn argwhere(x: &Tensor) -> Result<Tensor> {
    nonzero(x)
}

//! Matrix products.
//!
//! Every product ends in [`product`], one call of the backend over strided operands: transposed and broadcast matrices are never copied,
//! and a batch of matrices times one matrix is a single larger product.

use super::*;
use crate::autograd::{self, Ctx, Grads, grad_fn};
use smallvec::smallvec;

ops![matmul, mm, bmm, mv, dot, vdot, inner, outer, linear];

pub(super) const ONE: Scalar = Scalar::Int(1);

/// `alpha * a @ b + beta * bias` for operands of rank two or more, whose batch dimensions broadcast; the result is contiguous. The caller
/// has checked the sizes of the matrices; `bias` broadcasts to the result.
fn product(a: &Data, b: &Data, alpha: Scalar, bias: Option<(&Data, Scalar)>) -> Result<Data> {
    if a.dtype == DType::Bool {
        return Err(unsupported(a.dtype));
    }
    let (ra, rb) = (a.layout.rank(), b.layout.rank());
    let (m, k, n) = (a.layout.shape[ra - 2], a.layout.shape[ra - 1], b.layout.shape[rb - 1]);
    let mut batch = broadcast(&a.layout.shape[..ra - 2], &b.layout.shape[..rb - 2])?;
    let shape: Dims = batch.iter().copied().chain([m, n]).collect();
    // One matrix on the right: the rows of the whole batch are the rows of one matrix.
    let all_rows = batch.iter().product::<usize>() * m;
    let rows =
        if rb == 2 && ra > 2 && bias.is_none_or(|(c, _)| c.layout.rank() <= 1) { a.layout.view(&[all_rows, k]) } else { None };
    let (a, m) = match rows {
        Some(rows) => {
            batch.clear();
            (a.with_layout(rows), all_rows)
        }
        None => (a.clone(), m),
    };
    let with = |rows: usize, cols: usize| batch.iter().copied().chain([rows, cols]).collect::<Dims>();
    let layout = Layout::contiguous(&with(m, n));
    let mut ins: SmallVec<[Data; 3]> = smallvec![a.expand(&with(m, k))?, b.expand(&with(k, n))?];
    let beta = bias.map_or(Scalar::Int(0), |(_, beta)| beta);
    if let Some((c, _)) = bias {
        ins.push(c.expand(&layout.shape)?);
    }
    storage::product(storage::Product { ins, alpha, beta, layout }, Layout::contiguous(&shape))
}

/// [`product`] of two matrices, by the short way where nobody has to be waited for: a small product takes half the time.
fn of_matrices(a: &Data, b: &Data, alpha: Scalar, bias: Option<(&Data, Scalar)>) -> Result<Data> {
    matrices_at_once(a, b, alpha, bias).unwrap_or_else(|| product(a, b, alpha, bias))
}

/// The short way of [`of_matrices`].
fn matrices_at_once(a: &Data, b: &Data, alpha: Scalar, bias: Option<(&Data, Scalar)>) -> Option<Result<Data>> {
    let [m, k, n] = [a.layout.shape[0], b.layout.shape[0], b.layout.shape[1]];
    if a.dtype == DType::Bool || storage::deferred::is_product_wanted(m, k, n) {
        return None;
    }
    let layout = Layout::contiguous(&[m, n]);
    match bias {
        None => storage::compute_at_once(layout, a.dtype, [a, b], |[a, b], out| {
            backend().matmul(a, b, None, alpha, Scalar::Int(0), out)
        }),
        Some((c, beta)) => {
            let c = match c.expand(&layout.shape) {
                Ok(c) => c,
                Err(e) => return Some(Err(e)),
            };
            storage::compute_at_once(layout, a.dtype, [a, b, &c], |[a, b, c], out| {
                backend().matmul(a, b, Some(c), alpha, beta, out)
            })
        }
    }
}

/// What `a` and `b` give as the matrices `la` and `lb`, without history, as `shape`.
fn seen_as(a: &Tensor, la: Layout, b: &Tensor, lb: Layout, shape: &[usize]) -> Result<Tensor> {
    let mut y = of_matrices(&a.data().with_layout(la), &b.data().with_layout(lb), ONE, None)?;
    y.layout = Layout::contiguous(shape);
    Ok(Tensor::from_data(y))
}

/// `a @ v`, or `aᵀ @ v`, for a matrix and a vector that fit.
fn times_vector(a: &Tensor, transposed: bool, v: &Tensor) -> Result<Tensor> {
    let matrix = if transposed { a.layout().transpose(0, 1) } else { a.layout() };
    let rows = matrix.shape[0];
    seen_as(a, matrix, v, v.layout().unsqueeze(1), &[rows])?.with_grad([a, v], |s| {
        let (sa, sv) = (s.needs(1).then(|| s.input(a)), s.needs(0).then(|| s.input(v)));
        grad_fn(move |c, g| {
            let ga = wanted(c, 0, &sv, |v| if transposed { outer(&v, g) } else { outer(g, &v) })?;
            Ok([ga, wanted(c, 1, &sa, |a| times_vector(&a, !transposed, g))?])
        })
    })
}

/// [`product`] without history, for two small matrices that fit, without snapshots of them.
fn times_at_once(a: &Tensor, b: &Tensor, alpha: Scalar) -> Option<Result<Tensor>> {
    if a.rank() != 2 || b.rank() != 2 || a.numel().max(b.numel()) > SMALL {
        return None;
    }
    let (x, y) = (a.try_data_ref()?, b.try_data_ref()?);
    if x.dtype != y.dtype || x.layout.shape[1] != y.layout.shape[0] {
        return None;
    }
    let made = matrices_at_once(&x, &y, alpha, None)?;
    drop((x, y));
    Some(made.map(Tensor::from_data))
}

/// [`product`] without history.
fn times_data(a: &Data, b: &Data, alpha: Scalar, bias: Option<(&Tensor, Scalar)>) -> Result<Tensor> {
    let bias = bias.map(|(c, beta)| (c.data(), beta));
    let bias = bias.as_ref().map(|(c, beta)| (c, *beta));
    let matrices = a.layout.rank() == 2 && b.layout.rank() == 2;
    Ok(Tensor::from_data(if matrices { of_matrices(a, b, alpha, bias)? } else { product(a, b, alpha, bias)? }))
}

/// [`product`] with its derivative, for all ops of this kind. Transposed operands are views; each gradient is one product.
pub(super) fn affine(a: &Tensor, b: &Tensor, alpha: Scalar, bias: Option<(&Tensor, Scalar)>) -> Result<Tensor> {
    let at_once = if bias.is_none() { times_at_once(a, b, alpha) } else { None };
    let y = at_once.unwrap_or_else(|| times_data(&a.data(), &b.data(), alpha, bias))?;
    with_history(y, a, b, alpha, bias)
}

/// The derivative of `y`, which is the product of these.
fn with_history(y: Tensor, a: &Tensor, b: &Tensor, alpha: Scalar, bias: Option<(&Tensor, Scalar)>) -> Result<Tensor> {
    let mut inputs: SmallVec<[&Tensor; 3]> = SmallVec::from_slice(&[a, b]);
    bias.iter().for_each(|(c, _)| inputs.push(c));
    autograd::record(std::slice::from_ref(&y), &inputs, |s| {
        let (sa, sb) = (s.needs(1).then(|| s.input(a)), s.needs(0).then(|| s.input(b)));
        let (beta, one_matrix) = (bias.map(|(_, beta)| beta), b.rank() == 2 && a.rank() > 2);
        grad_fn(move |c, g| {
            let ga = wanted(c, 0, &sb, |b| affine(g, &mt(&b)?, alpha, None))?;
            let gb = wanted(c, 1, &sa, |a| match one_matrix {
                true => affine(&mt(&rows(&a)?)?, &rows(g)?, alpha, None),
                false => affine(&mt(&a)?, g, alpha, None),
            })?;
            let mut grads: Grads = smallvec![ga, gb];
            if let Some(beta) = beta {
                grads.push(c.needs(2).then(|| times(g, beta)).transpose()?);
            }
            Ok(grads)
        })
    })?;
    Ok(y)
}

/// The gradient of input `i`, where it is asked for, from a value that was saved for it.
fn wanted(c: &Ctx, i: usize, saved: &Option<Saved>, f: impl FnOnce(Tensor) -> Result<Tensor>) -> Result<Option<Tensor>> {
    match saved {
        Some(s) if c.needs(i) => Ok(Some(f(s.get(c)?)?)),
        _ => Ok(None),
    }
}

/// `factor * x`, without work where the factor is one.
pub(super) fn times(x: &Tensor, factor: Scalar) -> Result<Tensor> {
    if factor.to_f64() == 1.0 { Ok(x.clone()) } else { mul(x, &Tensor::wrapped_number(factor)) }
}

/// The transposes of the matrices in the last two dimensions.
pub(super) fn mt(x: &Tensor) -> Result<Tensor> {
    let r = x.rank();
    view_as(x, x.layout().transpose(r - 2, r - 1), mt, |_| grad_fn(|_, g| Ok([Some(mt(g)?)])))
}

/// All leading dimensions in one: a matrix of rows.
fn rows(x: &Tensor) -> Result<Tensor> {
    let shape = x.shape();
    let (cols, lead) = shape.split_last().expect("a product's operand has dimensions");
    reshape(x, &[lead.iter().product::<usize>() as i64, *cols as i64])
}

/// A fresh, contiguous result under another shape. It is not a view: nobody else has a handle on its memory.
pub(super) fn relabel(y: Tensor, shape: &[usize]) -> Result<Tensor> {
    let old: SmallVec<[i64; 6]> = y.shape().iter().map(|&d| d as i64).collect();
    let data = y.data().with_layout(Layout::contiguous(shape));
    Tensor::from_data(data).with_grad([&y], |_| grad_fn(move |_, g| Ok([Some(reshape(g, &old)?)])))
}

pub(super) fn same_dtype(a: &Tensor, b: &Tensor) -> Result<()> {
    let (a, b) = (a.dtype(), b.dtype());
    if a == b {
        return Ok(());
    }
    Err(Error::runtime(format!("expected m1 and m2 to have the same dtype, but got: {} != {}", c_name(a), c_name(b))))
}

/// What C++ calls the element type: PyTorch's text above does.
pub(super) fn c_name(d: DType) -> &'static str {
    match d {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}

/// Checks two matrices that are to be multiplied.
pub(super) fn check_mm(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    let (x, y) = (a.shape(), b.shape());
    for (name, s) in [("mat1", &x), ("mat2", &y)] {
        if s.len() != 2 {
            return Err(Error::runtime(format!(
                "{op}: {name} must be a matrix, got {}-D tensor of shape {:?}",
                s.len(),
                s.as_slice()
            )));
        }
    }
    if x[1] != y[0] {
        return Err(Error::runtime(format!(
            "{op}: mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})",
            x[0], x[1], y[0], y[1]
        )));
    }
    same_dtype(a, b)
}

/// Checks two batches of matrices that are to be multiplied one by one.
pub(super) fn check_bmm(a: &Tensor, b: &Tensor) -> Result<()> {
    let (x, y) = (a.shape(), b.shape());
    for (name, s) in [("batch1", &x), ("batch2", &y)] {
        if s.len() != 3 {
            return Err(Error::runtime(format!("{name} must be a 3D tensor, but its shape is {:?}", s.as_slice())));
        }
    }
    if x[0] != y[0] || x[2] != y[1] {
        return Err(Error::runtime(format!(
            "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].",
            x[0], x[2], y[0], y[1]
        )));
    }
    same_dtype(a, b)
}

/// Returns the matrix product of `input` and `other`, over batches of matrices where there are more than two dimensions.
///
/// Two vectors give their dot product. A vector stands for one row on the left and for one column on the right, and that dimension is
/// removed again. All other leading dimensions are batches and broadcast: `[j, 1, n, m] @ [k, m, p]` gives `[j, k, n, p]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.matmul.html>
#[op("(input, other)", number,
    samples = ["T(2, 3), T(3, 4)", "T(3), T(3)", "T(3), T(3, 2)", "T(2, 3), T(3)", "T(2, 2, 3), T(3, 2)", "T(2, 1, 2, 3), T(3, 3, 2)",
        "T(2, 3), T(2, 3, 2)", "T(2, 2, 3), T(3)", "T(3), T(2, 3, 2)", "T(2, 0), T(0, 3)", "T(0, 2, 3), T(3, 2)", "I(2, 3), I(3, 2)"],
    errors = [("T(), T(3)", "both arguments to matmul need to be at least 1D, but they are 0D and 1D"),
        ("T(2, 3), T(4, 5)", "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        ("T(2, 3), T(4)", "size mismatch, got input (2), mat (2x3), vec (4)"),
        ("T(2, 3, 4), T(2, 5, 2)", "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 5]."),
        ("T(2, 3, 4), T(3, 4, 2)", "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0"),
        ("T(2, 3), T(3, 2, dtype=float64)", "expected m1 and m2 to have the same dtype, but got: float != double")])]
pub fn matmul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if let Some(product) = times_at_once(x, y, ONE) {
        return with_history(product?, x, y, ONE, None);
    }
    let (a, b) = (x.shape(), y.shape());
    match (a.len(), b.len()) {
        (0, r) | (r, 0) => Err(Error::runtime(format!(
            "both arguments to matmul need to be at least 1D, but they are {}D and {}D",
            if a.is_empty() { 0 } else { r },
            if b.is_empty() { 0 } else { r }
        ))),
        (1, 1) => dot(x, y),
        (2, 1) => mv(x, y),
        (1, 2) if a[0] == b[0] && x.dtype() == y.dtype() => times_vector(y, true, x),
        (1, _) => {
            let r = affine_checked(&unsqueeze(x, 0)?, y)?;
            let mut shape = r.shape();
            shape.remove(shape.len() - 2);
            relabel(r, &shape)
        }
        (_, 1) => {
            let rows: usize = a[..a.len() - 1].iter().product();
            check_mv(&[rows, a[a.len() - 1]], &b, rows)?;
            same_dtype(x, y)?;
            relabel(affine(x, &unsqueeze(y, 1)?, ONE, None)?, &a[..a.len() - 1])
        }
        _ => affine_checked(x, y),
    }
}

/// The product of two operands of rank two or more.
fn affine_checked(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (a, b) = (x.shape(), y.shape());
    let (ra, rb) = (a.len(), b.len());
    let (k, l) = (a[ra - 1], b[rb - 2]);
    if rb == 2 && k != l {
        let rows: usize = a[..ra - 1].iter().product();
        return Err(Error::runtime(format!(
            "mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {l}x{}); shapes {a:?} @ {b:?}",
            b[1]
        )));
    }
    let batch = broadcast(&a[..ra - 2], &b[..rb - 2])?;
    if k != l {
        let n: usize = batch.iter().product();
        return Err(Error::runtime(format!(
            "Expected size for first two dimensions of batch2 tensor to be: [{n}, {k}] but got: [{n}, {l}]. Shapes {a:?} @ {b:?}"
        )));
    }
    same_dtype(x, y)?;
    affine(x, y, ONE, None)
}

/// Returns the product of the matrices `input` `[n, m]` and `mat2` `[m, p]`; nothing broadcasts.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mm.html>
#[op("(input, mat2)", number, samples = ["T(2, 3), T(3, 4)", "T(2, 0), T(0, 3)", "T(0, 2), T(2, 3)", "I(2, 3), I(3, 2)"],
    errors = [("T(2, 3), T(4, 5)", "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        ("T(2, 3), T(3)", "mm: mat2 must be a matrix, got 1-D tensor"), ("B(2, 2), B(2, 2)", "not implemented for 'Bool'"),
        ("T(2, 3), T(3, 2, dtype=float64)", "expected m1 and m2 to have the same dtype, but got: float != double")])]
pub fn mm(x: &Tensor, mat2: &Tensor) -> Result<Tensor> {
    check_mm("mm", x, mat2)?;
    affine(x, mat2, ONE, None)
}

/// Returns the products of the matrices in `input` `[b, n, m]` and `mat2` `[b, m, p]`, one by one; nothing broadcasts.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bmm.html>
#[op("(input, mat2)", number, samples = ["T(2, 2, 3), T(2, 3, 4)", "T(0, 2, 3), T(0, 3, 2)", "T(2, 2, 0), T(2, 0, 2)", "I(1, 2, 3), I(1, 3, 2)"],
    errors = [("T(1, 2, 3), T(2, 3, 4)", "Expected size for first two dimensions of batch2 tensor to be: [1, 3] but got: [2, 3]."),
        ("T(2, 3), T(1, 3, 4)", "batch1 must be a 3D tensor")])]
pub fn bmm(x: &Tensor, mat2: &Tensor) -> Result<Tensor> {
    check_bmm(x, mat2)?;
    affine(x, mat2, ONE, None)
}

/// `mat @ vec`, or `input + mat @ vec` for an input of `input` elements.
pub(super) fn check_mv(mat: &[usize], vec: &[usize], input: usize) -> Result<()> {
    if mat.len() != 2 || vec.len() != 1 {
        return Err(Error::runtime(format!(
            "vector + matrix @ vector expected, got 1, {}, {}; shapes {mat:?} @ {vec:?}",
            mat.len(),
            vec.len()
        )));
    }
    if mat[1] != vec[0] || input != mat[0] && input != 1 {
        return Err(Error::runtime(format!("size mismatch, got input ({input}), mat ({}x{}), vec ({})", mat[0], mat[1], vec[0])));
    }
    Ok(())
}

/// Returns the product of the matrix `input` `[n, m]` and the vector `vec` `[m]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mv.html>
#[op("(input, vec)", number, samples = ["T(2, 3), T(3)", "T(0, 3), T(3)", "T(2, 0), T(0)", "I(2, 3), I(3)"],
    errors = [("T(2, 3), T(4)", "size mismatch, got input (2), mat (2x3), vec (4)"),
        ("T(2, 3), T(3, 3)", "vector + matrix @ vector expected, got 1, 2, 2")])]
pub fn mv(x: &Tensor, vec: &Tensor) -> Result<Tensor> {
    let shape = x.shape();
    check_mv(&shape, &vec.shape(), shape.first().copied().unwrap_or(1))?;
    same_dtype(x, vec)?;
    times_vector(x, false, vec)
}

/// Returns the dot product of two vectors of the same length.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.dot.html>
#[op("(input, tensor)", number, samples = ["T(5), T(5)", "T(0), T(0)", "I(3), I(3)"],
    errors = [("T(2, 2), T(3)", "1D tensors expected, but got 2D and 1D tensors"),
        ("T(2), T(3)", "inconsistent tensor size, expected tensor [2] and src [3] to have the same number of elements, but got 2 and 3 elements respectively"),
        ("T(2), T(2, dtype=float64)", "dot : expected both vectors to have same dtype, but found Float and Double")])]
pub fn dot(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.rank() != 1 || y.rank() != 1 {
        return Err(Error::runtime(format!(
            "1D tensors expected, but got {}D and {}D tensors (shapes {:?} and {:?})",
            x.rank(),
            y.rank(),
            x.shape(),
            y.shape()
        )));
    }
    if x.dtype() != y.dtype() {
        return Err(Error::runtime(format!(
            "dot : expected both vectors to have same dtype, but found {} and {}",
            x.dtype().scalar_type_name(),
            y.dtype().scalar_type_name()
        )));
    }
    let (n, m) = (x.numel(), y.numel());
    if n != m {
        return Err(Error::runtime(format!(
            "inconsistent tensor size, expected tensor [{n}] and src [{m}] to have the same number of elements, but got {n} and {m} elements respectively"
        )));
    }
    seen_as(x, x.layout().unsqueeze(0), y, y.layout().unsqueeze(1), &[])?.with_grad([x, y], |s| {
        let (sx, sy) = (s.needs(1).then(|| s.input(x)), s.needs(0).then(|| s.input(y)));
        grad_fn(move |c, g| Ok([wanted(c, 0, &sy, |y| mul(g, &y))?, wanted(c, 1, &sx, |x| mul(g, &x))?]))
    })
}

/// Returns the dot product of two vectors; for real numbers the same as [`fn@dot`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.vdot.html>
#[op("(input, other)", number, samples = ["T(5), T(5)", "I(3), I(3)"], errors = [("T(2), T(3)", "inconsistent tensor size")])]
pub fn vdot(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    dot(x, y)
}

/// Returns the products over the last dimension of both operands: for `[…a, k]` and `[…b, k]` a result of shape `[…a, …b]`. With a
/// zero-dim operand it is the ordinary product.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.inner.html>
#[op("(input, other)", number, samples = ["T(3), T(3)", "T(2, 3), T(4, 3)", "T(2, 2, 3), T(3)", "T(), T(2, 3)", "T(0, 3), T(2, 3)"],
    errors = [("T(2, 3), T(4)", "inner() the last dimension must match on both input tensors but got shapes [2, 3] and [4]"),
        ("T(3), T(3, dtype=float64)", "same dtype")])]
pub fn inner(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (a, b) = (x.shape(), y.shape());
    if a.is_empty() || b.is_empty() {
        return mul(x, y);
    }
    if a.last() != b.last() {
        return Err(Error::runtime(format!(
            "inner() the last dimension must match on both input tensors but got shapes {a:?} and {b:?}"
        )));
    }
    same_dtype(x, y)?;
    let shape: Dims = a[..a.len() - 1].iter().chain(&b[..b.len() - 1]).copied().collect();
    relabel(affine(&rows(x)?, &mt(&rows(y)?)?, ONE, None)?, &shape)
}

/// Returns the matrix of all products of an element of `input` with an element of `vec2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.outer.html>
#[op("(input, vec2)", any, alias = ["ger"], samples = ["T(3), T(2)", "T(0), T(2)", "T(2), I(3)"],
    errors = [("T(2, 2), T(2)", "outer: Expected 1-D argument self, but got 2-D"), ("T(2), T()", "outer: Expected 1-D argument vec2, but got 0-D")])]
pub fn outer(x: &Tensor, vec2: &Tensor) -> Result<Tensor> {
    for (name, t) in [("self", x), ("vec2", vec2)] {
        vector("outer", name, t)?;
    }
    mul(&unsqueeze(x, 1)?, vec2)
}

pub(super) fn vector(op: &str, name: &str, t: &Tensor) -> Result<()> {
    if t.rank() == 1 {
        return Ok(());
    }
    Err(Error::runtime(format!("{op}: Expected 1-D argument {name}, but got {}-D (shape {:?})", t.rank(), t.shape())))
}

/// Returns `input @ weightᵀ + bias` for `input` `[…, in]`, `weight` `[out, in]` or `[in]`, and `bias` `[out]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html>
#[op("(input, weight, bias=None)", nn, number,
    samples = ["T(2, 3), T(4, 3), T(4)", "T(3), T(4, 3), T(4)", "T(2, 2, 3), T(4, 3)", "T(2, 3), T(3)", "T(0, 3), T(4, 3), T(4)", "T(2, 0), T(4, 0), T(4)"],
    errors = [("T(2, 3), T(4, 5)", "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)"),
        ("T(2, 3), T(4, 3), T(5)", "The expanded size of the tensor (4) must match the existing size (5)"),
        ("T(), T(3, 3)", "both arguments to linear need to be at least 1D, but they are 0D and 2D"),
        ("T(2, 3), T(4, 3), T(4, dtype=float64)", "must have the same dtype")])]
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (a, w) = (x.shape(), weight.shape());
    let (Some(&k), Some(&l), 1..=2) = (a.last(), w.last(), w.len()) else {
        return Err(Error::runtime(format!(
            "both arguments to linear need to be at least 1D, but they are {}D and {}D; shapes {a:?} and {w:?}",
            a.len(),
            w.len()
        )));
    };
    if w.len() == 1 {
        let y = matmul(x, weight)?;
        return bias.map_or(Ok(y.clone()), |b| add(&y, b, ONE));
    }
    if k != l {
        let m: usize = a[..a.len() - 1].iter().product();
        return Err(Error::runtime(format!(
            "mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {l}x{}); linear: input {a:?}, weight {w:?}",
            w[0]
        )));
    }
    same_dtype(x, weight)?;
    let mut shape = a.clone();
    *shape.last_mut().expect("checked") = w[0];
    if let Some(b) = bias {
        check_bias(b, weight, &shape)?;
    }
    let row = if a.len() == 1 { unsqueeze(x, 0)? } else { x.clone() };
    let y = linear_rows(&row, weight, bias)?;
    if a.len() == 1 { relabel(y, &shape) } else { Ok(y) }
}

/// `x @ weightᵀ + bias` with a derivative of its own: the gradient of `weight` comes out in weight's layout.
fn linear_rows(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut wt = weight.data();
    wt.layout = wt.layout.transpose(0, 1);
    let y = times_data(&x.data(), &wt, ONE, bias.map(|b| (b, ONE)))?;
    let mut inputs: SmallVec<[&Tensor; 3]> = SmallVec::from_slice(&[x, weight]);
    inputs.extend_from_slice(bias.as_slice());
    let has_bias = bias.is_some();
    autograd::record(std::slice::from_ref(&y), &inputs, |s| {
        let (sx, sw) = (s.needs(1).then(|| s.input(x)), s.needs(0).then(|| s.input(weight)));
        grad_fn(move |c, g| {
            let gx = wanted(c, 0, &sw, |w| affine(g, &w, ONE, None))?;
            let gw = wanted(c, 1, &sx, |x| affine(&mt(&rows(g)?)?, &rows(&x)?, ONE, None))?;
            let mut grads: Grads = smallvec![gx, gw];
            if has_bias {
                grads.push(Some(g.clone()));
            }
            Ok(grads)
        })
    })?;
    Ok(y)
}

/// Checks a summand of a product of shape `shape`.
pub(super) fn check_bias(bias: &Tensor, mat2: &Tensor, shape: &[usize]) -> Result<()> {
    if bias.dtype() != mat2.dtype() {
        return Err(Error::runtime(format!(
            "self and mat2 must have the same dtype, but got {} and {}",
            bias.dtype().scalar_type_name(),
            mat2.dtype().scalar_type_name()
        )));
    }
    // `expand` has the text.
    if bias.layout().broadcast_to(shape).is_none() { expand_to(&bias.detach(), shape).map(|_| ()) } else { Ok(()) }
}

//! Contractions named by dimensions: tensor dot products, Einstein sums, Kronecker products.

use super::linalg::relabel;
use super::*;

ops![tensordot, tensordot_dims, einsum, kron, trace, chain_matmul];

/// Sums over `dims_a` of `a` and `dims_b` of `b`, pair by pair, as one matrix product.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tensordot.html>
#[op("(a, b, dims_self, dims_other)", overload = "dims", number, function,
    samples = ["T(2, 3), T(3, 4), [1], [0]", "T(2, 3, 4), T(4, 3), [1, 2], [1, 0]", "T(3), T(2), [], []", "T(1, 2), T(3, 2), [0, 1], [0, 1]"],
    errors = [("T(2, 3), T(4, 5), [0], [0, 1]", "both dimension lists should have same length"),
        ("T(2, 3), T(4, 5), [1], [0]", "contracted dimensions need to match, but first has size 3 in dim 1 and second has size 4 in dim 0")])]
pub fn tensordot_dims(a: &Tensor, b: &Tensor, dims_self: &[i64], dims_other: &[i64]) -> Result<Tensor> {
    if dims_self.len() != dims_other.len() {
        return Err(Error::runtime(format!(
            "both dimension lists should have same length, but they are {dims_self:?} and {dims_other:?}"
        )));
    }
    let (x, y) = (a.shape(), b.shape());
    let mut pairs: SmallVec<[(usize, usize); 4]> = SmallVec::new();
    for (&i, &j) in dims_self.iter().zip(dims_other) {
        let (p, q) = (super::dim(i, x.len())?, super::dim(j, y.len())?);
        let size = |s: &Dims, d: usize| s.get(d).copied().unwrap_or(1);
        // A dimension of size one broadcasts: the other operand's is summed.
        if size(&x, p) != size(&y, q) && size(&x, p) != 1 && size(&y, q) != 1 {
            return Err(Error::runtime(format!(
                "contracted dimensions need to match, but first has size {} in dim {i} and second has size {} in dim {j}",
                size(&x, p),
                size(&y, q)
            )));
        }
        pairs.push((p, q));
    }
    let names = |rank: usize, free: usize, over: &dyn Fn(usize) -> Option<usize>| -> Vec<usize> {
        (0..rank).map(|d| over(d).unwrap_or(free + d)).collect()
    };
    let (n, m) = (pairs.len(), x.len());
    let of_a = names(m, n, &|d| pairs.iter().position(|p| p.0 == d));
    let of_b = names(y.len(), n + m, &|d| pairs.iter().position(|p| p.1 == d));
    let out: Vec<usize> = of_a.iter().chain(&of_b).copied().filter(|&l| l >= n).collect();
    contract(a, &of_a, b, &of_b, &out)
}

/// Sums over the last `dims` dimensions of `a` and the first of `b`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tensordot.html>
#[op("(a, b, dims=2)", number, function, samples = ["T(2, 3, 4), T(3, 4, 2)", "T(2, 3), T(3, 4), 1", "T(2), T(3), 0", "T(2, 0), T(0, 3), 1"],
    errors = [("T(2, 3), T(4, 5), 1", "contracted dimensions need to match, but first has size 3 in dim -1 and second has size 4 in dim 0"),
        ("T(2, 3), T(2, 3), -1", "tensordot expects dims >= 0, but got dims=-1"), ("T(2, 3), T(4, 5), 3", "tensordot expects dims < ndim_a or ndim_b, but got dims=3")])]
pub fn tensordot(a: &Tensor, b: &Tensor, dims: i64) -> Result<Tensor> {
    if dims < 0 {
        return Err(Error::runtime(format!("tensordot expects dims >= 0, but got dims={dims}")));
    }
    if dims as usize > a.rank().min(b.rank()) {
        return Err(Error::runtime(format!("tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")));
    }
    let (last, first): (Vec<i64>, Vec<i64>) = ((-dims..0).collect(), (0..dims).collect());
    tensordot_dims(a, b, &last, &first)
}

/// The product of `a` and `b`, whose dimensions carry labels (each label once per operand), summed over the labels that are not in `out`:
/// one product of batches of matrices. Every label of `out` is in an operand.
fn contract(a: &Tensor, of_a: &[usize], b: &Tensor, of_b: &[usize], out: &[usize]) -> Result<Tensor> {
    // A label of one operand alone that is not wanted is summed before the product.
    let (a, of_a) = sum_unwanted(a, of_a, |l| of_b.contains(&l) || out.contains(&l))?;
    let (b, of_b) = sum_unwanted(b, of_b, |l| of_a.contains(&l) || out.contains(&l))?;
    let in_b = |l: &&usize| of_b.contains(l);
    let batch: Vec<usize> = of_a.iter().filter(in_b).filter(|l| out.contains(l)).copied().collect();
    let inner: Vec<usize> = of_a.iter().filter(in_b).filter(|l| !out.contains(l)).copied().collect();
    let rows: Vec<usize> = of_a.iter().filter(|l| !of_b.contains(l)).copied().collect();
    let cols: Vec<usize> = of_b.iter().filter(|l| !of_a.contains(l)).copied().collect();
    let size = |l: usize| -> usize {
        // A dimension of size one broadcasts.
        let of = |t: &Tensor, labels: &[usize]| labels.iter().position(|&m| m == l).map_or(1, |d| t.shape()[d]);
        let (p, q) = (of(&a, &of_a), of(&b, &of_b));
        if p == 1 { q } else { p }
    };
    let count = |labels: &[usize]| labels.iter().map(|&l| size(l)).product::<usize>() as i64;
    let matrices = |t: &Tensor, labels: &[usize], order: [&[usize]; 3]| -> Result<Tensor> {
        let order: Vec<usize> = order.concat();
        let sizes: SmallVec<[i64; 6]> = order.iter().map(|&l| size(l) as i64).collect();
        let places: SmallVec<[i64; 6]> =
            order.iter().map(|l| labels.iter().position(|m| m == l).expect("the operand has the label") as i64).collect();
        expand(&permute(t, &places)?, &sizes)
    };
    let left = matrices(&a, &of_a, [&batch, &rows, &inner])?;
    let right = matrices(&b, &of_b, [&batch, &inner, &cols])?;
    let product = if !batch.is_empty() && rows.is_empty() && cols.is_empty() && matches!(a.dtype(), DType::F32 | DType::F64) {
        // Dot products: very many tiny matrices would cost a call each.
        let over: SmallVec<[i64; 6]> = (batch.len()..left.rank()).map(|d| d as i64).collect();
        let product = mul(&left, &right)?;
        if over.is_empty() { product } else { sum_dim(&product, Some(&over), false, None)? }
    } else {
        let left = reshape(&left, &[count(&batch), count(&rows), count(&inner)])?;
        let right = reshape(&right, &[count(&batch), count(&inner), count(&cols)])?;
        if batch.is_empty() { mm(&squeeze_dim(&left, &[0])?, &squeeze_dim(&right, &[0])?)? } else { bmm(&left, &right)? }
    };
    let labels: Vec<usize> = [&batch[..], &rows, &cols].concat();
    let shape: Dims = labels.iter().map(|&l| size(l)).collect();
    let y = relabel(product, &shape)?;
    let order: SmallVec<[i64; 6]> =
        out.iter().map(|l| labels.iter().position(|m| m == l).expect("contract keeps the labels of out") as i64).collect();
    if order.iter().enumerate().all(|(i, &d)| i as i64 == d) { Ok(y) } else { permute(&y, &order) }
}

/// Sums over the dimensions whose label is not wanted.
fn sum_unwanted(x: &Tensor, labels: &[usize], wanted: impl Fn(usize) -> bool) -> Result<(Tensor, Vec<usize>)> {
    let over: SmallVec<[i64; 6]> = (0..labels.len()).filter(|&d| !wanted(labels[d])).map(|d| d as i64).collect();
    let kept = labels.iter().copied().filter(|&l| wanted(l)).collect();
    Ok((if over.is_empty() { x.clone() } else { sum_dim(x, Some(&over), false, Some(x.dtype()))? }, kept))
}

/// An equation, read: the labels of each operand's dimensions and of the result's.
struct Equation {
    operands: Vec<Vec<usize>>,
    out: Vec<usize>,
}

/// The first labels stand for the dimensions under an ellipsis, counted from the last.
const LETTERS: usize = 64;

fn letter(c: char, at: usize) -> Result<usize> {
    if c.is_ascii_alphabetic() {
        return Ok(LETTERS + c as usize);
    }
    Err(Error::runtime(format!(
        "einsum(): invalid subscript given at index {at} in the equation string, subscripts must be in [a-zA-Z]"
    )))
}

/// A label as the equation writes it.
fn name_of(label: usize) -> String {
    label.checked_sub(LETTERS).map_or("...".to_string(), |c| char::from(c as u8).to_string())
}

/// The subscripts of one term; an ellipsis stands for `covered` dimensions.
fn term(text: &str, start: usize, covered: Option<usize>, operand: usize) -> Result<Vec<usize>> {
    let mut labels = Vec::new();
    let mut rest = text;
    let mut seen = false;
    while let Some(c) = rest.chars().next() {
        let at = start + text.len() - rest.len();
        if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if c == '.' {
            if !rest.starts_with("...") || seen {
                return Err(Error::runtime(format!(
                    "einsum(): found '.' for operand {operand} that is not part of any ellipsis, or a second ellipsis; equation index {at}"
                )));
            }
            seen = true;
            labels.extend((0..covered.unwrap_or(0)).rev());
            rest = &rest[3..];
        } else {
            labels.push(letter(c, at)?);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(labels)
}

impl Equation {
    fn read(text: &str, ranks: &[usize]) -> Result<Equation> {
        let (left, right) = match text.split_once("->") {
            Some((l, r)) => (l, Some(r)),
            None => (text, None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != ranks.len() {
            let which = if terms.len() < ranks.len() { "more" } else { "fewer" };
            return Err(Error::runtime(format!("einsum(): {which} operands were provided than specified in the equation")));
        }
        let mut operands = Vec::new();
        let mut widest = 0;
        let mut start = 0;
        for (i, (t, &rank)) in terms.iter().zip(ranks).enumerate() {
            let letters = t.chars().filter(|c| !c.is_whitespace() && *c != '.').count();
            let ellipsis = t.contains("...");
            if letters > rank || letters < rank && !ellipsis {
                return Err(Error::runtime(format!(
                    "einsum(): the number of subscripts in the equation ({letters}) {} the number of dimensions ({rank}) for operand {i}{}",
                    if ellipsis { "is more than" } else { "does not match" },
                    if ellipsis { "" } else { " and no ellipsis was given" }
                )));
            }
            widest = widest.max(if ellipsis { rank - letters } else { 0 });
            if rank - letters > LETTERS {
                return Err(Error::runtime("einsum(): an ellipsis stands for too many dimensions"));
            }
            operands.push(term(t, start, Some(rank - letters), i)?);
            start += t.len() + 1;
        }
        let out = match right {
            Some(r) => term(r, start + 1, Some(widest), ranks.len())?,
            None => Equation::implicit(&operands, widest),
        };
        for (i, l) in out.iter().enumerate() {
            let name = name_of(*l);
            if out[..i].contains(l) {
                return Err(Error::runtime(format!("einsum(): output subscript {name} appears more than once in the output")));
            }
            if !operands.iter().any(|o| o.contains(l)) {
                return Err(Error::runtime(format!(
                    "einsum(): output subscript {name} does not appear in the equation for any input operand"
                )));
            }
        }
        Ok(Equation { operands, out })
    }
    /// Without an arrow: what an ellipsis covers, then the letters that stand once, in alphabetical order.
    fn implicit(operands: &[Vec<usize>], widest: usize) -> Vec<usize> {
        let mut all: Vec<usize> = operands.concat();
        all.sort_unstable();
        let once = all.iter().copied().filter(|&l| l >= LETTERS && all.iter().filter(|&&m| m == l).count() == 1);
        (0..widest).rev().chain(once).collect()
    }
}

/// A tensor whose dimensions have different labels: repeated ones become a diagonal.
fn distinct(x: &Tensor, labels: &[usize], operand: usize) -> Result<(Tensor, Vec<usize>)> {
    let (mut x, mut labels) = (x.clone(), labels.to_vec());
    while let Some((i, j)) = (0..labels.len()).find_map(|j| labels[..j].iter().position(|&l| l == labels[j]).map(|i| (i, j))) {
        let shape = x.shape();
        if shape[i] != shape[j] {
            return Err(Error::runtime(format!(
                "einsum(): subscript {} is repeated for operand {operand} but the sizes don't match, {} != {}",
                name_of(labels[i]),
                shape[j],
                shape[i]
            )));
        }
        x = diagonal(&x, 0, i as i64, j as i64)?;
        let label = labels.remove(j);
        labels.remove(i);
        labels.push(label);
    }
    Ok((x, labels))
}

/// Returns the sum of products that `equation` describes in Einstein's notation: `"ij,jk->ik"` is the matrix product.
///
/// Letters name dimensions; those that are not in the result are summed over; a letter twice in one operand takes the diagonal; `...` stands for
/// any further dimensions, which broadcast. Without `->` the result has the letters that stand once, in alphabetical order. Operands are
/// multiplied from left to right.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.einsum.html>
#[op("(equation, operands)", number, function,
    samples = ["'ij,jk->ik', [T(2, 3), T(3, 4)]", "'ij,jk', [T(2, 3), T(3, 4)]", "'bij,bjk->bki', [T(2, 2, 3), T(2, 3, 2)]", "'ii', [T(3, 3)]", "'ii->i', [T(3, 3)]",
        "'i,j,k->kij', [T(2), T(3), T(2)]", "'...ij,...jk->...ik', [T(2, 2, 3), T(3, 2)]", "'ij->', [T(2, 3)]", "'ij->ji', [T(2, 3)]",
        "'bn,anm,bm->ba', [T(2, 3), T(4, 3, 2), T(2, 2)]", "'i,i->', [T(0), T(0)]", "'bi,bi->b', [T(4, 3), T(4, 3)]", "'...i,...i->...', [T(2, 3, 2), T(2, 1, 2)]", "' a b , b c -> a c ', [T(2, 1), T(3, 2)]"],
    errors = [("'ij,jk', [T(2, 3), T(4, 5)]", "einsum(): subscript j has size 4 for operand 1 which does not broadcast with previously seen size 3"),
        ("'ij,jk->iz', [T(2, 3), T(3, 5)]", "einsum(): output subscript z does not appear in the equation for any input operand"),
        ("'ijk,jk->i', [T(2, 3), T(3, 5)]", "einsum(): the number of subscripts in the equation (3) does not match the number of dimensions (2) for operand 0 and no ellipsis was given"),
        ("'ij', [T(2, 3), T(3, 5)]", "einsum(): more operands were provided than specified in the equation"),
        ("'ij,jk->ii', [T(2, 3), T(3, 5)]", "einsum(): output subscript i appears more than once in the output"),
        ("'i1->i', [T(2, 3)]", "einsum(): invalid subscript given at index 1 in the equation string, subscripts must be in [a-zA-Z]")])]
pub fn einsum(equation: &str, operands: &[Tensor]) -> Result<Tensor> {
    let ranks: Vec<usize> = operands.iter().map(Tensor::rank).collect();
    let Equation { operands: labels, out } = Equation::read(equation, &ranks)?;
    let mut sizes: Vec<(usize, usize)> = Vec::new();
    for (i, (x, labels)) in operands.iter().zip(&labels).enumerate() {
        for (&l, &n) in labels.iter().zip(&x.shape()) {
            match sizes.iter_mut().find(|(m, _)| *m == l) {
                None => sizes.push((l, n)),
                Some((_, seen)) if *seen == 1 => *seen = n,
                Some((_, seen)) if n != 1 && n != *seen => {
                    return Err(Error::runtime(format!(
                        "einsum(): subscript {} has size {n} for operand {i} which does not broadcast with previously seen size {seen}",
                        name_of(l)
                    )));
                }
                Some(_) => {}
            }
        }
    }
    let parts: Vec<(Tensor, Vec<usize>)> =
        operands.iter().zip(&labels).enumerate().map(|(i, (x, l))| distinct(x, l, i)).collect::<Result<_>>()?;
    let mut rest = parts.iter();
    let Some((x, of_x)) = rest.next() else { return Err(Error::runtime("einsum(): must provide at least one operand")) };
    let (mut x, mut of_x) = (x.clone(), of_x.clone());
    for (i, (y, of_y)) in rest.enumerate() {
        // What a later operand or the result still needs.
        let needed = |l: &usize| out.contains(l) || parts[i + 2..].iter().any(|p| p.1.contains(l));
        let mut keep: Vec<usize> = of_x.iter().filter(|l| needed(l)).copied().collect();
        keep.extend(of_y.iter().filter(|l| needed(l) && !of_x.contains(l)));
        x = contract(&x, &of_x, y, of_y, &keep)?;
        of_x = keep;
    }
    let (x, of_x) = sum_unwanted(&x, &of_x, |l| out.contains(&l))?;
    let order: SmallVec<[i64; 6]> =
        out.iter().map(|l| of_x.iter().position(|m| m == l).expect("the result's labels were checked") as i64).collect();
    permute(&x, &order)
}

/// Returns the Kronecker product: each element of `input` times all of `other`, in blocks.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.kron.html>
#[op("(input, other)", any, samples = ["T(2, 2), T(2, 3)", "T(2), T(2, 2)", "T(), T(3)", "T(0, 2), T(2, 2)"])]
pub fn kron(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    let rank = x.rank().max(other.rank());
    let padded = |t: &Tensor| -> Dims { std::iter::repeat_n(1, rank - t.rank()).chain(t.shape()).collect() };
    let (a, b) = (padded(x), padded(other));
    let interleaved = |outer: bool| -> SmallVec<[i64; 6]> {
        (0..rank).flat_map(|d| if outer { [a[d] as i64, 1] } else { [1, b[d] as i64] }).collect()
    };
    let product = mul(&reshape(x, &interleaved(true))?, &reshape(other, &interleaved(false))?)?;
    let shape: SmallVec<[i64; 6]> = (0..rank).map(|d| (a[d] * b[d]) as i64).collect();
    reshape(&product, &shape)
}

/// Returns the sum of the diagonal of a matrix.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.trace.html>
#[op("(input)", any, samples = ["T(3, 3)", "T(2, 4)", "T(0, 2)", "I(3, 2)"],
    errors = [("T(3)", "trace: expected a matrix, but got tensor with dim 1")])]
pub fn trace(x: &Tensor) -> Result<Tensor> {
    if x.rank() != 2 {
        return Err(Error::runtime(format!(
            "trace: expected a matrix, but got tensor with dim {} (shape {:?})",
            x.rank(),
            x.shape()
        )));
    }
    sum(&diagonal(x, 0, 0, 1)?, None)
}

/// Returns the product of matrices, multiplied in the order that takes the fewest scalar products.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.chain_matmul.html>
#[op("(matrices)", number, function, samples = ["[T(2, 3), T(3, 4), T(4, 1)]", "[T(2, 3)]", "[T(2, 0), T(0, 3)]"],
    errors = [("[T(2, 3), T(4, 5)]", "multi_dot(): tensors 0 and 1 with shapes [2, 3] and [4, 5] cannot be multiplied"), ("[T(3), T(3, 2)]", "must be a matrix")])]
pub fn chain_matmul(matrices: &[Tensor]) -> Result<Tensor> {
    let shapes: Vec<Dims> = matrices.iter().map(Tensor::shape).collect();
    if let Some((i, s)) = shapes.iter().enumerate().find(|(_, s)| s.len() != 2) {
        return Err(Error::runtime(format!("chain_matmul: tensor {i} must be a matrix, but its shape is {s:?}")));
    }
    if let Some(i) = (1..shapes.len()).find(|&i| shapes[i - 1][1] != shapes[i][0]) {
        let (a, b) = (&shapes[i - 1], &shapes[i]);
        return Err(Error::runtime(format!(
            "multi_dot(): tensors {} and {i} with shapes {a:?} and {b:?} cannot be multiplied",
            i - 1
        )));
    }
    let n = matrices.len();
    match matrices {
        [] => return Err(Error::runtime("chain_matmul(): Expected one or more matrices")),
        [only] => return copy(only),
        _ => {}
    }
    // cost[i][j], split[i][j]: the cheapest way to multiply matrices i..=j (Cormen et al., "Matrix-chain multiplication").
    let size = |i: usize| if i == 0 { shapes[0][0] } else { shapes[i - 1][1] } as f64;
    let (mut cost, mut split) = (vec![vec![0f64; n]; n], vec![vec![0; n]; n]);
    for len in 1..n {
        for i in 0..n - len {
            let j = i + len;
            cost[i][j] = f64::INFINITY;
            for k in i..j {
                let c = cost[i][k] + cost[k + 1][j] + size(i) * size(k + 1) * size(j + 1);
                if c < cost[i][j] {
                    (cost[i][j], split[i][j]) = (c, k);
                }
            }
        }
    }
    multiply_chain(matrices, &split, 0, n - 1)
}

fn multiply_chain(matrices: &[Tensor], split: &[Vec<usize>], i: usize, j: usize) -> Result<Tensor> {
    if i == j {
        return Ok(matrices[i].clone());
    }
    let k = split[i][j];
    mm(&multiply_chain(matrices, split, i, k)?, &multiply_chain(matrices, split, k + 1, j)?)
}

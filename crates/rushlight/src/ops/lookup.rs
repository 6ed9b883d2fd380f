//! Tables looked up by integers.

use super::spots::{Spots, put_at, smallest, take_at};
use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::backend::ReduceOp;
use rushlight_kernels::backend::ScatterOp;

ops![embedding, one_hot];

/// Returns the rows of `weight` `[rows, size]` at the positions `input`: for `input` `[…]` the result is `[…, size]`.
///
/// An entry of `input` is below the number of rows, and not negative. Row `padding_idx` (negative counts from the end) gets no gradient. The gradient adds up rows in the order of `input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html>
#[op("(input, weight, padding_idx=None)", nn, any,
    samples = ["I(2, 3, hi=4), T(4, 2)", "I(5, hi=3), T(4, 2), padding_idx=3", "I(hi=3), T(3, 2)", "I(0), T(3, 2)", "I(4, hi=2, dtype=int32), T(3, 3), padding_idx=-1"],
    errors = [("I(1, lo=3, hi=4), T(3, 2)", "index out of range in self"), ("I(1, lo=-1, hi=0), T(3, 2)", "index out of range in self"),
        ("T(2), T(3, 2)", "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int"),
        ("I(2), T(3)", "'weight' must be 2-D"), ("I(2, hi=3), T(3, 2), 3", "Padding_idx must be within num_embeddings")])]
pub fn embedding(x: &Tensor, weight: &Tensor, padding_idx: Option<i64>) -> Result<Tensor> {
    if !matches!(x.dtype(), DType::I64 | DType::I32) {
        return Err(Error::runtime(format!(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {} instead (while checking arguments for embedding)",
            x.dtype().scalar_type_name()
        )));
    }
    if weight.rank() != 2 {
        return Err(Error::runtime(format!("'weight' must be 2-D, but its shape is {:?}", weight.shape())));
    }
    let shape = weight.shape();
    let rows = shape[0] as i64;
    if let Some(p) = padding_idx.filter(|&p| p < -rows || p >= rows) {
        return Err(Error::value(format!("Padding_idx must be within num_embeddings: padding_idx={p}, weight has {rows} rows")));
    }
    spots::refuse_negative(x, 0, shape[0]).map_err(out_of_range)?;
    let at_rows = |index: &Tensor| Spots { dims: Dims::from_slice(&[0]), indices: vec![index.clone()], at: 0 };
    // The derivative is this op's own: detached, so that taking records none.
    let y = take_at(&weight.detach(), &at_rows(x)).map_err(out_of_range)?;
    y.with_grad([weight], |s| {
        let index = s.input(x);
        grad_fn(move |c, g| {
            let mut gw = put_at(&filled(&shape, Scalar::Int(0), g.dtype())?, "", &at_rows(&index.get(c)?), g, true)?;
            if let Some(p) = padding_idx {
                let row = Tensor::try_from_vec(vec![p.rem_euclid(rows)], 1)?;
                gw = put_at(&gw, "", &at_rows(&row), &filled(&[], Scalar::Int(0), g.dtype())?, false)?;
            }
            Ok([Some(gw)])
        })
    })
}

#[cold]
fn out_of_range(e: Error) -> Error {
    if e.kind() == crate::ErrorKind::Index { Error::index(format!("index out of range in self ({e})")) } else { e }
}

/// Returns, for `input` `[…]` of class numbers, integers `[…, num_classes]` that are 1 at each class and 0 elsewhere. Without `num_classes` (-1) there
/// is one more than the largest class number.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html>
#[op("(tensor, num_classes=-1)", nn, nondiff, integral, samples = ["I(2, 3, hi=4)", "I(3, hi=2), 5", "I(hi=3)", "I(0), 3"],
    errors = [("I(2, lo=2, hi=3), 2", "Class values must be smaller than num_classes."), ("I(2, lo=-1, hi=0), 2", "Class values must be non-negative."),
        ("I(0)", "Can not infer total number of classes from empty tensor."), ("T(2)", "one_hot is only applicable to index tensor of type LongTensor.")])]
pub fn one_hot(x: &Tensor, num_classes: i64) -> Result<Tensor> {
    if x.dtype() != DType::I64 {
        return Err(Error::runtime(format!(
            "one_hot is only applicable to index tensor of type LongTensor. (got {})",
            x.dtype()
        )));
    }
    let bounds = smallest(x)?.zip(largest(x)?);
    let classes = match bounds {
        None if num_classes <= 0 => {
            return Err(Error::runtime("Can not infer total number of classes from empty tensor."));
        }
        None => num_classes,
        Some((least, _)) if least < 0 => {
            return Err(Error::runtime(format!("Class values must be non-negative. (got {least})")));
        }
        Some((_, most)) if num_classes == -1 => most.saturating_add(1),
        Some((_, most)) if most >= num_classes => {
            return Err(Error::runtime(format!(
                "Class values must be smaller than num_classes. (got {most}, num_classes={num_classes})"
            )));
        }
        Some(_) => num_classes,
    };
    let mut shape = x.shape();
    shape.push(classes as usize);
    let y = filled(&shape, Scalar::Int(0), DType::I64)?;
    let (index, rank) = (x.data(), shape.len() - 1);
    let index = index.with_layout(index.layout.unsqueeze(rank));
    let one = Tensor::scalar(1i64).data().expand(&index.layout.shape)?;
    storage::write(&[y.data()], &[index, one], |outs, v| backend().scatter(ScatterOp::Set, rank, v[0], v[1], &mut outs[0]))?;
    Ok(y)
}

fn largest(index: &Tensor) -> Result<Option<i64>> {
    if index.numel() == 0 {
        return Ok(None);
    }
    let all: Dims = (0..index.rank()).collect();
    let most = if all.is_empty() { index.clone() } else { reduce(ReduceOp::Max, index, &all, false, index.dtype())? };
    most.try_item::<i64>().map(Some)
}

//! Gather and scatter.

use super::*;
use crate::autograd::grad_fn;

ops![index_select];

/// Returns the slices of `input` at the positions `index` of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.index_select.html>
#[op("(input, dim, index)", any)]
pub fn index_select(x: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    todo_index(x, dim, index)
}
fn todo_index(_x: &Tensor, _dim: i64, _index: &Tensor) -> Result<Tensor> { let _ = grad_fn::<fn(&crate::autograd::Ctx, &Tensor) -> Result<[Option<Tensor>; 1]>, _>; Err(Error::not_implemented("index_select")) }

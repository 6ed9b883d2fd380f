//! Derivatives of functions: products with vectors, Jacobians, Hessians.
//!
//! Source: <https://docs.pytorch.org/docs/stable/autograd.html#functional-higher-level-api>

use super::{GradOptions, enable_grad, grad};
use crate::{Error, Result, Tensor, ops};

/// Leaves with the values of `inputs`; with `create_graph` they stay connected to them.
fn differentiable(inputs: &[Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .map(|t| {
            if create_graph && t.requires_grad() {
                // A view of its own, so that what `f` makes of it is told apart from other uses.
                return ops::reshape(t, &t.shape().iter().map(|&d| d as i64).collect::<Vec<_>>());
            }
            let leaf = t.detach();
            leaf.try_requires_grad_(true)?;
            Ok(leaf)
        })
        .collect()
}

fn or_zeros(grads: Vec<Option<Tensor>>, like: &[Tensor]) -> Result<Vec<Tensor>> {
    grads.into_iter().zip(like).map(|(g, x)| g.map_or_else(|| ops::zeros_like(x, None), Ok)).collect()
}

fn gradients(y: &Tensor, xs: &[Tensor], v: Option<&Tensor>, create_graph: bool) -> Result<Vec<Tensor>> {
    if !y.requires_grad() {
        return or_zeros(vec![None; xs.len()], xs);
    }
    let options = GradOptions { create_graph, retain_graph: true, allow_unused: true };
    or_zeros(grad(&[y], &xs.iter().collect::<Vec<_>>(), &[v], options)?, xs)
}

/// The value of `f` and the product of the vector `v` (of the value's shape) with its Jacobian: one gradient per input.
///
/// # Errors
/// Those of `f`, or if v's shape is not the value's.
pub fn vjp(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], v: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
    let _guard = enable_grad();
    let xs = differentiable(inputs, false)?;
    let y = f(&xs)?;
    let grads = gradients(&y, &xs, Some(v), false)?;
    Ok((y.detach(), grads))
}

/// The value of `f` and the product of its Jacobian with the vectors `v` (one per input, of its shape).
///
/// Computed by differentiating a vector-Jacobian product twice, so it needs nothing of an op but its double derivative.
///
/// # Errors
/// Those of `f`, or if a vector's shape is not its input's.
pub fn jvp(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], v: &[Tensor]) -> Result<(Tensor, Tensor)> {
    if v.len() != inputs.len() {
        return Err(Error::runtime(format!("jvp: got {} inputs and {} vectors", inputs.len(), v.len())));
    }
    let _guard = enable_grad();
    let xs = differentiable(inputs, false)?;
    let y = f(&xs)?;
    // g(u) = uᵀJ is linear in u; its own vector-Jacobian product with v is Jv.
    let u = ops::zeros_like(&y.detach(), None)?.with_requires_grad();
    let g = gradients(&y, &xs, Some(&u), true)?;
    let pairs: Vec<(&Tensor, &Tensor)> = g.iter().zip(v).filter(|(g, _)| g.requires_grad()).collect();
    if pairs.is_empty() {
        let zeros = ops::zeros_like(&y.detach(), None)?;
        return Ok((y.detach(), zeros));
    }
    let (gs, vs): (Vec<&Tensor>, Vec<Option<&Tensor>>) = pairs.into_iter().map(|(g, v)| (g, Some(v))).unzip();
    let jv = grad(&gs, &[&u], &vs, GradOptions { allow_unused: true, ..Default::default() })?.remove(0);
    let jv = jv.map_or_else(|| ops::zeros_like(&u.detach(), None), Ok)?;
    Ok((y.detach(), jv))
}

/// The Jacobian of `f`: for each input, a tensor of the value's shape followed by the input's. With `create_graph` it is differentiable.
///
/// # Errors
/// Those of `f`.
pub fn jacobian(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    let _guard = enable_grad();
    let xs = differentiable(inputs, create_graph)?;
    let y = f(&xs)?;
    let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); xs.len()];
    for i in 0..y.numel() {
        let mut one_hot = vec![0f64; y.numel()];
        one_hot[i] = 1.0;
        let v = ops::to_dtype(&Tensor::try_from_vec(one_hot, y.shape())?, y.dtype())?;
        for (rows, row) in rows.iter_mut().zip(gradients(&y, &xs, Some(&v), create_graph)?) {
            rows.push(row);
        }
    }
    rows.iter()
        .zip(&xs)
        .map(|(rows, x)| {
            let shape: Vec<i64> = y.shape().iter().chain(&x.shape()).map(|&d| d as i64).collect();
            if rows.is_empty() {
                return ops::creation::filled(&shape.iter().map(|&d| d as usize).collect::<Vec<_>>(), 0.into(), x.dtype());
            }
            ops::reshape(&ops::stack(rows, 0)?, &shape)
        })
        .collect()
}

/// The Hessian of a function with one value: block `[i][j]` has the shape of input i followed by that of input j.
///
/// # Errors
/// Those of `f`, or if it gives more than one value.
pub fn hessian(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
    (0..inputs.len())
        .map(|i| {
            let gradient = |xs: &[Tensor]| -> Result<Tensor> {
                let y = f(xs)?;
                if y.numel() != 1 {
                    return Err(Error::runtime(format!(
                        "The Tensor returned by the function given to hessian should contain a single element, but it has shape {:?}",
                        y.shape().as_slice()
                    )));
                }
                Ok(gradients(&y, xs, None, true)?.swap_remove(i))
            };
            jacobian(gradient, inputs, false)
        })
        .collect()
}

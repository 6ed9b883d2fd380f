//! Gradients within bounds, and parameters as one vector.

use crate::{Error, Result, Tensor, no_grad, ops};

/// The gradients of those parameters that have one.
fn gradients(parameters: &[Tensor]) -> Vec<Tensor> {
    parameters.iter().filter_map(Tensor::grad).map(|g| g.detach()).collect()
}

/// The norm of all gradients together, as if they were one vector; `norm_type` is the exponent, infinity for the largest magnitude.
///
/// # Errors
/// If `norm_type` is negative, or NaN.
pub fn total_grad_norm(parameters: &[Tensor], norm_type: f64) -> Result<f64> {
    if norm_type < 0.0 || norm_type.is_nan() {
        return Err(Error::value(format!("norm_type should not be negative, but is {norm_type}")));
    }
    let _guard = no_grad();
    let norms = gradients(parameters).iter().map(|g| norm(g, norm_type)).collect::<Result<Vec<f64>>>()?;
    Ok(norm_of(norms, norm_type))
}

/// The norm of a list of magnitudes.
fn norm_of(values: Vec<f64>, p: f64) -> f64 {
    if p == f64::INFINITY {
        // `max` would lose a NaN.
        return values.into_iter().fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
    }
    if p == 0.0 {
        return values.into_iter().filter(|&v| v != 0.0).count() as f64;
    }
    if p == 1.0 {
        return values.into_iter().sum();
    }
    values.into_iter().map(|v| v.powf(p)).sum::<f64>().powf(1.0 / p)
}

/// The norm of one tensor's elements.
fn norm(g: &Tensor, p: f64) -> Result<f64> {
    ops::vector_norm(g, p.into(), None, false, None)?.try_item()
}

/// Scales all gradients by one factor so that their norm together is at most `max_norm`; gives the norm before. Pascanu, Mikolov and
/// Bengio, "On the difficulty of training recurrent neural networks" (2012).
///
/// # Errors
/// If `norm_type` is out of range.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html>
pub fn clip_grad_norm_(parameters: &[Tensor], max_norm: f64, norm_type: f64) -> Result<f64> {
    let total = total_grad_norm(parameters, norm_type)?;
    let factor = max_norm / (total + 1e-6);
    // A NaN among the gradients makes the norm NaN, and then all gradients, which is easier to notice than a part of them.
    if factor < 1.0 || factor.is_nan() {
        let _guard = no_grad();
        gradients(parameters).iter().try_for_each(|g| g.try_mul_(factor).map(|_| ()))?;
    }
    Ok(total)
}

/// Brings every element of every gradient into `[-clip_value, clip_value]`.
///
/// # Errors
/// If a gradient may not be written.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html>
pub fn clip_grad_value_(parameters: &[Tensor], clip_value: f64) -> Result<()> {
    let _guard = no_grad();
    gradients(parameters).iter().try_for_each(|g| ops::clamp_(g, Some((-clip_value).into()), Some(clip_value.into())))
}

/// All parameters end to end in one vector, with history.
///
/// # Errors
/// If there is no parameter.
pub fn parameters_to_vector(parameters: &[Tensor]) -> Result<Tensor> {
    let flat = parameters.iter().map(|p| ops::reshape(p, &[-1])).collect::<Result<Vec<_>>>()?;
    ops::cat(&flat, 0)
}

/// Writes the parts of `vector` into the parameters, in order.
///
/// # Errors
/// If the vector has not as many elements as the parameters together; nothing is written then.
pub fn vector_to_parameters(vector: &Tensor, parameters: &[Tensor]) -> Result<()> {
    let wanted: usize = parameters.iter().map(Tensor::numel).sum();
    if vector.rank() != 1 || vector.numel() != wanted {
        return Err(Error::runtime(format!(
            "vector_to_parameters: the parameters have {wanted} elements, but the vector's shape is {:?}",
            vector.shape().as_slice()
        )));
    }
    let _guard = no_grad();
    let mut start = 0;
    for p in parameters {
        let part = ops::narrow(&vector.detach(), 0, start, p.numel() as i64)?;
        let shape: Vec<i64> = p.shape().iter().map(|&d| d as i64).collect();
        ops::copy_(p, &ops::reshape(&part, &shape)?, false)?;
        start += p.numel() as i64;
    }
    Ok(())
}

//! Row kernels: softmax, losses of classes, layer norm, moments.

mod along;
mod band;
mod channels;
mod classes;
mod groups;
pub(super) mod lanes;
mod moments;
mod softmax;
mod strip;
#[cfg(test)]
mod tests;

use crate::backend::*;
use crate::*;

/// See [`Backend`]. Floating dtypes only; softmax and layer norm want one dtype for all tensors.
pub fn custom(kernel: KernelId, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let x = if matches!(kernel, KernelId::ClassLossBackward(_)) { ins[1] } else { ins[0] };
    dispatch!(x.dtype, [F16 BF16 F32 F64], T => match kernel {
        KernelId::Softmax { dim } => softmax::forward::<T, softmax::Softmax>(dim, x, &mut outs[0]),
        KernelId::LogSoftmax { dim } => softmax::forward::<T, softmax::LogSoftmax>(dim, x, &mut outs[0]),
        KernelId::ClassLoss(loss) => classes::forward::<T>(loss, ins, outs),
        KernelId::ClassLossBackward(loss) => classes::backward::<T>(loss, ins, &mut outs[0]),
        KernelId::RowNorm(norm) => groups::forward::<T>(norm, ins, outs),
        KernelId::RowNormBackward(norm) => groups::backward::<T>(norm, ins, outs),
        KernelId::ChannelNorm(norm) => channels::forward::<T>(norm, ins, outs),
        KernelId::ChannelNormBackward(norm) => channels::backward::<T>(norm, ins, outs),
        KernelId::SoftmaxBackward { dim } => softmax::backward::<T, softmax::SoftmaxBackward>(dim, x, ins[1], &mut outs[0]),
        KernelId::LogSoftmaxBackward { dim } => softmax::backward::<T, softmax::LogSoftmaxBackward>(dim, x, ins[1], &mut outs[0]),
        KernelId::LayerNorm { eps } => moments::layer_norm::<T>(eps, x, outs),
        KernelId::Moments { correction } => moments::moments::<T>(correction, x, outs),
        _ => Ok(None),
    }, else => Ok(None))
}

//! The CPU backend.
//!
//! Lives here: one file per kernel family, the thread pool and the SIMD dispatch. Every kernel splits its work by shape alone and
//! combines partial results in a fixed order, so results have the same bits at any thread count.
//! Must not live here: promotion, broadcasting and shape errors (one floor up).

pub mod attention;
pub mod conv;
mod copy;
pub mod count;
pub mod dense;
pub mod index;
pub mod matmul;
mod moves;
pub mod norm;
mod number;
pub mod pool;
pub mod random;
pub mod recurrent;
pub mod reduce;
mod rows;
#[cfg(test)]
mod samples;
pub mod scan;
pub mod search;
pub mod simd;
pub mod sort;
pub mod tile;
pub mod update;
mod walk;
pub mod window;

use crate::backend::*;
use crate::{Buffer, Inst, Program, Result, Scalar};
use random::Generator;

/// The backend that runs on this machine's CPU cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Backend for Cpu {
    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        Buffer::uninit(bytes)
    }
    fn pointwise(&self, program: &Program, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
        tile::pointwise(program, ins, outs)
    }
    #[inline]
    fn instruction(&self, inst: Inst, ins: &[View], out: &mut ViewMut) -> Result<()> {
        tile::instruction(inst, ins, out)
    }
    fn reduce(&self, op: ReduceOp, x: View, dims: &[usize], out: &mut ViewMut) -> Result<()> {
        reduce::reduce(op, x, dims, out)
    }
    fn reduce_program(
        &self,
        op: ReduceOp,
        program: &Program,
        ins: &[View],
        kept: &mut [ViewMut],
        operand: Operand,
        shape: &[usize],
        dims: &[usize],
        out: &mut ViewMut,
    ) -> Result<bool> {
        reduce::reduce_program(op, program, ins, kept, operand, shape, dims, out)
    }
    fn scan(&self, op: ScanOp, x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>) -> Result<()> {
        scan::scan(op, x, dim, out, indices)
    }
    fn matmul(&self, a: View, b: View, bias: Option<View>, alpha: Scalar, beta: Scalar, out: &mut ViewMut) -> Result<()> {
        matmul::matmul(a, b, bias, alpha, beta, out)
    }
    fn matmul_then(
        &self,
        a: View,
        b: View,
        bias: Option<View>,
        alpha: Scalar,
        beta: Scalar,
        out: &mut ViewMut,
        program: &Program,
        ins: &[View],
        outs: &mut [ViewMut],
    ) -> Result<()> {
        matmul::matmul_then(a, b, bias, alpha, beta, out, program, ins, outs)
    }
    fn conv(&self, x: View, w: View, bias: Option<View>, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
        conv::conv(x, w, bias, shape, out)
    }
    fn conv_input_grad(&self, g: View, w: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
        conv::conv_input_grad(g, w, shape, out)
    }
    fn conv_weight_grad(&self, g: View, x: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
        conv::conv_weight_grad(g, x, shape, out)
    }
    fn gather(&self, x: View, dim: usize, index: View, out: &mut ViewMut) -> Result<()> {
        index::gather(x, dim, index, out)
    }
    fn scatter(&self, op: ScatterOp, dim: usize, index: View, src: View, out: &mut ViewMut) -> Result<()> {
        index::scatter(op, dim, index, src, out)
    }
    fn join(&self, parts: &[View], dim: usize, out: &mut ViewMut) -> Result<()> {
        copy::join(parts, dim, out);
        Ok(())
    }
    fn triangle(&self, x: View, diagonal: i64, lower: bool, out: &mut ViewMut) -> Result<()> {
        copy::triangle(x, diagonal, lower, out);
        Ok(())
    }
    fn surround(&self, x: View, starts: &[usize], value: Scalar, out: &mut ViewMut) -> Result<()> {
        copy::surround(x, starts, value, out);
        Ok(())
    }
    fn take(&self, x: View, indices: &[View], out: &mut ViewMut) -> Result<()> {
        index::take(x, indices, out)
    }
    fn put(&self, op: ScatterOp, indices: &[View], src: View, out: &mut ViewMut) -> Result<()> {
        index::put(op, indices, src, out)
    }
    fn tally(&self, x: View) -> Result<Vec<usize>> {
        index::tally(x)
    }
    fn nonzero(&self, x: View, tally: &[usize], out: &mut ViewMut) -> Result<()> {
        index::nonzero(x, tally, out)
    }
    fn compress(&self, x: View, mask: View, tally: &[usize], out: &mut ViewMut) -> Result<()> {
        index::compress(x, mask, tally, out)
    }
    fn extent(&self, x: View) -> Result<Option<(i64, i64)>> {
        count::extent(x)
    }
    fn bincount(&self, x: View, out: &mut ViewMut) -> Result<()> {
        count::bincount(x, out)
    }
    fn sort(&self, x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
        sort::sort(x, dim, descending, values, indices)
    }
    fn topk(&self, x: View, dim: usize, largest: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
        sort::topk(x, dim, largest, values, indices)
    }
    fn nth(&self, x: View, dim: usize, nth: usize, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
        sort::nth(x, dim, nth, values, indices)
    }
    fn search(&self, sorted: View, values: View, right: bool, out: &mut ViewMut) -> Result<()> {
        search::search(sorted, values, right, out)
    }
    fn dense(&self, op: DenseOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
        dense::dense(op, ins, outs)
    }
    fn window(&self, op: &WindowOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
        window::window(op, ins, outs)
    }
    fn random(&self, op: RandomOp, generator: &mut Generator, out: &mut ViewMut) -> Result<()> {
        random::fill(op, generator, out)
    }
    fn update(&self, rule: &UpdateRule, grads: &[View], outs: &mut [ViewMut]) -> Result<bool> {
        Ok(update::update(rule, grads, outs))
    }
    fn custom(&self, kernel: KernelId, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
        match kernel {
            KernelId::Attention(op) => attention::forward(op, ins, outs),
            KernelId::AttentionBackward(op) => attention::backward(op, ins, outs),
            KernelId::Recurrent { cell, backwards } => recurrent::forward(cell, backwards, ins, outs),
            KernelId::RecurrentBackward { cell, backwards } => recurrent::backward(cell, backwards, ins, outs),
            _ => norm::custom(kernel, ins, outs),
        }
    }
}

//! What a device must implement: about a dozen kernel families over strided views.
//!
//! The caller (`rushlight::storage`) has done all promotion, broadcasting and shape checks, holds the locks, and has allocated
//! the outputs. A kernel may only fail for reasons found in the data (an index out of range) or in the machine (memory).
//!
//! Conventions: "same shape" means that the caller has already broadcast with zero strides. An output view never overlaps itself.
//! Unless a family says otherwise, an output may be *exactly* an input (same buffer, layout and dtype: an in-place call), and
//! otherwise overlaps no input.

use crate::cpu::random::Generator;
use crate::{Buffer, DType, Error, Inst, Layout, Program, Result, Scalar};
use std::marker::PhantomData;

/// A strided view that a kernel reads.
#[derive(Clone, Copy)]
pub struct View<'a> {
    ptr: *const u8,
    /// Shape, strides and offset, in elements.
    pub layout: &'a Layout,
    /// Element type.
    pub dtype: DType,
    buffer: PhantomData<&'a Buffer>,
}

/// A strided view that a kernel writes (and may read).
pub struct ViewMut<'a> {
    ptr: *mut u8,
    /// Shape, strides and offset, in elements.
    pub layout: &'a Layout,
    /// Element type.
    pub dtype: DType,
    buffer: PhantomData<&'a mut Buffer>,
}

// SAFETY: a view stands for `&[T]`; whoever made it holds the lock that makes reading from any thread sound.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}
// SAFETY: a mutable view stands for `&mut [T]`; kernels split it into disjoint parts before threads write.
unsafe impl Send for ViewMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for ViewMut<'_> {}

impl<'a> View<'a> {
    /// A view of `buffer`. Fails if the layout reaches outside it.
    ///
    /// # Safety
    /// Nobody writes these elements while the view lives, except through a `ViewMut` of the same kernel call under the
    /// family's aliasing rule; the bytes are valid values of `dtype` (matters for bool).
    #[inline]
    pub unsafe fn new(buffer: &'a Buffer, layout: &'a Layout, dtype: DType) -> Result<View<'a>> {
        layout.check_fits(buffer.len() / dtype.size())?;
        Ok(View { ptr: buffer.as_ptr(), layout, dtype, buffer: PhantomData })
    }
    /// The one value that every index of `layout` has: its strides and its offset are zero.
    #[inline]
    pub fn of_value<T: crate::Element>(value: &'a T, layout: &'a Layout) -> View<'a> {
        assert!(layout.offset == 0 && layout.strides.iter().all(|&s| s == 0), "one value has no neighbours");
        View { ptr: std::ptr::from_ref(value).cast(), layout, dtype: T::DTYPE, buffer: PhantomData }
    }
    /// Pointer to index `[0, 0, …]`.
    #[inline]
    pub fn ptr<T>(&self) -> *const T {
        self.ptr.cast::<T>().wrapping_add(self.layout.offset)
    }
    /// The same elements under another layout (which the caller derives by view operations, so it stays in bounds).
    #[inline]
    pub fn with_layout(self, layout: &'a Layout) -> View<'a> {
        View { layout, ..self }
    }
    /// Sizes.
    #[inline]
    pub fn shape(&self) -> &'a [usize] {
        &self.layout.shape
    }
    /// Strides in elements.
    #[inline]
    pub fn strides(&self) -> &'a [isize] {
        &self.layout.strides
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }
    /// The elements as a slice, if the layout is contiguous and `T` is the dtype's type.
    pub fn as_slice<T: crate::Element>(&self) -> Option<&'a [T]> {
        // SAFETY: contiguous, so the elements from the first are `numel` in a row, all within the buffer.
        (T::DTYPE == self.dtype && self.layout.is_contiguous())
            .then(|| unsafe { std::slice::from_raw_parts(self.ptr::<T>(), self.numel()) })
    }
}

impl<'a> ViewMut<'a> {
    /// A writable view of `buffer`. Fails if the layout reaches outside it.
    ///
    /// # Safety
    /// The caller has exclusive access to these elements while the view lives, except for `View`s of the same kernel call under
    /// the family's aliasing rule; the buffer may be written.
    #[inline]
    pub unsafe fn new(buffer: &'a Buffer, layout: &'a Layout, dtype: DType) -> Result<ViewMut<'a>> {
        layout.check_fits(buffer.len() / dtype.size())?;
        Ok(ViewMut { ptr: buffer.as_ptr(), layout, dtype, buffer: PhantomData })
    }
    /// Pointer to index `[0, 0, …]`.
    #[inline]
    pub fn ptr<T>(&self) -> *mut T {
        self.ptr.cast::<T>().wrapping_add(self.layout.offset)
    }
    /// The same elements under another layout (derived by view operations, so it stays in bounds).
    #[inline]
    pub fn with_layout<'b>(&'b mut self, layout: &'b Layout) -> ViewMut<'b> {
        ViewMut { ptr: self.ptr, layout, dtype: self.dtype, buffer: PhantomData }
    }
    /// A part of it.
    ///
    /// # Safety
    /// Parts that live at the same time do not overlap, and nobody uses the whole meanwhile.
    pub(crate) unsafe fn part<'b>(&'b self, layout: &'b Layout) -> ViewMut<'b> {
        ViewMut { ptr: self.ptr, layout, dtype: self.dtype, buffer: PhantomData }
    }
    /// The same view for reading.
    #[inline]
    pub fn as_view(&self) -> View<'_> {
        View { ptr: self.ptr, layout: self.layout, dtype: self.dtype, buffer: PhantomData }
    }
    /// Sizes.
    #[inline]
    pub fn shape(&self) -> &'a [usize] {
        &self.layout.shape
    }
    /// Strides in elements.
    #[inline]
    pub fn strides(&self) -> &'a [isize] {
        &self.layout.strides
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }
    /// The elements as a slice, if the layout is contiguous and `T` is the dtype's type.
    pub fn as_mut_slice<T: crate::Element>(&mut self) -> Option<&mut [T]> {
        // SAFETY: contiguous, so the elements from the first are `numel` in a row, all within the buffer; `&mut self` is exclusive.
        (T::DTYPE == self.dtype && self.layout.is_contiguous())
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.ptr::<T>(), self.numel()) })
    }
}

/// What a reduction computes over each group of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// Sum; floats by a cascade in the compute type (f16, bf16 in f32), integers wrap. Empty: 0.
    Sum,
    /// Sum of the squares of f32 or f64, with the bits of the sum of stored squares.
    SumOfSquares,
    /// Product. Empty: 1.
    Prod,
    /// Smallest; NaN wins. The group is not empty.
    Min,
    /// Largest; NaN wins. The group is not empty.
    Max,
    /// Position (row-major within the reduced dimensions) of the first smallest, NaN wins; output i64.
    ArgMin,
    /// Position of the first largest, NaN wins; output i64.
    ArgMax,
    /// All are non-zero; output bool. Empty: true.
    All,
    /// Any is non-zero; output bool. Empty: false.
    Any,
}

/// Which of a program's outputs is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// This one of those that are stored.
    Kept(usize),
    /// One after those that are stored, which nobody wants otherwise.
    Scratch,
}

/// What a running reduction keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOp {
    /// Running sum.
    Sum,
    /// Running product.
    Prod,
    /// Running maximum, with the position of the latest element that equals it (PyTorch's `cummax`).
    Max,
    /// Running minimum, with positions.
    Min,
    /// Running log of the sum of exponentials.
    LogSumExp,
}

/// How a scatter joins a value to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterOp {
    /// Overwrite; the last in row-major order of `index` wins.
    Set,
    /// Add, in row-major order of `index`.
    Add,
    /// Multiply.
    Mul,
    /// Keep the smaller; NaN wins.
    Min,
    /// Keep the larger; NaN wins.
    Max,
}

/// How an optimizer moves a parameter, with `g` for `sign` times the gradient plus `weight_decay` times the parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum UpdateRule {
    /// `p -= lr g`.
    Sgd { lr: f64, weight_decay: f64, sign: f64 },
    /// `v = momentum v + fresh g`, `p -= lr v`; with `nesterov` `p -= lr (g + momentum v)`.
    Momentum { lr: f64, momentum: f64, fresh: f64, nesterov: bool, weight_decay: f64, sign: f64 },
    /// `m += (1 - beta1) (g - m)`, `v = beta2 v + (1 - beta2) g²`, `p = shrink p + rate m / (correction √v + eps)`.
    Adam { beta1: f64, beta2: f64, eps: f64, rate: f64, correction: f64, weight_decay: f64, shrink: f64, sign: f64 },
    /// `v = alpha v + (1 - alpha) g²`, `p -= lr g / (√v + eps)`.
    RmsProp { lr: f64, alpha: f64, eps: f64, weight_decay: f64, sign: f64 },
    /// `s += g²`, `p += rate g / (√s + eps)`.
    Adagrad { rate: f64, eps: f64, weight_decay: f64, sign: f64 },
}

impl UpdateRule {
    /// The most tensors that a rule overwrites.
    pub const MOST: usize = 3;
    /// How many tensors it overwrites for each parameter, which is the first of them.
    pub fn outputs(&self) -> usize {
        match self {
            UpdateRule::Sgd { .. } => 1,
            UpdateRule::Adam { .. } => 3,
            _ => 2,
        }
    }
}

/// Geometry of a convolution over one to three spatial dimensions; every list has one entry per spatial dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Step of the window.
    pub stride: crate::Dims,
    /// Zeros added at both ends.
    pub padding: crate::Dims,
    /// Spacing of the kernel's taps.
    pub dilation: crate::Dims,
    /// Number of independent channel groups.
    pub groups: usize,
}

/// Geometry of a pooling window over one to three spatial dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Size of the window.
    pub kernel: crate::Dims,
    /// Step of the window.
    pub stride: crate::Dims,
    /// Implicit padding at both ends.
    pub padding: crate::Dims,
    /// Spacing within the window (max pooling only).
    pub dilation: crate::Dims,
}

/// Positions along each spatial dimension.
pub type Places = std::sync::Arc<[Vec<usize>]>;

/// What a sliding window computes. Views have shape `[planes, spatial…]`.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowOp {
    /// `outs = [values, indices]`: the maximum and its i64 position within the input plane (row-major); padding never wins; NaN wins.
    MaxPool(PoolShape),
    /// `outs = [values]`: the average. `count_include_pad` counts padding as elements; `divisor` replaces the count.
    AvgPool {
        /// The window; dilation is all ones.
        shape: PoolShape,
        /// Whether padding counts.
        count_include_pad: bool,
        /// A divisor instead of the count.
        divisor: Option<usize>,
    },
    /// `ins = [gradient of the output]`, `outs = [gradient of the input]` of the same AvgPool.
    AvgPoolBackward {
        /// The window.
        shape: PoolShape,
        /// Whether padding counts.
        count_include_pad: bool,
        /// A divisor instead of the count.
        divisor: Option<usize>,
    },
    /// `outs = [values]`: averages over PyTorch's adaptive windows `[floor(i*n/m), ceil((i+1)*n/m))`; sizes come from the views.
    AdaptiveAvgPool,
    /// The transposed map of AdaptiveAvgPool.
    AdaptiveAvgPoolBackward,
    /// `outs = [values]`: `y[p, i, j, …] = x[p, places[0][i], places[1][j], …]`, with a list of positions for each spatial dimension.
    Lookup(Places),
    /// The transposed map of Lookup: zero, plus each element at the place that it was taken from, in ascending order.
    LookupBackward(Places),
    /// `ins = [elements, positions]`, both `[planes, n]`, `outs = [planes of some size]`: zero, plus each element at its i64 position in
    /// its plane, in ascending order.
    PutBack,
}

/// How elements are drawn; each reproduces PyTorch's CPU kernel, so the same generator state gives the same values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RandomOp {
    /// Uniform on `[low, high)`.
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Integers in `[low, high)`.
    RandInt {
        /// Lower end.
        low: i64,
        /// Upper end (exclusive).
        high: i64,
    },
    /// One with probability `p`.
    Bernoulli {
        /// Probability.
        p: f64,
    },
    /// Exponential with rate `lambda`.
    Exponential {
        /// Rate.
        lambda: f64,
    },
}

/// What becomes of the losses of single elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReduction {
    /// They stay.
    None,
    /// Their sum over the sum of their weights.
    Mean,
    /// Their sum.
    Sum,
}

/// A negative log likelihood of one class per row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassLoss {
    /// The dimension of x that numbers the classes.
    pub dim: usize,
    /// x holds scores, whose log-softmax is taken first; else log-probabilities.
    pub of_scores: bool,
    /// Rows with this target count nothing.
    pub ignore_index: i64,
    /// What becomes of the rows' losses.
    pub reduction: LossReduction,
}

/// Normalisation of contiguous rows, each with its own mean and variance: layer, group and instance norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowNorm {
    /// Elements of a row.
    pub width: usize,
    /// Rows that follow each other with weights of their own, before the weights repeat: 1 in layer norm, the groups in group norm.
    pub groups: usize,
    /// Neighbours that share a weight: 1 in layer norm, the spatial size in group norm.
    pub inner: usize,
    /// Whether the mean is taken off; else (RMS norm) the mean is zero, and the variance the mean square.
    pub centred: bool,
    /// Whether there is a weight.
    pub weight: bool,
    /// Whether there is a bias.
    pub bias: bool,
    /// Added to the variance.
    pub eps: f64,
}

/// Normalisation of the channels of a contiguous `[outer, channels, inner]`: batch norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelNorm {
    /// Samples.
    pub outer: usize,
    /// Channels.
    pub channels: usize,
    /// Positions of a sample.
    pub inner: usize,
    /// By the mean and the variance of x itself; else by given ones.
    pub own: bool,
    /// Whether there is a weight.
    pub weight: bool,
    /// Whether there is a bias.
    pub bias: bool,
    /// Added to the variance.
    pub eps: f64,
}

/// Scaled dot-product attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// What scores are multiplied by.
    pub scale: f64,
    /// Query `i` sees keys up to `i` only.
    pub causal: bool,
}

/// Kernels beyond the families, for speed only: a backend without one answers `Ok(None)` and the composed version runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KernelId {
    /// `ins = [x]`, `outs = [y]`, over dimension `dim`.
    Softmax {
        /// The dimension.
        dim: usize,
    },
    /// `ins = [x]`, `outs = [y]`, over dimension `dim`.
    LogSoftmax {
        /// The dimension.
        dim: usize,
    },
    /// `ins = [grad, y]`, `outs = [gx]`: `y * (grad - sum(grad * y))`.
    SoftmaxBackward {
        /// The dimension.
        dim: usize,
    },
    /// `ins = [grad, y]`, `outs = [gx]`: `grad - exp(y) * sum(grad)`.
    LogSoftmaxBackward {
        /// The dimension.
        dim: usize,
    },
    /// `ins = [x, target (i64, x's shape without dim), weight of each class, if any]`, `outs = [loss, sum of the weights, stats]`. The loss has the
    /// target's shape, or one element; the sum one element and, like the stats, the compute dtype. The stats (of scores only) are
    /// `[2, rows]`: each row's maximum, and the sum of exponentials of the distances from it. All but x, target and weight are contiguous.
    ClassLoss(ClassLoss),
    /// `ins = [gradient of the loss, x, target, sum of the weights, stats (of scores only), weight, if any]`, `outs = [gradient of x]`.
    ClassLossBackward(ClassLoss),
    /// `ins = [x, weight, bias]` (those there are), `outs = [y, mean, rstd]`; the last two have one element per row, in the compute dtype. All are
    /// contiguous, and x, weight and bias of one dtype.
    RowNorm(RowNorm),
    /// `ins = [gradient of y, x, mean, rstd, weight (if any)]`, `outs = [gradient of x, of the weight, of the bias]`; there are always three.
    RowNormBackward(RowNorm),
    /// `ins = [x, mean and variance (if not its own), weight, bias]` (those there are), `outs = [y, mean, rstd, unbiased variance]`; the last three have
    /// one element per channel, in the compute dtype. All are contiguous, and x, weight and bias of one dtype.
    ChannelNorm(ChannelNorm),
    /// `ins = [gradient of y, x, mean, rstd, weight (if any)]`, `outs = [gradient of x, of the weight, of the bias]`; there are always three.
    ChannelNormBackward(ChannelNorm),
    /// `ins = [q, k, v, mask (if any)]`, `outs = [o, lse]`: `softmax(scale q kᵀ + mask) v` for `[batch…, l, e]`, `[batch…, s, e]`, `[batch…, s, w]` and a mask
    /// `[batch…, l, s]` of bools (true: visible) or numbers, all broadcast to one batch; `lse: [batch…, l, 2]`, contiguous and in the compute dtype, is
    /// each row's maximum and the logarithm of its sum of exponentials relative to that (+∞ and 0 where all is masked; the result is then zero).
    Attention(Attention),
    /// `ins = [gradient of o, q, k, v, o, lse, mask (if any)]`, `outs = [gradients of q, k, v]` of the same call.
    AttentionBackward(Attention),
    /// `ins = [x as rows × features]`, `outs = [normalised, mean, rstd]`; the last two have one element per row, in the compute dtype.
    LayerNorm {
        /// Added to the variance.
        eps: f64,
    },
    /// `ins = [x as rows × features]`, `outs = [mean, variance]` of each row by Welford's method; divisor `n - correction`.
    Moments {
        /// Degrees of freedom taken off.
        correction: f64,
    },
    /// All steps of a recurrent layer from its projected inputs. `ins = [x: t × n × gates·h, h: n × h, w_hh: gates·h × h]`, then an LSTM's `c: n × h` or a
    /// GRU's `b_hh`, where there is one; `outs = [y: t × n × h]`, an LSTM's last `c: n × h`, and where a backward is to come
    /// `saved: t × n × cell.saved()·h`.
    Recurrent {
        /// What a step does.
        cell: RecurrentCell,
        /// From the last step to the first.
        backwards: bool,
    },
    /// `ins = [gy, y, h, w_hh, saved]`, and an LSTM's `c` and the gradient of its last `c`; `outs = [gx, gh]`, and the gradient of an LSTM's `c`, or of what a
    /// GRU's hidden states add to its gates.
    RecurrentBackward {
        /// What a step does.
        cell: RecurrentCell,
        /// From the last step to the first.
        backwards: bool,
    },
}

/// The kinds of recurrent layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurrentCell {
    /// Elman's, with tanh.
    Tanh,
    /// Elman's, with relu.
    Relu,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

impl RecurrentCell {
    /// Products with the hidden state, per unit.
    pub const fn gates(self) -> usize {
        match self {
            RecurrentCell::Tanh | RecurrentCell::Relu => 1,
            RecurrentCell::Gru => 3,
            RecurrentCell::Lstm => 4,
        }
    }
    /// Values that a step keeps for its derivative, per unit.
    pub const fn saved(self) -> usize {
        match self {
            RecurrentCell::Tanh | RecurrentCell::Relu => 0,
            RecurrentCell::Gru => 4,
            RecurrentCell::Lstm => 6,
        }
    }
}

/// What is done with each matrix of a batch. `A` is `ins[0]`, of shape `[batch…, m, n]`; batches are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseOp {
    /// `outs = [L, info]`: `A = L Lᵀ`, from A's lower triangle. `info: [batch…]` (i32) is 0, or the order of the first leading minor that is not positive.
    Cholesky,
    /// `outs = [LU, pivots, info]`: `P A = L U` in one matrix, as LAPACK has it. `pivots: [batch…, min(m, n)]` (i32) count from 1; `info: [batch…]` (i32) is 0,
    /// or the number of the first zero on U's diagonal.
    Lu,
    /// `ins = [A, B]`, `outs = [X]`: `A X = B` for a triangular A.
    Triangular {
        /// Which triangle of A counts.
        upper: bool,
        /// The diagonal is taken to be ones.
        unit: bool,
    },
    /// `outs = [Q, R]`: `A = Q R`; Q has `min(m, n)` columns, or `m`.
    Qr,
    /// `outs = [values, vectors]`: rising eigenvalues, and eigenvectors as columns, of a symmetric matrix, from A's lower triangle.
    Eigh,
    /// `outs = [U, S, Vᵀ]`: `A = U S Vᵀ`, falling singular values; U has `min(m, n)` columns and Vᵀ as many rows, or both are square.
    Svd,
}

/// The kernel families.
pub trait Backend: Send + Sync {
    /// Uninitialised memory.
    fn alloc(&self, bytes: usize) -> Result<Buffer>;

    /// Runs `program` for every element. All views have one shape. Outputs may each be exactly an input.
    fn pointwise(&self, program: &Program, ins: &[View], outs: &mut [ViewMut]) -> Result<()>;

    /// [`Backend::pointwise`] for the program that is just `inst`, on all of `ins` in order: on small views, building and checking a program
    /// would cost more than running it.
    fn instruction(&self, inst: Inst, ins: &[View], out: &mut ViewMut) -> Result<()> {
        self.pointwise(&Program::of(inst, ins.iter().map(|x| x.dtype)), ins, std::slice::from_mut(out))
    }

    /// Reduces `x` over `dims` (sorted, distinct). `out` has x's rank, with size one at each of `dims`. `out.dtype` is x's,
    /// i64 for ArgMin and ArgMax, bool for All and Any. For one dim or all dims positions count row-major.
    fn reduce(&self, op: ReduceOp, x: View, dims: &[usize], out: &mut ViewMut) -> Result<()>;
    /// [`Backend::reduce`] of what `program` computes for each element of `shape`: the operand is as `operand` says, and the outputs before
    /// it are written to `kept`. False, with nothing done, where there is no such kernel for these views: the caller stores the operand first.
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
    ) -> Result<bool>;

    /// Running reduction along `dim`; `out` and `indices` (i64, for Max and Min) have x's shape.
    fn scan(&self, op: ScanOp, x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>) -> Result<()>;

    /// `out = alpha * a @ b (+ beta * bias)` for `[batch…, m, k] @ [batch…, k, n]`, any strides; batch shapes are equal (broadcast by
    /// zero strides), `bias` is broadcast to out's shape. One dtype for all. `k = 0` gives zeros (+ bias). No view overlaps `out`.
    fn matmul(&self, a: View, b: View, bias: Option<View>, alpha: Scalar, beta: Scalar, out: &mut ViewMut) -> Result<()>;
    /// [`Backend::matmul`] and then [`Backend::pointwise`], with the bits of the one after the other: `ins` has a view of `out` among the others, and one
    /// of `outs` may be it.
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
        self.matmul(a, b, bias, alpha, beta, out)?;
        self.pointwise(program, ins, outs)
    }

    /// `x: [n, c, spatial…]`, `w: [o, c/groups, kernel…]`, `bias: [o]`, `out: [n, o, spatial'…]`. No view overlaps `out`.
    fn conv(&self, x: View, w: View, bias: Option<View>, shape: &ConvShape, out: &mut ViewMut) -> Result<()>;
    /// The transposed map of `conv` in x: `g: [n, o, spatial'…]`, `w` as there, `out: [n, c, spatial…]` (overwritten).
    fn conv_input_grad(&self, g: View, w: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()>;
    /// The transposed map of `conv` in w: `g`, `x` as there, `out: [o, c/groups, kernel…]` (overwritten).
    fn conv_weight_grad(&self, g: View, x: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()>;

    /// `out[i…] = x[i… with i[dim] = index[i…]]`; `index` (i64 or i32) and `out` have one shape, whose other sizes do not exceed x's.
    /// Negative or too large indices are an IndexError: `index 5 is out of bounds for dimension 0 with size 3`. After an error, what is in `out`
    /// is unspecified, unless it is `x`.
    fn gather(&self, x: View, dim: usize, index: View, out: &mut ViewMut) -> Result<()>;
    /// The reverse: joins `src[i…]` (index's shape or larger) into `out[i… with i[dim] = index[i…]]`.
    fn scatter(&self, op: ScatterOp, dim: usize, index: View, src: View, out: &mut ViewMut) -> Result<()>;

    /// Writes `parts` side by side along `dim` of `out`, whose dtype they have; other sizes are equal. No view overlaps `out`.
    fn join(&self, parts: &[View], dim: usize, out: &mut ViewMut) -> Result<()>;
    /// Copies the matrices in the last two dimensions of `x`, of which elements above (with `lower`) or below a diagonal become zero. Both views are
    /// contiguous; no view overlaps `out`.
    fn triangle(&self, x: View, diagonal: i64, lower: bool, out: &mut ViewMut) -> Result<()>;

    /// Writes `x` to the elements of `out` from `starts` on, and `value` to all others. `out` is contiguous, large enough, and of x's dtype and
    /// rank; it does not overlap x.
    fn surround(&self, x: View, starts: &[usize], value: Scalar, out: &mut ViewMut) -> Result<()>;

    /// Advanced indexing. `x: [d_1 … d_k, rest…]`, k indices of one shape `I` (i64, i32; negative counts from the end),
    /// `out: [I…, rest…]`. Errors as gather's.
    fn take(&self, x: View, indices: &[View], out: &mut ViewMut) -> Result<()>;
    /// The reverse: joins `src: [I…, rest…]` into `out: [d_1 … d_k, rest…]` (Set or Add).
    fn put(&self, op: ScatterOp, indices: &[View], src: View, out: &mut ViewMut) -> Result<()>;
    /// How many elements are not zero, block by block of the backend's own choice, for the calls below.
    fn tally(&self, x: View) -> Result<Vec<usize>>;
    /// Where x is not zero, in row-major order: row-major numbers where `out` (i64, contiguous) is `[n]`, coordinate by coordinate where it is
    /// `[rank, n]`. `tally` is x's; if x has changed since, that is an error.
    fn nonzero(&self, x: View, tally: &[usize], out: &mut ViewMut) -> Result<()>;
    /// The elements of `x` where `mask` (bool, of x's shape) is true, in row-major order, into the vector `out`. `tally` is the mask's.
    fn compress(&self, x: View, mask: View, tally: &[usize], out: &mut ViewMut) -> Result<()>;

    /// The smallest and the largest of the integers `x` (contiguous), if there are any.
    fn extent(&self, x: View) -> Result<Option<(i64, i64)>>;
    /// How often each of the integers 0, 1, … occurs in `x` (integers, contiguous); `out` (i64, contiguous) has a count for each of them, or it is
    /// an error.
    fn bincount(&self, x: View, out: &mut ViewMut) -> Result<()>;

    /// Sorts along `dim`, stably, NaN as the largest; `values` and `indices` (i64) have x's shape.
    fn sort(&self, x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()>;
    /// The `k` (size of `dim` in the outputs) largest or smallest along `dim`, best first.
    fn topk(&self, x: View, dim: usize, largest: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()>;

    /// The element that would come `nth` (from 0) if the line along `dim` were sorted as by `sort`, and its position; `values` and `indices` have
    /// size one there. As with `sort`, equal elements are in order of their positions.
    fn nth(&self, x: View, dim: usize, nth: usize, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()>;

    /// How many elements of the sorted lines (along the last dimension) lie below each of `values`; with `right`, below or at it. NaN is above all.
    /// `sorted` has one line, or the leading dimensions of `values` and `out` (i64). All views are contiguous.
    fn search(&self, sorted: View, values: View, right: bool, out: &mut ViewMut) -> Result<()>;

    /// Factorisations of f32 and f64 matrices. All views are contiguous, and no output is an input.
    fn dense(&self, op: DenseOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()>;

    /// Pooling over `[planes, spatial…]` views.
    fn window(&self, op: &WindowOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()>;

    /// Fills `out` with random draws, in row-major order of its layout.
    fn random(&self, op: RandomOp, generator: &mut Generator, out: &mut ViewMut) -> Result<()>;

    /// An optimizer's step for many tensors at once: for each of `grads` the next `rule.outputs()` of `outs`, the parameter first, then its state.
    /// All of them are apart. False, with nothing done, where the backend has no kernel for these views.
    fn update(&self, _rule: &UpdateRule, _grads: &[View], _outs: &mut [ViewMut]) -> Result<bool> {
        Ok(false)
    }

    /// A kernel of the backend's own, or `None` where it has none for these dtypes and layouts.
    fn custom(&self, _kernel: KernelId, _ins: &[View], _outs: &mut [ViewMut]) -> Result<Option<()>> {
        Ok(None)
    }
}

/// The error of an index outside its dimension.
#[cold]
pub fn index_error(index: i64, dim: usize, size: usize) -> Error {
    Error::index(format!("index {index} is out of bounds for dimension {dim} with size {size}"))
}

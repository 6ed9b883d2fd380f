//! What ops of a family have in common: promotion, broadcasting, output layout and the call to the backend.

use crate::autograd::node::BackwardFn;
use crate::autograd::{self, Save};
use crate::storage::{self, Data};
use crate::{BinOp, DType, Dims, Error, Layout, Program, Result, Scalar, Tensor, TernOp, UnOp, promote};
use rushlight_kernels::backend::{Backend, View};
use rushlight_kernels::cpu::Cpu;
use rushlight_kernels::layout::{broadcast_shapes, contiguous_strides, copied};
use rushlight_kernels::{Inst, Reg, Strides};
use smallvec::SmallVec;

/// Elements up to which an op may hold the locks of its operands instead of taking snapshots: no other thread has to wait long.
pub(crate) const SMALL: usize = 1 << 14;

/// The backend of the only device there is so far.
pub(crate) fn backend() -> &'static dyn Backend {
    &Cpu
}

/// Dimension `dim` of a tensor with `rank` dimensions; negative counts from the end. A zero-dim tensor has a dimension 0 to name.
pub(crate) fn dim(dim: i64, rank: usize) -> Result<usize> {
    let n = rank.max(1) as i64;
    if dim < -n || dim >= n {
        return Err(Error::index(format!(
            "Dimension out of range (expected to be in range of [{}, {}], but got {dim})",
            -n,
            n - 1
        )));
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// Several dimensions, sorted; `None` or an empty list means all of them. A dimension named twice is an error.
pub(crate) fn dims(list: Option<&[i64]>, rank: usize) -> Result<Dims> {
    let Some(list) = list.filter(|l| !l.is_empty()) else {
        let mut all = Dims::new();
        (0..rank).for_each(|d| all.push(d));
        return Ok(all);
    };
    let mut out = Dims::new();
    for &d in list {
        let d = dim(d, rank)?;
        if out.contains(&d) {
            return Err(Error::runtime(format!("dim {d} appears multiple times in the list of dims")));
        }
        out.push(d);
    }
    // A zero-dim tensor's only dimension does not exist.
    out.retain(|d| *d < rank);
    out.sort_unstable();
    Ok(out)
}

/// A pointwise op being put together: operands become registers, instructions are added, and `run` computes the result.
///
/// ```ignore
/// let mut k = Pointwise::new();
/// let (a, b) = (k.input(x), k.input(y));
/// let common = k.common();
/// let (a, b) = (k.cast(common, a), k.cast(common, b));
/// let r = k.bin(BinOp::Add, a, b)?;
/// k.run(r)
/// ```
pub(crate) struct Pointwise {
    program: Program,
    ins: SmallVec<[Data; 3]>,
    /// What the operands, numbers included, say about the common dtype.
    promotion: promote::Promotion,
}

impl Pointwise {
    pub(crate) fn new() -> Pointwise {
        Pointwise { program: Program::new(), ins: SmallVec::new(), promotion: promote::Promotion::default() }
    }
    /// An operand, in its own dtype. A bare number becomes a constant and costs no memory access.
    pub(crate) fn input(&mut self, x: &Tensor) -> Reg {
        let data = x.data();
        let dtype = data.dtype;
        self.promotion.add(&data);
        if data.wrapped
            && let Ok(number) = data.only_element()
        {
            return self.program.constant(number, dtype);
        }
        self.ins.push(data);
        self.program.load(self.ins.len() - 1, dtype)
    }
    /// The dtype that the operands so far promote to.
    pub(crate) fn common(&self) -> DType {
        self.promotion.dtype()
    }
    /// As `common`; integers and bools go to the default float.
    pub(crate) fn common_float(&self) -> DType {
        Some(self.common()).filter(|d| d.is_float()).unwrap_or_else(promote::default_dtype)
    }
    pub(crate) fn constant(&mut self, value: impl Into<Scalar>, dtype: DType) -> Reg {
        self.program.constant(value, dtype)
    }
    pub(crate) fn cast(&mut self, dtype: DType, r: Reg) -> Reg {
        self.program.cast(dtype, r)
    }
    pub(crate) fn dtype(&self, r: Reg) -> DType {
        self.program.dtype(r)
    }
    pub(crate) fn un(&mut self, op: UnOp, a: Reg) -> Result<Reg> {
        accept(op.accepts(self.dtype(a)), self.dtype(a))?;
        Ok(self.program.un(op, a))
    }
    pub(crate) fn bin(&mut self, op: BinOp, a: Reg, b: Reg) -> Result<Reg> {
        accept(op.accepts(self.dtype(a)), self.dtype(a))?;
        Ok(self.program.bin(op, a, b))
    }
    pub(crate) fn tern(&mut self, op: TernOp, a: Reg, b: Reg, c: Reg) -> Result<Reg> {
        accept(op.accepts(self.dtype(b)), self.dtype(b))?;
        Ok(self.program.tern(op, a, b, c))
    }
    /// `a * factor`.
    pub(crate) fn scale(&mut self, a: Reg, factor: f64) -> Result<Reg> {
        let factor = self.constant(factor, self.dtype(a));
        self.bin(BinOp::Mul, a, factor)
    }
    /// `a + factor * b`.
    pub(crate) fn add_scaled(&mut self, a: Reg, b: Reg, factor: f64) -> Result<Reg> {
        let b = if factor == 1.0 { b } else { self.scale(b, factor)? };
        self.bin(BinOp::Add, a, b)
    }
    /// Computes register `r` for every element of the broadcast operands. Checks come before any allocation.
    pub(crate) fn run(mut self, r: Reg) -> Result<Tensor> {
        let layout = self.broadcast()?;
        self.program.out(r);
        let mut result = storage::pointwise(&self.program, &self.ins, &layout)?;
        Ok(Tensor::from_data(result.pop().expect("one output, one result")))
    }
    /// As `run`, for several registers in one pass.
    pub(crate) fn run_many(mut self, regs: &[Reg]) -> Result<Vec<Tensor>> {
        let layout = self.broadcast()?;
        regs.iter().for_each(|&r| self.program.out(r));
        Ok(storage::pointwise(&self.program, &self.ins, &layout)?.into_iter().map(Tensor::from_data).collect())
    }
    /// Expands the operands to their common shape; answers the result's layout.
    fn broadcast(&mut self) -> Result<Layout> {
        let shape = common_shape(&self.ins)?;
        let strides = output_strides(&shape, &self.ins);
        for d in self.ins.iter_mut().filter(|d| d.layout.shape != shape) {
            *d = d.expand(&shape)?;
        }
        Ok(Layout { shape, strides, offset: 0 })
    }
    /// Writes registers into existing tensors of the broadcast shape, in one pass. Each target may be one of the inputs. No history is recorded:
    /// for optimizers and running statistics.
    pub(crate) fn run_into(mut self, outs: &[(Reg, &Tensor)]) -> Result<()> {
        let mut targets: SmallVec<[Data; 3]> = SmallVec::new();
        for &(r, t) in outs {
            autograd::inplace::check(t)?;
            let target = t.data();
            let r = self.program.cast(target.dtype, r);
            self.program.out(r);
            targets.push(target);
        }
        let shape = targets[0].layout.shape.clone();
        for d in &mut self.ins {
            *d = d.expand(&shape)?;
        }
        storage::write(&targets, &self.ins, |outs, ins| backend().pointwise(&self.program, ins, outs))
    }
}

fn accept(ok: bool, dtype: DType) -> Result<()> {
    if ok { Ok(()) } else { Err(unsupported(dtype)) }
}

/// PyTorch's text for an op without a kernel for a dtype.
#[cold]
pub(crate) fn unsupported(dtype: DType) -> Error {
    Error::not_implemented(format!("\"{}\" not implemented for '{}'", crate::op::current_op(), dtype.scalar_type_name()))
}

/// Refuses operands whose common dtype is not a floating one, for ops to which PyTorch promotes no integers.
pub(crate) fn floats_only(operands: &[&Tensor]) -> Result<()> {
    let dtype = promote::result_type(operands);
    if dtype.is_float() { Ok(()) } else { Err(unsupported(dtype)) }
}

fn common_shape(operands: &[Data]) -> Result<Dims> {
    let mut shape = operands.first().map(|d| copied(&d.layout.shape)).unwrap_or_default();
    for d in operands.iter().skip(1) {
        if d.layout.shape != shape {
            shape = broadcast(&shape, &d.layout.shape)?;
        }
    }
    Ok(shape)
}

/// The shape that `a` and `b` broadcast to, or PyTorch's error with both shapes.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Dims> {
    broadcast_shapes(a, b).ok_or_else(|| {
        let rank = a.len().max(b.len());
        let at = |s: &[usize], i: usize| if i + s.len() >= rank { s[i + s.len() - rank] } else { 1 };
        let bad = (0..rank).rev().find(|&i| at(a, i) != at(b, i) && at(a, i) != 1 && at(b, i) != 1).expect("some dimension does not fit");
        Error::runtime(format!(
            "{}: The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton dimension {bad} (shapes {a:?} and {b:?})",
            crate::op::current_op(),
            at(a, bad),
            at(b, bad)
        ))
    })
}

/// Strides of the result, as PyTorch's TensorIterator chooses them: dense, in the order of the operands' own strides, so that an op on
/// transposed tensors gives a transposed result.
fn output_strides(shape: &Dims, ins: &[Data]) -> Strides {
    if ins.iter().all(|d| d.layout.shape != *shape || d.layout.is_contiguous()) {
        return contiguous_strides(shape);
    }
    let expanded: SmallVec<[Layout; 3]> = ins.iter().filter_map(|d| d.layout.broadcast_to(shape)).collect();
    // From the fastest dimension to the slowest. Operands vote in order; the first clear answer counts, broadcast operands abstain.
    let mut order: SmallVec<[usize; 6]> = (0..shape.len()).rev().collect();
    let slower = |a: usize, b: usize| -> Option<bool> {
        for l in &expanded {
            let (x, y) = (l.strides[a].unsigned_abs(), l.strides[b].unsigned_abs());
            if x == 0 || y == 0 {
                continue;
            }
            if x != y {
                return Some(x > y);
            }
            if shape[a] > shape[b] {
                return Some(true);
            }
        }
        None
    };
    for i in 1..order.len() {
        let mut at = i;
        for j in (0..i).rev() {
            match slower(order[j], order[at]) {
                Some(true) => {
                    order.swap(j, at);
                    at = j;
                }
                Some(false) => break,
                None => {}
            }
        }
    }
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    let mut step = 1isize;
    for &d in &order {
        strides[d] = step;
        step *= shape[d].max(1) as isize;
    }
    strides
}

/// The dtype that `op` computes in for operands of `dtype`: integers and bools go to the default float where it takes only floats.
fn compute_dtype(accepts: impl Fn(DType) -> bool, dtype: DType) -> DType {
    if dtype.is_float() || accepts(DType::I64) || accepts(DType::Bool) { dtype } else { promote::default_dtype() }
}

/// A number as an operand; it promotes as Python numbers do.
pub(crate) fn num(value: impl Into<Scalar>) -> Tensor {
    Tensor::wrapped_number(value.into())
}

/// The everyday case of an op of one instruction: operands of one shape and one dtype, each row-major or a single value. It skips promotion,
/// broadcasting and snapshots, and so takes a fraction of the time. `None` for anything else, and where a lock would have to be waited for.
#[inline]
fn at_once(
    x: &Tensor,
    y: Option<&Tensor>,
    inst: Inst,
    takes: impl Fn(DType) -> bool,
    result: impl Fn(DType) -> DType,
) -> Option<Result<Tensor>> {
    let first = x.try_data_ref()?;
    let (shape, dtype) = (&first.layout.shape, first.dtype);
    let plain = |d: &Data| !d.wrapped && (d.layout.is_contiguous() || d.layout.strides.iter().all(|&s| s == 0));
    if !takes(dtype) || !plain(&first) {
        return None;
    }
    let second = match y {
        Some(y) => Some(y.try_data_ref()?),
        None => None,
    };
    if second.as_ref().is_some_and(|d| d.dtype != dtype || d.layout.shape != *shape || !plain(d)) {
        return None;
    }
    let layout = Layout { strides: contiguous_strides(shape), shape: copied(shape), offset: 0 };
    if storage::deferred::is_wanted(layout.numel()) {
        let mut ins = SmallVec::<[Data; 2]>::new();
        ins.push(first.clone());
        second.iter().for_each(|second| ins.push((*second).clone()));
        drop((first, second));
        let program = Program::of(inst, ins.iter().map(|d| d.dtype));
        let results = storage::pointwise(&program, &ins, &layout);
        return Some(results.map(|mut results| Tensor::from_data(results.pop().expect("one output, one result"))));
    }
    let data = match second.as_deref() {
        None => storage::compute_at_once(layout, result(dtype), [&first], |ins, out| backend().instruction(inst, &ins, out)),
        Some(second) => {
            storage::compute_at_once(layout, result(dtype), [&first, second], |ins, out| backend().instruction(inst, &ins, out))
        }
    }?;
    drop((first, second));
    Some(data.map(Tensor::from_data))
}

/// `x = op(x, y)` in x's own memory, for an op that computes nothing else: what [`at_once`] is for results, for an in-place op without history.
/// `None` for anything but the everyday case, and where a lock would have to be waited for.
pub(crate) fn overwrite(op: BinOp, x: &Tensor, y: &Tensor) -> Option<Result<()>> {
    let (mine, other) = (x.traits(), y.traits());
    if mine.is_inference() || autograd::is_grad_enabled() && (mine.may_have_history() || other.may_have_history()) {
        return None;
    }
    let (target, operand) = (x.try_data_ref()?, y.try_data_ref()?);
    let (shape, dtype) = (&target.layout.shape, target.dtype);
    let takes = dtype != DType::Bool && op.accepts(dtype) && op.result(dtype) == dtype && !op.divides(dtype);
    if !takes || target.wrapped || !target.layout.is_contiguous() || storage::deferred::is_wanted(target.layout.numel()) {
        return None;
    }
    let plain = operand.dtype == dtype && operand.layout.shape == *shape && !operand.wrapped && operand.layout.is_contiguous();
    if !plain {
        return None;
    }
    storage::write_at_once(&target, &operand, |out, [x, y]| backend().instruction(Inst::Bin(op, 0, 1), &[x, y], out))
}

/// `op(x)`; integers go to the default float where `op` takes only floats.
pub(crate) fn unary(op: UnOp, x: &Tensor) -> Result<Tensor> {
    if let Some(result) = at_once(x, None, Inst::Un(op, 0), |d| op.accepts(d), |d| op.result(d)) {
        return result;
    }
    let mut k = Pointwise::new();
    let a = k.input(x);
    let a = k.cast(compute_dtype(|d| op.accepts(d), k.dtype(a)), a);
    let r = k.un(op, a)?;
    k.run(r)
}

/// `op(x, n)`, or `op(n, x)` where the number is `first`, for a bare number beside a tensor of float32 or float64, where it does not promote.
/// The number needs no memory of its own. `None` where [`at_once`] would give it, too.
pub(crate) fn beside_number(op: BinOp, x: &Tensor, n: Scalar, first: bool) -> Option<Result<Tensor>> {
    let data = x.try_data_ref()?;
    let shape = &data.layout.shape;
    if data.wrapped
        || !matches!(data.dtype, DType::F32 | DType::F64)
        || !op.accepts(data.dtype)
        || !data.layout.is_contiguous()
        || storage::deferred::is_wanted(data.layout.numel())
    {
        return None;
    }
    let n = if let Scalar::Bool(b) = n { Scalar::Int(b as i64) } else { n };
    let layout = Layout { strides: contiguous_strides(shape), shape: copied(shape), offset: 0 };
    let still = Layout { strides: Strides::from_elem(0, shape.len()), shape: copied(shape), offset: 0 };
    let result = storage::compute_at_once(layout, op.result(data.dtype), [&data], |[x], out| {
        let (single, double) = (n.to::<f32>(), n.to::<f64>());
        let n = if x.dtype == DType::F32 { View::of_value(&single, &still) } else { View::of_value(&double, &still) };
        let operands = if first { [n, x] } else { [x, n] };
        backend().instruction(Inst::Bin(op, 0, 1), &operands, out)
    })?;
    drop(data);
    Some(result.map(Tensor::from_data))
}

/// The number that `t` stands for.
fn bare(t: &Tensor) -> Option<Scalar> {
    t.is_wrapped_number().then(|| t.try_to_scalar().ok())?
}

/// `op(a, b)` in their common dtype; integers go to the default float where `op` takes only floats.
pub(crate) fn binary(op: BinOp, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let at_once = match (bare(a), bare(b)) {
        (None, Some(n)) => beside_number(op, a, n, false),
        (Some(n), None) => beside_number(op, b, n, true),
        _ => at_once(a, Some(b), Inst::Bin(op, 0, 1), |d| op.accepts(d), |d| op.result(d)),
    };
    if let Some(result) = at_once {
        return result;
    }
    let mut k = Pointwise::new();
    let (a, b) = (k.input(a), k.input(b));
    let common = compute_dtype(|d| op.accepts(d), k.common());
    let (a, b) = (k.cast(common, a), k.cast(common, b));
    let r = k.bin(op, a, b)?;
    k.run(r)
}

/// A view of `x` under `layout`; `replay` makes the same view of another tensor of x's shape, `f` gives the derivative.
pub(crate) fn view_as(
    x: &Tensor,
    layout: Layout,
    replay: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    f: impl FnOnce(&Save) -> BackwardFn,
) -> Result<Tensor> {
    autograd::view::view_of(x, layout, replay, f)
}

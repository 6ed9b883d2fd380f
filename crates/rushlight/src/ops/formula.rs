//! Formulas: scalar mathematics over tensors, run in one pass.
//!
//! As ops, a derivative such as `g * (1 - y²)` is three passes with two temporaries; as a formula it is one program over `g` and `y`. Where
//! the gradient must be differentiable itself (`create_graph`), the same steps run as ops. So a derivative is written once, is fast, and has
//! derivatives of every order.
//!
//! Both ways take the same steps in the same dtype (half precision computes in float32 and is rounded once, at the end), so which one runs
//! cannot be seen in the bits.

use super::*;
use crate::autograd::node::BackwardFn;
use crate::autograd::{self, Save, grad_fn};
use rushlight_kernels::dispatch;
use std::cell::RefCell;

/// One step of a formula: what it is made of, by the numbers of earlier steps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Operand(u16),
    Number(f64),
    Un(UnOp, u16),
    Bin(BinOp, u16, u16),
    Select(u16, u16, u16),
}

/// Where the steps of a formula are written down while its closure runs.
#[derive(Default)]
pub(crate) struct Sheet(RefCell<SmallVec<[Step; 16]>>);

impl Sheet {
    fn push(&self, step: Step) -> Term<'_> {
        let mut steps = self.0.borrow_mut();
        steps.push(step);
        Term { sheet: self, at: (steps.len() - 1) as u16 }
    }
    fn operands<const N: usize>(&self) -> [Term<'_>; N] {
        std::array::from_fn(|i| self.push(Step::Operand(i as u16)))
    }
}

/// A value in a formula. Copies are free; Rust's operators take terms and numbers.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    sheet: &'a Sheet,
    at: u16,
}

/// What stands beside a term: another one, or a number.
pub(crate) trait Operand<'a> {
    fn term(self, sheet: &'a Sheet) -> Term<'a>;
}
impl<'a> Operand<'a> for Term<'a> {
    fn term(self, _: &'a Sheet) -> Term<'a> {
        self
    }
}
impl<'a> Operand<'a> for f64 {
    fn term(self, sheet: &'a Sheet) -> Term<'a> {
        sheet.push(Step::Number(self))
    }
}

/// The functions that formulas are written with: a method of [`Term`], its row in the scalar table, and the op that takes its place where the
/// step is to be recorded.
macro_rules! functions {
    (un: $($un:ident $row:ident $op:ident($($arg:expr),*)),*; bin: $($bin:ident $row2:ident $op2:ident($($arg2:expr),*)),*) => {
        impl<'a> Term<'a> {
            $(pub(crate) fn $un(self) -> Term<'a> { self.sheet.push(Step::Un(UnOp::$row, self.at)) })*
            $(pub(crate) fn $bin(self, other: impl Operand<'a>) -> Term<'a> {
                let other = other.term(self.sheet);
                self.sheet.push(Step::Bin(BinOp::$row2, self.at, other.at))
            })*
        }
        fn un_op(op: UnOp, x: &Tensor) -> Result<Tensor> {
            match op {
                $(UnOp::$row => $op(x $(, $arg)*),)*
                _ => unreachable!("no function of formulas makes this step"),
            }
        }
        fn bin_op(op: BinOp, x: &Tensor, y: &Tensor) -> Result<Tensor> {
            match op {
                $(BinOp::$row2 => $op2(x, y $(, $arg2)*),)*
                _ => unreachable!("no function of formulas makes this step"),
            }
        }
    };
}
#[rustfmt::skip]
functions! {
    un: negative Neg neg(), abs Abs abs(), sign Sign sign(), square Square square(), reciprocal Reciprocal reciprocal(),
        rsqrt Rsqrt rsqrt(), round Round round(0), exp Exp exp(), exp2 Exp2 exp2(), expm1 Expm1 expm1(),
        softplus Softplus softplus(1.0, f64::INFINITY), log Log log(), log1p Log1p log1p(), sin Sin sin(), cos Cos cos(),
        sinh Sinh sinh(), cosh Cosh cosh(), tanh Tanh tanh(), sigmoid Sigmoid sigmoid(), erfc Erfc erfc(),
        lgamma Lgamma lgamma(), digamma Digamma digamma(), i0 I0 i0(), i0e I0e special_i0e(), i1 I1 special_i1(),
        i1e I1e special_i1e(), is_nan IsNan isnan(), is_finite IsFinite isfinite();
    bin: plus Add add(Scalar::Int(1)), minus Sub sub(Scalar::Int(1)), times Mul mul(), over Div div(None),
        floor_div FloorDiv div(Some("floor")), trunc_div TruncDiv div(Some("trunc")), pow Pow pow(), max Max maximum(),
        leaky LeakyRelu leaky_relu_of(),
        finite_within NanToNum nan_to_num_of(), xlogy Xlogy xlogy(), polygamma Polygamma polygamma_of(), zeta Zeta special_zeta(), eq Eq eq(),
        lt Lt lt(), le Le le(), gt Gt gt(), ge Ge ge(), and LogicalAnd logical_and(), or LogicalOr logical_or()
}

/// The slope is a number in every formula.
fn leaky_relu_of(x: &Tensor, slope: &Tensor) -> Result<Tensor> {
    leaky_relu(x, slope.try_item::<f64>()?)
}
/// So is the largest number.
fn nan_to_num_of(x: &Tensor, most: &Tensor) -> Result<Tensor> {
    let most = most.try_item::<f64>()?;
    nan_to_num(x, None, Some(most), Some(-most))
}
/// And the order.
fn polygamma_of(order: &Tensor, x: &Tensor) -> Result<Tensor> {
    polygamma(order.try_item::<f64>()? as i64, x)
}

impl<'a> Term<'a> {
    /// This truth value's choice.
    pub(crate) fn select(self, yes: impl Operand<'a>, no: impl Operand<'a>) -> Term<'a> {
        let (yes, no) = (yes.term(self.sheet), no.term(self.sheet));
        self.sheet.push(Step::Select(self.at, yes.at, no.at))
    }
    /// The same number for every element.
    pub(crate) fn number(self, value: f64) -> Term<'a> {
        value.term(self.sheet)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $f:ident),*) => {$(
        impl<'a, T: Operand<'a>> std::ops::$trait<T> for Term<'a> {
            type Output = Term<'a>;
            fn $method(self, other: T) -> Term<'a> { self.$f(other) }
        }
        impl<'a> std::ops::$trait<Term<'a>> for f64 {
            type Output = Term<'a>;
            fn $method(self, other: Term<'a>) -> Term<'a> { self.term(other.sheet).$f(other) }
        }
    )*};
}
operators!(Add add plus, Sub sub minus, Mul mul times, Div div over);

impl<'a> std::ops::Neg for Term<'a> {
    type Output = Term<'a>;
    fn neg(self) -> Term<'a> {
        self.negative()
    }
}

/// The steps that lead to the wanted results, and no others.
struct Formula {
    steps: SmallVec<[Step; 16]>,
    results: SmallVec<[u16; 3]>,
}

impl Formula {
    fn new(sheet: &Sheet, results: impl Iterator<Item = u16>) -> Formula {
        let written = sheet.0.borrow();
        let mut results: SmallVec<[u16; 3]> = results.collect();
        let mut used: SmallVec<[bool; 32]> = SmallVec::from_elem(false, written.len());
        results.iter().for_each(|&r| used[r as usize] = true);
        for (i, step) in written.iter().enumerate().rev() {
            if used[i] {
                step.parts().iter().for_each(|&p| used[p as usize] = true);
            }
        }
        let mut number: SmallVec<[u16; 32]> = SmallVec::new();
        let mut steps = SmallVec::new();
        for (step, used) in written.iter().zip(used) {
            number.push(steps.len() as u16);
            if used {
                steps.push(step.map(|p| number[p as usize]));
            }
        }
        results.iter_mut().for_each(|r| *r = number[*r as usize]);
        Formula { steps, results }
    }

    fn uses(&self, operand: usize) -> bool {
        self.steps.contains(&Step::Operand(operand as u16))
    }

    /// The results as one program, without history.
    fn run(&self, operands: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        let mut k = Pointwise::new();
        let mut loaded: SmallVec<[Option<rushlight_kernels::Reg>; 5]> = SmallVec::new();
        for x in operands {
            loaded.push(x.as_ref().map(|x| k.input(x)));
        }
        let result = k.common_float();
        let dtype = result.compute();
        let mut regs: SmallVec<[rushlight_kernels::Reg; 16]> = SmallVec::new();
        for step in &self.steps {
            let mut reg = |i: u16, wanted: DType| k.cast(wanted, regs[i as usize]);
            let r = match *step {
                Step::Operand(i) => loaded[i as usize].expect("what a formula uses was saved"),
                Step::Number(v) => k.constant(v, dtype),
                Step::Un(op, a) => {
                    let a = reg(a, takes(op == UnOp::LogicalNot, dtype));
                    k.un(op, a)?
                }
                Step::Bin(op, a, b) => {
                    let d = takes(matches!(op, BinOp::LogicalAnd | BinOp::LogicalOr), dtype);
                    let (a, b) = (reg(a, d), reg(b, d));
                    k.bin(op, a, b)?
                }
                Step::Select(a, b, c) => {
                    let (a, b, c) = (reg(a, DType::Bool), reg(b, dtype), reg(c, dtype));
                    k.tern(TernOp::Where, a, b, c)?
                }
            };
            regs.push(r);
        }
        let outs: SmallVec<[_; 3]> = self.results.iter().map(|&r| k.cast(result, regs[r as usize])).collect();
        k.run_many(&outs)
    }

    /// The results by differentiable ops.
    fn record(&self, operands: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        let present: SmallVec<[&Tensor; 5]> = operands.iter().flatten().collect();
        let result = promote::result_type(&present);
        let dtype = result.compute();
        let mut values: SmallVec<[Tensor; 16]> = SmallVec::new();
        for step in &self.steps {
            let v = |i: u16, wanted: DType| to_dtype(&values[i as usize], wanted);
            let value = match *step {
                Step::Operand(i) => operands[i as usize].clone().expect("what a formula uses was saved"),
                Step::Number(v) => dispatch!(dtype, T => Tensor::scalar(Scalar::Float(v).to::<T>())),
                Step::Un(op, a) => un_op(op, &v(a, takes(op == UnOp::LogicalNot, dtype))?)?,
                Step::Bin(op, a, b) => {
                    let d = takes(matches!(op, BinOp::LogicalAnd | BinOp::LogicalOr), dtype);
                    bin_op(op, &v(a, d)?, &v(b, d)?)?
                }
                Step::Select(a, b, c) => where_(&v(a, DType::Bool)?, &v(b, dtype)?, &v(c, dtype)?)?,
            };
            values.push(value);
        }
        // A constant gradient is still one per element.
        let shape = operands[0].as_ref().expect("the first operand is the gradient").shape();
        self.results.iter().map(|&r| expand_to(&to_dtype(&values[r as usize], result)?, &shape)).collect()
    }
}

/// What a step takes: truth values, or numbers of the formula's dtype.
fn takes(truth: bool, dtype: DType) -> DType {
    if truth { DType::Bool } else { dtype }
}

impl Step {
    fn parts(&self) -> SmallVec<[u16; 3]> {
        match *self {
            Step::Operand(_) | Step::Number(_) => SmallVec::new(),
            Step::Un(_, a) => SmallVec::from_slice(&[a]),
            Step::Bin(_, a, b) => SmallVec::from_slice(&[a, b]),
            Step::Select(a, b, c) => SmallVec::from_slice(&[a, b, c]),
        }
    }
    fn map(self, f: impl Fn(u16) -> u16) -> Step {
        match self {
            Step::Operand(_) | Step::Number(_) => self,
            Step::Un(op, a) => Step::Un(op, f(a)),
            Step::Bin(op, a, b) => Step::Bin(op, f(a), f(b)),
            Step::Select(a, b, c) => Step::Select(f(a), f(b), f(c)),
        }
    }
}

/// `f` of floating operands (integers go to the default float), in one pass; without history: the op gives it.
pub(crate) fn compute<const N: usize>(
    operands: [&Tensor; N],
    f: impl for<'a> FnOnce([Term<'a>; N]) -> Term<'a>,
) -> Result<Tensor> {
    let [y] = compute_many(operands, |terms| [f(terms)])?;
    Ok(y)
}

/// As [`compute`], with several results of the same pass.
pub(crate) fn compute_many<const N: usize, const M: usize>(
    operands: [&Tensor; N],
    f: impl for<'a> FnOnce([Term<'a>; N]) -> [Term<'a>; M],
) -> Result<[Tensor; M]> {
    let sheet = Sheet::default();
    let results = f(sheet.operands());
    let formula = Formula::new(&sheet, results.iter().map(|y| y.at));
    Ok(one_each(formula.run(&operands.map(|x| Some(x.clone())))?))
}

/// As [`compute_many`] inside a derivative: as ops where gradients of gradients are wanted. The first operand has the results' shape.
pub(crate) fn evaluate<const N: usize, const M: usize>(
    operands: [&Tensor; N],
    f: impl for<'a> FnOnce([Term<'a>; N]) -> [Term<'a>; M],
) -> Result<[Tensor; M]> {
    if !autograd::is_recorded(&operands) {
        return compute_many(operands, f);
    }
    let sheet = Sheet::default();
    let results = f(sheet.operands());
    let formula = Formula::new(&sheet, results.iter().map(|y| y.at));
    Ok(one_each(formula.record(&operands.map(|x| Some(x.clone())))?))
}

fn one_each<const M: usize>(results: Vec<Tensor>) -> [Tensor; M] {
    results.try_into().expect("a formula has as many results as were asked for")
}

/// The derivative of an op with one result: from the gradient `g`, the inputs and the result, the gradient of each input. What no wanted
/// gradient needs is not saved, and not computed.
pub(crate) fn derivative<const N: usize>(
    s: &Save,
    inputs: [&Tensor; N],
    f: impl for<'a> FnOnce(Term<'a>, [Term<'a>; N], Term<'a>) -> [Term<'a>; N],
) -> BackwardFn {
    let sheet = Sheet::default();
    let [g, y] = sheet.operands();
    let terms = std::array::from_fn(|i| sheet.push(Step::Operand(i as u16 + 2)));
    let gradients = f(g, terms, y).map(|t| t.at);
    let wanted: [bool; N] = std::array::from_fn(|i| s.needs(i));
    let formula = Formula::new(&sheet, (0..N).filter(|&i| wanted[i]).map(|i| gradients[i]));
    let mut saved: SmallVec<[Option<Saved>; 4]> = SmallVec::new();
    saved.push(formula.uses(1).then(|| s.output()));
    saved.extend(inputs.iter().enumerate().map(|(i, x)| formula.uses(i + 2).then(|| s.input(x))));
    grad_fn(move |c, g| {
        let mut operands: SmallVec<[Option<Tensor>; 5]> = SmallVec::new();
        operands.push(Some(g.clone()));
        for s in &saved {
            operands.push(s.as_ref().map(|s| s.get(c)).transpose()?);
        }
        let present: SmallVec<[&Tensor; 5]> = operands.iter().flatten().collect();
        let results = if autograd::is_recorded(&present) { formula.record(&operands)? } else { formula.run(&operands)? };
        let mut results = results.into_iter();
        Ok(wanted.map(|w| if w { results.next() } else { None }))
    })
}

/// A unary op of the scalar table with its derivative: `f(g, x, y)` is the gradient of `x`, where `y` is the result.
pub(crate) fn unary_with(
    op: UnOp,
    x: &Tensor,
    f: impl for<'a> FnOnce(Term<'a>, Term<'a>, Term<'a>) -> Term<'a>,
) -> Result<Tensor> {
    unary(op, x)?.with_grad([x], |s| derivative(s, [x], |g, [x], y| [f(g, x, y)]))
}

/// A binary op of the scalar table with its derivative: `f(g, [x, y], z)` are the gradients of `x` and `y`, where `z` is the result.
pub(crate) fn binary_with(
    op: BinOp,
    x: &Tensor,
    y: &Tensor,
    f: impl for<'a> FnOnce(Term<'a>, [Term<'a>; 2], Term<'a>) -> [Term<'a>; 2],
) -> Result<Tensor> {
    binary(op, x, y)?.with_grad([x, y], |s| derivative(s, [x, y], f))
}

/// The derivative of an op that is constant almost everywhere.
pub(crate) fn no_slope<const N: usize>() -> BackwardFn {
    grad_fn(|_, g| {
        let zero = zeros_like(g, None)?;
        Ok([(); N].map(|()| Some(zero.clone())))
    })
}

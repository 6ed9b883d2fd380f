//! What Python's syntax does with tensors: operators, brackets, `len`, `bool`, `repr`; and the properties that are no ops.
//!
//! The one list of dunders that is written by hand. Operands may be tensors, numbers, lists and arrays; anything else is left to the
//! other operand, as Python's rules want.

use crate::autograd::{self, PyHookHandle, PyNode};
use crate::call::{Named, beside_number, binary, of_two, operand, table_op};
use crate::convert::{scalar_for, scalar_object, type_name};
use crate::error::OrRaise;
use crate::tensor::{PyTensor, tensor_of, wrap};
use crate::types::{self, PyDType, PyDevice};
use crate::{index, interop, make};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyIterator, PyList, PyTuple, PyType};
use rushlight::{BinOp, DType, Scalar, Tensor, ops};

const ONE: Scalar = Scalar::Int(1);

type Object<'py> = Bound<'py, PyAny>;
type Answer<'py> = PyResult<Object<'py>>;

fn not_implemented(py: Python<'_>) -> Object<'_> {
    py.NotImplemented().into_bound(py)
}

/// `a op b` where `this` is a, or b where the operands are swapped: by the function, or `NotImplemented`.
macro_rules! arithmetic {
    ($this:expr, $other:expr, $name:literal, $op:ident, |$a:ident, $b:ident| $f:expr) => {
        arithmetic!($this, $other, $name, $op, false, |$a, $b| $f)
    };
    ($this:expr, $other:expr, $name:literal, $op:ident, $swapped:literal, |$a:ident, $b:ident| $f:expr) => {{
        let (py, this) = ($other.py(), $this.tensor());
        if let Some(other) = tensor_of($other) {
            return binary(py, $name, this, other, |$a, $b| $f);
        }
        let number = scalar_for(this.dtype(), $other)?;
        if let Some(result) = number.and_then(|n| beside_number(py, $name, BinOp::$op, this, n, $swapped)) {
            return result;
        }
        match number.map_or_else(|| array_or_list($other), |n| Ok(Some(Tensor::wrapped_number(n))))? {
            Some(other) => binary(py, $name, this, &other, |$a, $b| $f),
            None => Ok(not_implemented(py)),
        }
    }};
}

/// The other operand as a tensor: an array, or a list.
fn array_or_list(other: &Object<'_>) -> PyResult<Option<Tensor>> {
    operand(other).map(|t| t.or_else(|| listed(other)))
}

/// A list or tuple of numbers as a tensor: wider than PyTorch, which refuses them where they are no operands of Python's own.
fn listed(object: &Object<'_>) -> Option<Tensor> {
    if !object.is_exact_instance_of::<PyList>() && !object.is_exact_instance_of::<PyTuple>() {
        return None;
    }
    make::from_data(object, None).ok()
}

/// Whether the operator belongs to the list: it repeats itself by an integer, and `list += x` goes through x's elements.
fn is_the_lists(symbol: char, this: &Tensor, other: &Object<'_>) -> bool {
    let list = other.is_exact_instance_of::<PyList>();
    match symbol {
        '*' => (list || other.is_exact_instance_of::<PyTuple>()) && this.numel() == 1 && !this.dtype().is_float(),
        _ => list && is_augmented(other.py()).unwrap_or(false),
    }
}

/// Whether the caller's present instruction is an augmented assignment. CPython asks a tensor for `list + x` before it lets a list extend
/// itself, and says nowhere else which of the two was written.
fn is_augmented(py: Python<'_>) -> PyResult<bool> {
    const FIRST_INPLACE: u8 = 13; // NB_INPLACE_ADD, the operators before it being plain
    let frame = py.import("sys")?.call_method0("_getframe")?;
    let at: usize = frame.getattr("f_lasti")?.extract()?;
    let code = frame.getattr("f_code")?.getattr("co_code")?;
    Ok(code.cast::<PyBytes>()?.as_bytes().get(at + 1).is_some_and(|&operator| operator >= FIRST_INPLACE))
}

/// An op with overloads of its own, found by name.
fn named<'py>(op: &'static Named, a: &Object<'py>, b: &Object<'py>) -> Answer<'py> {
    let py = a.py();
    let known = |o: &Object<'py>| Ok::<_, PyErr>(tensor_of(o).is_some() || crate::convert::scalar(o)?.is_some());
    let dtype = tensor_of(a).or(tensor_of(b)).map_or(DType::F32, Tensor::dtype);
    let argument = |o: &Object<'py>| -> PyResult<Option<Object<'py>>> {
        if o.is_instance_of::<PyInt>() && o.extract::<i64>().is_err() {
            return scalar_for(dtype, o)?.map(|s| scalar_object(py, s)).transpose();
        }
        if known(o)? {
            return Ok(Some(o.clone()));
        }
        let t = operand(o)?.or_else(|| if matches!(op.name, "eq" | "ne") { None } else { listed(o) });
        t.map(|t| wrap(py, t)).transpose()
    };
    match (argument(a)?, argument(b)?) {
        (Some(a), Some(b)) => op.call(py, &[a, b]),
        _ => Ok(not_implemented(py)),
    }
}

/// An in-place operator; `f`, where there is one, takes two tensors without the table's reading of arguments.
fn inplace<'py>(
    op: &'static Named,
    f: Option<fn(&Tensor, &Tensor) -> rushlight::Result<()>>,
    symbol: &str,
    a: &Bound<'py, PyTensor>,
    b: &Object<'py>,
) -> PyResult<()> {
    let py = a.py();
    if let (Some(f), Some(x), Some(y)) = (f, tensor_of(a), tensor_of(b)) {
        return of_two(py, op.name, x, y, f);
    }
    let b = match operand(b)?.or_else(|| listed(b)) {
        Some(_) if tensor_of(b).is_some() || crate::convert::scalar(b)?.is_some() => b.clone(),
        Some(t) => wrap(py, t)?,
        None => {
            let text = format!("unsupported operand type(s) for {symbol}: 'Tensor' and '{}'", type_name(b));
            return Err(PyTypeError::new_err(text));
        }
    };
    op.call(py, &[a.as_any().clone(), b]).map(drop)
}

/// The argument of PyTorch's legacy constructor that was given by name. A subclass may have arguments of its own, which its `__init__` will see.
fn constructor_argument<'py>(
    class: &Bound<'py, PyType>,
    args: &Bound<'py, PyTuple>,
    rest: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = class.py();
    let mut found = None;
    for (name, value) in rest.iter() {
        let name = name.to_string();
        if found.is_none() && args.is_empty() && matches!(name.as_str(), "data" | "size" | "other") {
            let value = if name == "size" { types::size(py, &value.extract::<Vec<usize>>()?)? } else { value };
            found = Some(PyTuple::new(py, [value])?);
        } else if class.is(py.get_type::<PyTensor>()) {
            return Err(PyTypeError::new_err(format!("Tensor() got an unexpected keyword argument '{name}'")));
        }
    }
    Ok(found)
}

/// A list or an array as a tensor of the other operand's dtype; a matrix product does not promote.
fn like<'py>(dtype: DType, object: &Object<'py>) -> Answer<'py> {
    let py = object.py();
    if tensor_of(object).is_some() || crate::convert::scalar(object)?.is_some() {
        return Ok(object.clone());
    }
    match operand(object)?.or_else(|| listed(object)) {
        Some(t) => wrap(py, ops::to_dtype(&t, dtype).or_raise()?),
        None => Ok(object.clone()),
    }
}

/// The dimension that `dim` names, counted from the end where negative.
fn dim_at(dim: i64, rank: usize) -> PyResult<usize> {
    let n = rank as i64;
    if (-n..n).contains(&dim) {
        return Ok(if dim < 0 { dim + n } else { dim } as usize);
    }
    let n = n.max(1);
    let text = format!("Dimension out of range (expected to be in range of [{}, {}], but got {dim})", -n, n - 1);
    Err(pyo3::exceptions::PyIndexError::new_err(text))
}

/// The number in a one-element tensor.
fn item(t: &Tensor) -> PyResult<Scalar> {
    t.try_to_scalar().or_raise()
}

/// The number that `int(x)` and `float(x)` are about.
fn number(t: &Tensor) -> PyResult<Scalar> {
    if t.numel() != 1 {
        return Err(PyValueError::new_err("only one element tensors can be converted to Python scalars"));
    }
    item(t)
}

fn list<'py>(py: Python<'py>, values: &mut impl Iterator<Item = Object<'py>>, shape: &[usize]) -> Answer<'py> {
    let Some((&n, rest)) = shape.split_first() else {
        return values.next().ok_or_else(|| PyRuntimeError::new_err("tolist(): too few elements"));
    };
    let out = PyList::empty(py);
    for _ in 0..n {
        out.append(list(py, values, rest)?)?;
    }
    Ok(out.into_any())
}

#[pymethods]
impl PyTensor {
    /// PyTorch's legacy constructor: `Tensor(2, 3)` has these sizes, `Tensor([1, 2])` these values, `Tensor(t)` shares t's memory.
    #[new]
    #[classmethod]
    #[pyo3(signature = (*args, requires_grad = false, dtype = None, device = None, **rest))]
    fn new<'py>(
        class: &Bound<'py, PyType>,
        args: &Bound<'py, PyTuple>,
        requires_grad: bool,
        dtype: Option<&Object<'py>>,
        device: Option<&Object<'py>>,
        rest: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<PyTensor> {
        device.map_or(Ok(()), types::check_device)?;
        let dtype = dtype.and_then(crate::convert::dtype_of);
        let sizes = |sizes: Vec<i64>| ops::empty(&sizes, dtype).or_raise();
        let named = rest.map_or(Ok(None), |rest| constructor_argument(class, args, rest))?;
        let args = &named.unwrap_or_else(|| args.clone());
        let first = if args.is_empty() { None } else { Some(args.get_item(0)?) };
        let t = match &first {
            None => sizes(vec![0])?,
            Some(a) if args.len() == 1 && tensor_of(a).is_some() => {
                let t = tensor_of(a).expect("just seen").detach();
                dtype.map_or(Ok(t.clone()), |d| ops::to_dtype(&t, d).or_raise())?
            }
            Some(a) if a.is_instance_of::<PyInt>() => sizes(args.iter().map(|a| a.extract()).collect::<PyResult<_>>()?)?,
            Some(a) if types::is_size(a) => sizes(a.extract()?)?,
            Some(a) if args.len() == 1 && a.is_instance_of::<PyFloat>() => {
                return Err(PyTypeError::new_err(format!("new(): data must be a sequence (got {})", type_name(a))));
            }
            Some(a) if args.len() == 1 => make::from_data(a, Some(dtype.unwrap_or_else(rushlight::default_dtype)))?,
            // A subclass with a constructor of its own makes what it wants of further arguments.
            Some(a) => make::from_data(a, None).or_else(|_| sizes(vec![0]))?,
        };
        if requires_grad {
            t.try_requires_grad_(true).or_raise()?;
        }
        Ok(PyTensor::of(t))
    }

    // ---- arithmetic -----------------------------------------------------------------------------------------------------------------

    fn __add__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        arithmetic!(self, other, "add", Add, |a, b| ops::add(a, b, ONE))
    }
    fn __radd__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        if is_the_lists('+', self.tensor(), other) {
            return Ok(not_implemented(other.py()));
        }
        arithmetic!(self, other, "add", Add, true, |a, b| ops::add(b, a, ONE))
    }
    fn __sub__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        arithmetic!(self, other, "sub", Sub, |a, b| ops::sub(a, b, ONE))
    }
    fn __rsub__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        arithmetic!(self, other, "rsub", Sub, true, |a, b| ops::sub(b, a, ONE))
    }
    fn __mul__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        if is_the_lists('*', self.tensor(), other) {
            return Ok(not_implemented(other.py()));
        }
        arithmetic!(self, other, "mul", Mul, |a, b| ops::mul(a, b))
    }
    fn __rmul__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        if is_the_lists('*', self.tensor(), other) {
            return Ok(not_implemented(other.py()));
        }
        arithmetic!(self, other, "mul", Mul, true, |a, b| ops::mul(b, a))
    }
    fn __truediv__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        arithmetic!(self, other, "div", Div, |a, b| ops::div(a, b, None))
    }
    fn __rtruediv__<'py>(&self, other: &Object<'py>) -> Answer<'py> {
        arithmetic!(self, other, "div", Div, true, |a, b| ops::div(b, a, None))
    }
    fn __matmul__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        if let Some(other) = tensor_of(other) {
            return binary(slf.py(), "matmul", slf.get().tensor(), other, ops::matmul);
        }
        if crate::convert::scalar(other)?.is_some() {
            return Ok(not_implemented(slf.py()));
        }
        named(table_op!("matmul"), slf.as_any(), &like(slf.get().tensor().dtype(), other)?)
    }
    fn __rmatmul__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        if crate::convert::scalar(other)?.is_some() {
            return Ok(not_implemented(slf.py()));
        }
        named(table_op!("matmul"), &like(slf.get().tensor().dtype(), other)?, slf.as_any())
    }
    fn __floordiv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("floor_divide"), slf.as_any(), other)
    }
    fn __rfloordiv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("floor_divide"), other, slf.as_any())
    }
    fn __mod__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("remainder"), slf.as_any(), other)
    }
    fn __rmod__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("remainder"), other, slf.as_any())
    }
    fn __pow__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>, modulo: &Object<'py>) -> Answer<'py> {
        if !modulo.is_none() {
            return Ok(not_implemented(slf.py()));
        }
        named(table_op!("pow"), slf.as_any(), other)
    }
    fn __rpow__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>, _modulo: &Object<'py>) -> Answer<'py> {
        named(table_op!("pow"), other, slf.as_any())
    }
    fn __and__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_and"), slf.as_any(), other)
    }
    fn __rand__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_and"), other, slf.as_any())
    }
    fn __or__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_or"), slf.as_any(), other)
    }
    fn __ror__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_or"), other, slf.as_any())
    }
    fn __xor__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_xor"), slf.as_any(), other)
    }
    fn __rxor__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_xor"), other, slf.as_any())
    }
    fn __lshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_left_shift"), slf.as_any(), other)
    }
    fn __rlshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_left_shift"), other, slf.as_any())
    }
    fn __rshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_right_shift"), slf.as_any(), other)
    }
    fn __rrshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> Answer<'py> {
        named(table_op!("bitwise_right_shift"), other, slf.as_any())
    }
    fn __iadd__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("add_"), Some(|x, y| ops::add_(x, y, Scalar::Int(1))), "+=", slf, other)
    }
    fn __isub__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("sub_"), Some(|x, y| ops::sub_(x, y, Scalar::Int(1))), "-=", slf, other)
    }
    fn __imul__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("mul_"), Some(ops::mul_), "*=", slf, other)
    }
    fn __itruediv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("div_"), Some(|x, y| ops::div_(x, y, None)), "/=", slf, other)
    }
    fn __ifloordiv__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("floor_divide_"), None, "//=", slf, other)
    }
    fn __imod__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("remainder_"), None, "%=", slf, other)
    }
    fn __ipow__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>, _modulo: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("pow_"), None, "**=", slf, other)
    }
    fn __iand__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("bitwise_and_"), None, "&=", slf, other)
    }
    fn __ior__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("bitwise_or_"), None, "|=", slf, other)
    }
    fn __ixor__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("bitwise_xor_"), None, "^=", slf, other)
    }
    fn __ilshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("bitwise_left_shift_"), None, "<<=", slf, other)
    }
    fn __irshift__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>) -> PyResult<()> {
        inplace(table_op!("bitwise_right_shift_"), None, ">>=", slf, other)
    }
    fn __neg__<'py>(slf: &Bound<'py, Self>) -> Answer<'py> {
        table_op!("neg").call(slf.py(), &[slf.as_any().clone()])
    }
    fn __pos__<'py>(slf: &Bound<'py, Self>) -> Answer<'py> {
        table_op!("positive").call(slf.py(), &[slf.as_any().clone()])
    }
    fn __abs__<'py>(slf: &Bound<'py, Self>) -> Answer<'py> {
        table_op!("abs").call(slf.py(), &[slf.as_any().clone()])
    }
    fn __invert__<'py>(slf: &Bound<'py, Self>) -> Answer<'py> {
        if slf.get().tensor().dtype().is_float() {
            return Err(PyTypeError::new_err("~ (operator.invert) is only implemented on integer and Boolean-type tensors"));
        }
        table_op!("bitwise_not").call(slf.py(), &[slf.as_any().clone()])
    }
    fn __richcmp__<'py>(slf: &Bound<'py, Self>, other: &Object<'py>, op: CompareOp) -> Answer<'py> {
        type Compare = fn(&Tensor, &Tensor) -> rushlight::Result<Tensor>;
        let (named_op, compare): (_, Compare) = match op {
            CompareOp::Lt => (table_op!("lt"), ops::lt),
            CompareOp::Le => (table_op!("le"), ops::le),
            CompareOp::Eq => (table_op!("eq"), ops::eq),
            CompareOp::Ne => (table_op!("ne"), ops::ne),
            CompareOp::Gt => (table_op!("gt"), ops::gt),
            CompareOp::Ge => (table_op!("ge"), ops::ge),
        };
        match tensor_of(other) {
            Some(other) => binary(slf.py(), named_op.name, slf.get().tensor(), other, compare),
            None => named(named_op, slf.as_any(), other),
        }
    }

    // ---- as a container and as a number -------------------------------------------------------------------------------------------------

    /// By identity: two tensors with equal elements are two keys.
    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        (slf.as_ptr() as isize) >> 4
    }
    fn __len__(&self) -> PyResult<usize> {
        self.tensor().shape().first().copied().ok_or_else(|| PyTypeError::new_err("len() of a 0-d tensor"))
    }
    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Object<'py>) -> Answer<'py> {
        index::get(slf.py(), slf.get().tensor(), key)
    }
    fn __setitem__(&self, key: &Object<'_>, value: &Object<'_>) -> PyResult<()> {
        index::set(self.tensor(), key, value)
    }
    fn __delitem__(&self, _key: &Object<'_>) -> PyResult<()> {
        Err(PyTypeError::new_err("Tensor does not support deleting items"))
    }
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        if slf.get().rank() == 0 {
            return Err(PyTypeError::new_err("iteration over a 0-d tensor"));
        }
        table_op!("unbind").call(slf.py(), &[slf.as_any().clone()])?.try_iter()
    }
    fn __contains__(slf: &Bound<'_, Self>, element: &Object<'_>) -> PyResult<bool> {
        if operand(element)?.is_none() {
            let text = format!("Tensor.__contains__ only supports Tensor or scalar, but you passed in a {}.", element.get_type());
            return Err(PyRuntimeError::new_err(text));
        }
        let equal = named(table_op!("eq"), slf.as_any(), element)?;
        table_op!("any").call(slf.py(), &[equal])?.is_truthy()
    }
    fn __bool__(&self) -> PyResult<bool> {
        match self.tensor().numel() {
            1 => Ok(item(self.tensor())?.to_bool()),
            0 => Err(PyRuntimeError::new_err("Boolean value of Tensor with no values is ambiguous")),
            _ => Err(PyRuntimeError::new_err("Boolean value of Tensor with more than one value is ambiguous")),
        }
    }
    fn __int__<'py>(&self, py: Python<'py>) -> Answer<'py> {
        match number(self.tensor())? {
            Scalar::Float(f) => PyFloat::new(py, f).call_method0("__int__"),
            s => scalar_object(py, Scalar::Int(s.to_i64())),
        }
    }
    fn __float__(&self) -> PyResult<f64> {
        Ok(number(self.tensor())?.to_f64())
    }
    fn __index__(&self) -> PyResult<i64> {
        if self.tensor().dtype().is_float() || self.tensor().numel() != 1 {
            return Err(PyTypeError::new_err("only integer tensors of a single element can be converted to an index"));
        }
        Ok(item(self.tensor())?.to_i64())
    }
    fn __complex__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyComplex>> {
        Ok(pyo3::types::PyComplex::from_doubles(py, number(self.tensor())?.to_f64(), 0.0))
    }
    fn __repr__(&self, py: Python<'_>) -> String {
        let t = self.tensor();
        if t.numel() >= 1 << 14 { py.detach(|| t.to_string()) } else { t.to_string() }
    }
    fn __format__<'py>(slf: &Bound<'py, Self>, spec: &str) -> PyResult<String> {
        let this = slf.get();
        if this.rank() == 0 {
            let number = scalar_object(slf.py(), item(this.tensor())?)?;
            return number.call_method1("__format__", (spec,))?.extract();
        }
        if spec.is_empty() {
            return Ok(slf.str()?.to_string());
        }
        Err(PyTypeError::new_err("unsupported format string passed to Tensor.__format__"))
    }
    /// The only element, as a Python number.
    fn item<'py>(&self, py: Python<'py>) -> Answer<'py> {
        scalar_object(py, item(self.tensor())?)
    }
    /// The elements as nested lists of Python numbers; a number for a zero-dim tensor.
    fn tolist<'py>(&self, py: Python<'py>) -> Answer<'py> {
        let t = self.tensor().detach();
        let shape = t.shape();
        match t.dtype() {
            d if d.is_float() => list(py, &mut t.to_f64_vec().into_iter().map(|f| PyFloat::new(py, f).into_any()), &shape),
            DType::Bool => {
                let values = t.try_to_vec::<bool>().or_raise()?;
                list(py, &mut values.into_iter().map(|b| PyBool::new(py, b).to_owned().into_any()), &shape)
            }
            _ => {
                let values = ops::to_dtype(&t, DType::I64).and_then(|t| t.try_to_vec::<i64>()).or_raise()?;
                list(py, &mut values.into_iter().map(|i| PyInt::new(py, i).into_any()), &shape)
            }
        }
    }

    // ---- properties ---------------------------------------------------------------------------------------------------------------------

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> Answer<'py> {
        self.sizes(py)
    }
    /// All sizes, or that of one dimension.
    #[pyo3(signature = (dim = None))]
    fn size<'py>(&self, py: Python<'py>, dim: Option<i64>) -> Answer<'py> {
        let Some(dim) = dim else { return self.sizes(py) };
        let shape = self.tensor().shape();
        Ok(shape[dim_at(dim, shape.len())?].into_pyobject(py)?.into_any())
    }
    /// The steps between neighbours, in elements.
    #[pyo3(signature = (dim = None))]
    fn stride<'py>(&self, py: Python<'py>, dim: Option<i64>) -> Answer<'py> {
        let strides = self.tensor().strides();
        match dim {
            None => Ok(PyTuple::new(py, strides.as_slice())?.into_any()),
            Some(d) => Ok(strides[dim_at(d, strides.len())?].into_pyobject(py)?.into_any()),
        }
    }
    fn storage_offset(&self) -> usize {
        self.tensor().storage_offset()
    }
    fn dim(&self) -> usize {
        self.rank()
    }
    fn ndimension(&self) -> usize {
        self.rank()
    }
    #[getter]
    fn ndim(&self) -> usize {
        self.rank()
    }
    fn numel(&self) -> usize {
        self.tensor().numel()
    }
    fn nelement(&self) -> usize {
        self.tensor().numel()
    }
    fn element_size(&self) -> usize {
        self.tensor().dtype().size()
    }
    #[getter]
    fn itemsize(&self) -> usize {
        self.tensor().dtype().size()
    }
    #[getter]
    fn nbytes(&self) -> usize {
        self.tensor().numel() * self.tensor().dtype().size()
    }
    #[pyo3(signature = (*, memory_format = None))]
    fn is_contiguous(&self, memory_format: Option<&Object<'_>>) -> bool {
        let _ = memory_format;
        self.tensor().is_contiguous()
    }
    fn is_floating_point(&self) -> bool {
        self.tensor().dtype().is_float()
    }
    fn is_complex(&self) -> bool {
        false
    }
    fn is_signed(&self) -> bool {
        self.tensor().dtype().is_signed()
    }
    fn is_inference(&self) -> bool {
        self.tensor().is_inference()
    }
    fn is_set_to(&self, tensor: &Bound<'_, PyTensor>) -> bool {
        let (a, b) = (self.tensor(), tensor.get().tensor());
        a.shares_storage(b) && a.layout() == b.layout()
    }
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, PyDType> {
        types::dtype(py, self.tensor().dtype())
    }
    #[getter]
    fn device<'py>(&self, py: Python<'py>) -> Bound<'py, PyDevice> {
        types::cpu(py)
    }
    /// The address of the first element.
    fn data_ptr(&self) -> usize {
        let t = self.tensor();
        if t.numel() == 0 { 0 } else { t.storage().data_ptr() + t.storage_offset() * t.dtype().size() }
    }
    /// Address and size in bytes of the whole memory that the tensor lies in.
    fn _storage(&self) -> (usize, usize) {
        (self.tensor().storage().data_ptr(), self.tensor().storage().nbytes())
    }
    /// The whole memory that the tensor lies in, as a one-dimensional tensor of its dtype.
    fn _storage_tensor<'py>(&self, py: Python<'py>) -> Answer<'py> {
        let t = self.tensor();
        let n = t.storage().nbytes() / t.dtype().size();
        wrap(py, t.with_layout(rushlight::Layout::contiguous(&[n])).or_raise()?)
    }
    #[getter]
    fn _version(&self) -> u32 {
        self.tensor().version()
    }
    #[getter]
    fn is_leaf(&self) -> bool {
        self.tensor().is_leaf()
    }
    #[getter]
    fn requires_grad(&self) -> bool {
        self.tensor().requires_grad()
    }
    #[setter]
    fn set_requires_grad(&self, required: bool) -> PyResult<()> {
        self.tensor().try_requires_grad_(required).or_raise().map(drop)
    }
    /// Turns recording for this leaf on or off, in place.
    #[pyo3(signature = (requires_grad = true))]
    fn requires_grad_<'py>(slf: Bound<'py, Self>, requires_grad: bool) -> PyResult<Bound<'py, Self>> {
        slf.get().tensor().try_requires_grad_(requires_grad).or_raise()?;
        Ok(slf)
    }
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Answer<'py> {
        wrap(py, self.tensor().detach())
    }
    #[setter]
    fn set_data(&self, data: &Object<'_>) -> PyResult<()> {
        let Some(t) = tensor_of(data) else {
            return Err(PyTypeError::new_err(format!("Variable data has to be a tensor, but got {}", type_name(data))));
        };
        self.tensor().set_data(t);
        Ok(())
    }
    /// A tensor over the same memory, without history.
    fn detach<'py>(&self, py: Python<'py>) -> Answer<'py> {
        wrap(py, self.tensor().detach())
    }
    fn detach_<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().tensor().detach_().or_raise()?;
        Ok(slf)
    }
    /// Computes the values now, if they have been put off (`set_deferred`).
    fn _realise(&self, py: Python<'_>) -> PyResult<()> {
        let t = self.tensor();
        py.detach(|| t.realise()).or_raise()
    }
    #[getter]
    fn _base<'py>(&self, py: Python<'py>) -> PyResult<Option<Object<'py>>> {
        self.tensor().view_base().map(|t| wrap(py, t)).transpose()
    }
    fn _is_view(&self) -> bool {
        self.tensor().is_view()
    }

    // ---- in the graph -----------------------------------------------------------------------------------------------------------------

    #[getter]
    fn grad_fn(&self) -> Option<PyNode> {
        self.tensor().grad_fn().map(PyNode)
    }
    #[getter]
    fn grad<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.tensor().grad().map(|g| wrap(py, g)).transpose()
    }
    #[setter]
    fn set_grad(&self, grad: &Bound<'_, PyAny>) -> PyResult<()> {
        if grad.is_none() {
            return self.tensor().try_set_grad(None).or_raise();
        }
        let Some(g) = tensor_of(grad) else {
            return Err(PyTypeError::new_err(format!(
                "assigned grad expected to be a Tensor or None but got grad of type {}",
                type_name(grad)
            )));
        };
        if g.is_same(self.tensor()) {
            return Err(PyRuntimeError::new_err("can't assign Variable as its own grad"));
        }
        self.tensor().try_set_grad(Some(g.clone())).or_raise()
    }
    #[deleter]
    fn delete_grad(&self) -> PyResult<()> {
        self.tensor().try_set_grad(None).or_raise()
    }
    #[getter]
    fn output_nr(&self) -> usize {
        self.tensor().output_nr()
    }
    fn retain_grad(&self) -> PyResult<()> {
        self.tensor().retain_grad().or_raise()
    }
    #[getter]
    fn retains_grad(&self) -> bool {
        self.tensor().retains_grad()
    }
    /// Calls `hook(grad)` whenever this tensor's gradient is computed; what it returns replaces the gradient.
    fn register_hook(&self, hook: Py<PyAny>) -> PyResult<PyHookHandle> {
        autograd::register_hook(self.tensor(), hook)
    }
    /// Calls `hook(param)` after a gradient has been added to this leaf's `grad`.
    fn register_post_accumulate_grad_hook(&self, hook: Py<PyAny>) -> PyResult<PyHookHandle> {
        autograd::register_after_hook(self.tensor(), hook)
    }

    // ---- to other libraries -------------------------------------------------------------------------------------------------------------

    /// The elements as bytes, row-major and little-endian.
    fn _to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.tensor().with_bytes(|b| PyBytes::new(py, b)).or_raise()
    }
    #[allow(unsafe_code)]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut pyo3::ffi::Py_buffer, flags: i32) -> PyResult<()> {
        if view.is_null() {
            return Err(PyValueError::new_err("a buffer view is needed"));
        }
        // SAFETY: CPython passes a view that is valid for writes.
        unsafe { interop::export(slf, view, flags) }
    }
    #[allow(unsafe_code)]
    unsafe fn __releasebuffer__(&self, view: *mut pyo3::ffi::Py_buffer) {
        // SAFETY: the view was filled by `export`.
        unsafe { interop::release(view) }
    }
}

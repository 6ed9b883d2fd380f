//! How Python calls the op table: one native function per name, all of them the same loop. Knows no op by name.
//!
//! A name of the table becomes an entry: its overloads, and whether the in-place twin is meant. Python reaches an entry by a function of
//! the package (the entry's number is the function's `self`) or by a method descriptor (where `self` is the tensor, so that the number
//! must be in the code: there are as many copies of [`method`] as methods).

use crate::convert::{self, return_type, type_name};
use crate::error::{self, OrRaise, to_py};
use crate::make;
use crate::place;
use crate::tensor::{PyTensor, tensor_of, wrap};
use crate::types::check_device;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use rushlight::op::bind::{Args, Keywords, Style, arrange, invoke, invoke_inplace};
use rushlight::op::{self, ArgKind, Ints, OpDef, Value, enter_from};
use rushlight::{BinOp, Scalar, Tensor, ops};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::OnceLock;

/// Above this many elements a call takes long enough for other threads to use the interpreter meanwhile (about 20 µs).
const LONG: usize = 1 << 14;

/// A name that Python can call.
struct Entry {
    name: &'static str,
    overloads: Vec<&'static OpDef>,
    inplace: bool,
    /// Sizes may be given one by one: `zeros(2, 3)`. True where a list of integers is the only positional parameter (beside the tensor).
    varargs: [bool; 2],
}

impl Entry {
    fn new(name: &'static str, overloads: Vec<&'static OpDef>, inplace: bool) -> Entry {
        let positional = |d: &OpDef| d.args.iter().take_while(|a| !a.keyword_only).map(|a| a.kind).collect::<Vec<_>>();
        let only_ints = |kinds: &[ArgKind]| matches!(kinds, [ArgKind::Ints | ArgKind::OptInts]);
        let function = overloads.iter().any(|d| only_ints(&positional(d)));
        let method = overloads.iter().any(|d| positional(d).split_first().is_some_and(|(_, rest)| only_ints(rest)));
        Entry { name, overloads, inplace, varargs: [function, method] }
    }
    /// The name of an overload's parameter that reads like this.
    fn parameter(&self, name: &str) -> Option<&'static str> {
        self.overloads.iter().flat_map(|d| d.args).map(|a| a.name).find(|&n| n == name)
    }
    fn is_method(&self) -> bool {
        self.overloads.iter().any(|d| !d.function && !d.nn && d.args.first().is_some_and(|a| a.kind == ArgKind::Tensor))
    }
    fn is_property(&self) -> bool {
        self.overloads.iter().any(|d| d.property)
    }
    fn is_nn(&self) -> bool {
        self.overloads.iter().all(|d| d.nn)
    }
}

/// All names of the table, sorted: those of the ops, their aliases, and the in-place twins of both.
fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let mut plain: BTreeMap<&'static str, Vec<&'static OpDef>> = BTreeMap::new();
        let mut twins: BTreeMap<String, Vec<&'static OpDef>> = BTreeMap::new();
        for def in op::all() {
            for name in std::iter::once(&def.name).chain(def.aliases) {
                plain.entry(name).or_default().push(def);
                if def.inplace {
                    twins.entry(format!("{name}_")).or_default().push(def);
                }
            }
        }
        let twins = twins.into_iter().filter(|(name, _)| !plain.contains_key(name.as_str())).collect::<Vec<_>>();
        let twins = twins.into_iter().map(|(name, defs)| Entry::new(name.leak(), defs, true));
        let mut all: Vec<_> = plain.into_iter().map(|(name, defs)| Entry::new(name, defs, false)).chain(twins).collect();
        all.sort_unstable_by_key(|e| e.name);
        all
    })
}

// ---- the call -------------------------------------------------------------------------------------------------------------------------

/// What PyTorch takes at many functions and no op of the table has: handled alike for all.
#[derive(Default)]
struct Extra<'py> {
    out: Option<Bound<'py, PyAny>>,
    requires_grad: bool,
}

impl<'py> Extra<'py> {
    /// Takes a keyword that is no parameter of the op, if it is one of these.
    fn take(&mut self, entry: &Entry, method: bool, name: &str, value: &Bound<'py, PyAny>) -> PyResult<bool> {
        match name {
            "out" if method && !value.is_none() => return Ok(false),
            "out" => self.out = (!value.is_none()).then(|| value.clone()),
            "device" => check_device(value)?,
            "requires_grad" => self.requires_grad = make::flag(entry.name, value)?,
            // Hints about memory: every tensor here is dense and in the same memory.
            "layout" | "pin_memory" | "memory_format" | "non_blocking" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What a call gives. It is large, so it stays where it was made: whoever works on it borrows it.
#[derive(Default)]
struct Given<'py> {
    args: Args,
    keywords: Keywords,
    extra: Extra<'py>,
}

impl<'py> Given<'py> {
    fn parse(
        &mut self,
        entry: &Entry,
        this: Option<&Bound<'py, PyAny>>,
        args: &[Bound<'py, PyAny>],
        names: Option<Bound<'py, PyTuple>>,
    ) -> PyResult<()> {
        let (positional, keyword) = args.split_at(args.len() - names.as_ref().map_or(0, |n| n.len()));
        if let Some(this) = this {
            self.args.push(convert::value(this)?);
        }
        let varargs = entry.varargs[this.is_some() as usize];
        if varargs && positional.len() > 1 && !entry.overloads.iter().any(|d| fits_one_by_one(d, this.is_some(), positional)) {
            let mut sizes = Ints::new();
            for p in positional {
                match convert::value(p)? {
                    Value::Int(i) => sizes.push(i),
                    Value::Tensor(t) if t.rank() == 0 && t.dtype().is_int() => sizes.push(t.try_item().or_raise()?),
                    other => self.args.push(other),
                }
            }
            self.args.push(Value::Ints(sizes));
        } else {
            for p in positional {
                self.args.push(convert::value(p)?);
            }
        }
        let Some(names) = names else { return Ok(()) };
        for (name, value) in names.iter().zip(keyword) {
            let name = name.cast::<PyString>()?.to_str()?;
            if let Some(parameter) = entry.parameter(name) {
                self.keywords.push((Cow::Borrowed(parameter), convert::value(value)?));
            } else if !self.extra.take(entry, this.is_some(), name, value)? {
                self.keywords.push((Cow::Owned(name.to_string()), convert::value(value)?));
            }
        }
        Ok(())
    }
}

/// Whether an overload takes as many positional arguments as they are, the first being no list: `randint(0, 10, (2,))`.
fn fits_one_by_one(d: &OpDef, method: bool, positional: &[Bound<'_, PyAny>]) -> bool {
    let most = d.args.iter().skip(method as usize).take_while(|a| !a.keyword_only).count();
    let least = d.args.iter().skip(method as usize).take_while(|a| !a.keyword_only && a.default.is_none()).count();
    most > 1 && positional.len() <= most && positional.len() >= least
}

fn work(values: &[Value]) -> usize {
    values
        .iter()
        .map(|v| match v {
            Value::Tensor(t) => t.numel(),
            Value::Tensors(list) => list.iter().map(Tensor::numel).sum(),
            Value::Ints(sizes) => sizes.iter().fold(1usize, |n, &s| n.saturating_mul(s.unsigned_abs() as usize)),
            _ => 0,
        })
        .fold(0, usize::saturating_add)
}

fn call<'py>(
    py: Python<'py>,
    entry: &'static Entry,
    this: Option<&Bound<'py, PyAny>>,
    args: &[Bound<'py, PyAny>],
    names: Option<Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut given = Given::default();
    given.parse(entry, this, args, names)?;
    let style = if this.is_some() { Style::Method } else { Style::Function };
    let def = arrange(&entry.overloads, entry.name, style, &mut given.args, &mut given.keywords).or_raise()?;
    let Given { args: values, extra, .. } = &mut given;
    if entry.inplace {
        run(py, entry.name, values, || invoke_inplace(def, values))?;
        // The tensor that was overwritten, as the very object that was given.
        return match this {
            Some(this) => Ok(this.clone()),
            None => convert::object(py, values.swap_remove(0)),
        };
    }
    let result = run(py, def.name, values, || invoke(def, values))?;
    if let Some(out) = &extra.out {
        return put(py, entry, def, values, result, out);
    }
    if extra.requires_grad {
        for t in result.tensors() {
            make::needs_floats(t)?;
            t.try_requires_grad_(true).or_raise()?;
        }
    }
    if !def.returns.is_empty() {
        let items = convert::object(py, result)?;
        return named(py, entry, def, items);
    }
    convert::object(py, result)
}

/// Runs an op; without the interpreter, if it will take long.
fn run<R: Send>(
    py: Python<'_>,
    name: &'static str,
    values: &[Value],
    f: impl FnOnce() -> rushlight::Result<R> + Send,
) -> PyResult<R> {
    let place = place::when_wanted(py);
    let f = move || {
        let _call = enter_from(name, place);
        f()
    };
    if work(values) >= LONG { py.detach(f).or_raise() } else { f().or_raise() }
}

/// The results by position and by name.
fn named<'py>(py: Python<'py>, entry: &Entry, def: &'static OpDef, items: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let classes = CLASSES.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    let class = match classes.get_item(entry.name)? {
        Some(class) => class,
        None => match return_type(py, entry.name, def.returns)? {
            Some(class) => {
                classes.set_item(entry.name, &class)?;
                class
            }
            None => return Ok(items),
        },
    };
    class.call1((items,))
}

/// `out=`: the result's elements in tensors that the caller has.
fn put<'py>(
    py: Python<'py>,
    entry: &Entry,
    def: &'static OpDef,
    inputs: &[Value],
    result: Value,
    out: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let name = entry.name;
    let results = result.tensors();
    let single = matches!(result, Value::Tensor(_));
    let targets = match out.cast::<PyTuple>() {
        _ if tensor_of(out).is_some() => vec![out.clone()],
        Ok(tuple) if !single => tuple.iter().collect(),
        _ if !single && out.is_instance_of::<PyList>() => out.try_iter()?.collect::<PyResult<Vec<_>>>()?,
        _ => {
            let want = if single { "Tensor" } else { "tuple of Tensors" };
            return Err(PyTypeError::new_err(format!("{name}(): argument 'out' must be {want}, not {}", type_name(out))));
        }
    };
    if targets.len() != results.len() {
        let text = format!("{name}(): argument 'out' must be {} tensors, got {}", results.len(), targets.len());
        return Err(PyTypeError::new_err(text));
    }
    if rushlight::autograd::mode::is_grad_enabled() {
        let tracked = |v: &Value| v.tensors().iter().any(Tensor::requires_grad);
        if inputs.iter().any(tracked) || targets.iter().any(|t| tensor_of(t).is_some_and(Tensor::requires_grad)) {
            return Err(PyRuntimeError::new_err(format!(
                "{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
            )));
        }
    }
    for (target, r) in targets.iter().zip(results) {
        let Some(t) = tensor_of(target) else {
            return Err(PyTypeError::new_err(format!("{name}(): argument 'out' must be Tensor, not {}", type_name(target))));
        };
        if !rushlight::can_cast(r.dtype(), t.dtype()) {
            return Err(PyRuntimeError::new_err(format!(
                "result type {} can't be cast to the desired output type {}",
                r.dtype().scalar_type_name(),
                t.dtype().scalar_type_name()
            )));
        }
        if t.shape() == r.shape() {
            ops::copy_(t, r, false).or_raise()?;
            continue;
        }
        if t.numel() > 0 {
            let text = CString::new(format!(
                "An output with one or more elements was resized since it had shape {:?}, which does not match the required output shape {:?}. \
                 This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements.",
                t.shape().as_slice(),
                r.shape().as_slice()
            ))?;
            PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), &text, 1)?;
        }
        t.set_data(&ops::to_dtype(r, t.dtype()).or_raise()?);
    }
    if single {
        return Ok(out.clone());
    }
    let items = PyTuple::new(py, targets)?.into_any();
    if def.returns.is_empty() { Ok(items) } else { named(py, entry, def, items) }
}

/// An op that type slots call: its entry is looked up once.
pub struct Named {
    pub name: &'static str,
    entry: OnceLock<Option<&'static Entry>>,
}

impl Named {
    pub const fn new(name: &'static str) -> Named {
        Named { name, entry: OnceLock::new() }
    }
    /// Calls it with Python's arguments.
    pub fn call<'py>(&self, py: Python<'py>, args: &[Bound<'py, PyAny>]) -> PyResult<Bound<'py, PyAny>> {
        let find = || entries().binary_search_by_key(&self.name, |e| e.name).ok().map(|at| &entries()[at]);
        match self.entry.get_or_init(find) {
            Some(entry) => call(py, entry, None, args, None),
            None => Err(PyRuntimeError::new_err(format!("there is no op called '{}'", self.name))),
        }
    }
}

/// The [`Named`] of a literal, which every mention has for itself.
macro_rules! table_op {
    ($name:literal) => {{
        static OP: crate::call::Named = crate::call::Named::new($name);
        &OP
    }};
}
pub(crate) use table_op;

// ---- from C -----------------------------------------------------------------------------------------------------------------------------

/// The arguments of a vector call, as owned references.
#[allow(unsafe_code)]
unsafe fn arguments<'py>(
    py: Python<'py>,
    args: *const *mut ffi::PyObject,
    n: usize,
) -> smallvec::SmallVec<[Bound<'py, PyAny>; 6]> {
    // SAFETY: CPython passes `n` borrowed, non-null references that live as long as the call.
    (0..n).map(|i| unsafe { Bound::from_borrowed_ptr(py, *args.add(i)) }).collect()
}

/// Runs `f` with the interpreter and turns errors and panics into exceptions.
#[allow(unsafe_code)]
pub fn guarded(f: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>) -> *mut ffi::PyObject {
    // SAFETY: CPython calls its functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| f(py))) {
        Ok(Ok(object)) => object.into_ptr(),
        Ok(Err(e)) => {
            e.restore(py);
            null_mut()
        }
        Err(panic) => {
            error::from_panic(panic).restore(py);
            null_mut()
        }
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn function(
    number: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: the function was made with an int as its `self`; the rest is CPython's vector call.
        let (entry, args, names) = unsafe {
            let entry = &entries()[ffi::PyLong_AsSize_t(number)];
            let names = Bound::from_borrowed_ptr_or_opt(py, names).map(|n| n.cast_into_unchecked::<PyTuple>());
            (entry, arguments(py, args, n as usize + names.as_ref().map_or(0, |n| n.len())), names)
        };
        call(py, entry, None, &args, names)
    })
}

#[allow(unsafe_code)]
unsafe extern "C" fn method<const I: usize>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: the descriptor has checked that `this` is a Tensor; the rest is CPython's vector call.
        let (this, args, names) = unsafe {
            let names = Bound::from_borrowed_ptr_or_opt(py, names).map(|n| n.cast_into_unchecked::<PyTuple>());
            (Bound::from_borrowed_ptr(py, this), arguments(py, args, n as usize + names.as_ref().map_or(0, |n| n.len())), names)
        };
        call(py, &entries()[I], Some(&this), &args, names)
    })
}

#[allow(unsafe_code)]
unsafe extern "C" fn property(this: *mut ffi::PyObject, number: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: the descriptor has checked that `this` is a Tensor.
        let this = unsafe { Bound::from_borrowed_ptr(py, this) };
        call(py, &entries()[number as usize], Some(&this), &[], None)
    })
}

type Method = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Sixteen, then sixteen times sixteen, then all: one function for each number of an entry.
macro_rules! sixteen {
    ($base:expr) => {
        [
            method::<{ $base }>,
            method::<{ $base + 1 }>,
            method::<{ $base + 2 }>,
            method::<{ $base + 3 }>,
            method::<{ $base + 4 }>,
            method::<{ $base + 5 }>,
            method::<{ $base + 6 }>,
            method::<{ $base + 7 }>,
            method::<{ $base + 8 }>,
            method::<{ $base + 9 }>,
            method::<{ $base + 10 }>,
            method::<{ $base + 11 }>,
            method::<{ $base + 12 }>,
            method::<{ $base + 13 }>,
            method::<{ $base + 14 }>,
            method::<{ $base + 15 }>,
        ]
    };
}
macro_rules! rows {
    ($($base:literal)*) => { [$(sixteen!($base * 16)),*] };
}
static METHODS: [[Method; 16]; 64] = rows!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);

/// `name(input, dim)\n--\n\ntext`: CPython shows the first line as the signature.
fn documentation(entry: &Entry, skip_input: bool) -> String {
    let first = entry.overloads[0];
    let signature = if skip_input { first.signature.replacen("(input", "($self", 1) } else { first.signature.to_string() };
    let mut text = format!("{}{signature}\n--\n\n{}", entry.name, first.doc.trim());
    if entry.inplace {
        text += "\n\nIn place: overwrites the tensor that it is called on, and returns it.";
    }
    for def in &entry.overloads[1..] {
        text += &format!("\n\n{}{}\n\n{}", entry.name, def.signature, def.doc.trim());
    }
    text
}

fn leak(text: String) -> *const c_char {
    CString::new(text.replace('\0', "")).unwrap_or_default().into_raw()
}

#[allow(unsafe_code)]
fn definition(entry: &Entry, method: bool, f: Method) -> *mut ffi::PyMethodDef {
    Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: leak(entry.name.to_string()),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: f },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: leak(documentation(entry, method)),
    }))
}

/// Fills `functions` with all names, and gives `Tensor` its methods and properties.
#[allow(unsafe_code)]
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = py.get_type::<PyTensor>();
    let functions = PyDict::new(py);
    let (package, nn, methods) = (PyList::empty(py), PyList::empty(py), PyList::empty(py));
    let module_name = PyString::new(py, "rushlight");
    for (i, entry) in entries().iter().enumerate() {
        let number = i.into_pyobject(py)?;
        // SAFETY: the definition is leaked, so it lives as long as the function; CPython returns a new reference or null.
        let f = unsafe {
            let def = definition(entry, false, function);
            Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(def, number.as_ptr(), module_name.as_ptr()))?
        };
        functions.set_item(entry.name, f)?;
        if entry.is_nn() {
            nn.append(entry.name)?
        } else if !entry.is_property() {
            package.append(entry.name)?
        }
        if !entry.is_method() {
            continue;
        }
        methods.append(entry.name)?;
        // SAFETY: as above; the descriptor belongs to the class that its functions expect.
        let descriptor = unsafe {
            let p = if entry.is_property() {
                let def = Box::into_raw(Box::new(ffi::PyGetSetDef {
                    name: leak(entry.name.to_string()),
                    get: Some(property),
                    set: None,
                    doc: leak(entry.overloads[0].doc.to_string()),
                    closure: i as *mut std::ffi::c_void,
                }));
                ffi::PyDescr_NewGetSet(class.as_type_ptr(), def)
            } else {
                let Some(f) = METHODS.get(i / 16).map(|row| row[i % 16]) else {
                    return Err(PyRuntimeError::new_err("the op table has outgrown the methods of call.rs: add rows"));
                };
                ffi::PyDescr_NewMethod(class.as_type_ptr(), definition(entry, true, f))
            };
            Bound::from_owned_ptr_or_err(py, p)?
        };
        class.setattr(entry.name, descriptor)?;
    }
    module.add("functions", functions)?;
    module.add("function_names", package.to_tuple())?;
    module.add("nn_names", nn.to_tuple())?;
    module.add("method_names", methods.to_tuple())?;
    module.add_function(wrap_pyfunction!(_op_table, module)?)
}

/// The op table as Python data, for stubs, documentation and tests.
#[pyfunction]
fn _op_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for def in op::all() {
        let row = PyDict::new(py);
        row.set_item("name", def.name)?;
        row.set_item("overload", def.overload)?;
        row.set_item("aliases", def.aliases)?;
        row.set_item("doc", def.doc)?;
        row.set_item("signature", def.signature)?;
        let args: Vec<_> = def.args.iter().map(|a| (a.name, format!("{:?}", a.kind), a.default, a.keyword_only)).collect();
        row.set_item("args", args)?;
        row.set_item("dtypes", format!("{:?}", def.dtypes))?;
        for (name, flag) in [("inplace", def.inplace), ("view", def.view), ("nn", def.nn), ("nondiff", def.nondiff)] {
            row.set_item(name, flag)?;
        }
        for (name, flag) in [("property", def.property), ("function", def.function), ("random", def.random)] {
            row.set_item(name, flag)?;
        }
        row.set_item("returns", def.returns)?;
        row.set_item("samples", def.samples)?;
        row.set_item("errors", def.errors)?;
        list.append(row)?;
    }
    Ok(list)
}

/// A tensor for an operand of a type slot: the tensor, a number, or an array. `None` for anything else: lists have operators of their own.
pub fn operand(object: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    if let Some(t) = tensor_of(object) {
        return Ok(Some(t.clone()));
    }
    if let Some(s) = convert::scalar(object)? {
        return Ok(Some(Tensor::wrapped_number(s)));
    }
    if make::is_array(object) {
        return make::from_data(object, None).map(Some);
    }
    Ok(None)
}

/// An op of two tensors in a type slot.
#[inline]
pub fn binary<'py>(
    py: Python<'py>,
    name: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> rushlight::Result<Tensor> + Send,
) -> PyResult<Bound<'py, PyAny>> {
    wrap(py, of_two(py, name, a, b, f)?)
}

/// What `f` makes of two tensors, as the op `name`; without the interpreter, if it will take long.
#[inline]
pub fn of_two<R: Send>(
    py: Python<'_>,
    name: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> rushlight::Result<R> + Send,
) -> PyResult<R> {
    let place = place::when_wanted(py);
    let f = || {
        let _call = enter_from(name, place);
        f(a, b)
    };
    let long = a.numel().max(b.numel()) >= LONG;
    if long { py.detach(f) } else { f() }.or_raise()
}

/// An op of a small tensor and a number in a type slot; `None` where the number must become a tensor.
#[inline]
pub fn beside_number<'py>(
    py: Python<'py>,
    name: &'static str,
    op: BinOp,
    x: &Tensor,
    n: Scalar,
    first: bool,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let _call = enter_from(name, place::when_wanted(py));
    let result = ops::arith::beside_number(op, x, n, first)?;
    Some(result.map_err(to_py).and_then(|t| wrap(py, t)))
}

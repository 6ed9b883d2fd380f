//! Printing tensors exactly as PyTorch does.
//!
//! Source: the behaviour of `torch.Tensor.__repr__` and <https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html>.

use crate::storage;
use crate::{DType, Element, Layout, Tensor, default_dtype};
use rushlight_kernels::backend::View;
use rushlight_kernels::dispatch;
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// How tensors are printed, for the whole process. PyTorch's `set_printoptions`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrintOptions {
    /// Digits after the point.
    pub precision: usize,
    /// Tensors with more elements than this are summarised.
    pub threshold: usize,
    /// Elements shown at each end of a summarised dimension.
    pub edgeitems: usize,
    /// Characters per line.
    pub linewidth: usize,
    /// Scientific notation always (`Some(true)`), never (`Some(false)`), or where the numbers ask for it.
    pub sci_mode: Option<bool>,
}

impl Default for PrintOptions {
    fn default() -> Self {
        PrintOptions { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: None }
    }
}

static OPTIONS: RwLock<PrintOptions> =
    RwLock::new(PrintOptions { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: None });

/// Sets how tensors are printed from now on.
pub fn set_print_options(options: PrintOptions) {
    *OPTIONS.write().unwrap_or_else(PoisonError::into_inner) = options;
}

/// How tensors are printed.
pub fn print_options() -> PrintOptions {
    *OPTIONS.read().unwrap_or_else(PoisonError::into_inner)
}

/// `{:.4e}` as Python writes it: an exponent has a sign and at least two digits.
fn scientific(x: f64, precision: usize) -> String {
    let s = format!("{x:.precision$e}");
    match s.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => s.to_lowercase(),
    }
}

/// One number format for all elements, found by looking at the ones that will be shown.
struct Formatter {
    float: bool,
    integral: bool,
    scientific: bool,
    precision: usize,
    width: usize,
}

impl Formatter {
    fn new(values: &[Value], options: &PrintOptions) -> Formatter {
        let mut f = Formatter { float: false, integral: true, scientific: false, precision: options.precision, width: 1 };
        let floats: Vec<f64> = values.iter().filter_map(|v| if let Value::Float(x) = v { Some(*x) } else { None }).collect();
        if floats.is_empty() {
            f.width = values.iter().map(|v| v.plain().len()).max().unwrap_or(1).max(1);
            return f;
        }
        f.float = true;
        let finite: Vec<f64> = floats.into_iter().filter(|x| x.is_finite() && *x != 0.0).collect();
        if finite.is_empty() {
            return f;
        }
        let smallest = finite.iter().fold(f64::INFINITY, |m, x| m.min(x.abs()));
        let largest = finite.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        f.integral = finite.iter().all(|x| *x == x.ceil());
        f.scientific = largest / smallest > 1000.0 || largest > 1e8 || !f.integral && smallest < 1e-4;
        if let Some(always) = options.sci_mode {
            f.scientific = always;
        }
        f.width = finite.iter().map(|&x| f.number(x).len()).max().unwrap_or(1).max(1);
        f
    }
    fn number(&self, x: f64) -> String {
        if x.is_nan() {
            "nan".into()
        } else if self.scientific {
            scientific(x, self.precision)
        } else if self.integral {
            format!("{x:.0}{}", if x.is_finite() { "." } else { "" })
        } else {
            format!("{x:.*}", self.precision)
        }
    }
    fn format(&self, v: &Value) -> String {
        let s = match v {
            Value::Float(x) => self.number(*x),
            v => v.plain(),
        };
        format!("{s:>width$}", width = self.width)
    }
}

#[derive(Clone, Copy)]
enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Value {
    fn plain(self) -> String {
        match self {
            Value::Bool(b) => if b { "True" } else { "False" }.into(),
            Value::Int(i) => i.to_string(),
            Value::Float(x) => x.to_string(),
        }
    }
}

#[allow(unsafe_code)]
fn element(view: &View, position: isize) -> Value {
    fn get<T: Element>(view: &View, position: isize) -> T {
        // SAFETY: the position is that of an index within the view's shape.
        unsafe { view.ptr::<T>().offset(position).read() }
    }
    match view.dtype {
        DType::Bool => Value::Bool(get::<bool>(view, position)),
        d if d.is_float() => Value::Float(dispatch!(d, T => get::<T>(view, position).to_f64())),
        d => Value::Int(dispatch!(d, T => get::<T>(view, position).to_i64())),
    }
}

/// Which part of a tensor is shown, and how.
struct Printer<'a> {
    view: &'a View<'a>,
    layout: &'a Layout,
    summarize: bool,
    options: PrintOptions,
}

impl Printer<'_> {
    /// The indices shown of dimension `dim`, with `None` for the gap.
    fn shown(&self, dim: usize) -> Vec<Option<usize>> {
        let (n, edge) = (self.layout.shape[dim], self.options.edgeitems);
        if self.summarize && n > 2 * edge {
            (0..edge).map(Some).chain([None]).chain((n - edge..n).map(Some)).collect()
        } else {
            (0..n).map(Some).collect()
        }
    }
    fn collect(&self, dim: usize, at: isize, out: &mut Vec<Value>) {
        if dim == self.layout.rank() {
            out.push(element(self.view, at));
            return;
        }
        for i in self.shown(dim).into_iter().flatten() {
            self.collect(dim + 1, at + i as isize * self.layout.strides[dim], out);
        }
    }
    fn text(&self, dim: usize, at: isize, indent: usize, f: &Formatter) -> String {
        let left = self.layout.rank() - dim;
        if left == 0 {
            return f.format(&element(self.view, at));
        }
        let position = |i: usize| at + i as isize * self.layout.strides[dim];
        if left == 1 {
            let items: Vec<String> = self
                .shown(dim)
                .into_iter()
                .map(|i| i.map_or(" ...".into(), |i| f.format(&element(self.view, position(i)))))
                .collect();
            let per_line = (self.options.linewidth.saturating_sub(indent) / (f.width + 2)).max(1);
            let lines: Vec<String> = items.chunks(per_line).map(|line| line.join(", ")).collect();
            return format!("[{}]", lines.join(&format!(",\n{}", " ".repeat(indent + 1))));
        }
        let slices: Vec<String> = self
            .shown(dim)
            .into_iter()
            .map(|i| i.map_or("...".into(), |i| self.text(dim + 1, position(i), indent + 1, f)))
            .collect();
        format!("[{}]", slices.join(&format!(",{}{}", "\n".repeat(left - 1), " ".repeat(indent + 1))))
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PREFIX: &str = "tensor(";
        let options = print_options();
        let data = self.data();
        let (layout, dtype) = (data.layout.clone(), data.dtype);
        let mut suffixes: Vec<String> = Vec::new();
        let mut text = String::from(PREFIX);
        if layout.numel() == 0 {
            text.push_str("[]");
            if layout.rank() != 1 {
                let sizes: Vec<String> = layout.shape.iter().map(usize::to_string).collect();
                suffixes.push(format!("size=({})", sizes.join(", ")));
            }
            if dtype != default_dtype() {
                suffixes.push(format!("dtype=torch.{dtype}"));
            }
        } else {
            if dtype != default_dtype() && dtype != DType::I64 && dtype != DType::Bool {
                suffixes.push(format!("dtype=torch.{dtype}"));
            }
            let body = storage::read(&[data], |views| {
                let printer =
                    Printer { view: &views[0], layout: &layout, summarize: layout.numel() > options.threshold, options };
                let mut values = Vec::new();
                printer.collect(0, 0, &mut values);
                Ok(printer.text(0, 0, PREFIX.len(), &Formatter::new(&values, &options)))
            });
            text.push_str(&body.map_err(|_| fmt::Error)?);
        }
        if let Some(node) = self.grad_fn() {
            suffixes.push(format!("grad_fn=<{}>", node.name()));
        } else if self.requires_grad() {
            suffixes.push("requires_grad=True".into());
        }
        // PyTorch counts two characters more than there are on the last line.
        let mut column = text.len() - text.rfind('\n').map_or(0, |i| i + 1) + 2;
        for s in suffixes {
            if column + s.len() + 2 > options.linewidth {
                text.push_str(&format!(",\n{}{s}", " ".repeat(PREFIX.len())));
                column = PREFIX.len() + s.len();
            } else {
                text.push_str(&format!(", {s}"));
                column += s.len() + 2;
            }
        }
        write!(out, "{text})")
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! The trait [`Module`]: one method, `visit`, which `#[derive(Module)]` writes; everything else follows from it.

use super::{Buffer, IncompatibleKeys, Parameter, StateDict, Training, state_dict};
use crate::{DType, Error, Result, Tensor, ops};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A layer, or a model made of layers.
///
/// ```
/// use rushlight::nn::{Module, Parameter};
/// use rushlight::{Result, Tensor};
///
/// #[derive(Module)]
/// struct Scale { weight: Parameter, power: i64 }
/// #[derive(Module)]
/// struct Model { layers: Vec<Scale>, last: Option<Scale> }
///
/// impl Scale {
///     fn forward(&self, x: &Tensor) -> Result<Tensor> { x.try_mul(&self.weight) }
/// }
/// let scale = || Scale { weight: Parameter::new(Tensor::from_vec(vec![1.0f32, 2.0], 2)), power: 1 };
/// let model = Model { layers: vec![scale(), scale()], last: None };
/// let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["layers.0.weight", "layers.1.weight"]);
/// ```
///
/// What a field is follows from its type, through [`Field`]: parameters, buffers, modules, and options, vectors, arrays, tuples and
/// boxes of them; numbers, strings and other settings are passed over. `#[module(skip)]` passes over anything else,
/// `#[module(name = "…")]` gives a field another name in paths. An enum's variant with a single unnamed field stands for that field.
///
/// A module changes through `&self`: parameters are written in place, and the training flag is atomic. Cloning a module shares its
/// parameters.
pub trait Module {
    /// Shows each field to the visitor.
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>);

    /// The name of the module's type, for messages.
    fn type_name(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        let base = name.split('<').next().unwrap_or(name);
        base.rsplit("::").next().unwrap_or(base)
    }

    /// All parameters, each once even if several modules share it.
    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// All parameters with their paths, in PyTorch's order: a module's own, then its children's. A shared parameter has the first path.
    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        unique(self, |part| if let Part::Parameter(p) = part { Some(p) } else { None })
    }

    /// All buffers, each once.
    fn buffers(&self) -> Vec<Tensor> {
        self.named_buffers().into_iter().map(|(_, b)| b).collect()
    }

    /// All buffers with their paths.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        unique(self, |part| if let Part::Buffer(b) = part { Some(b) } else { None })
    }

    /// The module itself (with an empty path) and every module inside it.
    fn named_modules(&self) -> Vec<(String, &dyn Module)>
    where
        Self: Sized,
    {
        let mut modules: Vec<(String, &dyn Module)> = vec![(String::new(), self)];
        walk(self, &mut |path, part| {
            if let Part::Module(m) = part {
                modules.push((path.to_string(), m));
            }
        });
        modules
    }

    /// Parameters and persistent buffers by path: what a checkpoint holds. The tensors share the module's memory; a shared
    /// parameter stands under each of its paths.
    fn state_dict(&self) -> StateDict {
        state_of(self).into_iter().map(|(path, tensor)| (path, tensor.detach())).collect()
    }

    /// Copies the tensors of `state` into the parameters and persistent buffers of the same paths, converting to their dtypes. Without
    /// `strict`, keys on one side only are reported instead of refused.
    ///
    /// # Errors
    /// With PyTorch's text if shapes differ or, with `strict`, keys do; the module is unchanged then.
    fn load_state_dict(&self, state: &StateDict, strict: bool) -> Result<IncompatibleKeys> {
        state_dict::load(self.type_name(), &state_of(self), state, strict)
    }

    /// Turns training mode on: dropout drops, batch norm uses the batch's statistics.
    fn train(&self) {
        set_training(self, true);
    }

    /// Turns training mode off.
    fn eval(&self) {
        set_training(self, false);
    }

    /// Whether the module is in training mode: the first [`Training`] flag in it, true where there is none.
    fn is_training(&self) -> bool {
        let mut first = None;
        walk(self, &mut |_, part| {
            if let Part::Training(flag) = part {
                first.get_or_insert(flag.get());
            }
        });
        first.unwrap_or(true)
    }

    /// Converts floating-point parameters, their gradients, and floating-point buffers to `dtype`, in place: optimizers that hold
    /// the parameters see the new ones.
    ///
    /// # Errors
    /// If `dtype` is not a floating type.
    fn to(&self, dtype: DType) -> Result<()> {
        if !dtype.is_float() {
            let text = format!("nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.{dtype}");
            return Err(Error::type_(text));
        }
        for tensor in self.parameters().into_iter().chain(self.buffers()).filter(|t| t.dtype().is_float()) {
            let grad = tensor.grad().map(|g| ops::to_dtype(&g.detach(), dtype)).transpose()?;
            let data = ops::to_dtype(&tensor.detach(), dtype)?;
            tensor.try_set_grad(None)?;
            tensor.set_data(&data);
            tensor.try_set_grad(grad)?;
        }
        Ok(())
    }

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(|p| p.set_grad(None));
    }

    /// Turns gradients on or off for all parameters: `model.encoder.requires_grad_(false)` freezes the encoder.
    fn requires_grad_(&self, required: bool) {
        self.parameters().iter().for_each(|p| {
            p.requires_grad_(required);
        });
    }
}

/// A type that can be a field of a module.
///
/// Every [`Module`] is one. So are [`Parameter`], [`Buffer`] and [`Training`]; options, boxes, vectors, arrays, tuples and string-keyed
/// maps of fields; and settings, in which there is nothing to visit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a module",
    note = "a tensor is a `Parameter` or a `Buffer`; a layer needs `#[derive(Module)]`; anything else is marked `#[module(skip)]`"
)]
pub trait Field {
    /// Shows what is in the field; the visitor already stands at the field's path.
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>);
}

/// What a walk through a module meets.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A parameter.
    Parameter(&'a Parameter),
    /// A buffer.
    Buffer(&'a Buffer),
    /// A flag that `train` and `eval` set.
    Training(&'a Training),
    /// A module inside the module, before its own parts.
    Module(&'a dyn Module),
}

impl<'a> Part<'a> {
    /// The tensor, if checkpoints hold it.
    fn state(self) -> Option<&'a Tensor> {
        match self {
            Part::Parameter(p) => Some(p),
            Part::Buffer(b) => b.is_persistent().then_some(b),
            Part::Training(_) | Part::Module(_) => None,
        }
    }
}

/// Walks through a module's fields, keeping the path. `'a` is the module's lifetime.
pub struct Visitor<'v, 'a> {
    path: String,
    pass: Pass,
    sink: &'v mut dyn FnMut(&str, Part<'a>),
}

/// A module's fields are gone through three times, so that the order is PyTorch's whatever the order of declaration: a module's
/// parameters, its buffers, its children.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Parameters,
    Buffers,
    Modules,
}

impl<'a> Visitor<'_, 'a> {
    /// Visits `field` under `name`.
    pub fn field<F: Field + ?Sized>(&mut self, name: &str, field: &'a F) {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        field.accept(self);
        self.path.truncate(end);
    }

    /// Visits `field` without a name of its own: what is in it stands directly under the current path.
    pub fn inline<F: Field + ?Sized>(&mut self, field: &'a F) {
        field.accept(self);
    }

    fn items<F: Field + 'a>(&mut self, items: impl IntoIterator<Item = &'a F>) {
        for (i, item) in items.into_iter().enumerate() {
            self.field(&i.to_string(), item);
        }
    }

    fn show(&mut self, pass: Pass, part: Part<'a>) {
        if self.pass == pass {
            (self.sink)(&self.path, part);
        }
    }

    fn passes<M: Module + ?Sized>(&mut self, module: &'a M) {
        for pass in [Pass::Parameters, Pass::Buffers, Pass::Modules] {
            self.pass = pass;
            module.visit(self);
        }
    }
}

/// Shows every part of `module` to `sink`, with its path.
fn walk<'a, M: Module + ?Sized>(module: &'a M, sink: &mut dyn FnMut(&str, Part<'a>)) {
    Visitor { path: String::new(), pass: Pass::Parameters, sink }.passes(module);
}

/// The tensors that a checkpoint of `module` holds.
fn state_of<M: Module + ?Sized>(module: &M) -> Vec<(String, &Tensor)> {
    let mut state = Vec::new();
    walk(module, &mut |path, part| {
        if let Some(tensor) = part.state() {
            state.push((path.to_string(), tensor));
        }
    });
    state
}

/// The tensors that `select` picks, with the first path of each.
fn unique<'a, M, T>(module: &'a M, select: impl Fn(Part<'a>) -> Option<&'a T>) -> Vec<(String, Tensor)>
where
    M: Module + ?Sized,
    T: std::ops::Deref<Target = Tensor> + 'a,
{
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    walk(module, &mut |path, part| {
        if let Some(tensor) = select(part)
            && seen.insert(Arc::as_ptr(&tensor.0))
        {
            found.push((path.to_string(), Tensor::clone(tensor)));
        }
    });
    found
}

fn set_training<M: Module + ?Sized>(module: &M, on: bool) {
    walk(module, &mut |_, part| {
        if let Part::Training(flag) = part {
            flag.set(on);
        }
    });
}

impl<M: Module> Field for M {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        if visitor.pass == Pass::Modules {
            visitor.show(Pass::Modules, Part::Module(self));
            visitor.passes(self);
        }
    }
}

impl Field for Parameter {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.show(Pass::Parameters, Part::Parameter(self));
    }
}

impl Field for Buffer {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.show(Pass::Buffers, Part::Buffer(self));
    }
}

impl Field for Training {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.show(Pass::Parameters, Part::Training(self));
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        (**self).visit(visitor);
    }
    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }
}

impl<M: Module + ?Sized> Module for Arc<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        (**self).visit(visitor);
    }
    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }
}

impl<F: Field> Field for Option<F> {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        if let Some(field) = self {
            field.accept(visitor);
        }
    }
}

impl<F: Field> Field for Vec<F> {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.items(self);
    }
}

impl<F: Field, const N: usize> Field for [F; N] {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.items(self);
    }
}

impl<F: Field> Field for BTreeMap<String, F> {
    fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        for (name, field) in self {
            visitor.field(name, field);
        }
    }
}

macro_rules! tuple_fields {
    ($(($($F:ident $i:tt),+))*) => {$(
        impl<$($F: Field),+> Field for ($($F,)+) {
            fn accept<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
                $(visitor.field(stringify!($i), &self.$i);)+
            }
        }
    )*};
}
tuple_fields!((A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4) (A 0, B 1, C 2, D 3, E 4, F 5));

macro_rules! settings {
    ($($t:ty)*) => {$(
        impl Field for $t {
            fn accept<'a>(&'a self, _: &mut Visitor<'_, 'a>) {}
        }
    )*};
}
settings!(() bool char u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64 String &'static str DType crate::Scalar crate::Generator);

impl<T: ?Sized> Field for std::marker::PhantomData<T> {
    fn accept<'a>(&'a self, _: &mut Visitor<'_, 'a>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Module;

    #[derive(Module, Clone)]
    struct Dense {
        // Declared out of PyTorch's order on purpose.
        training: Training,
        mean: Buffer,
        scratch: Buffer,
        weight: Parameter,
        bias: Option<Parameter>,
        features: usize,
    }

    #[derive(Module)]
    enum Norm {
        Identity,
        Dense(Dense),
    }

    #[derive(Module)]
    struct Pair(Dense, (Dense, f64));

    #[derive(Module)]
    struct Wrap<M> {
        inner: M,
        #[module(skip)]
        _activation: fn(f64) -> f64,
        #[module(name = "0")]
        renamed: Dense,
    }

    #[derive(Module)]
    struct Net {
        layers: Vec<Dense>,
        norm: Norm,
        none: Norm,
        boxed: Box<dyn Module>,
        head: Dense,
        label: String,
    }

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, values.len())
    }
    fn dense(start: f32, bias: bool) -> Dense {
        Dense {
            training: Training::default(),
            mean: Buffer::new(Tensor::from_slice(&[7i64], 1)),
            scratch: Buffer::transient(tensor(&[0.5])),
            weight: Parameter::new(tensor(&[start, start + 1.0])),
            bias: bias.then(|| Parameter::new(tensor(&[start + 2.0]))),
            features: 2,
        }
    }
    fn net() -> Net {
        let (norm, none) = (Norm::Dense(dense(2.0, false)), Norm::Identity);
        let boxed = Box::new(Pair(dense(3.0, false), (dense(4.0, false), 1.0)));
        Net { layers: vec![dense(0.0, true), dense(1.0, false)], norm, none, boxed, head: dense(5.0, true), label: "n".into() }
    }
    fn paths<T>(list: Vec<(String, T)>) -> Vec<String> {
        list.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn paths_are_pytorchs() {
        let net = net();
        assert_eq!(
            paths(net.named_parameters()),
            [
                "layers.0.weight",
                "layers.0.bias",
                "layers.1.weight",
                "norm.weight",
                "boxed.0.weight",
                "boxed.1.0.weight",
                "head.weight",
                "head.bias"
            ]
        );
        // A module's parameters come before its buffers, and transient buffers are left out.
        let keys: Vec<String> = net.state_dict().keys().map(str::to_string).collect();
        assert_eq!(keys[..5], ["layers.0.weight", "layers.0.bias", "layers.0.mean", "layers.1.weight", "layers.1.mean"]);
        assert_eq!(keys.len(), 8 + 6);
        assert_eq!(net.named_buffers().len(), 12);
        let modules = ["", "layers.0", "layers.1", "norm", "norm", "none", "boxed", "boxed.0", "boxed.1.0", "head"];
        assert_eq!(paths(net.named_modules()), modules);
        assert_eq!(net.named_modules()[6].1.type_name(), "Pair");
        assert_eq!((net.type_name(), net.head.features, net.label.as_str()), ("Net", 2, "n"));
    }

    #[test]
    fn generic_and_renamed_fields() {
        let wrap = Wrap { inner: vec![Some(dense(0.0, false)), None], _activation: f64::abs, renamed: dense(1.0, false) };
        assert_eq!(paths(wrap.named_parameters()), ["inner.0.weight", "0.weight"]);
        assert_eq!(wrap.type_name(), "Wrap");
    }

    #[test]
    fn shared_parameters_count_once() {
        let layer = dense(0.0, false);
        let tied = Wrap { inner: layer.clone(), _activation: f64::abs, renamed: layer };
        assert_eq!(paths(tied.named_parameters()), ["inner.weight"]);
        assert_eq!(tied.state_dict().len(), 4);
    }

    #[test]
    fn modes_and_gradients() {
        let net = net();
        assert!(net.is_training());
        net.eval();
        assert!(!net.is_training() && !net.head.training.get() && !net.boxed.is_training());
        net.train();
        assert!(net.head.training.get());
        net.head.weight.set_grad(Some(tensor(&[1.0, 1.0])));
        net.zero_grad();
        assert!(net.head.weight.grad().is_none());
        net.layers[0].requires_grad_(false);
        assert!(!net.layers[0].weight.requires_grad() && net.layers[1].weight.requires_grad());
    }

    #[test]
    fn conversion_keeps_identity_and_integers() {
        let layer = dense(1.0, false);
        let held = layer.parameters().remove(0);
        held.set_grad(Some(tensor(&[3.0, 4.0])));
        layer.to(DType::F64).unwrap();
        assert_eq!((held.dtype(), held.to_vec::<f64>()), (DType::F64, vec![1.0, 2.0]));
        assert_eq!(held.grad().unwrap().to_vec::<f64>(), [3.0, 4.0]);
        assert!(held.requires_grad() && held.is_leaf());
        assert_eq!((layer.mean.dtype(), layer.scratch.dtype()), (DType::I64, DType::F64));
        let e = layer.to(DType::I64).unwrap_err();
        assert!(e.message().ends_with("got desired dtype=torch.int64"), "{e}");
    }

    #[test]
    fn loads_values_not_memory() {
        let (from, to) = (net(), net());
        let mut state = dense(8.0, true).state_dict();
        state.insert("weight", Tensor::from_slice(&[0.5f64, 1.5], 2));
        let layer = dense(0.0, true);
        let (held, before) = (layer.parameters().remove(0), layer.state_dict());
        assert_eq!(layer.load_state_dict(&state, true).unwrap(), IncompatibleKeys::default());
        assert_eq!((held.dtype(), held.to_vec::<f32>()), (DType::F32, vec![0.5, 1.5]));
        assert!(held.requires_grad() && held.is_leaf());
        assert_eq!(before.get("weight").unwrap().to_vec::<f32>(), [0.5, 1.5], "the state shares memory with the module");
        assert!(!held.shares_storage(state.get("weight").unwrap()));
        assert!(!layer.bias.as_ref().unwrap().shares_storage(state.get("bias").unwrap()));
        to.load_state_dict(&from.state_dict(), true).unwrap();
        to.load_state_dict(&to.state_dict(), true).unwrap();
        assert_eq!(to.head.weight.to_vec::<f32>(), from.head.weight.to_vec::<f32>());
    }

    #[test]
    fn refuses_what_does_not_fit_and_changes_nothing() {
        let layer = Wrap { inner: dense(0.0, true), _activation: f64::abs, renamed: dense(1.0, false) };
        let mut state = layer.state_dict();
        state.remove("inner.bias");
        state.remove("0.mean");
        state.insert("x", tensor(&[1.0]));
        state.insert("inner.weight", Tensor::from_slice(&[0f32; 6], [3, 2]));
        state.insert("0.weight", tensor(&[9.0, 9.0]));
        let e = layer.load_state_dict(&state, true).unwrap_err();
        assert_eq!(
            e.message(),
            "Error(s) in loading state_dict for Wrap:\n\t\
             Missing key(s) in state_dict: \"inner.bias\", \"0.mean\". \n\t\
             Unexpected key(s) in state_dict: \"x\". \n\t\
             size mismatch for inner.weight: copying a param with shape torch.Size([3, 2]) from checkpoint, \
             the shape in current model is torch.Size([2])."
        );
        assert!(layer.load_state_dict(&state, false).is_err(), "shapes must fit even so");
        assert_eq!(layer.renamed.weight.to_vec::<f32>(), [1.0, 2.0]);
        state.remove("inner.weight");
        let keys = layer.load_state_dict(&state, false).unwrap();
        assert_eq!(
            (keys.missing, keys.unexpected),
            (vec!["inner.weight".into(), "inner.bias".into(), "0.mean".into()], vec!["x".into()])
        );
        assert_eq!(layer.renamed.weight.to_vec::<f32>(), [9.0, 9.0]);
    }
}

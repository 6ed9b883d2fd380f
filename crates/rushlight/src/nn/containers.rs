//! Modules made of modules. Vectors, arrays, tuples, options and string-keyed maps of modules are fields already; these can be called
//! or hold modules of different types.

use super::forward::Within;
use super::{Forward, Module, Visitor};
use crate::{Result, Tensor};
use std::ops::Index;

/// Modules applied one after another.
///
/// ```
/// use rushlight::nn::{Forward, Lambda, Linear, ReLU, Sequential};
/// use rushlight::seq;
/// use rushlight::Tensor;
///
/// let model = seq![Linear::new(4, 8), ReLU, Linear::new(8, 2)];
/// let x = Tensor::from_vec(vec![0.5f32; 12], [3, 4]);
/// assert_eq!(model.forward(&x)?.shape().as_slice(), [3, 2]);
///
/// let named = Sequential::new().named("encode", Linear::new(4, 8)).named("square", Lambda::new(|x| x.try_mul(x)));
/// assert_eq!(named.forward(&x)?.shape().as_slice(), [3, 8]);
/// # Ok::<(), rushlight::Error>(())
/// ```
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html>
#[derive(Default)]
pub struct Sequential(Vec<(String, BoxedForward)>);

/// A module of any type.
pub type BoxedForward = Box<dyn Forward + Send + Sync>;

impl Sequential {
    /// An empty one, which passes its input on.
    pub fn new() -> Sequential {
        Sequential::default()
    }
    /// The same with `module` at the end, under its number.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "it adds a module, not a number")]
    pub fn add(self, module: impl Forward + Send + Sync + 'static) -> Sequential {
        let name = self.len().to_string();
        self.named(&name, module)
    }
    /// The same with `module` at the end, under `name`.
    ///
    /// # Panics
    /// If the name is empty, has a dot in it, or is there already.
    #[must_use]
    #[track_caller]
    pub fn named(mut self, name: &str, module: impl Forward + Send + Sync + 'static) -> Sequential {
        assert!(!name.is_empty(), "module name can't be empty string \"\"");
        assert!(!name.contains('.'), "module name can't contain \".\", got: {name}");
        assert!(self.0.iter().all(|(n, _)| n != name), "a module '{name}' already exists");
        self.0.push((name.to_string(), Box::new(module)));
        self
    }
    /// Number of modules.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The modules in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(dyn Forward + Send + Sync)> {
        self.0.iter().map(|(_, m)| &**m)
    }
}

impl Index<usize> for Sequential {
    type Output = dyn Forward + Send + Sync;
    fn index(&self, i: usize) -> &Self::Output {
        &*self.0[i].1
    }
}

impl Module for Sequential {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        self.0.iter().for_each(|(name, module)| visitor.field(name, module));
    }
}

impl Forward for Sequential {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Some(((name, first), rest)) = self.0.split_first() else { return Ok(x.clone()) };
        // A layer's input is dropped as soon as the next has it, unless the graph keeps it.
        rest.iter().try_fold(first.forward(x).within(name)?, |x, (name, module)| module.forward(&x).within(name))
    }
}

/// A [`nn::Sequential`](crate::nn::Sequential) of the given modules: `seq![Linear::new(4, 8), ReLU]`.
#[macro_export]
macro_rules! seq {
    ($($module:expr),* $(,)?) => {
        $crate::nn::Sequential::new()$(.add($module))*
    };
}

/// Modules of different types by number, which are not applied by themselves: PyTorch's `ModuleList`. Modules of one type need no
/// more than a `Vec`, and modules by name a `BTreeMap<String, _>`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html>
#[derive(Default)]
pub struct ModuleList(pub Vec<BoxedForward>);

impl ModuleList {
    /// An empty one.
    pub fn new() -> ModuleList {
        ModuleList::default()
    }
    /// Adds a module at the end.
    pub fn push(&mut self, module: impl Forward + Send + Sync + 'static) {
        self.0.push(Box::new(module));
    }
}

impl Module for ModuleList {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.inline(&self.0);
    }
}

impl std::ops::Deref for ModuleList {
    type Target = [BoxedForward];
    fn deref(&self) -> &[BoxedForward] {
        &self.0
    }
}

/// A function as a module without parameters.
pub struct Lambda(Box<Function>);

type Function = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

impl Lambda {
    /// A module that applies `f`.
    pub fn new(f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Lambda {
        Lambda(Box::new(f))
    }
}

impl Module for Lambda {
    fn visit<'a>(&'a self, _: &mut Visitor<'_, 'a>) {}
}

impl Forward for Lambda {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (self.0)(x)
    }
}

//! Checkpoints: a [`State`] tree in one file.
//!
//! The file is a valid safetensors file that any tool can open: the tree's tensors by path (`model.layers.0.weight`), and the tree itself
//! as JSON in the metadata, where a tensor is `{"$tensor": name}` and a number that JSON does not have (NaN, infinities) is
//! `{"$float": bits}`; a map's own key that begins with `$` gets a second one. A [`Checkpoint`] whose file ends in `.pt` or `.pth` is in
//! [PyTorch's format](super::pt) instead.
//!
//! ```
//! # fn main() -> rushlight::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run.safetensors");
//! # use rushlight::Tensor;
//! use rushlight::{Generator, io::Checkpoint, optim::{Sgd, SgdOptions}};
//! let weight = Tensor::from_vec(vec![1.0f32], 1).with_requires_grad();
//! let mut optimizer = Sgd::new([weight.clone()], SgdOptions::default());
//! let mut rng = Generator::default_cpu();
//!
//! Checkpoint::new().with("step", 7usize).with_part("optimizer", &optimizer).with_part("rng", &rng).save(&path)?;
//!
//! let checkpoint = Checkpoint::load(&path)?;
//! checkpoint.restore("optimizer", &mut optimizer)?;
//! checkpoint.restore("rng", &mut rng)?;
//! assert_eq!(checkpoint.get("step")?.as_usize()?, 7);
//! # Ok(()) }
//! ```

use super::json::Json;
use super::pt;
use super::safetensors::{self, Metadata};
use crate::nn::{Module, StateDict};
use crate::{Error, Result, State, Stateful, Tensor};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The metadata's entry for the version.
const VERSION: &str = "rushlight.version";
/// The metadata's entry for the tree: a safetensors file that has it is a checkpoint.
pub const STATE: &str = "rushlight.state";
/// The version that is written, and the only one that is read.
const CURRENT: &str = "1";
/// Deepest nesting of a tree; JSON readers stop at 128.
pub(super) const MAX_DEPTH: usize = 100;

/// Writes `state` to `path`, atomically ([`super::write_atomic`]): a process that is killed while it saves leaves the previous file.
///
/// # Errors
/// If the tree is nested more than 100 deep, or the file cannot be written.
pub fn save(path: impl AsRef<Path>, state: &State) -> Result<()> {
    let mut encoder = Encoder::default();
    let skeleton = encoder.encode(state, "", 0).map_err(|e| e.context(path.as_ref().display()))?;
    let metadata = Metadata::from([(VERSION.into(), CURRENT.into()), (STATE.into(), skeleton.to_string())]);
    safetensors::save(path, encoder.tensors.iter().map(|(n, t)| (n, t)), &metadata)
}

/// The tree in the file at `path`. Its tensors lie in the file, mapped into memory ([`safetensors::load`]).
///
/// # Errors
/// If the file cannot be read, or is not a checkpoint; the text names the file and the field.
pub fn load(path: impl AsRef<Path>) -> Result<State> {
    let name = path.as_ref().display();
    let (tensors, metadata) = safetensors::load_with_metadata(&path)?;
    let field = |field: &str| {
        let text = metadata.get(field);
        text.ok_or_else(|| Error::io(format!("{name}: not a checkpoint of this library: the metadata have no '{field}'")))
    };
    let version = field(VERSION)?;
    if version != CURRENT {
        return Err(Error::io(format!("{name}: version {version} of the checkpoint format is not supported")));
    }
    let bad = |e: String| Error::io(format!("{name}: {STATE}: {e}"));
    let skeleton = Json::parse(field(STATE)?).map_err(bad)?;
    let mut tensors = tensors.into_iter().collect();
    let state = decode(skeleton, &mut tensors).map_err(bad)?;
    match tensors.keys().min() {
        Some(left) => Err(bad(format!("does not say where tensor '{left}' belongs"))),
        None => Ok(state),
    }
}

#[derive(Default)]
struct Encoder {
    tensors: Vec<(String, Tensor)>,
    names: HashSet<String>,
}

impl Encoder {
    /// The skeleton of `state`, whose tensors go to the list under names that begin with `path`.
    fn encode(&mut self, state: &State, path: &str, depth: usize) -> Result<Json> {
        if depth > MAX_DEPTH {
            return Err(Error::value(format!("state is nested more than {MAX_DEPTH} deep at '{path}'")));
        }
        let below = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        Ok(match state {
            State::None => Json::Null,
            State::Bool(b) => Json::Bool(*b),
            State::Int(i) => Json::Int(*i),
            State::Float(x) if x.is_finite() => Json::Float(*x),
            State::Float(x) => tagged("$float", format!("{:016x}", x.to_bits())),
            State::Str(s) => Json::Str(s.clone()),
            State::Tensor(t) => tagged("$tensor", self.add(path, t)),
            State::List(items) => {
                let items = items.iter().enumerate().map(|(i, s)| self.encode(s, &below(&i.to_string()), depth + 1));
                Json::List(items.collect::<Result<_>>()?)
            }
            State::Map(entries) => {
                let mut names = HashSet::new();
                let entries = entries.iter().map(|(name, s)| {
                    if !names.insert(name) {
                        return Err(Error::value(format!("state has the field '{}' twice", below(name))));
                    }
                    let key = if name.starts_with('$') { format!("${name}") } else { name.clone() };
                    Ok((key, self.encode(s, &below(name), depth + 1)?))
                });
                Json::Map(entries.collect::<Result<_>>()?)
            }
        })
    }
    /// Puts `tensor` on the list; two paths that read the same (a dot may be part of a key) are told apart by a number.
    fn add(&mut self, path: &str, tensor: &Tensor) -> String {
        let path = if path.is_empty() { "tensor" } else { path };
        let candidates = (1..).map(|n| if n == 1 { path.to_string() } else { format!("{path}#{n}") });
        let name = candidates.into_iter().find(|n| n != "__metadata__" && !self.names.contains(n)).expect("numbers do not end");
        self.names.insert(name.clone());
        self.tensors.push((name.clone(), tensor.clone()));
        name
    }
}

fn tagged(tag: &str, value: String) -> Json {
    Json::Map(vec![(tag.to_string(), Json::Str(value))])
}

fn decode(json: Json, tensors: &mut HashMap<String, Tensor>) -> std::result::Result<State, String> {
    Ok(match json {
        Json::Null => State::None,
        Json::Bool(b) => State::Bool(b),
        Json::Int(i) => State::Int(i),
        Json::Float(x) => State::Float(x),
        Json::Str(s) => State::Str(s),
        Json::List(items) => State::List(items.into_iter().map(|i| decode(i, tensors)).collect::<std::result::Result<_, _>>()?),
        Json::Map(entries) => match entries.as_slice() {
            [(tag, Json::Str(name))] if tag == "$tensor" => {
                State::Tensor(tensors.remove(name).ok_or_else(|| format!("there is no tensor '{name}', or it is used twice"))?)
            }
            [(tag, Json::Str(bits))] if tag == "$float" => {
                let bits = u64::from_str_radix(bits, 16).map_err(|e| format!("$float '{bits}': {e}"))?;
                State::Float(f64::from_bits(bits))
            }
            _ => {
                let field = |(name, value): (String, Json)| match name.strip_prefix('$') {
                    Some(own) if !own.starts_with('$') => Err(format!("unknown tag '{name}'")),
                    own => Ok((own.unwrap_or(&name).to_string(), decode(value, tensors)?)),
                };
                State::Map(entries.into_iter().map(field).collect::<std::result::Result<_, _>>()?)
            }
        },
    })
}

/// The parts of a run, by name: model, optimizer, schedule, random generator, loader, step.
#[derive(Clone, Debug)]
pub struct Checkpoint(State);

impl Default for Checkpoint {
    fn default() -> Checkpoint {
        Checkpoint::new()
    }
}

/// Whether [`Checkpoint`] takes files at `path` for PyTorch's: they end in `.pt` or `.pth`.
pub fn is_pt(path: impl AsRef<Path>) -> bool {
    path.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("pt") || e.eq_ignore_ascii_case("pth"))
}

impl Checkpoint {
    /// An empty one.
    pub fn new() -> Checkpoint {
        Checkpoint(State::map())
    }
    /// The checkpoint with a value added.
    #[must_use]
    pub fn with(self, name: &str, value: impl Into<State>) -> Checkpoint {
        Checkpoint(self.0.with(name, value))
    }
    /// The checkpoint with the state of an optimizer, schedule, generator or loader added.
    #[must_use]
    pub fn with_part(self, name: &str, part: &dyn Stateful) -> Checkpoint {
        self.with(name, part.state())
    }
    /// The checkpoint with a module's parameters and buffers added.
    #[must_use]
    pub fn with_module(self, name: &str, module: &(impl Module + ?Sized)) -> Checkpoint {
        self.with(name, module.state_dict())
    }
    /// Writes it to `path`: by [`pt::save`] where that ends in `.pt` or `.pth`, else by [`save`].
    ///
    /// # Errors
    /// As [`save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        if is_pt(&path) { pt::save(path, &self.0) } else { save(path, &self.0) }
    }
    /// Reads it from `path`: by [`pt::load`] where that ends in `.pt` or `.pth`, else by [`load`].
    ///
    /// # Errors
    /// As [`load`], and if the file's state is not a map.
    pub fn load(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let state = if is_pt(&path) { pt::load(&path)? } else { load(&path)? };
        state.as_map().map_err(|e| e.context(path.as_ref().display()))?;
        Ok(Checkpoint(state))
    }
    /// The state called `name`.
    ///
    /// # Errors
    /// If there is none; the text lists those there are.
    pub fn get(&self, name: &str) -> Result<&State> {
        self.0.get(name)
    }
    /// Restores `part` from the state called `name`.
    ///
    /// # Errors
    /// If it is missing or does not fit.
    pub fn restore(&self, name: &str, part: &mut dyn Stateful) -> Result<()> {
        self.0.read(name, |state| part.load_state(state))
    }
    /// Loads the tensors called `name` into `module`, strictly.
    ///
    /// # Errors
    /// If they are missing or do not fit.
    pub fn restore_module(&self, name: &str, module: &(impl Module + ?Sized)) -> Result<()> {
        self.0.read(name, |state| module.load_state_dict(&StateDict::try_from(state)?, true)).map(|_| ())
    }
    /// The whole tree.
    pub fn into_state(self) -> State {
        self.0
    }
}

impl From<StateDict> for State {
    fn from(tensors: StateDict) -> State {
        State::Map(tensors.into_iter().map(|(path, t)| (path, State::from(&t))).collect())
    }
}

/// Fails on anything but tensors and maps of them, whose names are joined by dots.
impl TryFrom<&State> for StateDict {
    type Error = Error;
    fn try_from(state: &State) -> Result<StateDict> {
        let mut tensors = Vec::new();
        flatten(state, "", &mut tensors)?;
        Ok(tensors.into_iter().collect())
    }
}

fn flatten(state: &State, path: &str, tensors: &mut Vec<(String, Tensor)>) -> Result<()> {
    for (name, value) in state.as_map()? {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            State::Map(_) => flatten(value, &path, tensors)?,
            _ => tensors.push((path.clone(), value.as_tensor().map_err(|e| e.context(format!("state field '{path}'")))?.clone())),
        }
    }
    Ok(())
}

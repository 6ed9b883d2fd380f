//! From a pickle's values to a [`State`], and to tensors over the archive's records.

use super::super::block::checked_bytes;
use super::super::checkpoint::MAX_DEPTH;
use super::archive::Archive;
use super::pickle::{Id, Pickle, TensorRef, Value};
use crate::{DType, Layout, State, Tensor};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

type Result<T> = std::result::Result<T, String>;

/// What a tree may take in memory, in bytes: this much, and [`MAX_GROWTH`] times the pickle's length. A pickle may name one value many
/// times; a tree holds it each time.
const FREE: usize = 1 << 24;
const MAX_GROWTH: usize = 64;

/// The tree that `pickle`, which had `len` bytes, stands for.
pub(super) fn state(pickle: &Pickle<'_>, len: usize, archive: &mut Archive<'_>) -> Result<State> {
    let left = FREE.saturating_add(MAX_GROWTH.saturating_mul(len));
    let mut restorer = Restorer { pickle, archive, left, path: Vec::new(), storages: HashMap::new(), tensors: HashMap::new() };
    restorer.state(pickle.root).map_err(|e| match restorer.path.join(".") {
        path if path.is_empty() => e,
        path => format!("'{path}': {e}"),
    })
}

struct Restorer<'p, 'a, 'b> {
    pickle: &'p Pickle<'a>,
    archive: &'p mut Archive<'b>,
    /// Bytes that the tree may still grow by.
    left: usize,
    /// Where we are. After an error it stays there.
    path: Vec<Cow<'p, str>>,
    /// Each storage once, whole and flat: tensors that shared memory share it again.
    storages: HashMap<&'p str, Tensor>,
    tensors: HashMap<Id, Tensor>,
}

impl<'p> Restorer<'p, '_, '_> {
    fn state(&mut self, id: Id) -> Result<State> {
        self.spend(size_of::<State>())?;
        Ok(match &self.pickle.values[id] {
            Value::None => State::None,
            Value::Bool(b) => State::Bool(*b),
            Value::Int(i) => State::Int(*i),
            Value::Float(x) => State::Float(*x),
            Value::Str(s) => {
                self.spend(s.len())?;
                State::Str(s.to_string())
            }
            Value::Global(super::names::Global::DType(kind)) => State::Str(format!("torch.{}", kind.name)),
            Value::Tensor(tensor) => State::Tensor(self.tensor(id, tensor)?),
            Value::Tuple(items) | Value::List(items) => {
                let items = items.iter().enumerate();
                State::List(items.map(|(i, &item)| self.below(i.to_string().into(), item)).collect::<Result<_>>()?)
            }
            Value::Dict(entries) => {
                let mut names = HashSet::new();
                let entry = |&(key, value): &(Id, Id)| {
                    let name = self.key(key)?;
                    if !names.insert(name.clone()) {
                        return Err(format!("the key '{name}' stands twice"));
                    }
                    self.spend(size_of::<String>() + name.len())?;
                    Ok((name.to_string(), self.below(name, value)?))
                };
                State::Map(entries.iter().map(entry).collect::<Result<_>>()?)
            }
            Value::Global(other) => return Err(format!("{other:?} stands where a value should")),
            Value::Storage(_) => return Err("a storage without a tensor is not supported".into()),
        })
    }
    fn below(&mut self, name: Cow<'p, str>, id: Id) -> Result<State> {
        if self.path.len() == MAX_DEPTH {
            return Err(format!("values are nested more than {MAX_DEPTH} deep"));
        }
        self.path.push(name);
        let state = self.state(id)?;
        self.path.pop();
        Ok(state)
    }
    /// Texts are keys as they are; optimizers number their parameters, and a number is the key that it is written as.
    fn key(&self, id: Id) -> Result<Cow<'p, str>> {
        match &self.pickle.values[id] {
            Value::Str(text) => Ok(Cow::Borrowed(text)),
            Value::Int(n) => Ok(n.to_string().into()),
            _ => Err("a dict has a key that is neither text nor integer".into()),
        }
    }
    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or("values are repeated too often")?;
        Ok(())
    }

    fn tensor(&mut self, id: Id, tensor: &'p TensorRef) -> Result<Tensor> {
        if let Some(known) = self.tensors.get(&id) {
            return Ok(known.clone());
        }
        let name = tensor.kind.name;
        let dtype = tensor.kind.dtype.ok_or_else(|| format!("tensors of {name} are not supported"))?;
        checked_bytes(&tensor.shape, dtype).map_err(|e| e.message().to_string())?;
        let storage = self.storage(tensor.storage, dtype)?;
        let made = storage.with_layout(layout(tensor, storage.numel())?).map_err(|e| e.message().to_string())?;
        self.tensors.insert(id, made.clone());
        Ok(made)
    }
    fn storage(&mut self, id: Id, dtype: DType) -> Result<Tensor> {
        let Value::Storage(storage) = &self.pickle.values[id] else { unreachable!("a tensor was checked to lie in a storage") };
        let (key, len) = (storage.key, if storage.kind.is_some() { storage.len } else { storage.len / dtype.size() });
        match self.storages.get(key) {
            Some(known) if known.dtype() == dtype && known.numel() == len => Ok(known.clone()),
            Some(known) => {
                Err(format!("storage '{key}' is used as {} elements of {} and as {len} of {dtype}", known.numel(), known.dtype()))
            }
            None => {
                let made = self.archive.tensor(&format!("data/{key}"), dtype, len)?;
                self.storages.insert(key, made.clone());
                Ok(made)
            }
        }
    }
}

/// The layout of a tensor in a storage of `len` elements.
fn layout(tensor: &TensorRef, len: usize) -> Result<Layout> {
    if tensor.shape.contains(&0) {
        return Ok(Layout::contiguous(&tensor.shape));
    }
    // The stride of a single element means nothing; larger ones than the storage could only overflow later.
    let strides = tensor.shape.iter().zip(&tensor.strides).map(|(&d, &s)| if d == 1 { s.min(len) } else { s });
    let strides = strides.map(|s| isize::try_from(s).map_err(|_| format!("{s} is no stride"))).collect::<Result<Vec<isize>>>()?;
    Ok(Layout::strided(&tensor.shape, &strides, tensor.offset))
}

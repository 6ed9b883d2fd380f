//! Tensors by path, and how they are loaded into a module.

use crate::autograd::inplace;
use crate::{Error, Result, Tensor, no_grad, ops};
use std::collections::{HashMap, HashSet};

/// Tensors by path (`layers.0.weight`), in the order of insertion.
#[derive(Clone, Debug, Default)]
pub struct StateDict(Vec<(String, Tensor)>);

impl StateDict {
    /// An empty one.
    pub fn new() -> StateDict {
        StateDict::default()
    }
    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Adds `tensor` at the end; a path that is there already keeps its place and gets the new tensor.
    pub fn insert(&mut self, path: impl Into<String>, tensor: Tensor) {
        let path = path.into();
        match self.0.iter_mut().find(|(p, _)| *p == path) {
            Some(entry) => entry.1 = tensor,
            None => self.0.push((path, tensor)),
        }
    }
    /// The tensor at `path`.
    pub fn get(&self, path: &str) -> Option<&Tensor> {
        self.0.iter().find(|(p, _)| p == path).map(|(_, t)| t)
    }
    /// Takes out the tensor at `path`.
    pub fn remove(&mut self, path: &str) -> Option<Tensor> {
        let i = self.0.iter().position(|(p, _)| p == path)?;
        Some(self.0.remove(i).1)
    }
    /// Paths and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(p, t)| (p.as_str(), t))
    }
    /// The paths in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|(p, _)| p.as_str())
    }
}

impl<S: Into<String>> FromIterator<(S, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (S, Tensor)>>(entries: I) -> StateDict {
        let mut state = StateDict::new();
        state.extend(entries);
        state
    }
}

impl<S: Into<String>> Extend<(S, Tensor)> for StateDict {
    fn extend<I: IntoIterator<Item = (S, Tensor)>>(&mut self, entries: I) {
        // One look-up table for all, where `insert` would search the list for each.
        let mut at: HashMap<String, usize> = self.0.iter().enumerate().map(|(i, (p, _))| (p.clone(), i)).collect();
        for (path, tensor) in entries {
            let path = path.into();
            match at.get(&path) {
                Some(&i) => self.0[i].1 = tensor,
                None => {
                    at.insert(path.clone(), self.0.len());
                    self.0.push((path, tensor));
                }
            }
        }
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The keys that a checkpoint and a module do not share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncompatibleKeys {
    /// In the module, not in the checkpoint.
    pub missing: Vec<String>,
    /// In the checkpoint, not in the module.
    pub unexpected: Vec<String>,
}

/// Copies `state` into `targets`, the tensors of a module of type `module`; everything is checked before anything is written.
pub(super) fn load(module: &str, targets: &[(String, &Tensor)], state: &StateDict, strict: bool) -> Result<IncompatibleKeys> {
    let given: HashMap<&str, &Tensor> = state.iter().collect();
    let known: HashSet<&str> = targets.iter().map(|(path, _)| path.as_str()).collect();
    let missing: Vec<String> = targets.iter().map(|(p, _)| p).filter(|p| !given.contains_key(p.as_str())).cloned().collect();
    let unexpected: Vec<String> = state.keys().filter(|p| !known.contains(p)).map(str::to_string).collect();
    let mut problems = Vec::new();
    if strict && !missing.is_empty() {
        problems.push(format!("Missing key(s) in state_dict: {}. ", quoted(&missing)));
    }
    if strict && !unexpected.is_empty() {
        problems.push(format!("Unexpected key(s) in state_dict: {}. ", quoted(&unexpected)));
    }
    let mut copies = Vec::new();
    for (path, target) in targets {
        let Some(&source) = given.get(path.as_str()) else { continue };
        let (wanted, got) = (target.shape(), source.shape());
        // Checkpoints from before zero-dim tensors hold one element instead.
        if wanted == got || (wanted.is_empty() && got.as_slice() == [1]) {
            copies.push((*target, source));
        } else {
            problems.push(format!(
                "size mismatch for {path}: copying a param with shape torch.Size({:?}) from checkpoint, \
                 the shape in current model is torch.Size({:?}).",
                got.as_slice(),
                wanted.as_slice()
            ));
        }
    }
    if !problems.is_empty() {
        return Err(Error::runtime(format!("Error(s) in loading state_dict for {module}:\n\t{}", problems.join("\n\t"))));
    }
    for (target, source) in copies {
        copy_into(target, source)?;
    }
    Ok(IncompatibleKeys { missing, unexpected })
}

fn quoted(paths: &[String]) -> String {
    paths.iter().map(|p| format!("\"{p}\"")).collect::<Vec<_>>().join(", ")
}

/// `target` keeps its memory to itself: what it gets is always a fresh tensor, never the checkpoint's.
fn copy_into(target: &Tensor, source: &Tensor) -> Result<()> {
    let _guard = no_grad();
    inplace::apply("load_state_dict", target, |target| {
        let shape: Vec<i64> = target.shape().iter().map(|&d| d as i64).collect();
        let source = ops::reshape(&source.detach(), &shape)?;
        if source.dtype() == target.dtype() { ops::copy(&source) } else { ops::to_dtype(&source, target.dtype()) }
    })
}

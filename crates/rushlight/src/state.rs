//! State: what optimizers, schedulers, loaders, generators and models save and restore, as one tree.
//!
//! Lives here: the tree and its readers, whose errors name the field. How a tree becomes a file stands in `io/checkpoint.rs`.

use crate::{Error, Result, Tensor};

/// A tree of named values and tensors.
#[derive(Clone, Debug)]
pub enum State {
    /// Nothing: Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number; NaN and infinities are kept.
    Float(f64),
    /// A text.
    Str(String),
    /// A tensor, without history. Trees share its memory until they are written to a file.
    Tensor(Tensor),
    /// Values by position.
    List(Vec<State>),
    /// Values by name, in the order in which they were put in.
    Map(Vec<(String, State)>),
}

/// What can be saved and restored. Restoring is all or nothing where it can be: check first, then write.
pub trait Stateful {
    /// The state to save.
    fn state(&self) -> State;
    /// Restores a saved state.
    ///
    /// # Errors
    /// If a field is missing or does not fit; the text names it.
    fn load_state(&mut self, state: &State) -> Result<()>;
}

impl State {
    /// An empty map.
    pub fn map() -> State {
        State::Map(Vec::new())
    }
    /// The map with `name` added (or replaced).
    ///
    /// # Panics
    /// If this is not a map.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<State>) -> State {
        let kind = self.kind();
        let State::Map(entries) = &mut self else { panic!("State::with on a {kind}") };
        let value = value.into();
        match entries.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => *v = value,
            None => entries.push((name.to_string(), value)),
        }
        self
    }
    fn kind(&self) -> &'static str {
        match self {
            State::None => "None",
            State::Bool(_) => "truth value",
            State::Int(_) => "integer",
            State::Float(_) => "number",
            State::Str(_) => "text",
            State::Tensor(_) => "tensor",
            State::List(_) => "list",
            State::Map(_) => "map",
        }
    }
    /// The entry called `name`.
    ///
    /// # Errors
    /// If this is not a map, or has no such entry; the text lists those it has.
    pub fn get(&self, name: &str) -> Result<&State> {
        let State::Map(entries) = self else { return Err(self.not("a map")) };
        entries.iter().find(|(n, _)| n == name).map(|(_, v)| v).ok_or_else(|| {
            let names: Vec<&str> = entries.iter().map(|(n, _)| n.as_str()).collect();
            Error::value(format!("state has no field '{name}'; it has {names:?}"))
        })
    }
    /// The entry called `name`, converted by `read`; an error names the field.
    ///
    /// # Errors
    /// As [`State::get`], or those of `read`.
    pub fn read<'a, T>(&'a self, name: &str, read: impl FnOnce(&'a State) -> Result<T>) -> Result<T> {
        read(self.get(name)?).map_err(|e| e.context(format!("state field '{name}'")))
    }
    #[cold]
    fn not(&self, wanted: &str) -> Error {
        Error::value(format!("should be {wanted}, but is a {}", self.kind()))
    }
    /// As a truth value.
    ///
    /// # Errors
    /// If it is something else (so for all readers below).
    pub fn as_bool(&self) -> Result<bool> {
        if let State::Bool(b) = self { Ok(*b) } else { Err(self.not("a truth value")) }
    }
    /// As an integer.
    pub fn as_i64(&self) -> Result<i64> {
        if let State::Int(i) = self { Ok(*i) } else { Err(self.not("an integer")) }
    }
    /// As a size or count.
    pub fn as_usize(&self) -> Result<usize> {
        usize::try_from(self.as_i64()?).map_err(|_| Error::value("should not be negative"))
    }
    /// As a number. A tensor of one element is one as well: PyTorch's optimizers keep their step, and sometimes their rate, in such.
    pub fn as_f64(&self) -> Result<f64> {
        match self {
            State::Tensor(t) if t.numel() == 1 => t.try_item(),
            State::Float(x) => Ok(*x),
            State::Int(i) => Ok(*i as f64),
            _ => Err(self.not("a number")),
        }
    }
    /// As a number, or `None`.
    pub fn as_opt_f64(&self) -> Result<Option<f64>> {
        if let State::None = self { Ok(None) } else { self.as_f64().map(Some) }
    }
    /// As a text.
    pub fn as_str(&self) -> Result<&str> {
        if let State::Str(s) = self { Ok(s) } else { Err(self.not("a text")) }
    }
    /// As a tensor.
    pub fn as_tensor(&self) -> Result<&Tensor> {
        if let State::Tensor(t) = self { Ok(t) } else { Err(self.not("a tensor")) }
    }
    /// As a list.
    pub fn as_list(&self) -> Result<&[State]> {
        if let State::List(l) = self { Ok(l) } else { Err(self.not("a list")) }
    }
    /// As a map.
    pub fn as_map(&self) -> Result<&[(String, State)]> {
        if let State::Map(m) = self { Ok(m) } else { Err(self.not("a map")) }
    }
}

macro_rules! into_state {
    ($($t:ty, $x:ident => $e:expr;)*) => {$( impl From<$t> for State { fn from($x: $t) -> State { $e } } )*};
}
into_state! {
    bool, x => State::Bool(x);
    i64, x => State::Int(x);
    i32, x => State::Int(x.into());
    usize, x => State::Int(x as i64);
    f64, x => State::Float(x);
    &str, x => State::Str(x.to_string());
    String, x => State::Str(x);
    Tensor, x => State::Tensor(x);
    &Tensor, x => State::Tensor(x.detach());
    Vec<State>, x => State::List(x);
    Vec<f64>, x => State::List(x.into_iter().map(State::Float).collect());
    Option<f64>, x => x.map_or(State::None, State::Float);
    Option<Tensor>, x => x.map_or(State::None, State::Tensor);
}

/// A generator's state is its bytes.
impl Stateful for crate::Generator {
    fn state(&self) -> State {
        let bytes = crate::Generator::state(self);
        let n = bytes.len();
        State::Tensor(Tensor::from_vec(bytes, n))
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        self.set_state(&state.as_tensor()?.try_to_vec::<u8>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_name_the_field() {
        let s = State::map().with("lr", 0.1).with("step", 3usize).with("lr", 0.2);
        assert_eq!(s.read("lr", State::as_f64).unwrap(), 0.2);
        assert_eq!(s.read("step", State::as_usize).unwrap(), 3);
        let e = s.read("lr", State::as_str).unwrap_err();
        assert_eq!(e.message(), "state field 'lr': should be a text, but is a number");
        let e = s.get("beta").unwrap_err();
        assert_eq!(e.message(), "state has no field 'beta'; it has [\"lr\", \"step\"]");
    }
}

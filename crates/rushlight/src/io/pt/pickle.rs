//! The machine that reads a checkpoint's pickle: data only.
//!
//! A pickle is a program for a stack machine that can call any function of Python. This machine knows the opcodes of protocols 2 to 5
//! that plain data need, and the few names in `names.rs`; it calls nothing, and refuses everything else.
//!
//! **Values lie side by side** in one list and refer to each other by number. However deep a pickle nests them, or runs them in a
//! circle, nothing here recurses, and memory is bounded: an opcode makes at most one value.

use super::names::{self, Global, Kind};
use std::borrow::Cow;
use std::collections::HashMap;

/// The number of a value.
pub(super) type Id = usize;
type Result<T> = std::result::Result<T, String>;

/// A value; it may refer to others.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Box<StorageRef<'a>>),
    Tensor(Box<TensorRef>),
}

/// The memory that tensors lie in: a record of the archive.
#[derive(Debug)]
pub(super) struct StorageRef<'a> {
    pub(super) key: &'a str,
    /// The element type; untyped storages leave it to the tensor.
    pub(super) kind: Option<&'static Kind>,
    /// In elements; in bytes where it is untyped.
    pub(super) len: usize,
}

/// A tensor in a storage. Nothing has been compared with the storage yet.
#[derive(Debug)]
pub(super) struct TensorRef {
    pub(super) storage: Id,
    pub(super) kind: &'static Kind,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a pickle holds: all its values, and which of them it stands for.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(super) root: Id,
}

/// Reads a pickle. Errors name the byte.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut machine = Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let start = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Pickle { values: machine.values, root }),
            Err(e) => return Err(format!("byte {start}: {e}")),
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack that wait for the opcode that takes all above.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode; the last gives the result.
    fn step(&mut self) -> Result<Option<Id>> {
        let first = self.at == 0;
        let op = self.number(1)? as u8;
        if first != (op == 0x80) {
            return Err("a pickle should begin with its protocol, which should be 2 to 5".into());
        }
        match op {
            0x80 => match self.number(1)? {
                2..=5 => {}
                other => return Err(format!("pickle protocol {other} is not supported, only 2 to 5")),
            },
            // A frame says only that so many bytes may be read at once.
            0x95 => drop(self.number(8)?),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let n = self.number(4)? as u32 as i32;
                self.push(Value::Int(n.into()));
            }
            0x8a => self.long()?,
            b'G' => {
                let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
                self.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            // Texts, by the width of their length; 'U' and 'T' are those of Python 2.
            0x8c | b'U' => self.text(1)?,
            b'X' | b'T' => self.text(4)?,
            0x8d => self.text(8)?,
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let mut items = (0x85..=op).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
                items.reverse();
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => drop(self.memo.insert(self.memo.len(), self.top()?)),
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.str(module)?.into_owned(), self.str(name)?.into_owned());
                self.global(&module, &name)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage);
            }
            b'R' => {
                let (args, function) = (self.pop()?, self.pop()?);
                let Value::Global(function) = self.values[function] else { return Err("calls what is no function".into()) };
                let result = self.call(function, args)?;
                self.stack.push(result);
            }
            b'b' => {
                // State dicts carry PyTorch's `_metadata` (versions of modules) as an attribute, which has no place here.
                self.pop()?;
                let top = self.top()?;
                if !matches!(self.values[top], Value::Dict(_)) {
                    return Err("gives attributes to an object that can have none".into());
                }
            }
            b'.' => {
                let root = self.pop()?;
                return match (&self.stack[..], &self.marks[..]) {
                    ([], []) => Ok(Some(root)),
                    _ => Err("ends with values left over".into()),
                };
            }
            _ => return Err(format!("opcode {:?} (0x{op:02x}) is refused: checkpoints do not need it", op as char)),
        }
        Ok(None)
    }

    // ---- bytes ------------------------------------------------------------------------------------------------------------

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or_else(|| format!("{n} bytes should follow, but {} do", rest.len()))?;
        self.at += n;
        Ok(taken)
    }
    /// An unsigned number of `width` bytes, at most 8.
    fn number(&mut self, width: usize) -> Result<usize> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length that does not fit into memory".into())
    }
    fn int(&mut self, width: usize) -> Result<()> {
        let n = self.number(width)?;
        self.push(Value::Int(n as i64));
        Ok(())
    }
    /// An integer of any length, of which 64 bits are supported.
    fn long(&mut self) -> Result<()> {
        let width = self.number(1)?;
        let bytes = self.take(width)?;
        if width > 8 {
            return Err(format!("an integer of {width} bytes does not fit into 64 bits"));
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..width].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }
    fn text(&mut self, width: usize) -> Result<()> {
        let len = self.number(width)?;
        let text = std::str::from_utf8(self.take(len)?).map_err(|e| format!("a text: {e}"))?;
        self.push(Value::Str(Cow::Borrowed(text)));
        Ok(())
    }
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|b| *b == b'\n').ok_or("a name does not end")?;
        let line = &self.take(len + 1)?[..len];
        std::str::from_utf8(line).map_err(|e| format!("a name: {e}"))
    }

    // ---- stack and memo ---------------------------------------------------------------------------------------------------

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }
    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).and_then(<[Id]>::last);
        above.copied().ok_or_else(|| "takes a value, but there is none".into())
    }
    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }
    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("takes the values above a mark, but there is none")?;
        Ok(self.stack.split_off(mark))
    }
    fn put(&mut self, width: usize) -> Result<()> {
        let (number, top) = (self.number(width)?, self.top()?);
        self.memo.insert(number, top);
        Ok(())
    }
    fn get(&mut self, width: usize) -> Result<()> {
        let number = self.number(width)?;
        let id = *self.memo.get(&number).ok_or_else(|| format!("recalls value {number}, which was not memorised"))?;
        self.stack.push(id);
        Ok(())
    }
    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        let Value::List(list) = &mut self.values[top] else { return Err("appends to what is no list".into()) };
        list.extend(items);
        Ok(())
    }
    fn set(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        let Value::Dict(dict) = &mut self.values[top] else { return Err("sets an item of what is no dict".into()) };
        if !items.len().is_multiple_of(2) {
            return Err("sets a key without a value".into());
        }
        dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    // ---- names, storages, calls -------------------------------------------------------------------------------------------

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let global = names::find(module, name).ok_or_else(|| {
            format!("'{module}.{name}' is refused: only tensors, containers, numbers and texts are loaded, which run no code")
        })?;
        self.push(Value::Global(global));
        Ok(())
    }
    /// What a persistent id stands for: `("storage", type, key, device, length)`.
    fn storage(&self, id: Id) -> Result<Value<'a>> {
        let &[tag, class, key, _device, len] = self.tuple(id)? else { return Err("a persistent id should hold five".into()) };
        if self.str(tag)? != "storage" {
            return Err("a persistent id should be that of a storage".into());
        }
        let kind = match self.values[class] {
            Value::Global(Global::Storage(kind)) => Some(kind),
            Value::Global(Global::UntypedStorage) => None,
            _ => return Err("a storage should have a storage's type".into()),
        };
        let Value::Str(Cow::Borrowed(key)) = self.values[key] else { return Err("a storage's key should be a text".into()) };
        Ok(Value::Storage(Box::new(StorageRef { key, kind, len: self.size(len)? })))
    }
    /// What `function` gives for the tuple `args`.
    fn call(&mut self, function: Global, args: Id) -> Result<Id> {
        let args = self.tuple(args)?;
        let value = match (function, args) {
            (Global::OrderedDict | Global::Counter, []) => Value::Dict(Vec::new()),
            (Global::Counter, &[counts]) => match &self.values[counts] {
                Value::Dict(entries) => Value::Dict(entries.clone()),
                _ => return Err("a Counter should be made of a dict".into()),
            },
            (Global::Size, &[sizes]) => Value::Tuple(self.tuple(sizes)?.to_vec()),
            (Global::Device, &[name]) => Value::Str(self.str(name)?),
            (Global::Device, &[name, index]) => Value::Str(format!("{}:{}", self.str(name)?, self.size(index)?).into()),
            (Global::RebuildTensor, &[storage, offset, shape, strides]) => self.tensor(storage, offset, shape, strides, None)?,
            (Global::RebuildTensorV2, &[storage, offset, shape, strides, _grad, _hooks, ref marks @ ..]) => {
                self.no_marks(marks)?;
                self.tensor(storage, offset, shape, strides, None)?
            }
            (Global::RebuildTensorV3, &[storage, offset, shape, strides, _grad, _hooks, dtype, ref marks @ ..]) => {
                self.no_marks(marks)?;
                let Value::Global(Global::DType(kind)) = self.values[dtype] else {
                    return Err("a tensor's dtype should be one".into());
                };
                self.tensor(storage, offset, shape, strides, Some(kind))?
            }
            (Global::RebuildParameter, &[tensor, _, _] | &[tensor, _, _, _]) => {
                let Value::Tensor(_) = self.values[tensor] else { return Err("a parameter should hold a tensor".into()) };
                return Ok(tensor);
            }
            (Global::RebuildFromType, &[function, class, args, _attributes]) => {
                let Value::Global(Global::TensorType) = self.values[class] else {
                    return Err("only tensors and parameters are rebuilt, not other types".into());
                };
                return match self.values[function] {
                    // Not itself again: there is no end to that.
                    Value::Global(Global::RebuildFromType) => Err("rebuilds a rebuilt tensor".into()),
                    Value::Global(function) => self.call(function, args),
                    _ => Err("calls what is no function".into()),
                };
            }
            _ => return Err(format!("{function:?} cannot be called with {} arguments", args.len())),
        };
        self.values.push(value);
        Ok(self.values.len() - 1)
    }
    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id, kind: Option<&'static Kind>) -> Result<Value<'a>> {
        let Value::Storage(memory) = &self.values[storage] else { return Err("a tensor should lie in a storage".into()) };
        let kind = match (kind, memory.kind) {
            (Some(kind), None) | (None, Some(kind)) => kind,
            (Some(kind), Some(stored)) if kind == stored => kind,
            (Some(_), Some(_)) => return Err("a tensor and its storage have different dtypes".into()),
            (None, None) => return Err("a tensor in an untyped storage should have a dtype".into()),
        };
        let sizes = |id| self.tuple(id)?.iter().map(|&i| self.size(i)).collect::<Result<Vec<usize>>>();
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(format!("a tensor has {} sizes but {} strides", shape.len(), strides.len()));
        }
        Ok(Value::Tensor(Box::new(TensorRef { storage, kind, offset: self.size(offset)?, shape, strides })))
    }
    /// Refuses tensors whose numbers are not the storage's, but their negatives or conjugates.
    fn no_marks(&self, marks: &[Id]) -> Result<()> {
        match marks {
            [] => Ok(()),
            &[marks] if matches!(&self.values[marks], Value::None) => Ok(()),
            &[marks] if matches!(&self.values[marks], Value::Dict(d) if d.is_empty()) => Ok(()),
            _ => Err("a tensor with metadata (a lazy negation or conjugation) is not supported".into()),
        }
    }
    fn tuple(&self, id: Id) -> Result<&[Id]> {
        if let Value::Tuple(items) = &self.values[id] { Ok(items) } else { Err("a tuple should stand there".into()) }
    }
    fn str(&self, id: Id) -> Result<Cow<'a, str>> {
        if let Value::Str(text) = &self.values[id] { Ok(text.clone()) } else { Err("a text should stand there".into()) }
    }
    fn size(&self, id: Id) -> Result<usize> {
        let Value::Int(n) = self.values[id] else { return Err("a size should stand there".into()) };
        usize::try_from(n).map_err(|_| format!("{n} is no size, offset or stride"))
    }
}

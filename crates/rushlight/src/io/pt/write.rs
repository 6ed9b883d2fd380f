//! Writing a checkpoint that PyTorch reads with `torch.load(weights_only=True)`.

use super::super::block::write_elements;
use super::super::checkpoint::MAX_DEPTH;
use super::memory::{Place, plan};
use super::names::storage_of;
use crate::{DType, Error, Result, State, Tensor};
use std::collections::{HashMap, HashSet};
use std::io::{Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The archive's folder. PyTorch takes the file's name; a constant keeps equal contents equal files.
const FOLDER: &str = "archive";
/// PyTorch begins every record on such a boundary, so that readers can map it.
const ALIGNMENT: u16 = 64;

/// Writes `state`. Records are stored uncompressed, as PyTorch requires.
pub(super) fn write(out: &mut (impl Write + Seek), state: &State) -> Result<()> {
    let mut tensors = Vec::new();
    gather(state, &mut tensors, 0)?;
    let (places, records) = plan(&tensors)?;
    let mut pickler = Pickler { out: vec![0x80, 2], memo: HashMap::new(), places: places.iter(), records: &records };
    pickler.state(state)?;
    pickler.out.push(b'.');

    let mut archive = ZipWriter::new(out);
    let begin = |archive: &mut ZipWriter<_>, name: &str, size: usize| {
        // From 4 GiB on a record needs the format's 64-bit fields, which must be announced.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(ALIGNMENT);
        let options = options.large_file(size as u64 >= u32::MAX.into());
        archive.start_file(format!("{FOLDER}/{name}"), options).map_err(|e| Error::io(format!("record '{name}': {e}")))
    };
    begin(&mut archive, "data.pkl", pickler.out.len())?;
    archive.write_all(&pickler.out)?;
    begin(&mut archive, "byteorder", 0)?;
    archive.write_all(b"little")?;
    for (number, record) in records.iter().enumerate() {
        begin(&mut archive, &format!("data/{number}"), record.numel() * record.dtype().size())?;
        write_elements(&mut archive, record)?;
    }
    begin(&mut archive, "version", 0)?;
    archive.write_all(b"3\n")?;
    archive.finish().map_err(|e| Error::io(e.to_string()))?.flush()?;
    Ok(())
}

/// The tensors of `state`, in the order in which the pickle names them.
fn gather(state: &State, tensors: &mut Vec<Tensor>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::value(format!("state is nested more than {MAX_DEPTH} deep")));
    }
    match state {
        State::Tensor(t) => tensors.push(t.clone()),
        State::List(items) => items.iter().try_for_each(|s| gather(s, tensors, depth + 1))?,
        State::Map(entries) => entries.iter().try_for_each(|(_, s)| gather(s, tensors, depth + 1))?,
        State::None | State::Bool(_) | State::Int(_) | State::Float(_) | State::Str(_) => {}
    }
    Ok(())
}

/// Writes a pickle of protocol 2, which is what PyTorch writes.
struct Pickler<'a> {
    out: Vec<u8>,
    /// Names and texts that have been written, and the numbers by which they are recalled.
    memo: HashMap<Vec<u8>, u32>,
    /// The places of the tensors that are still to come.
    places: std::slice::Iter<'a, Place>,
    records: &'a [Tensor],
}

impl Pickler<'_> {
    fn state(&mut self, state: &State) -> Result<()> {
        match state {
            State::None => self.out.push(b'N'),
            State::Bool(b) => self.out.push(if *b { 0x88 } else { 0x89 }),
            State::Int(i) => self.int(*i),
            State::Float(x) => {
                self.out.push(b'G');
                self.out.extend(x.to_be_bytes());
            }
            State::Str(s) => self.text(s)?,
            State::Tensor(t) => self.tensor(t)?,
            State::List(items) => {
                self.out.extend(b"](");
                items.iter().try_for_each(|s| self.state(s))?;
                self.out.push(b'e');
            }
            State::Map(entries) => self.map(entries, false)?,
        }
        Ok(())
    }
    /// A dict; with `numbers`, keys that are whole numbers are written as such.
    fn map(&mut self, entries: &[(String, State)], numbers: bool) -> Result<()> {
        // The state dict of an optimizer: its `state` is by the number of the parameter.
        let has = |name: &str| entries.iter().any(|(n, _)| n == name);
        let optimizer = has("state") && has("param_groups");
        let mut names = HashSet::new();
        self.out.extend(b"}(");
        for (name, value) in entries {
            if !names.insert(name) {
                return Err(Error::value(format!("state has the field '{name}' twice")));
            }
            match name.parse::<i64>() {
                Ok(n) if numbers && n.to_string() == *name => self.int(n),
                _ => self.text(name)?,
            }
            match value {
                State::Map(entries) => self.map(entries, optimizer && name == "state")?,
                _ => self.state(value)?,
            }
        }
        self.out.push(b'u');
        Ok(())
    }
    fn int(&mut self, n: i64) {
        if let Ok(n) = u8::try_from(n) {
            self.out.extend([b'K', n]);
        } else if let Ok(n) = u16::try_from(n) {
            self.out.push(b'M');
            self.out.extend(n.to_le_bytes());
        } else if let Ok(n) = i32::try_from(n) {
            self.out.push(b'J');
            self.out.extend(n.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(n.to_le_bytes());
        }
    }
    fn text(&mut self, text: &str) -> Result<()> {
        let len = u32::try_from(text.len());
        let len = len.map_err(|_| Error::value(format!("a text of {} bytes is too long for a pickle", text.len())))?;
        self.once([b"X", &len.to_le_bytes()[..], text.as_bytes()].concat());
        Ok(())
    }
    fn name(&mut self, module: &str, name: &str) {
        self.once(format!("c{module}\n{name}\n").into_bytes());
    }
    /// Writes what `code` makes: by `code` the first time, then from the memo.
    fn once(&mut self, code: Vec<u8>) {
        let number = self.memo.len() as u32;
        let (op, number) = match self.memo.get(&code) {
            Some(known) => (b"hj", *known),
            None => {
                self.out.extend(&code);
                self.memo.insert(code, number);
                (b"qr", number)
            }
        };
        match u8::try_from(number) {
            Ok(n) => self.out.extend([op[0], n]),
            Err(_) => {
                self.out.push(op[1]);
                self.out.extend(number.to_le_bytes());
            }
        }
    }
    /// A call of `_rebuild_tensor_v2`: storage, offset, sizes, strides, no gradient, no hooks.
    fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let place = self.places.next().expect("every tensor was given a place");
        self.name("torch._utils", "_rebuild_tensor_v2");
        self.out.push(b'(');
        self.storage(tensor.dtype(), place.record)?;
        self.int(place.offset as i64);
        self.tuple(tensor.shape().iter().map(|&d| d as i64));
        self.tuple(place.strides.iter().map(|&s| s as i64));
        self.out.push(0x89);
        self.name("collections", "OrderedDict");
        self.out.extend(b")RtR");
        Ok(())
    }
    fn storage(&mut self, dtype: DType, record: usize) -> Result<()> {
        self.out.push(b'(');
        self.text("storage")?;
        self.name("torch", storage_of(dtype));
        self.text(&record.to_string())?;
        self.text("cpu")?;
        self.int(self.records[record].numel() as i64);
        self.out.extend(b"tQ");
        Ok(())
    }
    fn tuple(&mut self, numbers: impl Iterator<Item = i64>) {
        self.out.push(b'(');
        numbers.for_each(|n| self.int(n));
        self.out.push(b't');
    }
}

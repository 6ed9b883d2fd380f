//! The [IDX](http://yann.lecun.com/exdb/mnist/) format of the MNIST files, plain or gzipped.

use super::block::{Block, Endian, checked_bytes};
use super::decompress;
use crate::{DType, Error, Layout, Result, Tensor};
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;

const GZIP: &[u8] = &[0x1f, 0x8b];

const CODES: [(u8, DType); 6] =
    [(0x08, DType::U8), (0x09, DType::I8), (0x0b, DType::I16), (0x0c, DType::I32), (0x0d, DType::F32), (0x0e, DType::F64)];

/// The tensor of the file at `path`; whether it is gzipped is seen from its first bytes.
///
/// # Errors
/// If the file cannot be read, or is not what its header says.
pub fn load(path: impl AsRef<Path>) -> Result<Tensor> {
    let block = Block::map(path.as_ref())?;
    read(&block).map_err(|e| e.context(&block.name))
}

fn read(block: &Block) -> Result<Tensor> {
    if !block.bytes().starts_with(GZIP) {
        let (dtype, shape, data) = header(&mut block.bytes())?;
        check_size(block.bytes().len() - data, &shape, dtype)?;
        return block.tensor(data..block.bytes().len(), dtype, Layout::contiguous(&shape), Endian::Big);
    }
    let mut unzipped = MultiGzDecoder::new(block.bytes());
    let (dtype, shape, _) = header(&mut unzipped)?;
    let size = checked_bytes(&shape, dtype)?;
    decompress::plausible(size as u64, block.bytes().len() as u64)?;
    let bytes = decompress::read_rest(&mut unzipped, size as u64)?;
    Block::owned(block.name.clone(), bytes).tensor(0..size, dtype, Layout::contiguous(&shape), Endian::Big)
}

fn check_size(given: usize, shape: &[usize], dtype: DType) -> Result<()> {
    let size = checked_bytes(shape, dtype)?;
    if given != size {
        return Err(Error::io(format!("shape {shape:?} of {dtype} takes {size} bytes, but {given} follow the header")));
    }
    Ok(())
}

/// The dtype, the sizes and the header's length.
fn header(from: &mut impl Read) -> Result<(DType, Vec<usize>, usize)> {
    let mut word = || -> Result<[u8; 4]> {
        let mut word = [0; 4];
        from.read_exact(&mut word).map_err(|e| Error::io(format!("header: {e}")))?;
        Ok(word)
    };
    let [0, 0, code, rank] = word()? else { return Err(Error::io("not an IDX file: it should begin with two zero bytes")) };
    let (_, dtype) =
        CODES.iter().find(|(c, _)| *c == code).ok_or_else(|| Error::io(format!("header: unknown element type {code:#04x}")))?;
    let shape = (0..rank).map(|_| word().map(|w| u32::from_be_bytes(w) as usize)).collect::<Result<Vec<_>>>()?;
    Ok((*dtype, shape, 4 + 4 * rank as usize))
}

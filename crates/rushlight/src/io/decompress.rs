//! Reading compressed data whose size is only claimed.

use crate::{Error, Result};
use std::io::Read;

/// Deflate cannot compress better than this: 258 bytes from two bits.
const MAX_RATIO: u64 = 1032;

/// Refuses a claimed size that `compressed` bytes cannot hold.
pub(super) fn plausible(claimed: u64, compressed: u64) -> Result<()> {
    if claimed > compressed.saturating_mul(MAX_RATIO) {
        return Err(Error::io(format!("claims {claimed} bytes of contents, which {compressed} compressed bytes cannot hold")));
    }
    Ok(())
}

/// Exactly the rest of `reader`, which should be `claimed` bytes. Memory grows with the data that arrives, not with the claim.
pub(super) fn read_rest(reader: &mut impl Read, claimed: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(claimed).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < claimed {
        return Err(Error::io(format!("ends after {} of {claimed} bytes", bytes.len())));
    }
    // Reading to the very end also makes the decoder compare its checksum.
    if reader.read(&mut [0])? != 0 {
        return Err(Error::io(format!("holds more than the {claimed} bytes that its header claims")));
    }
    Ok(bytes)
}

//! Which memory a checkpoint's tensors need: the records to write, and where in them each tensor lies.

use crate::{DType, Layout, Result, Tensor};
use std::collections::HashMap;

/// Where a tensor lies.
pub(super) struct Place {
    /// Number of the record.
    pub(super) record: usize,
    pub(super) offset: usize,
    pub(super) strides: Vec<isize>,
}

/// Part of a storage, in elements of one dtype.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Region {
    storage: usize,
    dtype: DType,
    start: usize,
    end: usize,
}

/// A place for each tensor, and the records' elements, in the order in which the tensors need them.
///
/// Tensors that overlap in memory share a record, so that they overlap again when they are loaded. A record holds what the tensors span,
/// not the rest of their storage; a tensor that overlaps no other and has gaps (a column) is written without them. PyTorch knows no
/// negative strides, so such tensors are always written by themselves.
pub(super) fn plan(tensors: &[Tensor]) -> Result<(Vec<Place>, Vec<Tensor>)> {
    let regions = shared_regions(tensors);
    let mut records = Vec::new();
    let mut numbers = HashMap::new();
    let mut places = Vec::with_capacity(tensors.len());
    for (tensor, region) in tensors.iter().zip(regions) {
        let layout = tensor.layout();
        let Some(region) = region else {
            let strides = Layout::contiguous(&layout.shape).strides.to_vec();
            places.push(Place { record: records.len(), offset: 0, strides });
            records.push(tensor.clone());
            continue;
        };
        let record = *numbers.entry(region).or_insert(records.len());
        if record == records.len() {
            records.push(tensor.with_layout(Layout::strided(&[region.end - region.start], &[1], region.start))?);
        }
        places.push(Place { record, offset: layout.offset - region.start, strides: layout.strides.to_vec() });
    }
    Ok((places, records))
}

/// The region that each tensor is written as a part of; `None` for those that are written by themselves, row-major.
fn shared_regions(tensors: &[Tensor]) -> Vec<Option<Region>> {
    let mut spans: Vec<(Region, usize)> = Vec::new();
    for (i, tensor) in tensors.iter().enumerate() {
        let layout = tensor.layout();
        if let Some((start, end)) = layout.span().filter(|_| layout.strides.iter().all(|s| *s >= 0)) {
            spans.push((Region { storage: tensor.storage().data_ptr(), dtype: tensor.dtype(), start, end }, i));
        }
    }
    spans.sort_by_key(|(r, i)| (r.storage, r.dtype, r.start, r.end, *i));
    let mut regions = vec![None; tensors.len()];
    let mut rest = &spans[..];
    while let [(first, _), ..] = rest {
        let (mut region, mut count) = (*first, 0);
        while let Some((next, _)) = rest.get(count)
            && (next.storage, next.dtype) == (region.storage, region.dtype)
            && (count == 0 || next.start < region.end)
        {
            region.end = region.end.max(next.end);
            count += 1;
        }
        for (_, i) in &rest[..count] {
            let gaps = count == 1 && region.end - region.start > tensors[*i].numel();
            regions[*i] = (!gaps).then_some(region);
        }
        rest = &rest[count..];
    }
    regions
}

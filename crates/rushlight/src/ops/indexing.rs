//! `x[...]`: PyTorch's indexing, with integers, slices, new axes, masks and index tensors.
//!
//! Integers, slices and axes cut a view. Masks and index tensors then read or write the places that they name together in that view, as
//! NumPy's advanced indexing does: they broadcast, and their shape stands where they stood if they stood side by side, else in front.

use super::*;
use crate::autograd::inplace;
use crate::error::or_panic;
use crate::op::AsTensor;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};
use std::panic::Location;

ops![index_put];

/// One entry between the brackets of `x[...]`.
#[derive(Clone, Debug)]
pub enum Index {
    /// A position; the dimension goes.
    Int(i64),
    /// `start:end:step`, by Python's rules.
    Slice {
        /// The first position; from the front without.
        start: Option<i64>,
        /// The position to stop before; to the end without.
        end: Option<i64>,
        /// The distance, at least one.
        step: i64,
    },
    /// `...`: as many full slices as are needed.
    Ellipsis,
    /// `None`: a new dimension of size one.
    NewAxis,
    /// `True` or `False`: a new dimension of size one or zero.
    Bool(bool),
    /// A mask (bool or uint8), which stands for as many dimensions as it has, or positions (int64 or int32).
    Tensor(Tensor),
}

impl Index {
    /// `start:end:step`.
    pub fn slice(start: impl Into<Option<i64>>, end: impl Into<Option<i64>>, step: i64) -> Index {
        Index::Slice { start: start.into(), end: end.into(), step }
    }
    /// How many of the tensor's dimensions it takes.
    fn takes(&self) -> usize {
        match self {
            Index::Int(_) | Index::Slice { .. } => 1,
            Index::Ellipsis | Index::NewAxis | Index::Bool(_) => 0,
            Index::Tensor(t) if is_mask(t) => t.rank(),
            Index::Tensor(_) => 1,
        }
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

macro_rules! index_from {
    ($($t:ty)*) => {$(
        impl From<$t> for Index { fn from(i: $t) -> Index { Index::Int(i as i64) } }
        impl From<Range<$t>> for Index { fn from(r: Range<$t>) -> Index { Index::slice(r.start as i64, r.end as i64, 1) } }
        impl From<RangeFrom<$t>> for Index { fn from(r: RangeFrom<$t>) -> Index { Index::slice(r.start as i64, None, 1) } }
        impl From<RangeTo<$t>> for Index { fn from(r: RangeTo<$t>) -> Index { Index::slice(None, r.end as i64, 1) } }
        impl From<RangeInclusive<$t>> for Index {
            fn from(r: RangeInclusive<$t>) -> Index { Index::slice(*r.start() as i64, end_after(*r.end() as i64), 1) }
        }
        impl From<RangeToInclusive<$t>> for Index { fn from(r: RangeToInclusive<$t>) -> Index { Index::slice(None, end_after(r.end as i64), 1) } }
    )*};
}
index_from!(i32 i64 usize);

/// The end of a slice whose last position is `last`: after -1, the end of the dimension.
fn end_after(last: i64) -> Option<i64> {
    if last == -1 { None } else { Some(last.saturating_add(1)) }
}

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Index {
        Index::slice(None, None, 1)
    }
}
impl From<bool> for Index {
    fn from(b: bool) -> Index {
        Index::Bool(b)
    }
}
impl From<Tensor> for Index {
    fn from(t: Tensor) -> Index {
        Index::Tensor(t)
    }
}
impl From<&Tensor> for Index {
    fn from(t: &Tensor) -> Index {
        Index::Tensor(t.clone())
    }
}
impl<const N: usize> From<[i64; N]> for Index {
    fn from(list: [i64; N]) -> Index {
        Index::Tensor(Tensor::from_vec(list.to_vec(), N))
    }
}
impl From<Vec<i64>> for Index {
    fn from(list: Vec<i64>) -> Index {
        let n = list.len();
        Index::Tensor(Tensor::from_vec(list, n))
    }
}

/// The entries of an index: `x.index(i![0, .., 1..3, &mask])`.
///
/// Integers, ranges (`..` is Python's `:`), bools, tensors and lists of integers become an [`Index`]; name the rest, as in `i![Index::Ellipsis, 0]`.
#[macro_export]
macro_rules! i {
    ($($index:expr),* $(,)?) => { [$($crate::Index::from($index)),*] };
}

/// The view that the basic entries of `index` cut from `x`, if they cut anything, and the places in it that masks and index tensors name, if there are any.
fn locate(x: &Tensor, index: &[Index]) -> Result<(Option<Tensor>, Option<Spots>)> {
    let rank = x.rank();
    let taken: usize = index.iter().map(Index::takes).sum();
    if taken > rank {
        return Err(match index {
            [Index::Int(_)] => Error::index(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number",
            ),
            _ => Error::index(format!("too many indices for tensor of dimension {rank}")),
        });
    }
    if index.iter().filter(|i| matches!(i, Index::Ellipsis)).count() > 1 {
        return Err(Error::index("an index can only have a single ellipsis ('...')"));
    }
    let mut cut: Option<Tensor> = None;
    let mut at = 0;
    let mut places: Vec<(usize, Tensor)> = Vec::new();
    for entry in index {
        let (view, d) = (cut.as_ref().unwrap_or(x), at as i64);
        match entry {
            Index::Int(i) => cut = Some(select_at(view, at, *i)?),
            Index::Slice { step, .. } if *step <= 0 => return Err(Error::value("step must be greater than zero")),
            Index::Slice { start: None, end: None, step: 1 } => at += 1,
            Index::Slice { start, end, step } => {
                cut = Some(slice(view, d, *start, *end, *step)?);
                at += 1;
            }
            Index::Ellipsis => at += rank - taken,
            Index::NewAxis => {
                cut = Some(unsqueeze(view, d)?);
                at += 1;
            }
            Index::Bool(b) => {
                cut = Some(unsqueeze(view, d)?);
                places.push((at, if *b { Tensor::from_vec(vec![0i64], 1) } else { Tensor::from_vec(Vec::<i64>::new(), 0) }));
                at += 1;
            }
            Index::Tensor(t) if t.rank() == 0 && is_mask(t) => {
                cut = Some(unsqueeze(view, d)?);
                places.push((at, nonzero_numbers(t)?));
                at += 1;
            }
            Index::Tensor(t) if is_mask(t) => {
                places.extend(mask_places(view, at, t)?);
                at += t.rank();
            }
            Index::Tensor(t) if !matches!(t.dtype(), DType::I64 | DType::I32) => {
                return Err(Error::index(format!(
                    "tensors used as indices must be long, int, byte or bool tensors (got {})",
                    t.dtype()
                )));
            }
            Index::Tensor(t) if t.rank() == 0 => cut = Some(select_at(view, at, t.try_item::<i64>()?)?),
            Index::Tensor(t) => {
                places.push((at, t.clone()));
                at += 1;
            }
        }
    }
    Ok((cut, spots(places)?))
}

fn select_at(x: &Tensor, d: usize, i: i64) -> Result<Tensor> {
    select(x, d as i64, i).map_err(|e| {
        let size = x.shape()[d];
        let is_within = (-(size as i64)..size as i64).contains(&i);
        if is_within { e } else { rushlight_kernels::backend::index_error(i, d, size) }
    })
}

/// The positions of a mask's true elements, one list per dimension that it stands for.
fn mask_places(x: &Tensor, at: usize, mask: &Tensor) -> Result<Vec<(usize, Tensor)>> {
    let (shape, m) = (x.shape(), mask.shape());
    if let Some(bad) = (0..m.len()).find(|&i| m[i] != shape[at + i]) {
        return Err(Error::index(format!(
            "The shape of the mask {:?} at index {bad} does not match the shape of the indexed tensor {:?} at index {}",
            m.as_slice(),
            shape.as_slice(),
            at + bad
        )));
    }
    let lists = nonzero_lists(mask)?;
    Ok(lists.into_iter().enumerate().map(|(i, p)| (at + i, p)).collect())
}

/// The mask, where the index is one of bools alone that fits the first dimensions of `x`: then no places need be found.
fn only_mask<'a>(x: &Tensor, index: &'a [Index]) -> Option<&'a Tensor> {
    let [Index::Tensor(mask)] = index else { return None };
    let shape = mask.shape();
    (mask.dtype() == DType::Bool && !shape.is_empty() && x.shape().starts_with(&shape)).then_some(mask)
}

/// Index tensors, each for its dimension, as places: broadcast together, and with their shape in place of the dimensions or in front.
fn spots(places: Vec<(usize, Tensor)>) -> Result<Option<Spots>> {
    let Some(&(first, _)) = places.first() else { return Ok(None) };
    let mismatch = |_| {
        let shapes: Vec<String> = places.iter().map(|(_, t)| format!("{:?}", t.shape().as_slice())).collect();
        Error::index(format!(
            "shape mismatch: indexing tensors could not be broadcast together with shapes {}",
            shapes.join(", ")
        ))
    };
    let shape = places.iter().try_fold(Dims::new(), |s, (_, t)| broadcast(&s, &t.shape())).map_err(mismatch)?;
    let dims: Dims = places.iter().map(|&(d, _)| d).collect();
    let adjacent = dims.windows(2).all(|w| w[1] == w[0] + 1);
    let indices = places.iter().map(|(_, t)| expand_to(t, &shape)).collect::<Result<_>>()?;
    Ok(Some(Spots { dims, indices, at: if adjacent { first } else { 0 } }))
}

/// `value` without the leading dimensions of size one that a target of `rank` dimensions has no place for.
fn without_leading_ones(value: &Tensor, rank: usize) -> Result<Tensor> {
    let shape = value.shape();
    let extra = shape.len().saturating_sub(rank);
    if shape[..extra].iter().all(|&n| n == 1) { reshape(value, &as_i64(&shape[extra..])) } else { Ok(value.clone()) }
}

/// Only a number may be of another dtype than the tensor that it is put into.
fn same_dtype(x: &Tensor, values: &Tensor) -> Result<()> {
    let wrapped = values.data_ref().wrapped;
    if values.dtype() == x.dtype() || wrapped {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
        x.dtype().scalar_type_name(),
        values.dtype().scalar_type_name()
    )))
}

/// The value to be put at `spots` of `x`, in x's dtype and of a shape that broadcasts.
fn fitting(x: &Tensor, spots: &Spots, values: &Tensor) -> Result<Tensor> {
    let inside = spots.shape(&x.shape());
    same_dtype(x, values)?;
    let values = to_dtype(&without_leading_ones(values, inside.len())?, x.dtype())?;
    if values.layout().broadcast_to(&inside).is_none() {
        return Err(Error::runtime(format!(
            "shape mismatch: value tensor of shape {:?} cannot be broadcast to indexing result of shape {:?}",
            values.shape().as_slice(),
            inside.as_slice()
        )));
    }
    Ok(values)
}

/// Returns a copy of `input` with `values` at the places that the index tensors in `indices` name together, one for each of the first dimensions;
/// with `accumulate` added to what is there.
///
/// Without `accumulate` the last in order wins where places repeat, and gradients are right only where they do not.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_put_.html>
#[op("(input, indices, values, accumulate=False)", any, inplace,
    samples = ["T(3, 4), [I(1, hi=3), I(1, hi=4)], T(1)", "T(3, 4), [I(5, hi=3)], T(4), True", "T(3, 4), [I(2, 1, hi=3), I(2, lo=-4, hi=4)], T(), True",
        "T(3, 4), [B(3)], T(1, 4)", "T(2, 3), [B(2, 3)], T()"],
    errors = [("T(2, 3), [I(1, lo=5, hi=6)], T()", "index 5 is out of bounds for dimension 0 with size 2"),
        ("T(2), [I(1, hi=1), I(1, hi=1)], T()", "too many indices for tensor of dimension 1"),
        ("T(2, 3), [I(2, hi=2)], T(2)", "shape mismatch: value tensor of shape [2] cannot be broadcast to indexing result of shape [2, 3]"),
        ("T(2), [I(1, hi=2)], I(1)", "Index put requires the source and destination dtypes match, got Float for the destination and Long for the source."),
        ("T(2, 3), [B(3)], T()", "The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3] at index 0"),
        ("T(3, 3), [I(2, hi=2), I(3, hi=2)], T()", "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]"),
        ("T(3), [T(1)], T()", "tensors used as indices must be long, int, byte or bool tensors")])]
pub fn index_put(x: &Tensor, indices: &[Tensor], values: &Tensor, accumulate: bool) -> Result<Tensor> {
    let mut places = Vec::new();
    let mut at = 0;
    if indices.iter().map(|t| if is_mask(t) { t.rank() } else { 1 }).sum::<usize>() > x.rank() {
        return Err(Error::index(format!("too many indices for tensor of dimension {} (got {})", x.rank(), indices.len())));
    }
    for t in indices {
        match t.dtype() {
            DType::I64 | DType::I32 => places.push((at, t.clone())),
            DType::Bool | DType::U8 => places.extend(mask_places(x, at, t)?),
            other => {
                return Err(Error::index(format!(
                    "tensors used as indices must be long, int, byte or bool tensors (got {other})"
                )));
            }
        }
        at += if is_mask(t) { t.rank() } else { 1 };
    }
    let Some(spots) = spots(places)? else { return Err(Error::index("index_put needs at least one index")) };
    let values = fitting(x, &spots, values)?;
    put_at(x, "index_put_", &spots, &values, accumulate)
}

/// `x[index]`: a view where there are no masks and no index tensors, else a copy. See [`Index`].
///
/// # Errors
/// Positions out of range, too many entries, shapes that do not fit, a step below one.
#[track_caller]
pub fn index(x: &Tensor, index: &[Index]) -> Result<Tensor> {
    if let Some(mask) = only_mask(x, index).filter(|m| m.rank() == x.rank()) {
        let _call = crate::op::enter("index", Location::caller());
        return masked(x, mask);
    }
    let _call = crate::op::enter(crate::op::UNNAMED, Location::caller());
    let (view, spots) = locate(x, index)?;
    match spots {
        Some(spots) => {
            let _call = crate::op::enter("index", Location::caller());
            take_at(view.as_ref().unwrap_or(x), &spots)
        }
        // A tensor of its own even where every entry is a full slice.
        None => view.map_or_else(|| permute_to(x, &(0..x.rank()).collect::<Dims>()), Ok),
    }
}

/// `x[index] = value`, in place; the value broadcasts. With `accumulate`, `x[index] += value`, where repeated places add up.
///
/// # Errors
/// As [`index()`]; a value that does not broadcast; an `x` that may not be overwritten.
#[track_caller]
pub fn index_set_(x: &Tensor, index: &[Index], value: &Tensor, accumulate: bool) -> Result<()> {
    let _call = crate::op::enter("index_put_", Location::caller());
    if let Some(mask) = only_mask(x, index).filter(|_| !accumulate && value.numel() == 1) {
        same_dtype(x, value)?;
        let mut sizes = as_i64(&mask.shape());
        sizes.resize(x.rank(), 1);
        let (mask, value) = (reshape(mask, &sizes)?, reshape(&to_dtype(value, x.dtype())?, &[])?);
        return inplace::apply("index_put_", x, |x| masked_fill(x, &mask, &value));
    }
    let (view, spots) = locate(x, index)?;
    let view = view.as_ref().unwrap_or(x);
    match spots {
        None => {
            let value = without_leading_ones(value, view.rank())?;
            if accumulate { add_(view, &value, Scalar::Int(1)) } else { copy_from(view, &value).map(|_| ()) }
        }
        Some(spots) => {
            let value = fitting(view, &spots, value)?;
            inplace::apply("index_put_", view, |v| put_at(v, "index_put_", &spots, &value, accumulate))
        }
    }
}

/// Indexing in Rust: `x.index(i![0, 1..3])`, `x.set(i![.., 0], 1.0)`.
impl Tensor {
    /// The part of the tensor that `index` names: a view where it holds no masks and no index tensors, else a copy.
    ///
    /// ```
    /// use rushlight::{Index, Tensor, i};
    /// let x = Tensor::arange(0..12).reshape([3, 4]);
    /// assert_eq!(x.index(i![1, -1]).item::<i64>(), 7);
    /// assert_eq!(x.index(i![.., 1..3]).shape().as_slice(), [3, 2]);
    /// assert_eq!(x.index(i![Index::Ellipsis, [0, 2]]).to_vec::<i64>(), [0, 2, 4, 6, 8, 10]);
    /// ```
    ///
    /// # Panics
    /// Where [`Tensor::try_index`] gives an error.
    #[track_caller]
    pub fn index(&self, index: impl AsRef<[Index]>) -> Tensor {
        or_panic(self.try_index(index))
    }
    /// As [`Tensor::index`].
    ///
    /// # Errors
    /// Positions out of range, too many entries, shapes that do not fit, a step below one.
    #[track_caller]
    pub fn try_index(&self, index: impl AsRef<[Index]>) -> Result<Tensor> {
        self::index(self, index.as_ref())
    }
    /// Overwrites the part of the tensor that `index` names with `value`, which broadcasts. Gradients flow to the value.
    ///
    /// # Panics
    /// Where [`Tensor::try_set`] gives an error.
    #[track_caller]
    pub fn set(&self, index: impl AsRef<[Index]>, value: impl AsTensor) -> &Tensor {
        or_panic(self.try_set(index, value))
    }
    /// As [`Tensor::set`].
    ///
    /// # Errors
    /// As [`Tensor::try_index`]; a value that does not broadcast; a tensor that may not be overwritten.
    #[track_caller]
    pub fn try_set(&self, index: impl AsRef<[Index]>, value: impl AsTensor) -> Result<&Tensor> {
        index_set_(self, index.as_ref(), &value.as_tensor(), false).map(|()| self)
    }
}

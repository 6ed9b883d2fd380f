//! Reading and writing at the places that index tensors name: what `index_select`, `index_add`, `take` and `x[i, j]` have in common.

use super::*;
use crate::autograd::{grad_fn, inplace};
use rushlight_kernels::backend::{ReduceOp, ScatterOp, View};

ops![];

/// Places in a tensor: dimensions `dims`, indexed together by as many integer tensors of one shape. In the result their shape stands in place
/// of the dimensions, after `at` of those that are left.
#[derive(Clone)]
pub(crate) struct Spots {
    pub(crate) dims: Dims,
    pub(crate) indices: Vec<Tensor>,
    pub(crate) at: usize,
}

impl Spots {
    /// Positions `index` (a vector) of dimension `d`.
    pub(crate) fn along(d: usize, index: &Tensor) -> Spots {
        Spots { dims: Dims::from_slice(&[d]), indices: vec![index.clone()], at: d }
    }
    fn index_shape(&self) -> Dims {
        self.indices[0].shape()
    }
    /// The tensor's dimensions with the indexed ones first.
    fn order(&self, rank: usize) -> Dims {
        self.dims.iter().copied().chain((0..rank).filter(|d| !self.dims.contains(d))).collect()
    }
    /// The shape of what lies at these places in a tensor of `shape`.
    pub(crate) fn shape(&self, shape: &[usize]) -> Dims {
        let mut sizes: Dims = (0..shape.len()).filter(|d| !self.dims.contains(d)).map(|d| shape[d]).collect();
        sizes.insert_from_slice(self.at, &self.index_shape());
        sizes
    }
    /// Of a layout of that shape: the index dimensions first, then the rest.
    fn front(&self, layout: &Layout) -> Layout {
        let n = self.index_shape().len();
        let order: Dims = (self.at..self.at + n).chain(0..self.at).chain(self.at + n..layout.rank()).collect();
        layout.permute(&order)
    }
    fn index_data(&self) -> impl Iterator<Item = Data> {
        self.indices.iter().map(Tensor::data)
    }
    /// Index tensors as a derivative keeps them: an overwritten one is an error there.
    fn save(&self, s: &crate::autograd::Save) -> impl Fn(&crate::autograd::Ctx) -> Result<Spots> + Send + Sync + 'static {
        let (dims, at) = (self.dims.clone(), self.at);
        let saved: Vec<Saved> = self.indices.iter().map(|i| s.input(i)).collect();
        move |c| {
            let indices = saved.iter().map(|i| i.get(c)).collect::<Result<_>>()?;
            Ok(Spots { dims: dims.clone(), indices, at })
        }
    }
}

/// The elements of `x` at `spots`. Negative indices count from the end.
pub(crate) fn take_at(x: &Tensor, spots: &Spots) -> Result<Tensor> {
    let data = x.data();
    let shape = data.layout.shape.clone();
    let source = data.with_layout(data.layout.permute(&spots.order(shape.len())));
    let layout = Layout::contiguous(&spots.shape(&shape));
    let front = spots.front(&layout);
    let ins: SmallVec<[Data; 4]> = [source].into_iter().chain(spots.index_data()).collect();
    let y = storage::compute(layout, data.dtype, &ins, |views, out| {
        backend().take(views[0], &views[1..], &mut out.with_layout(&front))
    })?;
    Tensor::from_data(y).with_grad([x], |s| {
        let spots = spots.save(s);
        grad_fn(move |c, g| {
            let zeros = filled(&shape, Scalar::Int(0), g.dtype())?;
            Ok([Some(put_at(&zeros, "", &spots(c)?, g, true)?)])
        })
    })
}

/// A copy of `x` with `src` (which broadcasts to the shape of what is there) written, or added, at `spots`. `twin` is the name of the in-place op
/// that calls, which may write into `x` itself.
pub(crate) fn put_at(x: &Tensor, twin: &str, spots: &Spots, src: &Tensor, accumulate: bool) -> Result<Tensor> {
    let inside = spots.shape(&x.shape());
    let source = src.data().expand(&inside)?;
    let y = inplace::target(x, twin)?;
    let target = y.data();
    let target_layout = target.layout.permute(&spots.order(inside.len() + spots.dims.len() - spots.index_shape().len()));
    let source = source.with_layout(spots.front(&source.layout));
    let ins: SmallVec<[Data; 4]> = [source].into_iter().chain(spots.index_data()).collect();
    let op = if accumulate { ScatterOp::Add } else { ScatterOp::Set };
    storage::write(&[target], &ins, |outs, views| {
        backend().put(op, &views[1..], views[0], &mut outs[0].with_layout(&target_layout))
    })?;
    y.with_grad([x, src], |s| {
        let spots = spots.save(s);
        grad_fn(move |c, g| {
            let spots = spots(c)?;
            let outside = match c.needs(0) {
                false => None,
                true if accumulate => Some(g.clone()),
                true => Some(put_at(g, "", &spots, &filled(&[], Scalar::Int(0), g.dtype())?, false)?),
            };
            Ok([outside, c.needs(1).then(|| take_at(g, &spots)).transpose()?])
        })
    })
}

/// How many elements of `mask` are true, and the count as the backend wants it.
fn tally(mask: &Data) -> Result<(usize, Vec<usize>)> {
    let tally = storage::read(std::slice::from_ref(mask), |v| backend().tally(v[0]))?;
    Ok((tally.iter().sum(), tally))
}

/// Row-major numbers of the true elements of `mask`.
pub(crate) fn nonzero_numbers(mask: &Tensor) -> Result<Tensor> {
    let mask = mask.data();
    let (n, tally) = tally(&mask)?;
    let numbers = storage::compute(Layout::contiguous(&[n]), DType::I64, &[mask], |v, out| backend().nonzero(v[0], &tally, out))?;
    Ok(Tensor::from_data(numbers))
}

/// The coordinates of the non-zero elements of `x`, which has a dimension: one row for each of them.
pub(crate) fn nonzero_positions(x: &Tensor) -> Result<Tensor> {
    let x = x.data();
    let (n, tally) = tally(&x)?;
    let layout = Layout::contiguous(&[x.layout.rank(), n]);
    Ok(Tensor::from_data(storage::compute(layout, DType::I64, &[x], |v, out| backend().nonzero(v[0], &tally, out))?))
}

/// The coordinates of the non-zero elements of `x`, one vector per dimension.
pub(crate) fn nonzero_lists(x: &Tensor) -> Result<Vec<Tensor>> {
    let all = nonzero_positions(x)?.data();
    Ok((0..all.layout.shape[0]).map(|d| Tensor::from_data(all.with_layout(all.layout.select(0, d)))).collect())
}

/// The elements of `x` where `mask`, of its shape, is true.
pub(crate) fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (data, m) = (x.data(), mask.data());
    let (n, tally) = tally(&m)?;
    let dtype = data.dtype;
    let y = storage::compute(Layout::contiguous(&[n]), dtype, &[data, m], |v, out| backend().compress(v[0], v[1], &tally, out))?;
    Tensor::from_data(y).with_grad([x], |s| {
        let (mask, shape) = (s.input(mask), x.shape());
        grad_fn(move |c, g| Ok([Some(masked_scatter(&filled(&shape, Scalar::Int(0), g.dtype())?, &mask.get(c)?, g)?)]))
    })
}

/// The smallest index, if there is one.
pub(crate) fn smallest(index: &Tensor) -> Result<Option<i64>> {
    if index.numel() == 0 {
        return Ok(None);
    }
    let all: Dims = (0..index.rank()).collect();
    let least = if all.is_empty() { index.detach() } else { reduce(ReduceOp::Min, &index.detach(), &all, false, index.dtype())? };
    least.try_item::<i64>().map(Some)
}

/// An index into dimension `d` of size `size` may count from the end only where the op says so.
pub(crate) fn refuse_negative(index: &Tensor, d: usize, size: usize) -> Result<()> {
    // Of a few adjacent ones, the signs of all in one, which takes a tenth of a reduction's call.
    let signs = |x: View| match x.dtype {
        DType::I64 => x.as_slice::<i64>().map(|x| x.iter().fold(0, |all, i| all | i)),
        DType::I32 => x.as_slice::<i32>().map(|x| x.iter().fold(0, |all, i| all | i) as i64),
        _ => None,
    };
    let few = if index.numel() <= SMALL { index.try_data_ref() } else { None };
    if few.and_then(|x| storage::read_at_once(&x, signs)).flatten().is_some_and(|all| all >= 0) {
        return Ok(());
    }
    match smallest(index)? {
        Some(i) if i < 0 => Err(rushlight_kernels::backend::index_error(i, d, size)),
        _ => Ok(()),
    }
}

//! Random numbers as PyTorch's CPU generator draws them.
//!
//! Lives here: the generator (`mt19937.rs` is its engine), the fills of [`RandomOp`], normal draws, permutations and weighted
//! samples. The streams are those of PyTorch 2.15 without MKL: on Intel processors its wheels draw `bernoulli_` and `exponential_`
//! from MKL's own generator, on others as here.

mod bulk;
mod mt19937;
mod normal;
mod sample;
#[cfg(test)]
mod tests;

use super::walk::Grid;
use crate::backend::*;
use crate::*;
use bulk::{Below, Coin, Draw, Uniform};
use mt19937::{Mt19937, N};
use normal::{BLOCK, BoxMuller};

/// PyTorch's CPU generator: a Mersenne Twister (MT19937) with its caches of half-used normal draws.
#[derive(Clone, Debug)]
pub struct Generator {
    engine: Mt19937,
    /// The second normal number of a pair.
    kept_f64: Option<f64>,
    /// PyTorch's twin of it in f32. Nothing draws it, but it belongs to the state.
    kept_f32: Option<f32>,
}

/// Bytes of a state.
const STATE: usize = 5056;
/// Where the words, and the normal draws after them, begin in a state.
const WORDS_AT: usize = 24;
const NORMAL_AT: usize = WORDS_AT + 8 * N;

impl Generator {
    /// Seeded as `torch.Generator().manual_seed(seed)`.
    pub fn new(seed: u64) -> Generator {
        Generator { engine: Mt19937::new(seed), kept_f64: None, kept_f32: None }
    }
    /// Starts over from `seed`.
    pub fn manual_seed(&mut self, seed: u64) {
        *self = Generator::new(seed);
    }
    /// The seed it was started from.
    pub fn initial_seed(&self) -> u64 {
        self.engine.seed
    }
    /// 32 random bits.
    #[inline]
    pub fn random(&mut self) -> u32 {
        self.engine.draw()
    }
    /// 64 random bits.
    #[inline]
    pub fn random64(&mut self) -> u64 {
        let high = self.random() as u64;
        high << 32 | self.random() as u64
    }
    /// The state in the layout of `torch.Generator.get_state()` (5056 bytes).
    ///
    /// That is a C structure, little-endian: `u64 seed; i32 left, seeded; u64 next, words[624]; f64 normal_x, normal_y, normal_rho;
    /// i32 normal_is_valid, padding; f32 next_float; bool next_float_is_valid, padding[3]`.
    pub fn state(&self) -> Vec<u8> {
        let e = &self.engine;
        let mut s = Vec::with_capacity(STATE);
        s.extend(e.seed.to_le_bytes());
        s.extend(e.left.to_le_bytes());
        s.extend(1u32.to_le_bytes());
        s.extend((e.next as u64).to_le_bytes());
        e.words.iter().for_each(|w| s.extend((*w as u64).to_le_bytes()));
        for normal in [0.0, self.kept_f64.unwrap_or(0.0), 0.0] {
            s.extend(normal.to_le_bytes());
        }
        s.extend((self.kept_f64.is_some() as u64).to_le_bytes());
        s.extend(self.kept_f32.unwrap_or(0.0).to_le_bytes());
        s.extend((self.kept_f32.is_some() as u32).to_le_bytes());
        s
    }
    /// Restores a state; fails on bytes that are not one.
    pub fn set_state(&mut self, state: &[u8]) -> Result<()> {
        if state.len() != STATE {
            return Err(Error::runtime(format!(
                "Expected a CPUGeneratorImplState of size {STATE} but found the input RNG state size to be {}",
                state.len()
            )));
        }
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| state[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| state[at + i]));
        let engine = Mt19937 {
            seed: u64_at(0),
            left: u32_at(8),
            next: u64_at(16).min(u32::MAX as u64) as u32,
            words: Box::new(std::array::from_fn(|i| u64_at(WORDS_AT + 8 * i) as u32)),
        };
        if u32_at(12) == 0 || !engine.is_valid() {
            return Err(Error::runtime("Invalid mt19937 state"));
        }
        self.engine = engine;
        self.kept_f64 = (u32_at(NORMAL_AT + 24) != 0).then(|| f64::from_bits(u64_at(NORMAL_AT + 8)));
        self.kept_f32 = (state[NORMAL_AT + 36] != 0).then(|| f32::from_bits(u32_at(NORMAL_AT + 32)));
        Ok(())
    }
    /// Uniform on `[0, 1)`: 53 bits.
    #[inline]
    fn uniform_f64(&mut self) -> f64 {
        (self.random64() & ((1 << 53) - 1)) as f64 * (1.0 / (1u64 << 53) as f64)
    }
    /// Exponential with rate `lambda`.
    fn exponential(&mut self, lambda: f64) -> f64 {
        -1.0 / lambda * (-self.uniform_f64()).ln_1p()
    }
}

/// See [`Backend`].
///
/// Elements are drawn in the order in which they lie in memory, which is row-major for a contiguous tensor: PyTorch's iterator
/// sorts dimensions by stride.
pub fn fill(op: RandomOp, generator: &mut Generator, out: &mut ViewMut) -> Result<()> {
    let g = generator;
    match op {
        RandomOp::Uniform { low, high } => match out.dtype {
            // Halves draw in f32.
            DType::F64 => draws(g, &Uniform { low, width: high - low, ends: [low, high] }, out),
            DType::F32 => uniform::<f32>(g, low as f32, high as f32, out),
            DType::F16 => uniform::<f16>(g, low as f32, high as f32, out),
            DType::BF16 => uniform::<bf16>(g, low as f32, high as f32, out),
            d => return Err(not_implemented("uniform_kernel_cpu", d)),
        },
        RandomOp::Normal { mean, std } => dispatch!(out.dtype, [F16 BF16 F32 F64], T => normal::<T>(g, mean, std, out),
            else => return Err(not_implemented("normal_kernel_cpu", out.dtype))),
        RandomOp::RandInt { low, high } => {
            let (low, high) = dispatch!(out.dtype, T => inner_bounds::<T>(low, high));
            if low >= high {
                return Err(Error::runtime(format!(
                    "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
                )));
            }
            let range = high.wrapping_sub(low) as u64;
            // From 2^28 on, 32 bits modulo the range would be visibly uneven.
            if range >= 1 << 28 {
                dispatch!(out.dtype, T => each(out, |_: T| low.wrapping_add((g.random64() % range) as i64).cast::<T>()));
            } else {
                dispatch!(out.dtype, T => draws::<T, _>(g, &Below::new(low, range as u32), out));
            }
        }
        RandomOp::Bernoulli { p } => {
            if !(0.0..=1.0).contains(&p) {
                return Err(Error::runtime(format!("bernoulli_ expects p to be in [0, 1], but got p={p}")));
            }
            dispatch!(out.dtype, T => draws::<T, _>(g, &Coin::new(p), out));
        }
        RandomOp::Exponential { lambda } => dispatch!(out.dtype, [F16 BF16 F32 F64],
            T => each(out, |_: T| narrow(g.exponential(lambda))),
            else => return Err(not_implemented("exponential_cpu", out.dtype))),
    }
    Ok(())
}

/// `[low, high)` shrunk so that rounding an integer to a floating `T` cannot leave it, by the step that PyTorch takes: one gap
/// between neighbours at the bound's magnitude.
fn inner_bounds<T: Element>(low: i64, high: i64) -> (i64, i64) {
    if !T::DTYPE.is_float() {
        return (low, high);
    }
    let digits = 1 - T::DTYPE.epsilon().log2() as i32;
    let rounded = |x: i64| x.cast::<T>().cast::<i64>();
    let gap = |x: i64| 1i64 << (x.unsigned_abs().max(1).ilog2() as i32 + 1 - digits).clamp(0, 62);
    let (above, below) = (low.saturating_add(1), high.saturating_sub(1));
    (
        if rounded(above) < low { rounded(above).saturating_add(gap(above)) } else { low },
        if rounded(below) >= high { rounded(below).saturating_sub(gap(below)) } else { high },
    )
}

fn not_implemented(kernel: &str, dtype: DType) -> Error {
    Error::not_implemented(format!("\"{kernel}\" not implemented for '{}'", dtype.scalar_type_name()))
}

/// Replaces each element by `f` of it, in the order of memory.
fn each<T: Element>(out: &mut ViewMut, mut f: impl FnMut(T) -> T) {
    let l = out.layout;
    let mut dims: Vec<usize> = (0..l.rank()).collect();
    dims.sort_by_key(|&d| std::cmp::Reverse(l.strides[d].unsigned_abs()));
    let l = l.permute(&dims);
    let grid = Grid::new(&l.shape, [&l.strides]);
    let first = out.ptr::<T>();
    grid.each(0..grid.len(), |[at]| {
        let p = first.wrapping_offset(at);
        // SAFETY: a position of out's layout, and out holds `T`s.
        unsafe { p.write(f(p.read())) };
    });
}

/// PyTorch rounds a double to f16 or bf16 by way of f32.
fn narrow<T: Element>(x: f64) -> T {
    if matches!(T::DTYPE, DType::F16 | DType::BF16) { T::from_f64(x as f32 as f64) } else { T::from_f64(x) }
}

/// Fills `out` with draws: contiguous memory a block at a time.
fn draws<T: Element, D: Draw<T>>(g: &mut Generator, draw: &D, out: &mut ViewMut) {
    if let Some(all) = out.as_mut_slice::<T>() {
        return bulk::fill(g, draw, all);
    }
    each(out, |_: T| {
        let mut one = [T::default()];
        bulk::fill(g, draw, &mut one);
        one[0]
    });
}

/// f32, f16 and bf16 draw in f32.
fn uniform<T: Element>(g: &mut Generator, low: f32, high: f32, out: &mut ViewMut)
where
    Uniform<T, f32>: Draw<T>,
{
    let ends = [T::from_f64(low as f64), T::from_f64(high as f64)];
    draws(g, &Uniform { low, width: high - low, ends }, out);
}

fn normal<T: Element>(g: &mut Generator, mean: f64, std: f64, out: &mut ViewMut) {
    match out.as_mut_slice::<T>() {
        Some(all) if all.len() >= BLOCK => match T::DTYPE {
            DType::F64 => normal_blocks::<T, f64>(g, mean, std, all),
            _ => normal_blocks::<T, f32>(g, mean, std, all),
        },
        _ => each(out, |_: T| narrow(g.normal().mul_add(std, mean))),
    }
}

/// Blocks of sixteen. Where the length is no multiple, all elements are drawn first and then the last sixteen once more.
fn normal_blocks<T: Element, C: BoxMuller + Element>(g: &mut Generator, mean: f64, std: f64, all: &mut [T])
where
    bulk::Unit: Draw<C>,
{
    let mut several = [C::default(); 32 * BLOCK];
    let mut write = |g: &mut Generator, to: &mut [T]| {
        let draws = &mut several[..to.len()];
        bulk::fill(g, &bulk::Unit, draws);
        C::transform(draws.as_chunks_mut().0, mean, std);
        to.iter_mut().zip(draws).for_each(|(t, d)| *t = d.cast());
    };
    let rest = all.len() % BLOCK;
    let whole = all.len() - rest;
    all[..whole].chunks_mut(32 * BLOCK).for_each(|to| write(g, to));
    if rest > 0 {
        // f32 and f64 tensors are first filled with uniform numbers to the end; narrower ones are computed block by block.
        if T::DTYPE == C::DTYPE {
            bulk::fill(g, &bulk::Unit, &mut [C::default(); BLOCK][..rest]);
        }
        write(g, &mut all[whole + rest - BLOCK..]);
    }
}

//! Normal draws by the transform of Box and Muller (1958), in the two forms that PyTorch uses: sixteen at a time for contiguous
//! tensors, and one at a time, keeping the second of each pair.

use super::Generator;
use crate::cpu::simd::{self, Body, Isa};

/// Elements of a block: eight pairs.
pub(super) const BLOCK: usize = 16;

/// A type in which blocks are computed.
pub(super) trait BoxMuller: Copy + Default {
    /// Replaces the sixteen uniform numbers of each block by normal ones; the first eight are radii, the others angles.
    fn transform(blocks: &mut [[Self; BLOCK]], mean: f64, std: f64);
}

impl BoxMuller for f64 {
    fn transform(blocks: &mut [[f64; BLOCK]], mean: f64, std: f64) {
        for block in blocks {
            for j in 0..BLOCK / 2 {
                // 1 - u is never zero.
                let radius = (-2.0 * (1.0 - block[j]).ln()).sqrt();
                let angle = 2.0 * std::f64::consts::PI * block[j + BLOCK / 2];
                block[j] = (radius * angle.cos()).mul_add(std, mean);
                block[j + BLOCK / 2] = (radius * angle.sin()).mul_add(std, mean);
            }
        }
    }
}

impl BoxMuller for f32 {
    fn transform(blocks: &mut [[f32; BLOCK]], mean: f64, std: f64) {
        simd::run(Transform { blocks, mean: mean as f32, std: std as f32 })
    }
}

struct Transform<'a> {
    blocks: &'a mut [[f32; BLOCK]],
    mean: f32,
    std: f32,
}

impl Body for Transform<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for block in self.blocks {
            transform_f32(block, self.mean, self.std);
        }
    }
}

/// PyTorch computes f32 blocks with the logarithm, sine and cosine of Moshier's Cephes library, with fused multiply-adds: the same
/// bits need the same polynomials and the same roundings. (`mul_add` is correct, if slow, on machines without the instruction.)
#[inline(always)]
fn transform_f32(block: &mut [f32; BLOCK], mean: f32, std: f32) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * cephes_log(1.0 - *a)).sqrt();
        let (sin, cos) = cephes_sin_cos(std::f32::consts::TAU * *b);
        *a = (radius * cos).mul_add(std, mean);
        *b = (radius * sin).mul_add(std, mean);
    }
}

/// Natural logarithm of a positive number.
#[inline(always)]
fn cephes_log(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ];
    // x = 2^e * m with m in [sqrt(1/2), sqrt(2)); the polynomial is in m - 1.
    let bits = x.to_bits();
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    let small = m < std::f32::consts::FRAC_1_SQRT_2;
    let e = ((bits >> 23) as i32 - 126) as f32 - if small { 1.0 } else { 0.0 };
    let t = (m - 1.0) + if small { m } else { 0.0 };
    let z = t * t;
    let mut p = P[0];
    for c in &P[1..] {
        p = p.mul_add(t, *c);
    }
    // ln 2 in two parts, the larger exact in few bits.
    let tail = (p * t).mul_add(z, e * -2.12194440e-4);
    let tail = tail - z * 0.5;
    e.mul_add(0.693359375, t + tail)
}

/// Sine and cosine of a number in `[0, 8192)`.
#[inline(always)]
fn cephes_sin_cos(x: f32) -> (f32, f32) {
    // The nearest even number of octants is taken off in three steps, each exact.
    let octant = ((x * 1.273_239_5) as i32 + 1) & !1;
    let y = octant as f32;
    let x = y.mul_add(-0.78515625, x);
    let x = y.mul_add(-2.4187564849853515625e-4, x);
    let x = y.mul_add(-3.77489497744594108e-8, x);
    let z = x * x;
    let c = 2.443315711809948e-5f32.mul_add(z, -1.388731625493765e-3).mul_add(z, 4.166664568298827e-2);
    let c = (c * z).mul_add(z, -(z * 0.5)) + 1.0;
    let s = (-1.9515295891e-4f32).mul_add(z, 8.3321608736e-3).mul_add(z, -1.6666654611e-1);
    let s = (s * z).mul_add(x, x);
    let (sin, cos) = if octant & 2 == 0 { (s, c) } else { (c, s) };
    let flip = |v: f32, negative: bool| f32::from_bits(v.to_bits() ^ (negative as u32) << 31);
    (flip(sin, octant & 4 != 0), flip(cos, (octant - 2) & 4 == 0))
}

impl Generator {
    /// One normal draw, or the one kept from the last pair.
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(kept) = self.kept_f64.take() {
            return kept;
        }
        let (u1, u2) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let angle = 2.0 * std::f64::consts::PI * u1;
        self.kept_f64 = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

//! The Mersenne Twister of Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform
//! pseudo-random number generator" (1998), seeded as in their 2002 revision.

use crate::cpu::simd::{self, Body, Isa};

/// Words of state.
pub(super) const N: usize = 624;
const M: usize = 397;

/// The engine. `left` counts the draws up to and including the one that makes new words; `next` is the word to draw.
#[derive(Clone, Debug)]
pub(super) struct Mt19937 {
    pub(super) seed: u64,
    pub(super) left: u32,
    pub(super) next: u32,
    pub(super) words: Box<[u32; N]>,
}

impl Mt19937 {
    /// Only the low 32 bits of the seed matter to the stream; all 64 are remembered.
    pub(super) fn new(seed: u64) -> Mt19937 {
        let mut words = Box::new([0; N]);
        words[0] = seed as u32;
        for j in 1..N {
            let last = words[j - 1];
            words[j] = 1_812_433_253u32.wrapping_mul(last ^ last >> 30).wrapping_add(j as u32);
        }
        Mt19937 { seed, left: 1, next: 0, words }
    }
    /// Whether every draw up to the next renewal finds its word.
    pub(super) fn is_valid(&self) -> bool {
        (1..=N as u32).contains(&self.left) && self.next <= N as u32 && (self.left == 1 || self.left + self.next <= N as u32 + 1)
    }
    /// 32 random bits.
    #[inline]
    pub(super) fn draw(&mut self) -> u32 {
        self.left -= 1;
        if self.left == 0 {
            self.renew();
        }
        let y = temper(self.words[self.next as usize]);
        self.next += 1;
        y
    }
    /// As many draws as `out` has places.
    pub(super) fn fill(&mut self, mut out: &mut [u32]) {
        while !out.is_empty() {
            if self.left == 1 {
                self.renew();
                // The draw that renews takes a word as well.
                self.left += 1;
            }
            let n = out.len().min(self.left as usize - 1);
            let (now, later) = out.split_at_mut(n);
            simd::run(Temper { words: &self.words[self.next as usize..][..n], out: now });
            self.next += n as u32;
            self.left -= n as u32;
            out = later;
        }
    }
    #[cold]
    fn renew(&mut self) {
        simd::run(Renew(&mut self.words));
        self.left = N as u32;
        self.next = 0;
    }
}

/// Makes draws of words.
struct Temper<'a> {
    words: &'a [u32],
    out: &'a mut [u32],
}

impl Body for Temper<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for (o, w) in self.out.iter_mut().zip(self.words) {
            *o = temper(*w);
        }
    }
}

/// Makes new words. A word depends on the one 227 before it at the nearest, so that pieces of 227 have no order within.
struct Renew<'a>(&'a mut [u32; N]);

impl Body for Renew<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let mut old = [0; N + 1];
        old[..N].copy_from_slice(self.0);
        let (a, rest) = self.0.split_at_mut(N - M);
        let (b, c) = rest.split_at_mut(N - M);
        for (i, a) in a.iter_mut().enumerate() {
            *a = old[i + M] ^ twist(old[i], old[i + 1]);
        }
        old[N] = a[0];
        let pairs = |from: usize| old[from..].iter().zip(&old[from + 1..]);
        for ((b, a), (u, v)) in b.iter_mut().zip(&*a).zip(pairs(N - M)) {
            *b = a ^ twist(*u, *v);
        }
        for ((c, b), (u, v)) in c.iter_mut().zip(&*b).zip(pairs(2 * (N - M))) {
            *c = b ^ twist(*u, *v);
        }
    }
}

/// What is drawn for a word.
#[inline(always)]
fn temper(mut y: u32) -> u32 {
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c_5680;
    y ^= y << 15 & 0xefc6_0000;
    y ^ y >> 18
}

/// The upper bit of `u` joined to the lower bits of `v`, multiplied by the twist matrix.
#[inline(always)]
fn twist(u: u32, v: u32) -> u32 {
    ((u & 0x8000_0000 | v & 0x7fff_ffff) >> 1) ^ (0x9908_b0df & (v & 1).wrapping_neg())
}

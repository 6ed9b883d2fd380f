//! The Mersenne Twister of Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform
//! pseudo-random number generator" (1998), seeded as in their 2002 revision.

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
        let mut y = self.words[self.next as usize];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }
    #[cold]
    fn renew(&mut self) {
        let w = &mut *self.words;
        for i in 0..N - M {
            w[i] = w[i + M] ^ twist(w[i], w[i + 1]);
        }
        for i in N - M..N - 1 {
            w[i] = w[i + M - N] ^ twist(w[i], w[i + 1]);
        }
        w[N - 1] = w[M - 1] ^ twist(w[N - 1], w[0]);
        self.left = N as u32;
        self.next = 0;
    }
}

/// The upper bit of `u` joined to the lower bits of `v`, multiplied by the twist matrix.
#[inline(always)]
fn twist(u: u32, v: u32) -> u32 {
    ((u & 0x8000_0000 | v & 0x7fff_ffff) >> 1) ^ (0x9908_b0df * (v & 1))
}

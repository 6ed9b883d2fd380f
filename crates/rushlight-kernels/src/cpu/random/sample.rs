//! Permutations and draws from weighted categories.

use super::Generator;
use crate::{Error, Result};

impl Generator {
    /// A random permutation of `0..n`, as `torch.randperm`.
    pub fn permutation(&mut self, n: usize) -> Vec<i64> {
        // The shuffle of Fisher and Yates. From about 2^32 / 20 on, 32 bits modulo n would be visibly uneven, so PyTorch changes to
        // 64 bits and to the "inside-out" form.
        if n < (u32::MAX / 20) as usize {
            let mut p: Vec<i64> = (0..n as i64).collect();
            for i in 0..n.saturating_sub(1) {
                let z = self.random() as usize % (n - i);
                p.swap(i, i + z);
            }
            p
        } else {
            let mut p = vec![0; n];
            for i in 0..n {
                let z = (self.random64() % (i as u64 + 1)) as usize;
                p[i] = p[z];
                p[z] = i as i64;
            }
            p
        }
    }
    /// Samples indices from rows of weights as `torch.multinomial`: `weights` has rows of `categories`, the answer rows of `samples`.
    ///
    /// Weights that are all exact in f32 are treated as a float32 tensor's (the arithmetic of float16 and bfloat16 too), others as a
    /// float64 tensor's.
    pub fn multinomial(&mut self, weights: &[f64], categories: usize, samples: usize, replacement: bool) -> Result<Vec<i64>> {
        if categories == 0 || !weights.len().is_multiple_of(categories) {
            return Err(Error::runtime(format!(
                "cannot sample from {categories} categories: {} weights do not fill rows of them",
                weights.len()
            )));
        }
        if samples == 0 {
            return Err(Error::runtime("cannot sample n_sample <= 0 samples"));
        }
        if !replacement && samples > categories {
            return Err(Error::runtime("cannot sample n_sample > prob_dist.size(-1) samples without replacement"));
        }
        if weights.iter().any(|w| !(*w >= 0.0 && w.is_finite())) {
            return Err(Error::runtime("probability tensor contains either `inf`, `nan` or element < 0"));
        }
        if weights.chunks_exact(categories).any(|row| row.iter().all(|w| *w == 0.0)) {
            return Err(Error::runtime("invalid multinomial distribution (sum of probabilities <= 0)"));
        }
        let single = weights.iter().all(|w| *w as f32 as f64 == *w);
        let round = |x: f64| if single { x as f32 as f64 } else { x };
        if !replacement || samples == 1 {
            return Ok(self.race(weights, categories, samples, round));
        }
        let mut out = Vec::with_capacity(weights.len() / categories * samples);
        let mut cumulative = vec![0.0; categories];
        for row in weights.chunks_exact(categories) {
            let mut sum = 0.0;
            for (c, w) in cumulative.iter_mut().zip(row) {
                sum = round(sum + w);
                *c = sum;
            }
            cumulative.iter_mut().for_each(|c| *c = round(*c / sum));
            cumulative[categories - 1] = 1.0;
            for _ in 0..samples {
                let u = self.uniform_f64();
                out.push(cumulative.partition_point(|c| *c < u) as i64);
            }
        }
        Ok(out)
    }
    /// Each category finishes an exponential race at a rate that is its weight; the `samples` first are the answer, in order.
    /// (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.) All the times are drawn before any is used.
    fn race(&mut self, weights: &[f64], categories: usize, samples: usize, round: impl Fn(f64) -> f64) -> Vec<i64> {
        let speed: Vec<f64> = weights.iter().map(|w| round(w / round(self.exponential(1.0)))).collect();
        let mut out = Vec::with_capacity(weights.len() / categories * samples);
        let mut order: Vec<i64> = Vec::with_capacity(categories);
        for row in speed.chunks_exact(categories) {
            order.clear();
            order.extend(0..categories as i64);
            // 0 / 0 is a category that cannot be drawn.
            let key = |i: &i64| if row[*i as usize].is_nan() { 0.0 } else { row[*i as usize] };
            let faster = |a: &i64, b: &i64| key(b).total_cmp(&key(a)).then(a.cmp(b));
            if samples < categories {
                order.select_nth_unstable_by(samples, faster);
            }
            order[..samples].sort_unstable_by(faster);
            out.extend_from_slice(&order[..samples]);
        }
        out
    }
}

//! Whole kernels, compiled once for each instruction set.

#[cfg(target_arch = "x86_64")]
use super::isa::{Avx2, Avx512, Level, level};
use super::isa::{Baseline, Isa};

/// A kernel that is worth compiling for each instruction set: loops over slices, no allocation, no threads. `run` and all that it
/// calls must be `#[inline(always)]`, or they are compiled for the baseline after all.
pub(crate) trait Body {
    /// What it answers.
    type Out;
    /// The kernel.
    fn run<S: Isa>(self) -> Self::Out;
}

/// Runs `body` with the best instruction set of this machine.
#[inline]
pub(crate) fn run<B: Body>(body: B) -> B::Out {
    #[cfg(target_arch = "x86_64")]
    if level() >= Level::Avx2 {
        #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
        fn wide<B: Body>(body: B) -> B::Out {
            body.run::<Avx2>()
        }
        // SAFETY: `level` has found these features.
        return unsafe { wide(body) };
    }
    body.run::<Baseline>()
}

/// Like [`run`], with AVX-512 where the machine has it: for what is worth one more copy.
#[inline]
pub(crate) fn run_widest<B: Body>(body: B) -> B::Out {
    #[cfg(target_arch = "x86_64")]
    if level() >= Level::Avx512 {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi1,bmi2")]
        fn widest<B: Body>(body: B) -> B::Out {
            body.run::<Avx512>()
        }
        // SAFETY: `level` has found these features.
        return unsafe { widest(body) };
    }
    run(body)
}

/// Asks for the line of the cache that holds `at`, which need not be a valid address.
#[inline(always)]
pub(crate) fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which does nothing to memory and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

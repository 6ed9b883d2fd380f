use super::*;
use std::sync::atomic::AtomicU64;

/// Runs a test at `n` threads. The number of threads is the process's: tests that change it run one at a time.
pub(in crate::cpu) fn with_threads(n: usize, body: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let before = num_threads();
    set_num_threads(n);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    set_num_threads(before);
    if let Err(payload) = outcome {
        resume_unwind(payload);
    }
}

fn runs_each_once(n: usize) {
    let counts: Vec<AtomicU32> = (0..n).map(|_| AtomicU32::new(0)).collect();
    run(n, |i| {
        counts[i].fetch_add(1, Relaxed);
    });
    assert!(counts.iter().all(|c| c.load(Relaxed) == 1), "{n} chunks");
}

#[test]
fn every_chunk_runs_exactly_once() {
    with_threads(4, || {
        for n in [0, 1, 2, 3, 7, 64, 1000, MAX_CLAIMS, MAX_CLAIMS + 1, 100_003] {
            runs_each_once(n);
        }
    });
}

#[test]
fn ranges_cover_the_length() {
    with_threads(3, || {
        for (len, grain) in [(0, 4), (1, 4), (10, 3), (10, 0), (10, usize::MAX), (4096, 64)] {
            let seen: Vec<AtomicU32> = (0..len).map(|_| AtomicU32::new(0)).collect();
            for_ranges(len, grain, |r| {
                assert!(r.len() <= grain.max(1));
                r.for_each(|i| {
                    seen[i].fetch_add(1, Relaxed);
                });
            });
            assert!(seen.iter().all(|c| c.load(Relaxed) == 1), "{len} by {grain}");
        }
    });
}

#[test]
fn even_parts_are_whole_and_near_the_grain() {
    for (len, grain, unit) in
        [(100_000, 28_571, 64), (1_000_000, 28_571, 64), (5, 2, 1), (1, 9, 64), (1024, 27, 1), (0, 3, 1), (70, 0, 1)]
    {
        let part = even(len, grain, unit);
        let few = len.div_ceil(grain.max(1)) <= 16;
        let most = if few { grain } else { 4 * grain.max(1) };
        assert!(part.is_multiple_of(unit) && part <= most.max(1).next_multiple_of(unit), "{len} {grain}: {part}");
    }
    assert_eq!(even(100_000, 28_571, 64), 25_024);
    assert_eq!(even(90_000, 40_000, 1), 22_500);
    assert_eq!(even(1024, 27, 1), 64);
}

#[test]
fn many_tiny_regions_see_each_others_writes() {
    with_threads(4, || {
        let mut data = [0u64; 8];
        for round in 0..20_000u64 {
            let cells = Cell::from_mut(&mut data[..]).as_slice_of_cells();
            struct Shared<'a>(&'a [Cell<u64>]);
            // SAFETY: chunk `i` touches element `i` only.
            unsafe impl Sync for Shared<'_> {}
            let shared = Shared(cells);
            run(8, |i| {
                let shared = &shared;
                assert_eq!(shared.0[i].get(), round);
                shared.0[i].set(round + 1);
            });
        }
        assert_eq!(data, [20_000; 8]);
    });
}

#[test]
fn sleepers_wake_up() {
    with_threads(3, || {
        for _ in 0..20 {
            std::thread::sleep(2 * SPIN);
            runs_each_once(16);
        }
    });
}

/// Runs two chunks that wait for each other, which takes two threads. A region that finds the pool owned by another test runs on
/// its caller, and another test may change the number of threads, so a meeting may fail and is tried again.
fn two_threads_meet() -> bool {
    (0..50).any(|_| {
        set_num_threads(2);
        let arrived = AtomicU32::new(0);
        let start = Instant::now();
        run(2, |_| {
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < 2 && start.elapsed() < Duration::from_millis(200) {
                std::thread::yield_now();
            }
        });
        start.elapsed() < Duration::from_millis(200)
    })
}

#[test]
fn other_threads_do_take_part() {
    with_threads(2, || assert!(two_threads_meet()));
}

#[test]
fn nested_regions_run_on_their_caller() {
    with_threads(4, || {
        let total = AtomicU64::new(0);
        run(16, |i| {
            let me = std::thread::current().id();
            run(16, |j| {
                assert_eq!(std::thread::current().id(), me);
                run(2, |k| {
                    total.fetch_add((i * 32 + j * 2 + k) as u64, Relaxed);
                });
            });
        });
        assert_eq!(total.load(Relaxed), (0..512).sum());
    });
}

#[test]
fn callers_from_many_threads() {
    with_threads(3, || {
        std::thread::scope(|s| {
            for _ in 0..6 {
                s.spawn(|| (0..500).for_each(|i| runs_each_once(2 + i % 30)));
            }
        });
    });
}

#[test]
fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
    with_threads(4, || {
        for bad in 0..20 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                run(20, |i| {
                    // Not `panic!`: its hook would print twenty backtraces.
                    if i == bad {
                        resume_unwind(Box::new(i));
                    }
                })
            }));
            assert_eq!(*outcome.unwrap_err().downcast::<usize>().unwrap(), bad);
            runs_each_once(20);
        }
        assert!(!IN_REGION.get());
    });
}

#[test]
fn the_thread_count_changes_both_ways() {
    with_threads(1, || {
        for n in [1, 5, 2, 8, 1, 3, 0, 6] {
            // Tests of other kernels set the number too, so a single look may see theirs.
            assert!((0..1000).any(|_| {
                set_num_threads(n);
                num_threads() == n.max(1)
            }));
            for _ in 0..50 {
                runs_each_once(33);
            }
        }
        std::thread::scope(|s| {
            s.spawn(|| (0..300).for_each(|i| set_num_threads(1 + i % 7)));
            s.spawn(|| (0..300).for_each(|_| runs_each_once(12)));
        });
        assert_eq!(clamped(usize::MAX), MAX_THREADS);
    });
}

#[cfg(unix)]
#[test]
fn the_child_of_a_fork_has_a_pool_of_its_own() {
    with_threads(3, || {
        runs_each_once(30);
        // SAFETY: the child runs regions and leaves by `_exit`, without unwinding or running the parent's exit handlers.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(!two_threads_meet() as i32) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "child ended with {status}");
        runs_each_once(30);
    });
}

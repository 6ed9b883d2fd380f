//! Worker threads that make batches ahead of the thread that uses them.
//!
//! Batches are numbered as they are taken from the sampler, and are handed out by number: how many workers there are, and which of them
//! is faster, changes nothing but the time.

use super::dataset::caught;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What each batch consists of, in order.
pub(super) type Plan = Box<dyn Iterator<Item = Vec<usize>> + Send>;
/// Makes the batch of some samples.
pub(super) type Fetch<B> = Arc<dyn Fn(&[usize]) -> Result<B> + Send + Sync>;

struct Queue<B> {
    plan: Plan,
    /// The plan has ended, or failed.
    ended: bool,
    /// Nobody waits for batches any more.
    stopped: bool,
    /// Batches that have been handed out.
    given: usize,
    /// The batches after those: `None` while a worker is at it.
    batches: VecDeque<Option<Result<B>>>,
    /// Most batches that may be made ahead.
    ahead: usize,
}

struct Shared<B> {
    queue: Mutex<Queue<B>>,
    /// A batch is ready, or the plan has ended.
    ready: Condvar,
    /// There is room for another batch, or nothing more to do.
    room: Condvar,
    fetch: Fetch<B>,
}

/// The batches of a plan, made by workers, in the plan's order. Dropping it ends and joins them.
pub(super) struct Prefetch<B> {
    shared: Arc<Shared<B>>,
    workers: Vec<JoinHandle<()>>,
}

impl<B: Send + 'static> Prefetch<B> {
    /// Starts `workers` threads (at least one), which stay at most `ahead` batches ahead.
    pub(super) fn new(plan: Plan, fetch: Fetch<B>, workers: usize, ahead: usize) -> Result<Prefetch<B>> {
        let queue = Queue { plan, ended: false, stopped: false, given: 0, batches: VecDeque::new(), ahead: ahead.max(1) };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), ready: Condvar::new(), room: Condvar::new(), fetch });
        let mut new = Prefetch { shared, workers: Vec::new() };
        for i in 0..workers.max(1) {
            let shared = new.shared.clone();
            let thread = std::thread::Builder::new().name(format!("rushlight-loader-{i}"));
            // Dropping `new` ends those that have been started.
            let worker =
                thread.spawn(move || shared.work()).map_err(|e| Error::from(e).context("DataLoader: starting a worker"))?;
            new.workers.push(worker);
        }
        Ok(new)
    }
}

impl<B> Shared<B> {
    // No code of others runs under the lock but the plan's, whose panics are caught.
    fn lock(&self) -> MutexGuard<'_, Queue<B>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn work(&self) {
        while let Some((number, indices)) = self.take() {
            let batch = caught(|| (self.fetch)(&indices)).map_err(|e| about(e, &indices));
            let mut queue = self.lock();
            // Batches are given out in order, so this one's place is still in the queue.
            let place = number - queue.given;
            queue.batches[place] = Some(batch);
            drop(queue);
            self.ready.notify_one();
        }
    }
    /// The number and the samples of the next batch, when there is room for it.
    fn take(&self) -> Option<(usize, Vec<usize>)> {
        let mut queue = self.lock();
        while !queue.stopped && !queue.ended && queue.batches.len() >= queue.ahead {
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.stopped || queue.ended {
            return None;
        }
        let next = caught(|| Ok(queue.plan.next()));
        let number = queue.given + queue.batches.len();
        match next {
            Ok(Some(indices)) => {
                queue.batches.push_back(None);
                return Some((number, indices));
            }
            Ok(None) => {}
            Err(e) => queue.batches.push_back(Some(Err(e.context("DataLoader: the sampler")))),
        }
        queue.ended = true;
        self.room.notify_all();
        self.ready.notify_one();
        None
    }
}

/// Names the batch that an error came from, unless the error names its sample already.
pub(super) fn about(e: Error, indices: &[usize]) -> Error {
    if e.message().starts_with("dataset: sample ") { e } else { e.context(format!("DataLoader: batch of samples {indices:?}")) }
}

impl<B> Iterator for Prefetch<B> {
    type Item = Result<B>;
    fn next(&mut self) -> Option<Result<B>> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(Some(_)) = queue.batches.front() {
                queue.given += 1;
                let batch = queue.batches.pop_front().flatten();
                drop(queue);
                self.shared.room.notify_one();
                return batch;
            }
            if queue.batches.is_empty() && queue.ended {
                return None;
            }
            queue = self.shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<B> Drop for Prefetch<B> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what it calls, so there is no panic to pass on.
            let _ = worker.join();
        }
    }
}

//! The threads and blocks that all layers of a process share.

use super::block::Pool;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// More threads than this are not started: each costs 3 MB, and hashing, which goes in order, would be the limit.
const MAX_THREADS: usize = 6;

/// What a thread runs.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that read and compress blocks, and the fixed number of blocks that bounds memory whatever the number and
/// size of layers. One value serves a whole process; it is shared by reference.
pub struct Workers {
    pool: Arc<Pool>,
    /// `None` only while it drops.
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `threads` threads, at most six.
    pub fn new(threads: NonZero<usize>) -> Self {
        let count = threads.get().min(MAX_THREADS);
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let run = |queue: Arc<Mutex<mpsc::Receiver<Job>>>| {
            loop {
                let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { return };
                job();
            }
        };
        let start = |_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || run(queue))
        };
        let threads = (0..count).map(start).collect();
        // Per thread one block in work and one waiting, and some with the layers' own threads.
        Self {
            pool: Pool::new(2 * count + 4),
            jobs: Some(jobs),
            threads,
        }
    }

    /// As many threads as the process may use processors.
    pub fn for_machine() -> Self {
        Self::new(std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Queues a job.
    pub(super) fn run(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The threads end only after `jobs` is gone.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread's panic was already reported where it happened.
            let _ = thread.join();
        }
    }
}

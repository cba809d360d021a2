//! The threads and buffers that all layers of a process share.

use std::num::NonZero;

/// Threads that read and compress blocks, and the fixed number of buffers that bounds memory.
pub struct Workers {}

impl Workers {
    /// Starts `threads` threads (more than the upper bound are not started).
    pub fn new(threads: NonZero<usize>) -> Self {
        let _ = threads;
        todo!()
    }
}

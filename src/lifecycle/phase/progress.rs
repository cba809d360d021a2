//! What a terminal shows while blobs travel.

use crate::log::Log;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often the line changes.
const TICK: Duration = Duration::from_millis(250);
const MEGABYTE: f64 = 1e6;
/// The fewest bytes that are worth a line.
const VISIBLE: u64 = 100_000;

/// Does `work` while a line on the terminal, if there is one, says how many bytes have left and how fast; `sent` counts
/// them. Nothing shows before there are some.
pub fn showing<T>(sent: &(dyn Fn() -> u64 + Sync), log: &Log, work: impl FnOnce() -> T) -> T {
    if !log.is_live() {
        return work();
    }
    let (done, wait) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut start, before) = (Instant::now(), sent());
            while wait.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let bytes = sent().saturating_sub(before);
                if bytes < VISIBLE {
                    start = Instant::now();
                    continue;
                }
                let megabytes = bytes as f64 / MEGABYTE;
                let rate = megabytes / start.elapsed().as_secs_f64();
                log.live(format_args!("{megabytes:.1} MB uploaded, {rate:.1} MB/s"));
            }
            log.end_live();
        });
        let result = work();
        drop(done);
        result
    })
}

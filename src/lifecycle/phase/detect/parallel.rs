use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How many modules run at once as long as they end quickly: enough to keep processors busy, and cheaper than a thread
/// for each of a hundred modules.
const AT_FIRST: usize = 16;

/// How many run at once at most. They are other programs, which may wait for anything.
const AT_MOST: usize = 256;

/// After how long without any result more modules are started.
const STALLED: Duration = Duration::from_millis(10);

/// Applies `run` to every item, many at once; results are in the order of the items.
pub(super) fn map<I: Sync, O: Send>(items: &[I], run: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let work = |sender: mpsc::Sender<(usize, O)>| {
        let take = || {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        };
        while let Some((index, item)) = take() {
            // The receiver waits for every result.
            let _ = sender.send((index, run(item)));
        }
    };
    let mut results = Vec::with_capacity(items.len());
    thread::scope(|scope| {
        let mut workers = 0;
        let mut more = AT_FIRST;
        while results.len() < items.len() {
            let idle = items.len().saturating_sub(next.load(Ordering::Relaxed));
            for _ in 0..more.min(idle).min(AT_MOST - workers) {
                let sender = sender.clone();
                let thread = thread::Builder::new().spawn_scoped(scope, || work(sender));
                workers += usize::from(thread.is_ok());
            }
            if workers == 0 {
                work(sender.clone());
            }
            more = match receiver.recv_timeout(STALLED) {
                Ok(result) => {
                    results.push(result);
                    0
                }
                Err(_) => workers,
            };
        }
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn results_keep_their_order() {
        let items: Vec<_> = (0..1_000).collect();
        assert_eq!(
            map(&items, |item| item * 2),
            (0..2_000).step_by(2).collect::<Vec<_>>()
        );
        assert_eq!(map(&[] as &[u8], |item| *item), Vec::<u8>::new());
    }

    #[test]
    fn items_that_wait_for_each_other_all_get_started() {
        let barrier = Barrier::new(100);
        let passed = map(&[(); 100], |()| barrier.wait().is_leader());
        assert_eq!(passed.into_iter().filter(|leader| *leader).count(), 1);
    }
}

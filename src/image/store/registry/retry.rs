//! When to try again, and how long to wait before.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often a request is sent at most.
pub(super) const ATTEMPTS: u32 = 5;
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Whether a status says that the same request may succeed later.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        408 | 429 | 499 | 500 | 502 | 503 | 504 | 522
    )
}

/// How long the registry asks to wait.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to wait after `attempt` (from 0): `pause` at first, three times longer each time, jittered by half; or
/// what the registry `asked` for. Within bounds.
pub(super) fn delay(pause: Duration, attempt: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_DELAY);
    }
    let full = pause
        .saturating_mul(3_u32.saturating_pow(attempt))
        .min(LONGEST_DELAY);
    // RandomState is seeded anew for every value: enough randomness to keep builds from retrying in step.
    let random = (RandomState::new().hash_one(attempt) % 1_000) as u32;
    full / 2 + full / 2 * random / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_obey() {
        for attempt in 0..10 {
            let pause = Duration::from_millis(300);
            let full = pause.saturating_mul(3_u32.pow(attempt)).min(LONGEST_DELAY);
            let delay = delay(pause, attempt, None);
            assert!(delay >= full / 2 && delay <= full, "{attempt}: {delay:?}");
        }
        let check = |value: &str, expected: Duration| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(delay(Duration::ZERO, 0, asked(&headers)), expected);
        };
        check("2", Duration::from_secs(2));
        check("99999", LONGEST_DELAY);
    }
}

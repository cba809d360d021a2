/// How many bytes of one program's captured output are kept, counted from its beginning.
pub const CAPTURE_LIMIT: usize = 64 * 1024 * 1024;

/// Collects the beginning of a stream and counts the rest.
pub(super) struct Bounded {
    kept: Vec<u8>,
    limit: usize,
    dropped: u64,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len()).min(bytes.len());
        let (head, tail) = bytes.split_at(room);
        self.kept.extend_from_slice(head);
        self.dropped += tail.len() as u64;
    }

    /// What was kept, with a last line that says how much is missing.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!("\n[output truncated: {} more bytes]\n", self.dropped);
            self.kept.extend_from_slice(note.as_bytes());
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pushed: &[&str], expected: &str) {
        let mut bounded = Bounded::new(4);
        pushed.iter().for_each(|text| bounded.push(text.as_bytes()));
        assert_eq!(String::from_utf8(bounded.finish()).unwrap(), expected);
    }

    #[test]
    fn keeps_the_head() {
        check(&[], "");
        check(&["ab", "cd"], "abcd");
        check(
            &["abc", "def", "g"],
            "abcd\n[output truncated: 3 more bytes]\n",
        );
    }
}

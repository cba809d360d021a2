//! Logical lines: what continuation characters join, without the comments and empty lines between.

use super::heredoc::{Blanked, is_comment};

/// The text of a Dockerfile, by the positions that the parser gives.
pub(super) struct Lines {
    /// As [`Blanked::text`], with the operators of here-documents put back.
    text: String,
    escape: char,
}

impl Lines {
    pub(super) fn new(blanked: &Blanked) -> Self {
        let mut text = blanked.text.clone();
        for document in &blanked.documents {
            text.replace_range(document.position..document.position + 2, "<<");
        }
        Self {
            text,
            escape: blanked.escape,
        }
    }

    /// The number of the line at `position`, from one.
    pub(super) fn number(&self, position: usize) -> usize {
        let before = self.text.bytes().take(position);
        before.filter(|byte| *byte == b'\n').count() + 1
    }

    /// The rest of the logical line from `position` on.
    pub(super) fn logical(&self, position: usize) -> String {
        let mut joined = String::new();
        self.walk(position, |part| joined.push_str(part));
        joined.trim_end().to_owned()
    }

    /// How many bytes the logical line takes from `position` on.
    pub(super) fn extent(&self, position: usize) -> usize {
        self.walk(position, |_| ())
    }

    fn walk(&self, position: usize, mut take: impl FnMut(&str)) -> usize {
        let rest = self.text.get(position..).unwrap_or_default();
        let (mut length, mut first) = (0, true);
        for line in rest.split_inclusive('\n') {
            length += line.len();
            let passed_over = !first && (is_comment(line) || line.trim().is_empty());
            first = false;
            if passed_over {
                continue;
            }
            let line = line.trim_end_matches(['\n', '\r']);
            match line.trim_end().strip_suffix(self.escape) {
                Some(part) => take(part),
                None => {
                    take(line);
                    break;
                }
            }
        }
        length
    }
}

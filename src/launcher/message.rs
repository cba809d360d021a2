//! What the launcher says: lines on standard output, as the contract has them (FACTS 14).

use crate::sys;
use lifecycle_core::env::Env;

/// Writes warnings and errors.
#[derive(Clone, Copy)]
pub(crate) struct Messages {
    color: bool,
}

impl Messages {
    /// In colour unless `CNB_NO_COLOR` is true, whatever standard output is.
    pub(crate) fn new(env: &Env) -> Self {
        let no_color = env.get("CNB_NO_COLOR").and_then(|value| value.to_str());
        // What Go's ParseBool takes for true.
        let no_color = no_color
            .is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"));
        Self { color: !no_color }
    }

    /// `Warning: <text>`.
    pub(crate) fn warning(self, text: &str) {
        self.line("\x1b[33;1m", "Warning: ", text);
    }

    /// `ERROR: <text>`.
    pub(crate) fn error(self, text: &str) {
        self.line("\x1b[31;1m", "ERROR: ", text);
    }

    fn line(self, color: &str, prefix: &str, text: &str) {
        let (color, end) = if self.color {
            (color, "\x1b[0m")
        } else {
            ("", "")
        };
        sys::write_stdout(format!("{color}{prefix}{end}{text}\n").as_bytes());
    }
}

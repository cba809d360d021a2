//! The log whose lines are contract (FACTS 14): everything goes to standard output, only warnings and errors
//! carry a prefix, colour is on unless switched off.

use crate::duration;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details.
    Debug,
    /// Progress.
    Info,
    /// Something looks wrong.
    Warn,
    /// Something failed.
    Error,
    /// Only what is printed unconditionally.
    Fatal,
}

impl Level {
    /// Reads a level, ignoring case; `warning` means `warn`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warn),
            "error" => Some(Self::Error),
            "fatal" => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// Writes lines at or above a level to one sink; clones share the sink.
#[derive(Clone)]
pub struct Log {
    level: Level,
    color: bool,
    sink: Arc<Mutex<Sink>>,
}

/// Where lines go.
struct Sink {
    out: Box<dyn Write + Send>,
    /// Whether somebody watches who can do without what was there before.
    terminal: bool,
    /// Whether the last line is one that the next replaces.
    live: bool,
}

/// Back to the begin of the terminal's line, and nothing on it.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";

impl Log {
    /// A log that writes to standard output.
    pub fn stdout(level: Level, color: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self::with_sink(Box::new(io::stdout()), terminal, level, color)
    }

    /// A log that writes to `sink`.
    pub fn to(sink: impl Write + Send + 'static, level: Level, color: bool) -> Self {
        Self::with_sink(Box::new(sink), false, level, color)
    }

    fn with_sink(out: Box<dyn Write + Send>, terminal: bool, level: Level, color: bool) -> Self {
        let sink = Sink {
            out,
            terminal,
            live: false,
        };
        Self {
            level,
            color,
            sink: Arc::new(Mutex::new(sink)),
        }
    }

    /// Whether [`Log::live`] shows something.
    pub fn is_live(&self) -> bool {
        self.enabled(Level::Info) && self.lock().terminal
    }

    /// A line that stays until the next line of any kind; only a terminal shows it.
    pub fn live(&self, message: impl Display) {
        if self.is_live() {
            self.write(format!("{message}").as_bytes());
            self.lock().live = true;
        }
    }

    /// Takes the last live line away.
    pub fn end_live(&self) {
        self.write(b"");
    }

    /// The same sink under another level and colour.
    #[must_use]
    pub fn configured(&self, level: Level, color: bool) -> Self {
        Self {
            level,
            color,
            sink: Arc::clone(&self.sink),
        }
    }

    /// Whether colours are on.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Whether lines of `level` are written.
    pub fn enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Details.
    pub fn debug(&self, message: impl Display) {
        self.line(Level::Debug, message);
    }

    /// Progress.
    pub fn info(&self, message: impl Display) {
        self.line(Level::Info, message);
    }

    /// A warning.
    pub fn warn(&self, message: impl Display) {
        self.line(Level::Warn, message);
    }

    /// An error.
    pub fn error(&self, message: impl Display) {
        self.line(Level::Error, message);
    }

    /// One message at `level`, with the level's prefix, ended by a newline.
    pub fn line(&self, level: Level, message: impl Display) {
        if self.enabled(level) {
            self.line_always(level, message);
        }
    }

    /// One message in the form of `level`, whatever the log's own level is. It stays one line: names of layers, processes
    /// and files come from buildpacks and registries, and must not look like lines of the log. Control characters in it are
    /// written as escapes (`\n`, `\u{1b}`).
    pub fn line_always(&self, level: Level, message: impl Display) {
        self.write_lines(level, &[&message]);
    }

    /// A message of several lines that belong together; the first has the prefix of `level`.
    pub fn lines(&self, level: Level, lines: &[&dyn Display]) {
        if self.enabled(level) {
            self.write_lines(level, lines);
        }
    }

    fn write_lines(&self, level: Level, lines: &[&dyn Display]) {
        let (prefix, code) = match level {
            Level::Debug | Level::Info => ("", ""),
            Level::Warn => ("Warning: ", "33;1"),
            Level::Error | Level::Fatal => ("ERROR: ", "31;1"),
        };
        let mut text = match (self.color, prefix) {
            (true, prefix) if !prefix.is_empty() => format!("\x1b[{code}m{prefix}\x1b[0m"),
            _ => prefix.to_owned(),
        };
        for line in lines {
            push_line(&mut text, &line.to_string());
        }
        self.write(text.as_bytes());
    }

    /// A phase banner, `===> NAME`.
    pub fn banner(&self, name: &str) {
        if self.enabled(Level::Info) {
            let (on, off) = match self.color {
                true => ("\x1b[36m", "\x1b[0m"),
                false => ("", ""),
            };
            self.write(format!("{on}===> {name}{off}\n").as_bytes());
        }
    }

    /// A writer for a module's own output; ANSI sequences are removed when colour is off.
    pub fn output(&self) -> Output {
        Output {
            log: self.clone(),
            escape: Escape::None,
        }
    }

    /// Logs start and end of an operation at debug level; the end when the value drops.
    pub fn timer(&self, name: impl Into<String>) -> Timer {
        let name = name.into();
        self.debug(format_args!("Timer: {name} started at {}", now()));
        Timer {
            log: self.clone(),
            name,
            start: Instant::now(),
        }
    }

    fn write(&self, bytes: &[u8]) {
        let mut sink = self.lock();
        let replaced = match std::mem::take(&mut sink.live) {
            true => CLEAR_LINE,
            false => b"",
        };
        // A closed standard output must not stop a build.
        let out = &mut sink.out;
        let _ = out
            .write_all(replaced)
            .and_then(|()| out.write_all(bytes))
            .and_then(|()| out.flush());
    }

    fn lock(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Running operation; see [`Log::timer`].
pub struct Timer {
    log: Log,
    name: String,
    start: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let (name, elapsed) = (&self.name, duration::format(self.start.elapsed()));
        self.log.debug(format_args!(
            "Timer: {name} ran for {elapsed} and ended at {}",
            now()
        ));
    }
}

/// The current time in RFC 3339, UTC, seconds.
fn now() -> String {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    lifecycle_core::time::rfc3339(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[derive(Clone, Copy, PartialEq)]
enum Escape {
    None,
    Started,
    Csi,
}

/// See [`Log::output`].
pub struct Output {
    log: Log,
    escape: Escape,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.log.color {
            self.log.write(bytes);
        } else {
            let mut kept = Vec::with_capacity(bytes.len());
            for &byte in bytes {
                self.escape = step(self.escape, byte, &mut kept);
            }
            self.log.write(&kept);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies `byte` to `kept` unless it belongs to an ANSI control sequence.
fn step(state: Escape, byte: u8, kept: &mut Vec<u8>) -> Escape {
    match (state, byte) {
        (Escape::None, 0x1b) => Escape::Started,
        (Escape::None, _) => {
            kept.push(byte);
            Escape::None
        }
        (Escape::Started, b'[') => Escape::Csi,
        (Escape::Started, 0x1b) => Escape::Started,
        (Escape::Started, _) => {
            kept.extend([0x1b, byte]);
            Escape::None
        }
        (Escape::Csi, b'@'..=b'~') => Escape::None,
        (Escape::Csi, _) => Escape::Csi,
    }
}

/// Adds one line; a newline at the end of `message` is its end.
fn push_line(text: &mut String, message: &str) {
    for char in message.strip_suffix('\n').unwrap_or(message).chars() {
        match char.is_control() && char != '\t' {
            true => text.extend(char.escape_default()),
            false => text.push(char),
        }
    }
    text.push('\n');
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A sink that a test can read.
    #[derive(Clone, Default)]
    pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        /// What was written.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(color: bool, act: impl FnOnce(&Log), expected: &str) {
        let buffer = Buffer::default();
        act(&Log::to(buffer.clone(), Level::Info, color));
        assert_eq!(buffer.text(), expected);
    }

    #[test]
    fn live_lines_are_replaced_on_terminals_only() {
        for (terminal, expected) in [(true, "1\r\x1b[K2\r\x1b[Kx\n"), (false, "x\n")] {
            let buffer = Buffer::default();
            let log = Log::with_sink(Box::new(buffer.clone()), terminal, Level::Info, false);
            log.live("1");
            log.live("2");
            log.info("x");
            log.end_live();
            assert_eq!(buffer.text(), expected);
        }
    }

    #[test]
    fn lines_have_the_contract_form() {
        check(false, |log| log.debug("x"), "");
        check(false, |log| log.info("x"), "x\n");
        check(false, |log| log.warn("x\n"), "Warning: x\n");
        check(true, |log| log.error("x"), "\x1b[31;1mERROR: \x1b[0mx\n");
        check(
            false,
            |log| log.lines(Level::Warn, &[&"x", &"\ty"]),
            "Warning: x\n\ty\n",
        );
        check(
            true,
            |log| log.banner("BUILDING"),
            "\x1b[36m===> BUILDING\x1b[0m\n",
        );
        check(
            false,
            |log| log.output().write_all(b"\x1b[1;2mbold\x1b[0m\n").unwrap(),
            "bold\n",
        );
    }

    #[test]
    fn a_message_cannot_look_like_more_lines() {
        for color in [true, false] {
            for (name, shown) in [
                ("a\n*** Images (sha256:0):", "a\\n*** Images (sha256:0):"),
                ("a\r\x1b[2Kb", "a\\r\\u{1b}[2Kb"),
                ("a\u{9b}2K\u{7f}", "a\\u{9b}2K\\u{7f}"),
                ("a\tb ü", "a\tb ü"),
            ] {
                let expected = format!("Adding layer '{shown}'\n");
                check(
                    color,
                    |log| log.info(format_args!("Adding layer '{name}'")),
                    &expected,
                );
            }
        }
    }
}

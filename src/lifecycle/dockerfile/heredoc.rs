//! Here-documents anywhere in an instruction. The parser knows them at the beginning of `RUN`, `COPY` and `ADD` only, but
//! `RUN cat <<EOF > /etc/x` is as common.

use lifecycle_core::error::{Error, Result};

/// A Dockerfile without its here-documents, and they.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blanked {
    /// Empty lines stand for what here-documents say, `__` for the `<<` that announces one. Lines keep their numbers.
    pub text: String,
    /// The here-documents in order.
    pub documents: Vec<HereDocument>,
    /// What continues a line at its end.
    pub escape: char,
}

/// Takes the here-documents out of a Dockerfile.
///
/// # Errors
/// A here-document does not end.
pub fn blank(text: &str) -> Result<Blanked> {
    let mut lines = text.split_inclusive('\n');
    let mut blanked = String::with_capacity(text.len());
    let mut documents = Vec::new();
    let escape = escape(text);
    while let Some(first) = lines.next() {
        let mut words = Words::new(first, escape);
        words.blank(first, &mut blanked);
        let mut open = !is_comment(first) && continues(first, escape);
        while open && let Some(line) = lines.next() {
            let passed_over = is_comment(line) || line.trim().is_empty();
            match passed_over {
                true => blanked.push_str(line),
                false => words.blank(line, &mut blanked),
            }
            open = passed_over || continues(line, escape);
        }
        for mut document in words.documents {
            loop {
                let line = lines.next().ok_or_else(|| {
                    let delimiter = &document.delimiter;
                    Error::other(format!("here-document {delimiter} does not end"))
                })?;
                blanked.push('\n');
                if document.ends_with(line) {
                    break;
                }
                document.content.push_str(match document.strips_tabs {
                    true => line.trim_start_matches('\t'),
                    false => line,
                });
            }
            documents.push(document);
        }
    }
    Ok(Blanked {
        text: blanked,
        documents,
        escape,
    })
}

/// A here-document that an instruction announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HereDocument {
    /// Where [`Blanked::text`] has the `__` that stands for its `<<`, in bytes.
    pub position: usize,
    /// The line that ends it, and the name of the file that `COPY` makes of it.
    pub delimiter: String,
    /// What it says; without leading tabs for `<<-`.
    pub content: String,
    /// Whether variables in it are expanded: its name is not in quotes.
    pub expands: bool,
    strips_tabs: bool,
}

impl HereDocument {
    /// `<<NAME`, `<<-NAME`, with the number of a file descriptor in front or not, the name in quotes or not.
    fn announced_by(word: &str, position: usize) -> Option<Self> {
        let digits_off = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = digits_off.strip_prefix("<<")?;
        let (name, strips_tabs) = match name.strip_prefix('-') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let delimiter = name.replace(['"', '\''], "");
        let is_name = !delimiter.is_empty() && !delimiter.contains('<');
        is_name.then_some(Self {
            position: position + word.find('<').unwrap_or_default(),
            expands: delimiter == name,
            delimiter,
            content: String::new(),
            strips_tabs,
        })
    }

    fn ends_with(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\n', '\r']);
        let line = match self.strips_tabs {
            true => line.trim_start_matches('\t'),
            false => line,
        };
        line == self.delimiter
    }
}

/// Goes through the words of one instruction, line by line.
struct Words {
    /// Whether the instruction may have here-documents at all.
    knows_documents: bool,
    escape: char,
    quote: Option<char>,
    documents: Vec<HereDocument>,
}

impl Words {
    fn new(first: &str, escape: char) -> Self {
        let keyword = first.split_whitespace().next().unwrap_or_default();
        let knows_documents = ["ADD", "COPY", "RUN"]
            .iter()
            .any(|known| keyword.eq_ignore_ascii_case(known));
        Self {
            knows_documents,
            escape,
            quote: None,
            documents: Vec::new(),
        }
    }

    /// Appends the line without the operators of here-documents, which are noted.
    fn blank(&mut self, line: &str, blanked: &mut String) {
        if !self.knows_documents {
            return blanked.push_str(line);
        }
        let mut rest = line;
        let mut at_start = true;
        while let Some(c) = rest.chars().next() {
            let word = rest.split_whitespace().next().unwrap_or_default();
            let plain = at_start && self.quote.is_none() && !c.is_whitespace();
            if plain && let Some(document) = HereDocument::announced_by(word, blanked.len()) {
                self.documents.push(document);
                blanked.push_str(&word.replacen("<<", "__", 1));
                rest = rest.strip_prefix(word).unwrap_or_default();
                at_start = false;
                continue;
            }
            let mut taken = c.len_utf8();
            match self.quote {
                Some(quote) if c == quote => self.quote = None,
                None if c == '"' || c == '\'' => self.quote = Some(c),
                quote if c == self.escape && quote != Some('\'') => {
                    taken += rest.chars().nth(1).map_or(0, char::len_utf8);
                }
                _ => {}
            }
            at_start = c.is_whitespace();
            let (done, tail) = rest.split_at(taken);
            blanked.push_str(done);
            rest = tail;
        }
    }
}

/// The escape character: a backslash unless a directive at the top says otherwise.
fn escape(text: &str) -> char {
    let mut directives = text.lines().map_while(directive);
    match directives.find(|(name, _)| name.eq_ignore_ascii_case("escape")) {
        Some((_, "`")) => '`',
        _ => '\\',
    }
}

/// `# name=value`. The first line that is none, be it a comment, ends the directives.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some((name, value.trim()))
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn continues(line: &str, escape: char) -> bool {
    line.trim_end().ends_with(escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = blank(text).map_or_else(|error| error.to_string(), |blanked| blanked.text);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn here_documents_are_kept() {
        let text = "RUN a <<-A 3<<'B'\n\t1\n\tA\n $2\nB\n";
        let blanked = blank(text).unwrap();
        let found: Vec<_> = blanked
            .documents
            .iter()
            .map(|d| {
                (
                    d.position,
                    d.delimiter.as_str(),
                    d.content.as_str(),
                    d.expands,
                )
            })
            .collect();
        assert_eq!(found, [(6, "A", "1\n", true), (12, "B", " $2\n", false)]);
    }

    #[test]
    fn here_documents_become_empty_lines() {
        check(
            "FROM a\nRUN cat <<EOF | sh\nCMD\nEOF\nRUN b\n",
            "FROM a\nRUN cat __EOF | sh\n\n\nRUN b\n",
        );
        check(
            "run <<'A' 3<<-\"B\" x\n1\nA\n2\n\tB\nz",
            "run __'A' 3__-\"B\" x\n\n\n\n\nz",
        );
        check(
            "RUN a \\\n# <<C\n\n  <<EOF\nx\nEOF",
            "RUN a \\\n# <<C\n\n  __EOF\n\n\n",
        );
        check("COPY <<EOF /x\nEOF\n", "COPY __EOF /x\n\n");
        check(
            "# escape=`\nRUN a `\n <<E\nE\n",
            "# escape=`\nRUN a `\n __E\n\n",
        );
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for text in [
            "RUN a<<EOF\n",
            "# note\n# escape=`\nRUN a `\n <<E\nE\n",
            "RUN echo '<<EOF' \" <<EOF\"\n",
            "RUN a <<<b\n",
            "RUN a << b\n",
            "ENV a <<EOF\n",
            "# RUN <<EOF\n",
            "RUN \\<<EOF\n",
            "RUN 'a\\' b\n",
            "RUN \"a\\\" <<E\"\n",
            "",
            "RUN $((1 << 2))\r\nRUN x",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_document_without_end_is_an_error() {
        check("RUN <<EOF\nx\n", "here-document EOF does not end");
        check("RUN <<EOF\n EOF\n", "here-document EOF does not end");
    }
}

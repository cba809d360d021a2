//! Shell patterns in `${name#pattern}` and its relatives: `*` and `?`, which match every character here.

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token {
    Any,
    One,
    Literal(char),
}

pub(super) fn parse(text: &str, escape: char) -> Vec<Token> {
    let mut chars = text.chars();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            c if c == escape => Token::Literal(chars.next().unwrap_or(c)),
            c => Token::Literal(c),
        });
    }
    tokens
}

/// Where matches that begin at the start of `text` end, ascending.
fn ends(text: &str, pattern: &[Token]) -> Vec<usize> {
    let mut positions = vec![0];
    for token in pattern {
        let step = |at: usize| {
            let rest = text.get(at..).unwrap_or_default();
            rest.chars().next().map(|c| (c, at + c.len_utf8()))
        };
        positions = match token {
            Token::Any => match positions.first() {
                Some(&first) => (first..=text.len())
                    .filter(|at| text.is_char_boundary(*at))
                    .collect(),
                None => return positions,
            },
            Token::One => positions
                .into_iter()
                .filter_map(step)
                .map(|(_, at)| at)
                .collect(),
            Token::Literal(wanted) => positions
                .into_iter()
                .filter_map(step)
                .filter(|(c, _)| c == wanted)
                .map(|(_, at)| at)
                .collect(),
        };
    }
    positions
}

pub(super) fn without_prefix(text: &str, pattern: &[Token], greedy: bool) -> String {
    let ends = ends(text, pattern);
    let end = if greedy { ends.last() } else { ends.first() };
    let rest = text.get(end.copied().unwrap_or_default()..);
    rest.unwrap_or_default().to_owned()
}

pub(super) fn without_suffix(text: &str, pattern: &[Token], greedy: bool) -> String {
    let whole = |start: &usize| {
        let tail = text.get(*start..).unwrap_or_default();
        ends(tail, pattern).contains(&tail.len())
    };
    let mut starts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
    let start = match greedy {
        true => starts.find(whole),
        false => starts.rfind(whole),
    };
    let kept = text.get(..start.unwrap_or(text.len()));
    kept.unwrap_or_default().to_owned()
}

pub(super) fn replaced(text: &str, pattern: &[Token], with: &str, every: bool) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match ends(rest, pattern).last().copied().filter(|end| *end > 0) {
            Some(end) => {
                result.push_str(with);
                rest = rest.get(end..).unwrap_or_default();
                if !every {
                    break;
                }
            }
            None => {
                result.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    result.push_str(rest);
    result
}

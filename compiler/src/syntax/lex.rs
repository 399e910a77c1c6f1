//! The text as tokens, nothing lost: every byte of the source belongs to exactly one token.
//!
//! The grammar does not need this; it is for those who look at text as text: the formatter, the explanations of syntax
//! errors, documentation comments, and the guard against deep nesting.

use super::ast::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Space,
    Newline,
    /// `// …`
    Comment,
    /// `/// …`
    Doc,
    /// `//! …`
    FileDoc,
    /// A name or keyword, backticks and primes included.
    Word,
    Number,
    Str,
    /// A string that its line does not close.
    OpenStr,
    /// `-r->`, `-[r]->`, `->`
    Arrow,
    Open,
    Close,
    /// Operators and punctuation.
    Mark,
    /// A character that the language does not use.
    Strange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

impl Token {
    pub fn text(self, source: &str) -> &str {
        self.span.text(source)
    }

    pub fn is_comment(self) -> bool {
        matches!(self.kind, Kind::Comment | Kind::Doc | Kind::FileDoc)
    }

    /// Spaces, line breaks and comments.
    pub fn is_trivia(self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Newline) || self.is_comment()
    }
}

/// Longest first.
const MARKS: [&str; 24] = [
    "|>", ">>", "..", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "@", "^", ".", ",", ":", "=",
    ";", "%", "|", "!", "&",
];

pub fn lex(source: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(source.len() / 3);
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let (kind, len) = next(rest);
        tokens.push(Token { kind, span: Span::new(at as u32, (at + len) as u32) });
        at += len;
    }
    tokens
}

/// The kind and length of the token that `rest` begins with; `rest` is not empty.
fn next(rest: &str) -> (Kind, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '\n' => (Kind::Newline, 1),
        ' ' | '\t' | '\r' | '\u{FEFF}' => {
            (Kind::Space, run(rest, |c| matches!(c, ' ' | '\t' | '\r' | '\u{FEFF}')))
        }
        '/' if rest.starts_with("//") => comment(rest),
        '"' => string(rest),
        '`' => quoted(rest),
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        '0'..='9' => (Kind::Number, number(rest)),
        c if starts_word(c) => (Kind::Word, word(rest)),
        '-' => arrow(rest).map_or((Kind::Mark, 1), |len| (Kind::Arrow, len)),
        _ => match MARKS.iter().find(|m| rest.starts_with(**m)) {
            Some(mark) => (Kind::Mark, mark.len()),
            None => (Kind::Strange, first.len_utf8()),
        },
    }
}

pub fn starts_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && pest::unicode::XID_START(c))
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && pest::unicode::XID_CONTINUE(c))
}

fn run(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|c| !keep(c)).unwrap_or(text.len())
}

fn comment(rest: &str) -> (Kind, usize) {
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let kind = match line.as_bytes().get(2) {
        Some(b'/') if !line.starts_with("////") => Kind::Doc,
        Some(b'!') => Kind::FileDoc,
        _ => Kind::Comment,
    };
    (kind, line.trim_end().len())
}

fn string(rest: &str) -> (Kind, usize) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return (Kind::OpenStr, open_end(&rest[..at])),
            '"' if !escaped => return (Kind::Str, at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    (Kind::OpenStr, rest.len())
}

/// A forgotten quote takes its line, but not the brace at its end: blocks stay whole.
fn open_end(line: &str) -> usize {
    line.trim_end_matches([' ', '\t', '\r']).strip_suffix('{').map_or(line.len(), str::len)
}

fn quoted(rest: &str) -> (Kind, usize) {
    match rest[1..].find(['`', '\n']) {
        Some(len) if len > 0 && rest[1 + len..].starts_with('`') => (Kind::Word, len + 2),
        _ => (Kind::Strange, 1),
    }
}

fn word(rest: &str) -> usize {
    let len = run(rest, in_word);
    len + usize::from(rest[len..].starts_with('\''))
}

fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let from = (end + 1 + sign).min(bytes.len());
        if digits(from) > from {
            end = digits(from);
        }
    }
    end
}

/// The length of `->`, `-r->` or `-[r]->`.
fn arrow(rest: &str) -> Option<usize> {
    let after = &rest[1..];
    if after.starts_with('>') {
        return Some(2);
    }
    let (inner, close) = match after.strip_prefix('[') {
        Some(inner) => (inner, "]->"),
        None => (after, "->"),
    };
    let name = match inner.chars().next()? {
        '`' => quoted(inner),
        c if starts_word(c) => (Kind::Word, word(inner)),
        _ => return None,
    };
    let tail = &inner[name.1..];
    (name.0 == Kind::Word && tail.starts_with(close)).then(|| rest.len() - tail.len() + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, &str)> {
        lex(source).into_iter().map(|t| (t.kind, t.text(source))).collect()
    }

    #[test]
    fn every_byte_once() {
        let source = "a -r-> b // c\n\"x\\\" y\" 1.5e-3..2 \u{7} `q r` -[k]->- \"open\n";
        let tokens = lex(source);
        let mut at = 0;
        for token in &tokens {
            assert_eq!(token.span.start, at);
            at = token.span.end;
        }
        assert_eq!(at as usize, source.len());
    }

    #[test]
    fn arrows_and_numbers() {
        use Kind::*;
        assert_eq!(kinds("-r->"), [(Arrow, "-r->")]);
        assert_eq!(kinds("-[k]->"), [(Arrow, "-[k]->")]);
        assert_eq!(kinds("-r-"), [(Mark, "-"), (Word, "r"), (Mark, "-")]);
        assert_eq!(kinds("1..5"), [(Number, "1"), (Mark, ".."), (Number, "5")]);
        assert_eq!(kinds("1e-2"), [(Number, "1e-2")]);
        assert_eq!(kinds("1e"), [(Number, "1"), (Word, "e")]);
        assert_eq!(kinds("h'[v]"), [(Word, "h'"), (Open, "["), (Word, "v"), (Close, "]")]);
        assert_eq!(kinds("////x"), [(Comment, "////x")]);
    }
}

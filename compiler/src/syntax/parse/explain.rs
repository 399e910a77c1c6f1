//! Syntax errors in words: what is wrong with a piece of text that the grammar could not read, and the fix.
//!
//! The common slips are looked for in the tokens first; what remains is read again with the strict rule of its place, and
//! the place where that gives up, with what it would have taken there, is the message.

use pest::Parser as _;
use pest::error::{Error, ErrorVariant, InputLocation};

use super::super::ast::{Ident, Span};
use super::super::lex::{Kind, Token};
use super::wanted::{either, follows_value, words};
use super::{Grammar, Lower, Rule};
use crate::diag::{Code, Diagnostic, codes, did_you_mean, one_of};

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Schema,
    Layer,
    Experiment,
    Sweep,
}

pub(super) const ITEM_WORDS: [&str; 9] =
    ["use", "param", "graph", "layer", "module", "decoder", "experiment", "sweep", "distill"];
const SCHEMA_WORDS: [&str; 10] =
    ["node", "edge", "many", "key", "reverse", "time", "feature", "label", "split", "allow"];
const EXPERIMENT_WORDS: [&str; 8] =
    ["encode", "predict", "write", "stage", "train", "freeze", "allow", "distill"];

impl Place {
    /// The words that a statement can start with here.
    fn words(self) -> &'static [&'static str] {
        match self {
            Place::File => &ITEM_WORDS,
            Place::Schema => &SCHEMA_WORDS,
            Place::Layer => &["weight"],
            Place::Experiment => &EXPERIMENT_WORDS,
            Place::Sweep => &["best"],
        }
    }

    fn strict(self) -> Rule {
        match self {
            Place::File => Rule::strict_item,
            Place::Schema => Rule::strict_schema,
            Place::Layer => Rule::strict_layer,
            Place::Experiment => Rule::strict_exp,
            Place::Sweep => Rule::strict_sweep,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Place::File => "a file",
            Place::Schema => "a graph",
            Place::Layer => "a layer or module",
            Place::Experiment => "an experiment",
            Place::Sweep => "a sweep",
        }
    }

    /// Where a statement that starts with this word belongs.
    fn of_word(word: &str) -> Option<Place> {
        [Place::File, Place::Schema, Place::Layer, Place::Experiment, Place::Sweep]
            .into_iter()
            .find(|place| place.words().contains(&word))
    }

    fn has_settings(self) -> bool {
        matches!(self, Place::Schema | Place::Experiment | Place::Sweep)
    }
}

/// A piece of text that could not be read: the tokens of its statement, spaces and comments left out.
struct Piece<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    start: u32,
    bad: Span,
    place: Place,
}

impl Lower<'_> {
    /// Reports that the statement which begins at `start` could not be read at `bad`. False where it can be trusted all the
    /// same.
    pub(super) fn explain(&mut self, start: u32, bad: Span, place: Place) -> bool {
        let tokens = self.tokens_between(start, bad.end);
        let piece = Piece { source: self.source, tokens, start, bad, place };
        if self.after_bad_item && piece.continues_a_bad_item() {
            return true;
        }
        self.lost.extend(piece.declared());
        let found = piece
            .open_string()
            .or_else(|| piece.trailing_comma())
            .or_else(|| piece.brackets())
            .or_else(|| piece.first_word())
            .or_else(|| piece.arrow())
            .unwrap_or_else(|| piece.strictly(self.text));
        let trusted = found.code == codes::SYNTAX_TRAILING_COMMA;
        self.diagnostics.push(found);
        !trusted
    }

    fn tokens_between(&self, start: u32, end: u32) -> Vec<Token> {
        let from = self.tokens.partition_point(|t| t.span.start < start);
        let to = self.tokens.partition_point(|t| t.span.start < end);
        self.tokens.get(from..to).unwrap_or(&[]).iter().filter(|t| !t.is_trivia()).copied().collect()
    }

    /// Reports a block without its `}`, at the `{` that the indentation blames.
    pub(super) fn explain_unclosed_block(&mut self, block: Span) {
        let culprit = self.blamed_brace(block);
        let indent = self.indent(culprit);
        let help = match self.next_line_at(culprit, indent) {
            Some(line) => format!("add a `}}` before line {line}"),
            None => "add a `}` at the end".to_owned(),
        };
        let unclosed = Diagnostic::new(codes::SYNTAX_UNCLOSED, "this `{` is never closed")
            .at(Span::new(culprit, culprit + 1), "opened here")
            .help(help);
        self.diagnostics.push(unclosed);
    }

    /// The first brace inside of the block whose closing brace is indented less than its line; else the block's own.
    fn blamed_brace(&self, block: Span) -> u32 {
        let from = self.tokens.partition_point(|t| t.span.start < block.start);
        let mut stack = Vec::new();
        let mut line_start = false;
        for token in self.tokens[from..].iter().take_while(|t| t.span.start < block.end) {
            match token.text(self.source) {
                "{" if token.kind == Kind::Open => stack.push(token.span.start),
                "}" if token.kind == Kind::Close => match stack.pop() {
                    Some(opened) if line_start && self.indent(token.span.start) < self.indent(opened) => {
                        return opened;
                    }
                    Some(_) => {}
                    None => break,
                },
                _ => {}
            }
            line_start = token.kind == Kind::Newline || (line_start && token.kind == Kind::Space);
        }
        block.start
    }

    /// Spaces before the first text of the line on which this byte stands.
    fn indent(&self, at: u32) -> usize {
        let before = self.source.get(..at as usize).unwrap_or("");
        let line = &self.source[before.rfind('\n').map_or(0, |i| i + 1)..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// The first line behind `from`, counted from one, that is indented no more than `indent`.
    fn next_line_at(&self, from: u32, indent: usize) -> Option<usize> {
        let first = self.lines.line(from) + 1;
        let lines = (first..self.lines.len()).map(|at| (at, self.lines.text(self.source, at)));
        let mut outside = lines.filter(|(_, line)| {
            let text = line.trim_start();
            !text.is_empty() && line.len() - text.len() <= indent
        });
        outside.next().map(|(at, _)| at + 1)
    }
}

impl Piece<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |t| t.text(self.source))
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|t| t.kind)
    }

    fn span(&self, at: usize) -> Span {
        self.tokens.get(at).map_or(Span::new(self.bad.end, self.bad.end), |t| t.span)
    }

    fn say(&self, code: Code, message: impl Into<String>, at: Span, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, message).at(at, label)
    }

    /// The body of an item whose head was reported.
    fn continues_a_bad_item(&self) -> bool {
        self.place == Place::File && self.text(0) == "{"
    }

    /// The names that the text seems to declare.
    fn declared(&self) -> Vec<Ident> {
        const DECLARING: [&str; 12] = [
            "param",
            "graph",
            "layer",
            "module",
            "decoder",
            "experiment",
            "sweep",
            "node",
            "feature",
            "label",
            "weight",
            "into",
        ];
        let mut names = Vec::new();
        for at in 0..self.tokens.len() {
            let follows = at > 0 && DECLARING.contains(&self.text(at - 1));
            let leads = at == 0 && matches!(self.text(1), "=" | "[" | ":");
            if self.kind(at) == Some(Kind::Word) && (follows || leads) {
                names.push(Ident { text: self.text(at).trim_matches('`').to_owned(), span: self.span(at) });
            }
            if self.kind(at) == Some(Kind::Arrow) {
                let text = self.text(at).trim_matches(['-', '>', '[', ']', '`']).to_owned();
                names.push(Ident { text, span: self.span(at) });
            }
        }
        names
    }

    fn open_string(&self) -> Option<Diagnostic> {
        let open = self.tokens.iter().find(|t| t.kind == Kind::OpenStr)?;
        let trimmed = open.text(self.source).trim_end().len() as u32;
        let at = Span::new(open.span.start, open.span.start + trimmed);
        let found = self.say(
            codes::SYNTAX_STRING,
            "this string is never closed",
            at,
            "no `\"` up to the end of the line",
        );
        Some(found.help("add a `\"` where the text ends; a string cannot run over several lines"))
    }

    fn trailing_comma(&self) -> Option<Diagnostic> {
        let only_comma = self.bad.start > self.start && self.bad.text(self.source) == ",";
        only_comma.then(|| {
            self.say(
                codes::SYNTAX_TRAILING_COMMA,
                "a statement does not end with a comma",
                self.bad,
                "not needed",
            )
            .help("remove the comma; the end of the line ends the statement")
        })
    }

    /// Brackets that do not fit together.
    fn brackets(&self) -> Option<Diagnostic> {
        let mut open: Vec<usize> = Vec::new();
        for at in 0..self.tokens.len() {
            match self.kind(at) {
                Some(Kind::Open) => open.push(at),
                Some(Kind::Close) => match open.pop() {
                    Some(start) if closes(self.text(start)) == self.text(at) => {}
                    Some(start) => return Some(self.mismatch(start, at)),
                    None => return Some(self.unopened(at)),
                },
                _ => {}
            }
        }
        open.pop().map(|start| self.unclosed(start))
    }

    fn mismatch(&self, open: usize, close: usize) -> Diagnostic {
        let (opened, closed) = (self.text(open), self.text(close));
        self.say(
            codes::SYNTAX_UNCLOSED,
            format!("`{opened}` is closed by `{closed}`"),
            self.span(open),
            format!("this needs a `{}`", closes(opened)),
        )
        .at(self.span(close), "and not this")
        .help(format!("write `{}` instead of `{closed}`", closes(opened)))
    }

    fn unopened(&self, close: usize) -> Diagnostic {
        let closed = self.text(close);
        self.say(
            codes::SYNTAX_UNOPENED,
            format!("this `{closed}` closes nothing"),
            self.span(close),
            "nothing is open here",
        )
        .help(format!("remove it, or add the `{}` that it belongs to", opens(closed)))
    }

    fn unclosed(&self, open: usize) -> Diagnostic {
        let opened = self.text(open);
        let last = self.tokens.last().map_or(self.bad, |t| t.span);
        self.say(
            codes::SYNTAX_UNCLOSED,
            format!("this `{opened}` is never closed"),
            self.span(open),
            "opened here",
        )
        .at(Span::new(last.end, last.end), format!("a `{}` may be missing here", closes(opened)))
        .help(format!("add a `{}`", closes(opened)))
    }

    /// A word that cannot start a statement here, or a setting without its `=`.
    fn first_word(&self) -> Option<Diagnostic> {
        let word = self.text(0);
        if self.bad.start != self.start || self.kind(0) != Some(Kind::Word) {
            return None;
        }
        if self.place.words().contains(&word) {
            return (self.text(1) == ":").then(|| self.keyword_colon(word));
        }
        match self.text(1) {
            "=" if self.place == Place::File => Some(self.setting_outside()),
            ":" if self.place.has_settings() => Some(self.colon_for_equals()),
            "=" | "[" if self.place == Place::Layer => None,
            "=" => None,
            _ => self.unknown_word(word),
        }
    }

    fn setting_outside(&self) -> Diagnostic {
        let name = self.text(0);
        self.say(
            codes::SYNTAX_UNEXPECTED,
            "a setting cannot stand outside of an experiment",
            self.span(0),
            "a setting",
        )
        .help(format!("move it into the braces of an `experiment`, or write `param {name} = …`"))
    }

    fn keyword_colon(&self, word: &str) -> Diagnostic {
        self.say(codes::SYNTAX_UNEXPECTED, format!("no `:` follows `{word}`"), self.span(1), "not needed")
            .help(format!(
                "write `{word} {}`",
                if self.kind(2) == Some(Kind::Word) { self.text(2) } else { "…" }
            ))
    }

    fn colon_for_equals(&self) -> Diagnostic {
        let name = self.text(0);
        self.say(codes::SYNTAX_EQUALS, format!("`{name}` is set with `=`"), self.span(1), "expected `=`")
            .help(format!("write `{name} = …`; `:` names the arguments inside of parentheses"))
    }

    fn unknown_word(&self, word: &str) -> Option<Diagnostic> {
        let takes_name = matches!(self.kind(1), Some(Kind::Word | Kind::Str))
            || self.text(1) == "("
            || self.kind(1).is_none();
        if takes_name && let Some(home) = Place::of_word(word) {
            return Some(self.misplaced(word, home));
        }
        if takes_name && let Some(near) = did_you_mean(word, self.place.words().iter().copied()) {
            return Some(self.misspelt(word, near));
        }
        let settings = matches!(self.place, Place::Schema | Place::Experiment);
        match self.kind(1) {
            Some(Kind::Word | Kind::Number | Kind::Str | Kind::Open) if settings => {
                Some(self.missing_equals(word))
            }
            _ if self.place == Place::File => Some(self.no_item(word)),
            _ => None,
        }
    }

    fn misspelt(&self, word: &str, near: &str) -> Diagnostic {
        let message =
            format!("`{word}` starts no {}", if self.place == Place::File { "item" } else { "statement" });
        self.say(codes::SYNTAX_KEYWORD, message, self.span(0), "unknown")
            .help(format!("did you mean `{near}`?"))
    }

    fn misplaced(&self, word: &str, home: Place) -> Diagnostic {
        let message = match self.place {
            Place::File => format!("`{word}` cannot stand outside of braces"),
            _ => format!("`{word}` cannot stand in {}", self.place.name()),
        };
        let help = match home {
            Place::File => format!("it belongs outside of all braces; close the braces before `{word}`"),
            _ => format!("it belongs into the braces of {}", home.name()),
        };
        self.say(codes::SYNTAX_UNEXPECTED, message, self.span(0), "not here").help(help)
    }

    fn missing_equals(&self, word: &str) -> Diagnostic {
        let at = Span::new(self.span(0).end, self.span(1).start.max(self.span(0).end));
        let value =
            Span::new(self.span(1).start, self.bad.end).text(self.source).lines().next().unwrap_or("").trim();
        let value = if value.len() > 40 || value.ends_with('{') { "…" } else { value };
        self.say(codes::SYNTAX_EQUALS, format!("`{word}` is set without `=`"), at, "expected `=`")
            .help(format!("write `{word} = {value}`"))
    }

    fn no_item(&self, word: &str) -> Diagnostic {
        self.say(codes::SYNTAX_KEYWORD, format!("`{word}` starts no item"), self.span(0), "unknown")
            .help(format!("an item starts with {}", one_of(&ITEM_WORDS)))
    }

    /// An edge type that is not written `a -r-> b`.
    fn arrow(&self) -> Option<Diagnostic> {
        let about_edges = matches!(self.text(0), "edge" | "encode" | "predict" | "write");
        if !about_edges {
            return None;
        }
        let head = self.tokens.iter().position(|t| matches!(t.text(self.source), "from" | "=" | "{"));
        let head = head.unwrap_or(self.tokens.len());
        let from = (1..head).find(|at| self.is_dash(at + 1) && self.kind(*at) == Some(Kind::Word))?;
        let to = (from + 1..head).take_while(|at| self.is_dash(*at) || self.kind(*at) == Some(Kind::Word));
        let run: Vec<usize> = std::iter::once(from).chain(to).collect();
        self.arrow_of(&run)
    }

    fn is_dash(&self, at: usize) -> bool {
        matches!(self.text(at), "-" | ">" | ">>" | "[" | "]" | ".." | "--")
            || self.kind(at) == Some(Kind::Arrow)
    }

    /// The message for the run of names and dashes, unless it is an edge type as it should be.
    fn arrow_of(&self, run: &[usize]) -> Option<Diagnostic> {
        let at = self.span(*run.first()?).to(self.span(*run.last()?));
        let column = run.iter().any(|i| self.text(*i).contains('['));
        let names: Vec<&str> = run
            .iter()
            .map(|i| self.text(*i).trim_matches(['-', '>', '[', ']']))
            .filter(|name| !name.is_empty() && *name != "..")
            .collect();
        let right = match names.as_slice() {
            [src, rel, dst] if column => format!("{src} -[{rel}]-> {dst}"),
            [src, rel, dst] => format!("{src} -{rel}-> {dst}"),
            _ => return None,
        };
        let is_right = run.len() == 3 && self.kind(run[1]) == Some(Kind::Arrow);
        (!is_right).then(|| {
            self.say(codes::SYNTAX_ARROW, "an edge type is written `source -relation-> target`", at, "not so")
                .help(format!("write `{right}`"))
        })
    }

    /// Reads the statement by itself and tells where that gives up.
    fn strictly(&self, text: &str) -> Diagnostic {
        let piece = text.get(self.start as usize..self.bad.end as usize).unwrap_or("");
        match Grammar::parse(self.place.strict(), piece) {
            Err(error) => self.expected(error),
            Ok(_) => self.say(codes::SYNTAX_UNEXPECTED, "this cannot stand here", self.bad, "unexpected"),
        }
    }

    fn expected(&self, error: Error<Rule>) -> Diagnostic {
        let offset = match error.location {
            InputLocation::Pos(at) => at,
            InputLocation::Span((at, _)) => at,
        };
        let at = self.start + offset as u32;
        let index = self.tokens.partition_point(|t| t.span.end <= at);
        let positives = match error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives,
            ErrorVariant::CustomError { .. } => Vec::new(),
        };
        self.colon(index)
            .or_else(|| self.strange(index))
            .or_else(|| self.spaced_call(index))
            .unwrap_or_else(|| self.expected_at(index, &positives))
    }

    /// A character that the language does not use.
    fn strange(&self, at: usize) -> Option<Diagnostic> {
        let text = self.text(at);
        let help = match text {
            "“" | "”" | "„" | "'" | "‘" | "’" => "strings stand in straight double quotes: `\"…\"`",
            "#" => "comments start with `//`",
            "&" | "|" | "!" => {
                "there are no `and`, `or`, `not` here; write the condition with `*`, `+` and comparisons"
            }
            _ if self.kind(at) == Some(Kind::Strange) => "remove it",
            _ => return None,
        };
        let name = shown(self.tokens[at], self.source);
        let message = format!("{name} has no meaning here");
        Some(self.say(codes::SYNTAX_UNEXPECTED, message, self.span(at), "unexpected").help(help))
    }

    /// `f (x)`
    fn spaced_call(&self, at: usize) -> Option<Diagnostic> {
        let before = self.kind(at.checked_sub(1)?)?;
        let open = matches!(self.text(at), "(" | "[");
        let gap = Span::new(self.span(at - 1).end, self.span(at).start);
        if !open || gap.is_empty() || !matches!(before, Kind::Word | Kind::Close) {
            return None;
        }
        let (name, bracket) = (self.text(at - 1), self.text(at));
        let message = format!("`{bracket}` has to stand right behind `{name}`");
        let found = self.say(codes::SYNTAX_UNEXPECTED, message, gap, "a space too many");
        Some(found.help(format!(
            "write `{name}{bracket}…{}` without the space, or an operator between",
            closes(bracket)
        )))
    }

    /// `f(name = value)`
    fn colon(&self, at: usize) -> Option<Diagnostic> {
        let depth: i32 = self.tokens[..at.min(self.tokens.len())]
            .iter()
            .map(|t| match t.kind {
                Kind::Open => 1,
                Kind::Close => -1,
                _ => 0,
            })
            .sum();
        let named = at > 0 && self.kind(at - 1) == Some(Kind::Word);
        if self.text(at) != "=" || depth == 0 || !named {
            return None;
        }
        let name = self.text(at - 1);
        let found =
            self.say(codes::SYNTAX_COLON, "arguments are named with `:`", self.span(at), "expected `:`");
        Some(found.help(format!("write `{name}: …`")))
    }

    fn expected_at(&self, at: usize, positives: &[Rule]) -> Diagnostic {
        let (found, place) = match self.tokens.get(at) {
            Some(token) => (shown(*token, self.source), token.span),
            None => {
                let end = self.tokens.last().map_or(self.bad.end, |t| t.span.end);
                ("the end of the statement".to_owned(), Span::new(end, end))
            }
        };
        let wanted = words(positives);
        if wanted.is_empty() {
            return self.say(
                codes::SYNTAX_UNEXPECTED,
                format!("{found} cannot stand here"),
                place,
                "unexpected",
            );
        }
        let list = either(&wanted);
        self.say(
            codes::SYNTAX_EXPECTED,
            format!("expected {list}, found {found}"),
            place,
            format!("expected {list}"),
        )
        .help_opt(self.expected_help(at, positives, &wanted))
    }

    fn expected_help(&self, at: usize, positives: &[Rule], wanted: &[&'static str]) -> Option<String> {
        let keywords =
            wanted.iter().map(|w| w.trim_matches('`')).filter(|w| w.chars().all(char::is_alphabetic));
        if let Some(near) = did_you_mean(self.text(at), keywords) {
            return Some(format!("did you mean `{near}`?"));
        }
        let value = matches!(self.kind(at)?, Kind::Word | Kind::Number | Kind::Str);
        (value && follows_value(positives))
            .then(|| "an operator or a comma may be missing before it".to_owned())
    }
}

fn closes(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

fn opens(close: &str) -> &'static str {
    match close {
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}

fn shown(token: Token, source: &str) -> String {
    let text = token.text(source);
    match token.kind {
        Kind::Str => "a string".to_owned(),
        Kind::Strange if text.chars().all(char::is_control) => {
            format!("the character {}", text.escape_unicode())
        }
        _ => format!("`{text}`"),
    }
}

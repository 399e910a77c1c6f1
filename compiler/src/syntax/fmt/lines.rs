//! From tokens to lines: where lines break, what stands between two tokens of a line, how far a line is indented.

use super::super::lex::{Kind, Token, lex};
use super::super::parse::{Class, Layout};
use super::INDENT;

/// One line of the result.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub blank_before: bool,
    pub indent: usize,
    pub pieces: Vec<Piece>,
    /// Spaces before it, and the comment at the end, or alone on the line.
    pub comment: Option<(usize, String)>,
    /// What kind of statement begins here, if one does.
    pub class: Option<Class>,
    /// The pieces that are the `:` and the `=` of the statement.
    pub colon: Option<usize>,
    pub equals: Option<usize>,
}

/// A token and the spaces before it.
#[derive(Debug)]
pub(super) struct Piece {
    pub gap: usize,
    pub text: String,
    pub kind: Kind,
}

impl Line {
    /// Characters before the piece `end`, indentation and the gap before it left out.
    pub fn width(&self, end: usize) -> usize {
        self.pieces[..end.min(self.pieces.len())].iter().map(|p| p.gap + p.text.chars().count()).sum()
    }

    pub fn is_comment(&self) -> bool {
        self.pieces.is_empty() && self.comment.is_some()
    }
}

/// A token with what stood before it.
struct Item<'a> {
    token: Token,
    text: &'a str,
    /// Line breaks before it: those that were there and those that the layout wants.
    breaks: usize,
    /// Nothing stood between it and the one before.
    glued: bool,
    /// For a bracket: how it is laid out.
    group: Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    None,
    /// `(…)`, `[…]`, and the braces of `use a.{b, c}`.
    Tight,
    /// The same with a line break behind the opening one.
    TightBroken,
    /// `{ … }` on one line.
    Inline,
    /// `{`, statements on lines of their own, `}`.
    Block,
}

impl Group {
    fn is_tight(self) -> bool {
        matches!(self, Group::Tight | Group::TightBroken)
    }

    /// The closing bracket stands on a line of its own.
    fn is_broken(self) -> bool {
        matches!(self, Group::Block | Group::TightBroken)
    }
}

pub(super) fn lines(source: &str, layout: &Layout) -> Vec<Line> {
    let mut items = items(source);
    mark_groups(&mut items);
    let items = break_statements(items);
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Vec<Group> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if item.breaks > 0 || lines.is_empty() {
            lines.push(start_line(&items, at, layout));
        }
        let Some(line) = lines.last_mut() else { continue };
        if item.token.is_comment() {
            line.comment = Some((2, item.text.to_owned()));
            continue;
        }
        note_signs(line, item, &open);
        let gap = if line.pieces.is_empty() { 0 } else { gap(&items, at, line, &open, layout) };
        line.pieces.push(Piece { gap, text: item.text.to_owned(), kind: item.token.kind });
        match item.token.kind {
            Kind::Open => open.push(item.group),
            Kind::Close => drop(open.pop()),
            _ => {}
        }
    }
    lines
}

fn items(source: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let (mut breaks, mut glued) = (0, false);
    for token in lex(source) {
        match token.kind {
            Kind::Newline => breaks += 1,
            Kind::Space => glued = false,
            _ => {
                let text = token.text(source);
                items.push(Item { token, text, breaks, glued: glued && breaks == 0, group: Group::None });
                (breaks, glued) = (0, true);
            }
        }
    }
    items
}

/// Says of every bracket how its group is laid out.
fn mark_groups(items: &mut [Item<'_>]) {
    let mut open: Vec<(usize, bool)> = Vec::new();
    for at in 0..items.len() {
        if items[at].breaks > 0 {
            open.iter_mut().for_each(|(_, broken)| *broken = true);
        }
        match items[at].token.kind {
            Kind::Open => open.push((at, false)),
            Kind::Close => {
                let Some((start, broken)) = open.pop() else { continue };
                let import = start > 0 && items[start - 1].text == ".";
                let block = items[start].text == "{" && !import;
                let group = match (block, broken) {
                    (true, true) => Group::Block,
                    (true, false) => Group::Inline,
                    (false, _) if breaks_behind(items, start) => Group::TightBroken,
                    (false, _) => Group::Tight,
                };
                (items[start].group, items[at].group) = (group, group);
            }
            _ => {}
        }
    }
}

/// Whether a line break follows the item, with a comment before it or not.
fn breaks_behind(items: &[Item<'_>], at: usize) -> bool {
    items.get(at + 1).is_some_and(|next| next.breaks > 0 || next.token.is_comment())
}

/// Puts statements on lines of their own where they are not in a block on one line, and drops the `;` that are not needed.
fn break_statements(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let mut kept: Vec<Item<'_>> = Vec::with_capacity(items.len());
    let mut open: Vec<Group> = Vec::new();
    let mut pending = 0;
    let mut separator = false;
    for mut item in items {
        if item.text == ";" && item.token.kind == Kind::Mark {
            separator = true;
            pending = pending.max(item.breaks);
            continue;
        }
        item.breaks = item.breaks.max(pending);
        pending = 0;
        let inline = open.last() == Some(&Group::Inline);
        let behind = kept.last().map(|i: &Item<'_>| (i.token.kind, i.group));
        let behind_block = matches!(behind, Some((Kind::Open, Group::Block)));
        let behind_brace = matches!(behind, Some((Kind::Close, Group::Block | Group::Inline)));
        let closes_block = item.token.kind == Kind::Close && item.group.is_broken();
        let wanted = behind_block || closes_block || ((separator || behind_brace) && !inline);
        if wanted && !item.token.is_comment() && !kept.is_empty() {
            item.breaks = item.breaks.max(1);
        }
        let between = behind.is_some_and(|(kind, _)| kind != Kind::Open) && item.token.kind != Kind::Close;
        if separator && inline && between && !item.token.is_comment() {
            kept.push(semicolon(&item));
        }
        separator = separator && item.token.is_comment();
        match item.token.kind {
            Kind::Open => open.push(item.group),
            Kind::Close => drop(open.pop()),
            _ => {}
        }
        kept.push(item);
    }
    kept
}

fn semicolon<'a>(before: &Item<'_>) -> Item<'a> {
    let token = Token { kind: Kind::Mark, span: before.token.span };
    Item { token, text: ";", breaks: 0, glued: true, group: Group::None }
}

fn start_line(items: &[Item<'_>], at: usize, layout: &Layout) -> Line {
    let item = &items[at];
    let after_open = at > 0 && items[at - 1].group == Group::Block && items[at - 1].token.kind == Kind::Open;
    let closes = item.token.kind == Kind::Close;
    let class = layout.class_at(item.token.span.start);
    Line { blank_before: item.breaks > 1 && !after_open && !closes, class, ..Line::default() }
}

/// Remembers the first `=` of the statement that the line begins with, and the `:` before it; a block on the line makes it
/// one whose signs are not aligned.
fn note_signs(line: &mut Line, item: &Item<'_>, open: &[Group]) {
    if item.text == "{" && !item.group.is_tight() && item.token.kind == Kind::Open {
        line.class = line.class.map(|_| Class::Other);
    }
    let at = line.pieces.len();
    if open.last().is_some_and(|g| g.is_tight()) || line.class.is_none() {
        return;
    }
    match item.text {
        "=" if line.equals.is_none() => line.equals = Some(at),
        ":" if line.equals.is_none() && line.colon.is_none() => line.colon = Some(at),
        _ => {}
    }
}

/// The spaces between an item and the one before it on its line.
fn gap(items: &[Item<'_>], at: usize, line: &Line, open: &[Group], layout: &Layout) -> usize {
    let (before, item) = (&items[at - 1], &items[at]);
    let is = |i: &Item<'_>, text: &str| i.text == text && i.token.kind == Kind::Mark;
    let tight_open = before.token.kind == Kind::Open && before.group.is_tight();
    let tight_close = item.token.kind == Kind::Close && item.group.is_tight();
    let empty_block = before.token.kind == Kind::Open && item.token.kind == Kind::Close;
    let sign = layout.is_sign(before.token.span.start) && is(before, "-");
    let attached = is(item, ",") || is(item, ";") || is(item, "%");
    if tight_open || tight_close || empty_block || sign || attached {
        return 0;
    }
    if is(item, ":") {
        return usize::from(
            line.colon == Some(line.pieces.len()) && !open.last().is_some_and(|g| g.is_tight()),
        );
    }
    if is(item, ".") || is(before, ".") {
        let dot = if is(item, ".") { item } else { before };
        return usize::from(!dot.glued);
    }
    match item.text {
        "(" | "[" if layout.is_attached(item.token.span.start) => 0,
        "(" | "[" if layout.is_keyword(before.token.span.start) => 1,
        "(" | "[" if item.token.kind == Kind::Open => usize::from(!item.glued || !can_be_called(before)),
        _ => 1,
    }
}

/// Whether a bracket right behind it is its call or its index.
fn can_be_called(before: &Item<'_>) -> bool {
    matches!(before.token.kind, Kind::Word | Kind::Close)
}

/// Indents every line by the brackets that are open, and lines that go on with a statement to where its value begins.
pub(super) fn indent(lines: &mut [Line]) {
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    let mut value: Option<usize> = None;
    for line in lines.iter_mut() {
        let closing = line.pieces.iter().take_while(|p| p.kind == Kind::Close).count();
        let closed = closing.min(open.len());
        let first = open.len() - closed;
        let level = open
            .get(first)
            .map_or_else(|| open.last().map_or(0, |(base, _)| base + INDENT), |(base, _)| *base);
        if closed > 0 {
            value = open[first].1;
        }
        let inside = if closed > 0 { first.checked_sub(1) } else { open.len().checked_sub(1) };
        let in_tight = inside.is_some_and(|i| open[i].1.is_some());
        let goes_on = line.class.is_none() && closed == 0 && !line.is_comment() && !in_tight;
        line.indent = if goes_on { value.unwrap_or(level + INDENT) } else { level };
        if line.class.is_some() {
            value = Some(value_column(line));
        }
        brackets(line, &mut open, value);
    }
}

/// Where the value of the statement that begins on this line begins.
fn value_column(line: &Line) -> usize {
    match line.equals {
        Some(at) if at + 1 < line.pieces.len() => line.indent + line.width(at + 1) + 1,
        _ => line.indent + INDENT,
    }
}

/// Brings the stack of open brackets to the end of the line: the indent of the line that opened each, and for those that are
/// no blocks the column at which their statement goes on.
fn brackets(line: &Line, open: &mut Vec<(usize, Option<usize>)>, value: Option<usize>) {
    for piece in &line.pieces {
        match piece.kind {
            Kind::Open => {
                let block = piece.text == "{";
                open.push((
                    line.indent,
                    if block { None } else { Some(value.unwrap_or(line.indent + INDENT)) },
                ));
            }
            Kind::Close => drop(open.pop()),
            _ => {}
        }
    }
}

//! Sources and their columns: paths, headers, and what to say of a column that is not there.

use std::sync::Arc;

use gsl_plan::graph::{KeyKind, Source};

use super::old::OldColumn;
use super::source::source_of;
use crate::diag::{Diagnostic, codes, did_you_mean};
use crate::sema::cx::{Cx, and_list};
use crate::sema::value::Env;
use crate::syntax::ast::{Expr, Ident, SourceKind, Span};
use crate::world::{ColumnHeader, ColumnKind, Header, WorldError};

/// The columns of a node type or an edge type, from all the sources that it joins.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub sources: Vec<Source>,
    pub headers: Vec<Arc<Header>>,
    /// Every header could be read, so that a column that is not found does not exist.
    complete: bool,
}

impl Table {
    /// Reads the headers of what follows `from`; joins go on the key.
    pub fn open(cx: &mut Cx, env: &Env, source: &crate::syntax::ast::Source) -> Table {
        let SourceKind::Tables { files, joins } = &source.kind else { return Table::default() };
        let mut table = Table { complete: true, ..Table::default() };
        table.add(cx, env, files, source.span);
        for join in joins {
            table.add(cx, env, &join.files, join.span);
        }
        table
    }

    /// The columns of sources whose paths are known.
    pub fn of(cx: &mut Cx, sources: &[Source], span: Span) -> Table {
        let mut table =
            Table { sources: sources.to_vec(), headers: Vec::new(), complete: !sources.is_empty() };
        for source in sources {
            match cx.header(source) {
                Ok(header) => table.headers.push(header),
                Err(error) => {
                    table.complete = false;
                    report_once(cx, source, error, span);
                }
            }
        }
        table
    }

    fn add(&mut self, cx: &mut Cx, env: &Env, files: &[Expr], span: Span) {
        let Some(source) = source_of(cx, env, files).filter(|source| !source.paths.is_empty()) else {
            self.complete = false;
            return;
        };
        match cx.header(&source) {
            Ok(header) => self.headers.push(header),
            Err(error) => {
                self.complete = false;
                let place =
                    files.first().map_or(span, |f| f.span.to(files.last().map_or(f.span, |l| l.span)));
                cx.unreadable.push(source.clone());
                report(cx, error, place);
            }
        }
        self.sources.push(source);
    }

    /// Reads the columns as those of an older table of the same declaration, of which these are new rows.
    pub fn like(mut self, old: Vec<OldColumn>) -> Table {
        for old in old {
            let found = self.headers.iter().position(|header| header.column(&old.name).is_some());
            match (found, self.headers.last_mut()) {
                (Some(at), _) => old.settle(Arc::make_mut(&mut self.headers[at])),
                (None, Some(last)) if !old.needed => Arc::make_mut(last).columns.push(old.header()),
                _ => {}
            }
        }
        self
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The column of this name; one that does not exist is reported.
    pub fn column(&self, cx: &mut Cx, name: &str, span: Span) -> Option<ColumnHeader> {
        let found = self.headers.iter().find_map(|h| h.column(name));
        if found.is_none() && self.complete {
            self.report_missing(cx, name, span);
        }
        found.cloned()
    }

    pub fn column_of(&self, cx: &mut Cx, name: &Ident) -> Option<ColumnHeader> {
        self.column(cx, &name.text, name.span)
    }

    /// `packages.parquet`, or `papers.csv and public.csv`.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|h| h.name.as_str()).collect();
        and_list(&names)
    }

    fn report_missing(&self, cx: &mut Cx, name: &str, span: Span) {
        let names: Vec<&str> = self.headers.iter().flat_map(|h| h.names()).collect();
        let near = did_you_mean(name, names.iter().copied())
            .and_then(|near| self.headers.iter().find_map(|h| h.column(near)))
            .map(|c| format!("did you mean `{}` ({})?", c.name, c.describe()));
        let all = || (!names.is_empty() && names.len() <= 24).then(|| format!("it has {}", and_list(&names)));
        let verb = if self.headers.len() > 1 { "have" } else { "has" };
        let message = format!("{} {verb} no column `{name}`", self.name());
        let diagnostic =
            Diagnostic::new(codes::SCHEMA_NO_SUCH_COLUMN, message).at(span, "not a column").help_opt(
                self.other_separator().or(near).or_else(all).map(|help| self.beyond_sample(name, help)),
            );
        cx.report(diagnostic);
    }

    /// What to say where a header line is one name with separators in it.
    fn other_separator(&self) -> Option<String> {
        self.headers.iter().find_map(|header| {
            let [only] = header.columns.as_slice() else { return None };
            let separator = [';', '\t', '|', ','].into_iter().find(|c| only.name.contains(*c))?;
            let say = match separator {
                '\t' => "tsv(\"…\")".to_owned(),
                other => format!("csv(\"…\", separator: \"{other}\")"),
            };
            let name = only.name.replace('\t', "\\t");
            Some(format!(
                "the header line of `{}` is one column, `{name}`: say what parts it, `{say}`",
                header.name
            ))
        })
    }

    /// Keys of objects may stand further down than they were looked for.
    fn beyond_sample(&self, name: &str, help: String) -> String {
        match self.headers.iter().find_map(|header| header.looked_at) {
            Some(rows) => format!(
                "{help}; keys were looked for in the first {rows} objects: one that comes later has its kind stated, \
                 `json(\"…\", float: [{name}])`"
            ),
            None => help,
        }
    }

    fn first_text(&self, cx: &Cx, column: &str) -> Option<String> {
        let at = self.headers.iter().position(|header| header.column(column).is_some())?;
        cx.world.first_text(self.sources.get(at).filter(|_| self.complete)?, column)
    }

    /// Why a column is text, of which another kind is wanted, and what can be done. None where no cell stands out.
    pub fn why_text(&self, column: &str) -> Option<String> {
        let found = self.headers.iter().find_map(|h| h.column(column))?;
        if found.guessed && found.type_name == "empty" {
            let say = format!("state what it holds: `float: [{column}]`");
            return Some(format!("`{column}` is empty in the first rows, and taken for text; {say}"));
        }
        let odd = found.odd.as_ref()?;
        let remedy = match odd.is_exception {
            true => format!("; correct it, or call it missing: `missing: [\"{}\"]`", odd.cell),
            false => String::new(),
        };
        Some(format!("`{column}` is text: {}{remedy}", odd.place))
    }
}

/// Two things to say, if there are two.
pub fn both(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}; {second}")),
        (first, second) => first.or(second),
    }
}

/// How dates and times are written.
pub const DATES: &str = "dates are written `2018-03-31`, times `2018-03-31T12:30` or `2018-03-31 12:30:00.5`, with `Z` or an offset \
                         such as `+02:00` behind; rewrite others in the table";

/// The paths of `files(train: "a.csv", …)`.
pub fn files_source(cx: &mut Cx, env: &Env, expr: &Expr) -> Option<Source> {
    let source = source_of(cx, env, std::slice::from_ref(expr))?;
    if let Err(error) = cx.header(&source) {
        report_once(cx, &source, error, expr.span);
    }
    Some(source)
}

/// The same as [`report`] of a table that more than one place may read.
fn report_once(cx: &mut Cx, source: &Source, error: WorldError, span: Span) {
    if !cx.unreadable.contains(source) {
        cx.unreadable.push(source.clone());
        report(cx, error, span);
    }
}

/// Says that something of the world is not there, or cannot be read.
pub fn report(cx: &mut Cx, error: WorldError, span: Span) {
    let message = error.to_string();
    let diagnostic = match error {
        WorldError::NotFound { help, .. } => {
            let help = help.unwrap_or_else(|| "paths are relative to the folder of this file".to_owned());
            Diagnostic::new(codes::SCHEMA_NO_SUCH_FILE, message).at(span, "not found").help(help)
        }
        WorldError::Unreadable { help, .. } => {
            Diagnostic::new(codes::SCHEMA_UNREADABLE, message).at(span, "cannot be read").help_opt(help)
        }
        WorldError::Empty { .. } => {
            let help = "there is nothing to learn from it: fill the table, or leave out what is made of it";
            Diagnostic::new(codes::SCHEMA_UNREADABLE, message).at(span, "without rows").help(help)
        }
    };
    cx.report(diagnostic);
}

/// `installed_size` is an int64
pub fn is_a(column: &ColumnHeader) -> String {
    format!("`{}` is {}", column.name, column.type_name)
}

/// Whether the cells of the column can be identifiers, as text or as integers.
pub fn can_be_key(kind: &ColumnKind) -> bool {
    key_kind(kind).is_some()
}

/// As what identifiers are kept. Floats are integers, as they are written where a column has gaps: one with a fraction is refused by
/// row.
pub fn key_kind(kind: &ColumnKind) -> Option<KeyKind> {
    match kind {
        ColumnKind::Int | ColumnKind::Float => Some(KeyKind::Int),
        ColumnKind::Text => Some(KeyKind::Text),
        _ => None,
    }
}

/// Whether a column holds identifiers that can be compared with keys of kind `wanted`. Integers are compared with texts by their
/// decimal digits, so that no text of another form is the same. One text is looked at here, so that columns which are swapped are found
/// before anything runs; others are refused by row.
pub fn compares(cx: &Cx, table: &Table, column: &ColumnHeader, wanted: KeyKind) -> bool {
    match (&column.kind, wanted) {
        (ColumnKind::Int | ColumnKind::Text, KeyKind::Text) => true,
        (ColumnKind::Float, KeyKind::Text) => column.guessed,
        (ColumnKind::Int | ColumnKind::Float, KeyKind::Int) => true,
        (ColumnKind::Text, KeyKind::Int) => {
            let odd = column.odd.as_ref().map(|odd| odd.cell.clone());
            let shown = odd.or_else(|| table.first_text(cx, &column.name));
            shown.is_some_and(|text| text.parse::<i64>().is_ok())
        }
        _ => false,
    }
}

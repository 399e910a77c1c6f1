//! What follows `from`: paths, or a format that holds them, as in `csv("a.txt", separator: ";")`.

use gsl_plan::graph::{CellKind, Cells, Format, Source};

use crate::diag::{Diagnostic, codes};
use crate::sema::call::Args;
use crate::sema::cx::{Cx, nearest_or_all};
use crate::sema::prelude::prelude;
use crate::sema::value::{Env, Ty, Value, eval};
use crate::syntax::ast::{Arg, Expr, ExprKind, Span};

/// Formats by the name they have in the language.
pub const FORMATS: &[&str] = &["csv", "tsv", "json", "parquet", "hdf5"];

/// The paths of one table and what is said of their format. `None`: a mistake, reported.
pub fn source_of(cx: &mut Cx, env: &Env, files: &[Expr]) -> Option<Source> {
    let parts: Vec<Source> = files
        .iter()
        .map(|file| one_source(cx, env, file))
        .collect::<Vec<_>>()
        .into_iter()
        .collect::<Option<_>>()?;
    let (format, cells) = (parts.first()?.format.clone(), parts.first()?.cells.clone());
    if let Some(odd) = parts.iter().position(|part| part.format != format || part.cells != cells) {
        let help = "put all paths into one: `csv(\"a.txt\", \"b.txt\", separator: \";\")`";
        let message = "a table has one format, stated once";
        cx.error_help(codes::SCHEMA_UNREADABLE, message, files[odd].span, "of another format", help);
        return None;
    }
    Some(Source { paths: parts.into_iter().flat_map(|part| part.paths).collect(), format, cells })
}

fn one_source(cx: &mut Cx, env: &Env, file: &Expr) -> Option<Source> {
    let ExprKind::Call { callee, args } = &file.kind else { return path(cx, env, file) };
    let Some(name) = callee.as_name() else { return path(cx, env, file) };
    if !FORMATS.contains(&name) {
        let diagnostic = Diagnostic::new(codes::NAMES_FORMAT, format!("there is no table format `{name}`"))
            .at(callee.span, "not a format")
            .help_opt(nearest_or_all(name, FORMATS));
        cx.report(diagnostic);
        return None;
    }
    let bound = prelude().signature(name)?.clone().bind(cx, env, args, file.span, &[])?;
    let paths = match bound.get("paths") {
        Value::List(paths) => paths.iter().filter_map(Value::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let format = Some(format_of(cx, name, &bound, args, file.span)?);
    Some(Source { paths, format, cells: cells_of(cx, &bound, args, file.span)? })
}

/// What the call says of the cells: kinds of columns, and what is missing.
fn cells_of(cx: &mut Cx, bound: &Args, args: &[Arg], call: Span) -> Option<Cells> {
    let texts = |name: &str| match bound.get(name) {
        Value::List(items) => items.iter().filter_map(Value::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let mut kinds: Vec<(String, CellKind)> = Vec::new();
    for (name, kind) in CellKind::NAMED {
        for column in texts(name) {
            if kinds.iter().any(|(known, _)| *known == column) {
                let span = written(args, name).unwrap_or(call);
                let message = format!("the kind of `{column}` is stated twice");
                cx.error(codes::ARGS_TWICE, message, span, "the second time");
                return None;
            }
            kinds.push((column, kind));
        }
    }
    Some(Cells { kinds, missing: texts("missing") })
}

fn path(cx: &mut Cx, env: &Env, file: &Expr) -> Option<Source> {
    match eval(cx, env, file, &Ty::Path, false)? {
        Value::Text(path) => Some(Source::of(vec![path])),
        _ => None,
    }
}

fn format_of(cx: &mut Cx, name: &str, bound: &Args, args: &[Arg], call: Span) -> Option<Format> {
    let text = |name: &str| bound.get(name).text().map(str::to_owned);
    Some(match name {
        "csv" | "tsv" => {
            let separator = match name {
                "csv" => one_character(cx, "separator", &text("separator")?, args, call)?,
                _ => '\t',
            };
            let quote = match text("quote")? {
                quote if quote.is_empty() => None,
                quote => Some(one_character(cx, "quote", &quote, args, call)?),
            };
            if quote == Some(separator) {
                let message = "separator and quote are the same character";
                let span = written(args, "quote").or(written(args, "separator")).unwrap_or(call);
                cx.error(codes::ARGS_VALUE, message, span, "cannot be both");
                return None;
            }
            Format::Csv { separator, quote, header: *bound.get("header") == Value::Bool(true) }
        }
        "json" => Format::JsonLines,
        "parquet" => Format::Parquet,
        _ => Format::Hdf5 { group: text("group") },
    })
}

/// A separator or quote is one byte of the file, and ends no line.
fn one_character(cx: &mut Cx, name: &str, text: &str, args: &[Arg], call: Span) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() && !matches!(c, '\n' | '\r') => Some(c),
        _ => {
            let message = format!("`{name}` is one character of ASCII, and no line break");
            let help = match name {
                "separator" => "a tab is written `\"\\t\"`; `tsv(…)` has it already",
                _ => "where nothing is quoted, write `quote: \"\"`",
            };
            let span = written(args, name).unwrap_or(call);
            cx.error_help(codes::ARGS_VALUE, message, span, "not one character", help);
            None
        }
    }
}

fn written(args: &[Arg], name: &str) -> Option<Span> {
    args.iter().find(|arg| arg.name.as_ref().is_some_and(|n| n.text == name)).map(|arg| arg.value.span)
}

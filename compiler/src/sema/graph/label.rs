//! Labels and splits: what is to be predicted, and which rows may teach it.

use gsl_plan::graph::{
    self, Bound, Compare, FeatureExpr, Label, LabelKind, Scalar, Several, Source, Split, Structure, Transform,
};

use super::Resolver;
use super::feature::{FeatureCx, Kind, Resolved};
use super::structure::RowsOf;
use super::table::{both, files_source};
use crate::diag::{Diagnostic, codes};
use crate::sema::value::{Ty, Value, eval};
use crate::syntax::ast::{self, Arg, BinaryOp, Expr, ExprKind, Ident, Span};
use crate::world::{ColumnHeader, ColumnKind};

const PARTS: [&str; 3] = ["train", "valid", "test"];
const RULES: [&str; 4] = ["random", "by", "files", "column"];

/// A label with what the data must still agree to.
#[derive(Debug, Clone)]
pub struct CheckedLabel {
    pub label: Label,
    /// `class(7)`
    pub classes: Option<usize>,
    pub span: Span,
    /// A feature that is reconstructed, which losses and metrics take for a label of numbers.
    pub is_feature: bool,
}

impl CheckedLabel {
    /// What it is, in a message.
    pub fn noun(&self) -> &'static str {
        match self.label.kind {
            _ if self.is_feature => "the numbers of a feature",
            LabelKind::Class => "a label of classes",
            LabelKind::Classes => "a label of several classes",
            LabelKind::Float => "a label that is a number",
        }
    }
}

impl Resolver<'_, '_> {
    /// Exact shares of each class need one class for each row.
    pub(super) fn stratified(&mut self, label: &CheckedLabel, split: &ast::Split) {
        let of_several = label.label.kind == LabelKind::Classes;
        if let (true, Some(Split::Random { stratified: true, .. })) = (of_several, &label.label.split) {
            let help = "leave `stratified` out: the parts are random, and their sizes approximate";
            let message = "a label of several classes has no exact shares of each";
            self.cx.error_help(codes::SCHEMA_SPLIT, message, split.label.span, "", help);
        }
    }
}

impl FeatureCx<'_, '_> {
    pub fn label(&mut self, label: &ast::Label) -> Option<CheckedLabel> {
        let name = &label.name;
        let span = label.value.as_ref().map_or(name.span, |v| v.span);
        let resolved = match &label.value {
            Some(value) => self.expr(value)?,
            None => self.expr(&Expr::new(ExprKind::Name(name.text.clone()), name.span))?,
        };
        if label.ty.as_ref().is_some_and(|ty| ty.name.text == "classes") {
            return self.several(label, &resolved, span);
        }
        let is_number = label.ty.as_ref().is_some_and(|ty| ty.name.text == "float");
        let resolved = self.with_values(resolved, is_number, span)?;
        let (kind, classes) = self.label_kind(label, &resolved, span)?;
        let mut transforms = Vec::new();
        let Some(column) = unwrap(&resolved.expr, &mut transforms) else {
            let help = "a label is a column, or for `float` a column through `log1p`, `sqrt`, `abs`, `clip`";
            self.cx.error_help(codes::SCHEMA_LABEL, "a label cannot be computed like this", span, "", help);
            return None;
        };
        if kind == LabelKind::Class && !transforms.is_empty() {
            let help = format!("write `label {} : class = {column}`", name.text);
            let message = "classes are taken as they stand in the table";
            self.cx.error_help(codes::SCHEMA_LABEL, message, span, "a transform", help);
            return None;
        }
        let label = Label {
            name: name.text.clone(),
            column,
            kind,
            transforms,
            several: Several::default(),
            split: None,
        };
        Some(CheckedLabel { label, classes, span: name.span, is_feature: false })
    }

    /// A column without any value teaches nothing. Where only some of its rows were looked at, what is stated is believed: values may
    /// stand below.
    fn with_values(&mut self, resolved: Resolved, is_number: bool, span: Span) -> Option<Resolved> {
        let FeatureExpr::Column { column, .. } = &resolved.expr else { return Some(resolved) };
        let Some(header) = self.table.column(self.cx, column, span) else { return Some(resolved) };
        if !matches!(header.type_name.as_str(), "empty" | "null") {
            return Some(resolved);
        }
        if header.guessed {
            let kind = if is_number { graph::ColumnKind::Number } else { graph::ColumnKind::Text };
            let expr = FeatureExpr::Column { column: header.name, kind };
            return Some(Resolved { expr, kind: Kind::Unknown });
        }
        let message = format!("`{column}` has no value in any row");
        let help = "a label needs rows that have it: name another column, or fill this one";
        self.cx.error_help(codes::SCHEMA_LABEL, message, span, "empty", help);
        None
    }

    fn label_kind(
        &mut self,
        label: &ast::Label,
        resolved: &Resolved,
        span: Span,
    ) -> Option<(LabelKind, Option<usize>)> {
        let kind = &resolved.kind;
        let Some(ty) = &label.ty else { return self.inferred(&label.name, kind, span).map(|k| (k, None)) };
        let found = match ty.name.text.as_str() {
            "class" => LabelKind::Class,
            "float" => LabelKind::Float,
            other => {
                let known = ["class", "float", "classes"];
                self.cx.unknown(codes::NAMES_TYPE, "label type", other, ty.name.span, known);
                return None;
            }
        };
        let fits = match found {
            LabelKind::Classes => false,
            LabelKind::Class => {
                matches!(kind, Kind::Int | Kind::Float | Kind::Bool | Kind::Text | Kind::Unknown)
            }
            LabelKind::Float => matches!(kind, Kind::Int | Kind::Float | Kind::Bool | Kind::Unknown),
        };
        if !fits {
            let help = match found {
                LabelKind::Class => format!("write `label {} : float` to predict a number", label.name),
                _ => format!("write `label {} : class` to predict a class", label.name),
            };
            let message = format!("{} cannot be the label type `{}`", kind.describe(), ty.name.text);
            let diagnostic = Diagnostic::new(codes::SCHEMA_LABEL, message)
                .at(span, kind.describe())
                .at(ty.span, "stated here")
                .help_opt(both(self.why_text(&resolved.expr), Some(help)));
            self.cx.report(diagnostic);
            return None;
        }
        Some((found, stated_classes(ty)))
    }

    /// `label topics : classes = multi_hot(topics, separator: ";")`, or a column of lists.
    fn several(&mut self, label: &ast::Label, resolved: &Resolved, span: Span) -> Option<CheckedLabel> {
        let (cells, several) = match (&resolved.expr, &resolved.kind) {
            (FeatureExpr::Apply { transform: Transform::MultiHot { .. }, input }, _)
                if is_list_of_texts(input) =>
            {
                (Some(&**input), Several::Names)
            }
            (FeatureExpr::Apply { transform: Transform::MultiHot { separator }, input }, _) => {
                (Some(&**input), Several::Parted(separator.clone()))
            }
            (column @ FeatureExpr::Column { .. }, Kind::Texts) => (Some(column), Several::Names),
            (column @ FeatureExpr::Column { .. }, Kind::Vector(_) | Kind::Unknown) => {
                (Some(column), Several::Numbers)
            }
            _ => (None, Several::default()),
        };
        let Some(column) = cells.and_then(|cells| unwrap(cells, &mut Vec::new())) else {
            let help = match resolved.kind {
                Kind::Text => "say what parts the classes: `multi_hot(column, separator: \";\")`",
                _ => "several classes are a text through `multi_hot`, or a column of lists",
            };
            let message = format!("{} does not hold several classes", resolved.kind.describe());
            self.cx.error_help(codes::SCHEMA_LABEL, message, span, resolved.kind.describe(), help);
            return None;
        };
        let (name, transforms, kind) = (label.name.text.clone(), Vec::new(), LabelKind::Classes);
        let classes = label.ty.as_ref().and_then(stated_classes);
        let found = Label { name, column, kind, transforms, several, split: None };
        Some(CheckedLabel { label: found, classes, span: label.name.span, is_feature: false })
    }

    fn inferred(&mut self, name: &Ident, kind: &Kind, span: Span) -> Option<LabelKind> {
        match kind {
            Kind::Text | Kind::Bool | Kind::Unknown => Some(LabelKind::Class),
            Kind::Float => Some(LabelKind::Float),
            Kind::Int => {
                let help = format!("write `label {name} : class` or `label {name} : float`");
                let message = "integers can be classes or numbers";
                self.cx.error_help(codes::SCHEMA_LABEL, message, span, "which of the two?", help);
                None
            }
            other => {
                let message = format!("{} is no label", other.describe());
                self.cx.error(codes::SCHEMA_LABEL, message, span, other.describe());
                None
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------------- splits

    pub fn split(&mut self, split: &ast::Split) -> Option<Split> {
        let (rule, options) = split.value.split_first()?;
        let mut found = match &rule.value.kind {
            ExprKind::By { column, parts } => self.by(column, parts, rule.span)?,
            ExprKind::Bad => return None,
            _ => self.rule(&rule.value, options)?,
        };
        for option in options {
            self.option(option, &mut found);
        }
        Some(found)
    }

    fn rule(&mut self, rule: &Expr, _options: &[Arg]) -> Option<Split> {
        match rule.as_call() {
            Some(("random", args)) => self.random(args, rule.span),
            Some(("files", args)) => self.files(args, rule.span),
            Some(("column", [arg])) if arg.name.is_none() => {
                let path = arg.value.as_path().and_then(|p| p.as_name().cloned());
                let Some(name) = path else { return self.bad_split(arg.span, "expected a column") };
                if let Some(column) = self.table.column_of(self.cx, &name) {
                    self.merged_for_parts(column, name.span)?;
                }
                Some(Split::Column { column: name.text })
            }
            Some(("column", _)) => self.bad_split(rule.span, "`column` takes the name of one column"),
            Some((name, _)) => {
                self.cx.unknown(codes::SCHEMA_SPLIT, "split rule", name, rule.span, RULES);
                None
            }
            None => self.bad_split(rule.span, "this is no rule for a split"),
        }
    }

    fn bad_split<T>(&mut self, span: Span, message: &str) -> Option<T> {
        let help = "write `random(train: 80%, valid: 10%, test: 10%)`, `by year (train: < 2018, valid: 2018, \
                    test: > 2018)`, `column(fold)` or `files(train: \"train.csv\", …)`";
        self.cx.error_help(codes::SCHEMA_SPLIT, message, span, "", help);
        None
    }

    fn option(&mut self, option: &Arg, split: &mut Split) {
        let is_stratified = option.value.as_name() == Some("stratified");
        match split {
            Split::Random { stratified, .. } if is_stratified => *stratified = true,
            _ if is_stratified => {
                self.bad_split::<()>(option.span, "only a `random` split can be stratified");
            }
            _ => {
                let name = option.value.as_name().unwrap_or("this").to_owned();
                self.cx.unknown(codes::SCHEMA_SPLIT, "split option", &name, option.span, ["stratified"]);
            }
        }
    }

    fn random(&mut self, args: &[Arg], span: Span) -> Option<Split> {
        let signature = self.prelude.signature("random")?.clone();
        let args = signature.bind(self.cx, self.env, args, span, &[])?;
        let part = |name| args.float(name).unwrap_or(0.0);
        let (train, valid, test) = (part("train"), part("valid"), part("test"));
        let sum = train + valid + test;
        if [train, valid, test].iter().any(|x| !(0.0..=1.0).contains(x)) || sum > 1.0 + 1e-9 {
            let message = format!("the parts sum to {}%", (sum * 1e4).round() / 1e2);
            let help = "each part is from 0% to 100%, and together they are at most 100%";
            self.cx.error_help(codes::SCHEMA_SPLIT_FRACTIONS, message, span, "too much", help);
            return None;
        }
        if train == 0.0 {
            let help = "`train` is more than 0%";
            let message = "nothing would be left to train on";
            self.cx.error_help(codes::SCHEMA_SPLIT_FRACTIONS, message, span, "", help);
            return None;
        }
        let stratified = *args.get("stratified") == Value::Bool(true);
        Some(Split::Random { train, valid, test, stratified })
    }

    fn files(&mut self, args: &[Arg], span: Span) -> Option<Split> {
        let mut sources = [None, None, None];
        for arg in args {
            if let Some(part) = self.part(arg) {
                sources[part] = files_source(self.cx, self.env, &arg.value);
                self.pairs(sources[part].as_ref(), arg.value.span);
            }
        }
        let [train, valid, test] = sources;
        match train {
            Some(train) => Some(Split::Files { train, valid, test }),
            None if args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.text == "train")) => None,
            None => self.bad_split(span, "`files` needs `train`"),
        }
    }

    /// A file that parts edges has the columns of both their ends.
    fn pairs(&mut self, source: Option<&Source>, span: Span) {
        let (RowsOf::Edges { ends, .. }, Some(source)) = (self.around.rows, source) else { return };
        let Ok(header) = self.cx.header(source) else { return };
        for end in ends.iter().filter(|end| header.column(&end.text).is_none()) {
            let message = format!("`{}` has no column `{end}`", header.name);
            let help = "a file that parts edges names both ends of each, in columns as in the edge's table";
            self.cx.error_help(codes::SCHEMA_NO_SUCH_COLUMN, message, span, "which edges?", help);
        }
    }

    /// Which part an argument is for; a name that is none is reported.
    fn part(&mut self, arg: &Arg) -> Option<usize> {
        let Some(name) = &arg.name else {
            self.bad_split::<()>(arg.span, "say which part this is");
            return None;
        };
        let found = PARTS.iter().position(|p| *p == name.text);
        if found.is_none() {
            self.cx.unknown(codes::SCHEMA_SPLIT, "part", &name.text, name.span, PARTS);
        }
        found
    }

    fn by(&mut self, column: &Ident, parts: &[Arg], span: Span) -> Option<Split> {
        let header = match self.table.column_of(self.cx, column) {
            Some(found) => Some(self.merged_or_time(found, column.span)?),
            None => None,
        };
        let mut bounds: [Vec<Bound>; 3] = Default::default();
        let mut good = true;
        for arg in parts {
            let (part, found) = (self.part(arg), self.bounds(&arg.value, header.as_ref()));
            match (part, found) {
                (Some(part), Some(found)) => bounds[part] = found,
                _ => good = false,
            }
        }
        let [train, valid, test] = bounds;
        if good && train.is_empty() {
            return self.bad_split(span, "`by` needs `train`");
        }
        good.then(|| Split::By { column: column.text.clone(), train, valid, test })
    }

    fn bounds(&mut self, value: &Expr, column: Option<&ColumnHeader>) -> Option<Vec<Bound>> {
        match &value.kind {
            ExprKind::Section { op, right } => {
                let compare = match op {
                    BinaryOp::Less => Compare::Less,
                    BinaryOp::LessEq => Compare::LessEqual,
                    BinaryOp::Greater => Compare::Greater,
                    BinaryOp::GreaterEq => Compare::GreaterEqual,
                    BinaryOp::Eq => Compare::Equal,
                    _ => return self.bad_split(value.span, "only `<`, `<=`, `==`, `>=` and `>` compare"),
                };
                Some(vec![Bound { compare, value: self.scalar(right, column)? }])
            }
            ExprKind::Range { low, high } => Some(vec![
                Bound { compare: Compare::GreaterEqual, value: self.scalar(low, column)? },
                Bound { compare: Compare::LessEqual, value: self.scalar(high, column)? },
            ]),
            _ => Some(vec![Bound { compare: Compare::Equal, value: self.scalar(value, column)? }]),
        }
    }

    fn scalar(&mut self, expr: &Expr, column: Option<&ColumnHeader>) -> Option<Scalar> {
        let value = eval(self.cx, self.env, expr, &Ty::Any, false)?;
        let scalar = match (&value, value.number()) {
            (_, Some(x)) => Scalar::Number(x),
            (Value::Text(text), _) => Scalar::Text(text.clone()),
            _ => return self.bad_split(expr.span, "a column is compared with a number or a text"),
        };
        let Some(column) = column else { return Some(scalar) };
        let fits = match scalar {
            Scalar::Number(_) => matches!(
                column.kind,
                ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool | ColumnKind::Date | ColumnKind::Time
            ),
            Scalar::Text(_) => matches!(column.kind, ColumnKind::Text | ColumnKind::Date | ColumnKind::Time),
        };
        if !fits {
            let message =
                format!("`{}` is {} and cannot be compared with {value}", column.name, noun(&column.kind));
            let help = comparable(column, &scalar);
            self.cx.error_help(codes::SCHEMA_WRONG_KIND, message, expr.span, "of another kind", help);
            return None;
        }
        Some(scalar)
    }
}

/// `class(7)`
fn stated_classes(ty: &ast::TypeExpr) -> Option<usize> {
    ty.args.first().and_then(|a| a.value.as_number()?.int).and_then(|n| usize::try_from(n).ok())
}

/// What a cell of the column is.
fn noun(kind: &ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Int => "an integer",
        ColumnKind::Float => "a number",
        ColumnKind::Bool => "a bool",
        ColumnKind::Text => "text",
        ColumnKind::Date => "a date",
        ColumnKind::Time => "a time",
        ColumnKind::Vector { .. } => "a list of floats",
        ColumnKind::TextList => "a list of texts",
        ColumnKind::Other => "of a type that is not read",
    }
}

/// What a column can be compared with.
fn comparable(column: &ColumnHeader, given: &Scalar) -> String {
    match (&column.kind, given) {
        (ColumnKind::Text, Scalar::Number(x)) => format!("write a text in quotes: `\"{x}\"`"),
        (ColumnKind::Int | ColumnKind::Float, _) => "write a number without quotes".to_owned(),
        (ColumnKind::Bool, _) => "write 1 for true and 0 for false".to_owned(),
        _ => "split by a column of numbers, text, dates or times".to_owned(),
    }
}

fn is_list_of_texts(expr: &FeatureExpr) -> bool {
    matches!(expr, FeatureExpr::Column { kind: gsl_plan::graph::ColumnKind::Texts, .. })
}

/// The column under a chain of element-wise transforms, which are collected innermost first.
fn unwrap(expr: &FeatureExpr, transforms: &mut Vec<Transform>) -> Option<String> {
    match expr {
        FeatureExpr::Column { column, .. } => Some(column.clone()),
        FeatureExpr::Structure(Structure::Count) => Some(String::new()),
        FeatureExpr::Apply { transform, input } => {
            let simple = matches!(
                transform,
                Transform::Log1p | Transform::Sqrt | Transform::Abs | Transform::Clip { .. }
            );
            let column = unwrap(input, transforms)?;
            transforms.push(transform.clone());
            simple.then_some(column)
        }
        _ => None,
    }
}

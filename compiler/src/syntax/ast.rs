//! The syntax tree: what a `.gsl` file says, one type per construct, every node with its place in the source.
//!
//! Decided here: the shapes. Not decided here: what a name means, which settings exist, which types fit. A setting or a
//! transform that nobody has heard of is a perfectly good tree; the checker reports it. Where the text could not be
//! read the tree holds a `Bad` node, already reported by the parser, which later stages skip in silence.

use serde::Serialize;

/// A half-open range of bytes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub fn contains(self, offset: u32) -> bool {
        self.start <= offset && offset < self.end
    }

    /// The text of the span; empty if `source` is not the text that the span was made from.
    pub fn text(self, source: &str) -> &str {
        source.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

/// A name. `text` is without the backticks of a quoted name and with the prime of `h'`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ident {
    pub text: String,
    pub span: Span,
}

impl Ident {
    pub fn is_primed(&self) -> bool {
        self.text.ends_with('\'')
    }
}

impl std::fmt::Display for Ident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A string literal, escapes resolved; the span includes the quotes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Str {
    pub value: String,
    pub span: Span,
}

/// `a.b.c`, at least one segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Path {
    pub segments: Vec<Ident>,
    pub span: Span,
}

impl Path {
    /// `a.b.c` as text.
    pub fn text(&self) -> String {
        self.segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(".")
    }

    /// The name, where the path is only one.
    pub fn as_name(&self) -> Option<&Ident> {
        match self.segments.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// The lines of a `///` or `//!` comment, markers and one leading space removed, joined by newlines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Doc {
    pub text: String,
    pub span: Span,
}

// ---------------------------------------------------------------------------------------------------------- the file

#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct File {
    /// The `//!` lines at the top.
    pub doc: Option<Doc>,
    pub items: Vec<Item>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Item {
    Use(Use),
    Param(Param),
    Graph(Graph),
    Layer(Layer),
    Experiment(Experiment),
    Sweep(Sweep),
    Distill(Distill),
    /// Text that is no item; reported.
    Bad(Span),
}

impl Item {
    pub fn span(&self) -> Span {
        match self {
            Item::Use(x) => x.span,
            Item::Param(x) => x.span,
            Item::Graph(x) => x.span,
            Item::Layer(x) => x.span,
            Item::Experiment(x) => x.span,
            Item::Sweep(x) => x.span,
            Item::Distill(x) => x.span,
            Item::Bad(span) => *span,
        }
    }

    /// The name that the item declares; none for `use` and `Bad`.
    pub fn name(&self) -> Option<&Ident> {
        match self {
            Item::Param(x) => Some(&x.name),
            Item::Graph(x) => Some(&x.name),
            Item::Layer(x) => Some(&x.name),
            Item::Experiment(x) => Some(&x.name),
            Item::Sweep(x) => Some(&x.name),
            Item::Distill(x) => Some(&x.student),
            Item::Use(_) | Item::Bad(_) => None,
        }
    }
}

/// `use std.layers.RGCN`, `use std.layers.{RGCN, GAT as Attention}`, `use Gated from "my_layers.gsl"`.
/// A group in braces is already spread: every import holds its full path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Use {
    pub imports: Vec<Import>,
    pub file: Option<Str>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Import {
    pub path: Path,
    pub alias: Option<Ident>,
    pub span: Span,
}

impl Import {
    /// The name under which the file knows it.
    pub fn local_name(&self) -> Option<&Ident> {
        self.alias.as_ref().or(self.path.segments.last())
    }
}

/// `param hidden : dim = 128`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Param {
    pub doc: Option<Doc>,
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub value: Option<Expr>,
    pub span: Span,
}

/// `float`, `float[64]`, `dim[]`, `class(7)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeExpr {
    pub name: Ident,
    pub args: Vec<Arg>,
    /// `None` without brackets, empty for `dim[]`.
    pub shape: Option<Vec<Expr>>,
    pub span: Span,
}

// ------------------------------------------------------------------------------------------------------------ graphs

/// `graph debian { … }`, `graph v2 = debian without maintainer`, `graph v3 = debian with { … }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Graph {
    pub doc: Option<Doc>,
    pub name: Ident,
    /// What it is derived from.
    pub base: Option<Ident>,
    /// After `without`: node types, relations, features, whole edges.
    pub without: Vec<TypeRef>,
    /// The body, or what follows `with`.
    pub body: Vec<SchemaStmt>,
    pub span: Span,
}

/// A node type, a relation, a dotted part of one, or an edge type in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum TypeRef {
    Path(Path),
    Edge(EdgePath),
}

impl TypeRef {
    pub fn span(&self) -> Span {
        match self {
            TypeRef::Path(x) => x.span,
            TypeRef::Edge(x) => x.span,
        }
    }
}

/// `package -depends-> package`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgePath {
    pub src: Ident,
    pub rel: Relation,
    pub dst: Ident,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Relation {
    /// `a -> b`
    Any,
    /// `a -rel-> b`
    Named(Ident),
    /// `a -[column]-> b`: the relation of each row stands in this column.
    Column(Ident),
}

/// What a graph's, a node's or an edge's braces hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SchemaStmt {
    Node(Node),
    Edge(Edge),
    Many(Many),
    /// `key name`
    Key {
        columns: Vec<Ident>,
        span: Span,
    },
    /// `reverse needed_by`
    Reverse {
        name: Ident,
        span: Span,
    },
    /// `time published`
    Time {
        value: Expr,
        span: Span,
    },
    Feature(Feature),
    Label(Label),
    Split(Split),
    /// `missing = drop`, `duplicates = first`, and any other `name = value`.
    Setting(Setting),
    /// `allow leak(section)`
    Allow(Allow),
    Bad(Span),
}

impl SchemaStmt {
    pub fn span(&self) -> Span {
        match self {
            SchemaStmt::Node(x) => x.span,
            SchemaStmt::Edge(x) => x.span,
            SchemaStmt::Many(x) => x.span,
            SchemaStmt::Key { span, .. }
            | SchemaStmt::Reverse { span, .. }
            | SchemaStmt::Time { span, .. }
            | SchemaStmt::Bad(span) => *span,
            SchemaStmt::Feature(x) => x.span,
            SchemaStmt::Label(x) => x.span,
            SchemaStmt::Split(x) => x.span,
            SchemaStmt::Setting(x) => x.span,
            SchemaStmt::Allow(x) => x.span,
        }
    }
}

/// `node package from "data/packages.parquet" { … }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    pub doc: Option<Doc>,
    pub name: Ident,
    pub source: Option<Source>,
    pub body: Vec<SchemaStmt>,
    pub span: Span,
}

/// `edge package -depends-> package from "data/depends.parquet" (package, target) { … }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edge {
    pub doc: Option<Doc>,
    pub path: EdgePath,
    pub source: Option<Source>,
    /// `(src_col, dst_col)`; empty if not written.
    pub columns: Vec<Ident>,
    pub body: Vec<SchemaStmt>,
    pub span: Span,
}

/// `many by molecule_id from "molecules.csv" { … }`: the graph is many small ones, and this is the node type of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Many {
    pub doc: Option<Doc>,
    /// The column that says of each node which small graph it is in.
    pub column: Ident,
    pub source: Option<Source>,
    pub body: Vec<SchemaStmt>,
    pub span: Span,
}

/// What follows `from`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    pub kind: SourceKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SourceKind {
    /// `from edges`: the node type has no table; its edges name its nodes.
    Edges,
    /// `from "a.csv", "b.csv" join "more.parquet" on id`. `files` give rows; each join gives columns.
    Tables { files: Vec<Expr>, joins: Vec<Join> },
}

/// `join "more.parquet" on id`; without `on`, the key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Join {
    pub files: Vec<Expr>,
    pub on: Option<Ident>,
    pub span: Span,
}

/// `feature size : float = log1p(installed_size) |> standardize`; without a value, the column of the same name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Feature {
    pub doc: Option<Doc>,
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub value: Option<Expr>,
    pub span: Span,
}

/// `label section : class = section`; without a value, the column of the same name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    pub doc: Option<Doc>,
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub value: Option<Expr>,
    pub span: Span,
}

/// `split section = random(train: 80%, valid: 10%, test: 10%)`, `split year = by year (train: < 2018, …)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    pub label: Ident,
    /// The rule first, then options such as `stratified`.
    pub value: Vec<Arg>,
    pub span: Span,
}

/// `allow leak(section)`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Allow {
    pub value: Expr,
    pub span: Span,
}

// ------------------------------------------------------------------------------------------------ layers and modules

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LayerKind {
    /// Has a graph to pass messages over.
    Layer,
    /// The same without a graph.
    Module,
    /// Scores a pair of nodes.
    Decoder,
}

/// `layer RGCN(out: dim, bases: int = none) { … }`, `module MLP(…) { … }`, `layer Two(out: dim) = RGCN(out) >> RGCN(out)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    pub doc: Option<Doc>,
    pub kind: LayerKind,
    pub name: Ident,
    pub params: Vec<LayerParam>,
    pub body: LayerBody,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum LayerBody {
    /// Weights and equations.
    Block(Vec<LayerStmt>),
    /// `= A >> B`
    Alias(Expr),
}

/// `out: dim`, `slope: float = 0.2`, `act`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerParam {
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum LayerStmt {
    Weight(Weight),
    Equation(Equation),
    Bad(Span),
}

/// `weight K[t], Q[t] : in x heads x (out / heads) (bases: bases) = zeros`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weight {
    pub doc: Option<Doc>,
    pub names: Vec<Indexed>,
    pub dims: Vec<Expr>,
    pub options: Vec<Arg>,
    pub init: Option<Expr>,
    pub span: Span,
}

/// A name being defined, with its index: `W[r]`, `h'[v]`, `b`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Indexed {
    pub name: Ident,
    pub index: Option<Index>,
    pub span: Span,
}

/// `e[u -> v] = …`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Equation {
    pub doc: Option<Doc>,
    pub target: Indexed,
    pub value: Expr,
    pub span: Span,
}

/// What stands in the brackets of `h[v]`, `e[u -r-> v]`, `sum[r]`, `widths[0]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Index {
    pub kind: IndexKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum IndexKind {
    /// `[v]`, `[r]`, `[t]`
    Name(Ident),
    /// `[u -> v]`, `[u -r-> v]`
    Edge { src: Ident, rel: Option<Ident>, dst: Ident },
    /// `[0]`, `[u, v]`: anything else, in order.
    Values(Vec<Expr>),
}

// ------------------------------------------------------------------------------------------------------- experiments

/// `experiment sections on debian { … }`, `experiment b = a with { … }`, `experiment c = a on other_graph`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Experiment {
    pub doc: Option<Doc>,
    pub name: Ident,
    /// What it is derived from.
    pub base: Option<Ident>,
    /// The graph after `on`; always there where there is no base, unless reported.
    pub graph: Option<Ident>,
    /// The body, or what follows `with`.
    pub body: Vec<Stmt>,
    pub span: Span,
}

/// `distill sections into student { … }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distill {
    pub doc: Option<Doc>,
    pub teacher: Ident,
    pub student: Ident,
    pub body: Vec<Stmt>,
    pub span: Span,
}

/// What the braces of an experiment, a `predict`, a `stage` or a nested block hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Stmt {
    /// `name = value`
    Setting(Setting),
    Encode(Encode),
    Predict(Predict),
    Write(Write),
    /// `stage gnn { … }`
    Stage {
        name: Ident,
        body: Vec<Stmt>,
        span: Span,
    },
    /// `train Bert, linear`
    Train {
        parts: Vec<Path>,
        span: Span,
    },
    /// `freeze Bert`
    Freeze {
        parts: Vec<Path>,
        span: Span,
    },
    Allow(Allow),
    Distill(Distill),
    /// `glem(rounds: 3)`, `glem(rounds: 3) { … }`, `name { … }`.
    Block {
        head: Expr,
        body: Option<Vec<Stmt>>,
        span: Span,
    },
    Bad(Span),
}

impl Stmt {
    pub fn span(&self) -> Span {
        match self {
            Stmt::Setting(x) => x.span,
            Stmt::Encode(x) => x.span,
            Stmt::Predict(x) => x.span,
            Stmt::Write(x) => x.span,
            Stmt::Allow(x) => x.span,
            Stmt::Distill(x) => x.span,
            Stmt::Stage { span, .. }
            | Stmt::Train { span, .. }
            | Stmt::Freeze { span, .. }
            | Stmt::Block { span, .. }
            | Stmt::Bad(span) => *span,
        }
    }
}

/// `optimizer = adam(lr: lr), embeddings: sparse_adam(lr: 1e-2)`,
/// `evaluate = mrr, hits(1, 10) against uniform(1000), filtered`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    pub doc: Option<Doc>,
    pub name: Ident,
    /// Never empty unless reported.
    pub value: Vec<Arg>,
    /// After `against`; empty if not written.
    pub against: Vec<Arg>,
    pub span: Span,
}

impl Setting {
    /// The value, where it is one expression without a name.
    pub fn single(&self) -> Option<&Expr> {
        match self.value.as_slice() {
            [Arg { name: None, value, .. }] if self.against.is_empty() => Some(value),
            _ => None,
        }
    }
}

/// `encode package = …`, `encode a -r-> b = …`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Encode {
    pub doc: Option<Doc>,
    pub target: EncodeTarget,
    pub value: Expr,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum EncodeTarget {
    Node(Ident),
    Edge(EdgePath),
}

/// `predict package.section { … }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Predict {
    pub doc: Option<Doc>,
    pub target: Target,
    pub body: Vec<Stmt>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    pub kind: TargetKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum TargetKind {
    /// `package.section`; `graph.toxic` has the owner `graph`.
    Field { owner: Ident, name: Ident },
    /// `(user -rates-> movie).stars`
    EdgeField { edge: EdgePath, name: Ident },
    /// `size` of `reconstruct size`, which does not say its type.
    Name(Ident),
    /// `link paper -cites-> paper`
    Link(EdgePath),
    /// `reconstruct paper.year`, `reconstruct (a -r-> b).weight`
    Reconstruct(Box<Target>),
}

/// `write predictions of package, embeddings of package to "out/sections" as csv`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Write {
    pub items: Vec<WriteItem>,
    pub to: Option<Expr>,
    pub format: Option<Ident>,
    pub span: Span,
}

/// `predictions of package`, `links(10) of link a -r-> b`, `scores of (a -r-> b).x from "pairs.csv" (a, b)`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteItem {
    pub what: Ident,
    pub args: Vec<Arg>,
    pub of: Option<TypeRef>,
    /// `of link a -r-> b`: not of a label of these edges.
    pub link: bool,
    /// Of an edge; that of a node is part of its path.
    pub label: Option<Ident>,
    pub pairs: Option<PairTable>,
    pub span: Span,
}

/// `from "pairs.csv" (src, dst)`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairTable {
    pub file: Expr,
    pub columns: Vec<Ident>,
    pub span: Span,
}

/// `sweep tune of sections { lr in log(1e-4 .. 1e-2, 5); best on valid.accuracy }`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    pub doc: Option<Doc>,
    pub name: Ident,
    pub of: Ident,
    pub body: Vec<SweepStmt>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SweepStmt {
    /// `lr in log(1e-4 .. 1e-2, 5)`
    Axis {
        name: Path,
        values: Expr,
        span: Span,
    },
    /// `best on valid.accuracy`
    Best {
        on: Expr,
        span: Span,
    },
    Setting(Setting),
    Bad(Span),
}

// ------------------------------------------------------------------------------------------------------- expressions

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

/// An expression. Parentheses leave no node of their own: the tree's shape is the grouping.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ExprKind {
    /// `lr`, `h'`, `none`, `true`: literals that are words are names too.
    Name(String),
    Number(Number),
    /// Escapes resolved.
    Str(String),
    /// `[64, 128]`
    List(Vec<Expr>),
    /// `valid.accuracy`, `e.weight`
    Field {
        base: Box<Expr>,
        name: Ident,
    },
    /// `h[v]`, `widths[0]`
    Index {
        base: Box<Expr>,
        index: Index,
    },
    /// `f(a, name: b)`; the callee can be a call: `Bert("models/minilm")(abstract)`.
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
    },
    /// `sum[r] x`, `softmax[u -> v](e)`. Written with a space the body runs to the next `+`, `-` or comparison; applied
    /// like a function it is what stands in the parentheses.
    Reduce {
        op: Reduction,
        op_span: Span,
        over: Index,
        body: Box<Expr>,
    },
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        op_span: Span,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `x |> f(y)`: `stage` is the call, without `x`.
    Pipe {
        value: Box<Expr>,
        stage: Box<Expr>,
    },
    /// `A >> B`
    Compose {
        first: Box<Expr>,
        then: Box<Expr>,
    },
    /// `1e-4 .. 1e-2`
    Range {
        low: Box<Expr>,
        high: Box<Expr>,
    },
    /// `< 2018` with nothing on the left.
    Section {
        op: BinaryOp,
        right: Box<Expr>,
    },
    /// `by year (train: < 2018, valid: 2018)`
    By {
        column: Ident,
        parts: Vec<Arg>,
    },
    /// `paper via written_by`
    Via {
        value: Box<Expr>,
        relation: Ident,
    },
    /// `RGCN(hidden) from pretrain.gnn`
    From {
        value: Box<Expr>,
        run: Path,
    },
    /// `(user -rates-> movie)`
    Edge(EdgePath),
    /// Text that is no expression; reported.
    Bad,
}

impl Expr {
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Self { kind, span }
    }

    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<&Number> {
        match &self.kind {
            ExprKind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Name and arguments of `f(…)`; of a bare `f` too, with no arguments.
    pub fn as_call(&self) -> Option<(&str, &[Arg])> {
        match &self.kind {
            ExprKind::Name(name) => Some((name, &[])),
            ExprKind::Call { callee, args } => callee.as_name().map(|name| (name, args.as_slice())),
            _ => None,
        }
    }

    /// `a.b.c` read as a path.
    pub fn as_path(&self) -> Option<Path> {
        match &self.kind {
            ExprKind::Name(text) => {
                let ident = Ident { text: text.clone(), span: self.span };
                Some(Path { segments: vec![ident], span: self.span })
            }
            ExprKind::Field { base, name } => {
                let mut path = base.as_path()?;
                path.segments.push(name.clone());
                path.span = self.span;
                Some(path)
            }
            _ => None,
        }
    }

    pub fn is_bad(&self) -> bool {
        matches!(self.kind, ExprKind::Bad)
    }

    /// The expressions directly inside, in source order.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Name(_)
            | ExprKind::Number(_)
            | ExprKind::Str(_)
            | ExprKind::Edge(_)
            | ExprKind::Bad => Vec::new(),
            ExprKind::List(items) => items.iter().collect(),
            ExprKind::Field { base, .. } => vec![base],
            ExprKind::Index { base, index } => std::iter::once(base.as_ref()).chain(index.values()).collect(),
            ExprKind::Call { callee, args } => {
                std::iter::once(callee.as_ref()).chain(args.iter().map(|a| &a.value)).collect()
            }
            ExprKind::Reduce { over, body, .. } => {
                over.values().iter().chain(std::iter::once(body.as_ref())).collect()
            }
            ExprKind::Unary { operand, .. } => vec![operand],
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::Pipe { value, stage } => vec![value, stage],
            ExprKind::Compose { first, then } => vec![first, then],
            ExprKind::Range { low, high } => vec![low, high],
            ExprKind::Section { right, .. } => vec![right],
            ExprKind::By { parts, .. } => parts.iter().map(|a| &a.value).collect(),
            ExprKind::Via { value, .. } | ExprKind::From { value, .. } => vec![value],
        }
    }

    /// Calls `visit` on this expression and on all inside it, outermost first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

impl Index {
    /// The expressions of `[0]` or `[u, v]`; none for `[v]` and `[u -> v]`.
    pub fn values(&self) -> &[Expr] {
        match &self.kind {
            IndexKind::Values(values) => values,
            _ => &[],
        }
    }
}

/// `value` or `name: value`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
    pub span: Span,
}

/// `1e-2`, `1024`, `80%`, `30 days`, `64 GiB`. The value is as written: `80%` is 80 with the unit `Percent`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    pub value: f64,
    /// Set where it is written without a point or an exponent and fits.
    pub int: Option<i64>,
    pub unit: Option<Unit>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Unit {
    Percent,
    /// One second times this many: `days` is 86,400.
    Seconds(f64),
    /// One byte times this many: `GiB` is 2^30.
    Bytes(f64),
    Epochs,
    Batches,
}

impl Number {
    /// The value in its base unit: a fraction, seconds, bytes, or a count.
    pub fn scaled(&self) -> f64 {
        match self.unit {
            None | Some(Unit::Epochs | Unit::Batches) => self.value,
            Some(Unit::Percent) => self.value / 100.0,
            Some(Unit::Seconds(factor) | Unit::Bytes(factor)) => self.value * factor,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Softmax,
}

impl Reduction {
    pub const ALL: [(&'static str, Reduction); 5] = [
        ("sum", Reduction::Sum),
        ("mean", Reduction::Mean),
        ("max", Reduction::Max),
        ("min", Reduction::Min),
        ("softmax", Reduction::Softmax),
    ];

    pub fn parse(name: &str) -> Option<Reduction> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, r)| *r)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, r)| *r == self).map_or("", |(n, _)| n)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum UnaryOp {
    Neg,
}

/// From the loosest to the tightest; `Dot` and `MatMul` bind like `Mul`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BinaryOp {
    Less,
    LessEq,
    Greater,
    GreaterEq,
    Eq,
    NotEq,
    Add,
    Sub,
    Mul,
    Div,
    /// `a @ b`
    MatMul,
    /// `a . b`, spaces on both sides.
    Dot,
    /// `a ^ b`, from the right.
    Pow,
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::Eq => "==",
            BinaryOp::NotEq => "!=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::MatMul => "@",
            BinaryOp::Dot => ".",
            BinaryOp::Pow => "^",
        }
    }

    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Less | LessEq | Greater | GreaterEq | Eq | NotEq)
    }
}

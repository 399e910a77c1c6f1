//! Random layers that are right: every expression is made for the place and the shape that it stands in.

/// Where a value is.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Node,
    /// An edge of any relation.
    Edge,
    /// An edge of relation r.
    EdgeOf,
}

/// What a row is: one number, one per head, or `heads x (out / heads)`.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Number,
    Heads,
    Row,
}

pub struct Maker {
    state: u64,
    /// Equations that may be used by now.
    z: bool,
    m: bool,
    e: bool,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Maker { state: seed.wrapping_mul(0x9e3779b97f4a7c15) | 1, z: false, m: false, e: false }
    }

    fn pick(&mut self, count: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % count as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.pick(of.len())]
    }

    /// A layer with four equations and a call of it.
    pub fn layer(&mut self) -> String {
        let z = self.value(At::Node, Shape::Row, 2);
        let z = if z.contains("->") || z.contains("[r]") { "tanh(h[v] @ X)".to_owned() } else { z };
        self.z = true;
        let m = self.value(At::EdgeOf, Shape::Row, 2);
        self.m = true;
        let e = self.value(At::Edge, Shape::Heads, 2);
        self.e = true;
        let out = self.value(At::Node, Shape::Row, 3);
        format!(
            "layer Any(heads: int = 2, out: dim = 4, act: activation = tanh) {{
    weight W[r] : in x heads x (out / heads) (bases: 2)
    weight X    : in x heads x (out / heads)
    weight K[t] : in x heads x (out / heads)
    weight S    : heads x (out / heads) x (out / heads)
    weight O    : out x out
    weight a    : heads x (out / heads)
    weight b    : out
    weight c    : heads
    weight g    : 1 = ones
    z[v]        = {z}
    m[u -r-> v] = {m}
    e[u -> v]   = {e}
    h'[v]       = {out} @ O + b
}}
layer Call = Any()
"
        )
    }

    fn value(&mut self, at: At, shape: Shape, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(at, shape);
        }
        let next = depth - 1;
        match self.pick(if at == At::Node { 8 } else { 7 }) {
            0 => self.leaf(at, shape),
            1 => {
                let f = self.one(&["tanh", "sigmoid", "relu", "act", "gelu", "softplus", "-", "elu"]);
                format!("{f}({})", self.value(at, shape, next))
            }
            2 => {
                let op = self.one(&["+", "-", "*"]);
                format!("({} {op} {})", self.value(at, shape, next), self.value(at, shape, next))
            }
            3 => {
                let small =
                    if self.pick(2) == 0 || shape == Shape::Number { Shape::Number } else { Shape::Heads };
                let bound = self.value(at, small, next);
                let whole = self.value(at, shape, next);
                match self.pick(3) {
                    0 => format!("(sigmoid({bound}) * {whole})"),
                    1 => format!("({whole} / (1 + square({bound})))"),
                    _ => format!("max({whole}, {bound})"),
                }
            }
            4 => match shape {
                Shape::Row => format!("({} @ S)", self.value(at, shape, next)),
                Shape::Heads => format!("({} . a)", self.value(at, Shape::Row, next)),
                Shape::Number => {
                    let fold = self.one(&["sum", "mean", "max", "mean[heads]", "min[heads]"]);
                    format!("{fold}({})", self.value(at, Shape::Heads, next))
                }
            },
            5 if shape == Shape::Heads => {
                let fold = self.one(&["sum", "mean", "max"]);
                format!("{fold}({})", self.value(at, Shape::Row, next))
            }
            5 => format!("dropout({}, 0.25)", self.value(at, shape, next)),
            6 if at != At::Node => {
                let over = if at == At::EdgeOf && self.pick(2) == 0 { "[u -r-> v]" } else { "[u -> v]" };
                let inner = if over == "[u -> v]" { At::Edge } else { At::EdgeOf };
                let small = if shape == Shape::Number { Shape::Number } else { Shape::Heads };
                let (score, value) = (self.on_edge(inner, small, next), self.value(at, shape, next));
                format!("(softmax{over}({score}) * {value})")
            }
            _ if at == At::Node => {
                let fold = self.one(&["sum", "mean", "max", "min"]);
                match self.pick(3) {
                    0 => format!("(sum[r] {fold}[u -r-> v] ({}))", self.on_edge(At::EdgeOf, shape, next)),
                    1 => format!("(mean[r] {fold}[u -r-> v] ({}))", self.on_edge(At::EdgeOf, shape, next)),
                    _ => format!("({fold}[u -> v] ({}))", self.on_edge(At::Edge, shape, next)),
                }
            }
            _ => self.leaf(at, shape),
        }
    }

    /// A value that does depend on the edge.
    fn on_edge(&mut self, at: At, shape: Shape, depth: usize) -> String {
        let sure = match shape {
            Shape::Row => "(h[u] @ X)",
            Shape::Heads => "(a . (h[u] @ X))",
            Shape::Number => "e.weight",
        };
        format!("({sure} + {})", self.value(at, shape, depth))
    }

    fn leaf(&mut self, at: At, shape: Shape) -> String {
        let mut of = match (at, shape) {
            (At::Node, Shape::Row) => vec!["(h[v] @ X)", "(h[v] @ K)", "(h[v] @ X * c)"],
            (At::Node, Shape::Heads) => vec!["(a . (h[v] @ X))", "sum(h[v] @ K)", "(h[v] @ X) . a"],
            (At::Node, Shape::Number) => vec!["deg(v)", "g * deg(v)", "mean(h[v])"],
            (_, Shape::Row) => {
                vec!["(h[u] @ X)", "(h[v] @ X)", "(h[u] @ K)", "(h[v] @ K[v])", "((h[u] @ X) * (h[v] @ X))"]
            }
            (_, Shape::Heads) => vec!["((h[u] @ X) . (h[v] @ X))", "(a . (h[u] @ X))", "(c * e.weight)"],
            (_, Shape::Number) => {
                vec!["e.weight", "(e.weight / sqrt(deg(u) + 1))", "deg(v)", "sum(h[u] * h[v])"]
            }
        };
        if at == At::EdgeOf && shape == Shape::Row {
            of.extend(["(h[u] @ W[r])", "(h[v] @ W[r])"]);
        }
        if self.z && shape == Shape::Row {
            of.extend(if at == At::Node { ["z", "z[v]"] } else { ["z[u]", "z[v]"] });
        }
        if self.m && at == At::EdgeOf && shape == Shape::Row {
            of.push("m");
        }
        if self.e && at != At::Node && shape == Shape::Heads {
            of.extend(["e", "e[u -> v]"]);
        }
        self.one(&of).to_owned()
    }
}

//! What lowered layers compute, against their papers' formulas written out by hand.

use gsl_plan::plan::Init;
use gsl_plan::program::Op;

use super::world::{AUTHOR, EDGES, IN, PAPER, facts, input, lowered, run, run_on, weights};
use gsl_compiler::layers::Mode;

type Row = Vec<f64>;

/// x W for W of `x.len()` rows.
fn times(x: &[f64], w: &[f64]) -> Row {
    let n = w.len() / x.len();
    (0..n).map(|j| x.iter().enumerate().map(|(i, v)| v * w[i * n + j]).sum()).collect()
}

fn add(a: &[f64], b: &[f64]) -> Row {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| x + y).collect()
}

fn scale(a: &[f64], by: f64) -> Row {
    a.iter().map(|x| x * by).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn sum(rows: impl IntoIterator<Item = Row>, width: usize) -> Row {
    rows.into_iter().fold(vec![0.0; width], |all, row| add(&all, &row))
}

fn leaky(x: f64, slope: f64) -> f64 {
    if x > 0.0 { x } else { slope * x }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + (0.7978845608028654 * (x + 0.044715 * x * x * x)).tanh())
}

/// Relations into a node type with the type that they come from.
fn into(ty: u32) -> Vec<(usize, u32)> {
    match ty {
        PAPER => vec![(0, AUTHOR), (2, PAPER)],
        _ => vec![(1, PAPER)],
    }
}

const NAMES: [&str; 3] = ["writes", "written_by", "cites"];

/// (relation, source type, source, edge number) of every edge into node `v`.
fn edges(ty: u32, v: usize) -> Vec<(usize, u32, usize, usize)> {
    let of = |(rel, src): (usize, u32)| {
        let numbered = EDGES[rel].iter().enumerate().filter(move |(_, e)| e.1 == v);
        numbered.map(move |(id, e)| (rel, src, e.0, id))
    };
    into(ty).into_iter().flat_map(of).collect()
}

/// Edges into a node in the whole graph; nodes beyond hop 0 have none here.
fn degree(ty: u32, v: usize) -> f64 {
    edges(ty, v).len() as f64
}

fn h(ty: u32, v: usize) -> Row {
    input(ty)[v].clone()
}

fn softmax(scores: &[f64]) -> Row {
    let most = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers: Row = scores.iter().map(|s| (s - most).exp()).collect();
    let total: f64 = powers.iter().sum();
    scale(&powers, 1.0 / total)
}

#[test]
fn rgcn() {
    let run = run("layer L = RGCN(4, act: relu)");
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let mut all = add(&times(&h(ty, v), run.param("gnn.1.S")), run.param("gnn.1.b"));
            for (rel, _) in into(ty) {
                let w = run.param(&format!("gnn.1.W[{}]", NAMES[rel]));
                let here: Vec<_> = edges(ty, v).into_iter().filter(|e| e.0 == rel).collect();
                let total = sum(here.iter().map(|e| times(&h(e.1, e.2), w)), 4);
                all = add(&all, &scale(&total, 1.0 / here.len().max(1) as f64));
            }
            all.into_iter().map(|x| x.max(0.0)).collect()
        });
    }
}

#[test]
fn rgcn_with_bases() {
    let run = run("layer L = RGCN(4, bases: 2)");
    let (c, bases) = (run.param("gnn.1.W.coefficients"), run.param("gnn.1.W.bases"));
    let size = IN * 4;
    run.check(PAPER, |v| {
        let mut all = add(&times(&h(PAPER, v), run.param("gnn.1.S")), run.param("gnn.1.b"));
        for (rel, _) in into(PAPER) {
            let w = add(&scale(&bases[..size], c[rel * 2]), &scale(&bases[size..], c[rel * 2 + 1]));
            let here: Vec<_> = edges(PAPER, v).into_iter().filter(|e| e.0 == rel).collect();
            let total = sum(here.iter().map(|e| times(&h(e.1, e.2), &w)), 4);
            all = add(&all, &scale(&total, 1.0 / here.len().max(1) as f64));
        }
        all
    });
}

#[test]
fn sage_takes_the_mean_over_all_relations() {
    let run = run("layer L = SAGE(4)");
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let near = edges(ty, v);
            let total = sum(near.iter().map(|e| times(&h(e.1, e.2), run.param("gnn.1.W"))), 4);
            let own = add(&times(&h(ty, v), run.param("gnn.1.S")), run.param("gnn.1.b"));
            add(&own, &scale(&total, 1.0 / near.len().max(1) as f64))
        });
    }
}

#[test]
fn sage_pool_through_the_library() {
    let run = run("layer L = SAGEPool(4, pool: 5)");
    run.check(PAPER, |v| {
        let message = |e: &(usize, u32, usize, usize)| -> Row {
            let inner = add(&times(&h(e.1, e.2), run.param("gnn.1.P")), run.param("gnn.1.p"));
            inner.iter().map(|x| x.max(0.0)).collect()
        };
        let near: Vec<Row> = edges(PAPER, v).iter().map(message).collect();
        let best: Row = (0..5).map(|c| near.iter().map(|m| m[c]).fold(0.0, f64::max)).collect();
        let own = add(&times(&h(PAPER, v), run.param("gnn.1.S")), run.param("gnn.1.b"));
        add(&own, &times(&best, run.param("gnn.1.W")))
    });
}

#[test]
fn the_maximum_is_over_all_relations() {
    // Every message is negative, so that a relation without edges must not count as zero.
    let source = "layer P(out: dim) {
        weight P : in x out
        weight W : out x out
        m[v]  = relu(h[v] @ P) - 5
        h'[v] = max[u -> v](m[u]) @ W
    }
    layer L = P(6)";
    let run = run(source);
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let message = |e: &(usize, u32, usize, usize)| -> Row {
                times(&h(e.1, e.2), run.param("gnn.1.P")).iter().map(|x| x.max(0.0) - 5.0).collect()
            };
            let near: Vec<Row> = edges(ty, v).iter().map(message).collect();
            let most = |c: usize| near.iter().map(|m| m[c]).fold(f64::MIN, f64::max);
            let best: Row = if near.is_empty() { vec![0.0; 6] } else { (0..6).map(most).collect() };
            times(&best, run.param("gnn.1.W"))
        });
    }
}

#[test]
fn gcn() {
    let run = run("layer L = GCN(4)");
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let term = |t: u32, n: usize| {
                scale(
                    &times(&h(t, n), run.param("gnn.1.W")),
                    1.0 / ((degree(t, n) + 1.0) * (degree(ty, v) + 1.0)).sqrt(),
                )
            };
            let near = sum(edges(ty, v).iter().map(|e| term(e.1, e.2)), 4);
            add(&add(&near, &term(ty, v)), run.param("gnn.1.b"))
        });
    }
}

/// Σ over heads of coefficient × head; `rows` are (score per head, values).
fn attend(rows: &[(Row, Row)], heads: usize, width: usize) -> Row {
    let part = width / heads;
    let mut out = vec![0.0; width];
    if rows.is_empty() {
        return out;
    }
    for head in 0..heads {
        let shares = softmax(&rows.iter().map(|(s, _)| s[head]).collect::<Row>());
        for (share, (_, z)) in shares.iter().zip(rows) {
            (0..part).for_each(|d| out[head * part + d] += share * z[head * part + d]);
        }
    }
    out
}

const GAT_OF_THE_LANGUAGE_REFERENCE: &str = "
layer Attention(out: dim, heads: int = 4, slope: float = 0.2) {
    weight W      : in x heads x (out / heads)
    weight aL, aR : heads x (out / heads)

    z[v]      = h[v] @ W
    e[u -> v] = leaky_relu(aL . z[u] + aR . z[v], slope)
    h'[v]     = sum[u -> v] softmax[u -> v](e) * z[u]
}
";

#[test]
fn attention_is_over_the_edges_of_all_relations() {
    // Two heads of width two: dimensions of equal size are still told apart.
    let run = run(&format!("{GAT_OF_THE_LANGUAGE_REFERENCE}layer L = Attention(4, heads: 2)"));
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let (w, left, right) = (run.param("gnn.1.W"), run.param("gnn.1.aL"), run.param("gnn.1.aR"));
            let own = times(&h(ty, v), w);
            let rows: Vec<(Row, Row)> = edges(ty, v)
                .iter()
                .map(|e| {
                    let z = times(&h(e.1, e.2), w);
                    let score = |k: usize| {
                        let at = k * 2..k * 2 + 2;
                        leaky(dot(&left[at.clone()], &z[at.clone()]) + dot(&right[at.clone()], &own[at]), 0.2)
                    };
                    ((0..2).map(score).collect(), z)
                })
                .collect();
            attend(&rows, 2, 4)
        });
    }
}

/// Scores and values of the neighbours and of the node itself.
fn attention_rows(ty: u32, v: usize, heads: usize, run: &super::world::Run) -> Vec<(Row, Row)> {
    let (w, left, right) = (run.param("gnn.1.W"), run.param("gnn.1.aL"), run.param("gnn.1.aR"));
    let own = times(&h(ty, v), w);
    let part = own.len() / heads;
    let row = |z: Row| {
        let score = |k: usize| {
            let at = k * part..(k + 1) * part;
            leaky(dot(&left[at.clone()], &z[at.clone()]) + dot(&right[at.clone()], &own[at]), 0.2)
        };
        ((0..heads).map(score).collect(), z)
    };
    let near = edges(ty, v).into_iter().map(|e| times(&h(e.1, e.2), w));
    near.chain([own.clone()]).map(row).collect()
}

#[test]
fn gat_attends_to_the_node_itself() {
    let run = run("layer L = GAT(6, heads: 3)");
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| add(&attend(&attention_rows(ty, v, 3, &run), 3, 6), run.param("gnn.1.b")));
    }
}

#[test]
fn gat_with_the_mean_of_its_heads() {
    let run = run("layer L = GATMean(3, heads: 2)");
    run.check(PAPER, |v| {
        let wide = attend(&attention_rows(PAPER, v, 2, &run), 2, 6);
        let mean: Row = (0..3).map(|d| (wide[d] + wide[3 + d]) / 2.0).collect();
        add(&mean, run.param("gnn.1.b"))
    });
}

#[test]
fn gat_with_one_head() {
    let run = run("layer L = GAT(5, heads: 1)");
    run.check(PAPER, |v| add(&attend(&attention_rows(PAPER, v, 1, &run), 1, 5), run.param("gnn.1.b")));
}

#[test]
fn gatv2_scores_after_the_activation() {
    let run = run("layer L = GATv2(4, heads: 2)");
    run.check(PAPER, |v| {
        let right = times(&h(PAPER, v), run.param("gnn.1.R"));
        let rows: Vec<(Row, Row)> = edges(PAPER, v)
            .iter()
            .map(|e| {
                let left = times(&h(e.1, e.2), run.param("gnn.1.L"));
                let both: Row = add(&left, &right).iter().map(|x| leaky(*x, 0.2)).collect();
                let a = run.param("gnn.1.a");
                ((0..2).map(|k| dot(&a[k * 2..k * 2 + 2], &both[k * 2..k * 2 + 2])).collect(), left)
            })
            .collect();
        let own = add(&times(&h(PAPER, v), run.param("gnn.1.S")), run.param("gnn.1.b"));
        add(&attend(&rows, 2, 4), &own)
    });
}

#[test]
fn hgt() {
    let run = run("layer L = HGT(6, heads: 2)");
    let name = |ty: u32| if ty == PAPER { "paper" } else { "author" };
    let of_type = |w: &str, ty: u32| run.param(&format!("gnn.1.{w}[{}]", name(ty)));
    let of_relation = |w: &str, rel: usize| run.param(&format!("gnn.1.{w}[{}]", NAMES[rel]));
    // x: [2, 3] through w: [2, 3, 3], head by head.
    let by_head = |x: &[f64], w: &[f64]| [times(&x[..3], &w[..9]), times(&x[3..], &w[9..])].concat();
    for ty in [PAPER, AUTHOR] {
        run.check(ty, |v| {
            let query = times(&h(ty, v), of_type("Q", ty));
            let rows: Vec<(Row, Row)> = edges(ty, v)
                .iter()
                .map(|e| {
                    let key = by_head(&times(&h(e.1, e.2), of_type("K", e.1)), of_relation("A", e.0));
                    let value = by_head(&times(&h(e.1, e.2), of_type("V", e.1)), of_relation("M", e.0));
                    let score = |k: usize| {
                        let at = k * 3..k * 3 + 3;
                        dot(&key[at.clone()], &query[at]) * of_relation("mu", e.0)[k] / 3f64.sqrt()
                    };
                    ((0..2).map(score).collect(), value)
                })
                .collect();
            let a: Row = attend(&rows, 2, 6).iter().map(|x| gelu(*x)).collect();
            let gate = sigmoid(of_type("skip", ty)[0]);
            add(&scale(&times(&a, of_type("O", ty)), gate), &scale(&h(ty, v), 1.0 - gate))
        });
    }
}

#[test]
fn gin_calls_a_module() {
    let run = run("layer L = GIN(4, hidden: 5)");
    run.check(AUTHOR, |v| {
        let eps = run.param("gnn.1.eps")[0];
        let near = sum(edges(AUTHOR, v).iter().map(|e| h(e.1, e.2)), IN);
        let x = add(&scale(&h(AUTHOR, v), 1.0 + eps), &near);
        let inner = add(&times(&x, run.param("gnn.1.mlp1.A")), run.param("gnn.1.mlp1.a"));
        let inner: Row = inner.iter().map(|x| x.max(0.0)).collect();
        add(&times(&inner, run.param("gnn.1.mlp1.B")), run.param("gnn.1.mlp1.b"))
    });
}

#[test]
fn edges_weigh_their_messages() {
    let source = "layer E(out: dim) {
        weight W : in x out
        h'[v] = sum[u -> v] e.weight * (h[u] @ W)
    }
    layer L = E(3)";
    let run = run(source);
    run.check(PAPER, |v| {
        let message = |e: &(usize, u32, usize, usize)| {
            scale(&times(&h(e.1, e.2), run.param("gnn.1.W")), weights(e.0)[e.3])
        };
        sum(edges(PAPER, v).iter().map(message), 3)
    });
}

#[test]
fn layer_norm() {
    let run = run("module L = layer_norm()");
    run.check(PAPER, |v| {
        let x = h(PAPER, v);
        let mean = x.iter().sum::<f64>() / IN as f64;
        let variance = x.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / IN as f64;
        let unit = |i: usize| (x[i] - mean) / (variance + 1e-5).sqrt();
        (0..IN).map(|i| unit(i) * run.param("gnn.1.g")[i] + run.param("gnn.1.b")[i]).collect()
    });
}

#[test]
fn dimensions_are_reduced_and_normalised_by_name() {
    let source = "layer D(out: dim, a: int = 2) {
        weight W : in x a x out
        weight B : a
        weight C : a x out
        z[v]  = softmax[a](h[v] @ W) + C
        y[v]  = max[a](z[v]) - min[a](z[v] * B)
        h'[v] = y[v] * sum(z[v])[0]
    }";
    assert!(!super::world::all_mistakes(source).is_empty(), "an index on a call has no meaning");
    let source = &source.replace("sum(z[v])[0]", "sum[a] sum(z[v])");
    let run = run(&format!("{source}\nlayer L = D(3)"));
    run.check(PAPER, |v| {
        let wide = times(&h(PAPER, v), run.param("gnn.1.W"));
        let (b, c) = (run.param("gnn.1.B"), run.param("gnn.1.C"));
        let share = |k: usize, d: usize| softmax(&[wide[d], wide[3 + d]])[k];
        let z = |k: usize, d: usize| share(k, d) + c[k * 3 + d];
        let total: f64 = (0..2).flat_map(|k| (0..3).map(move |d| (k, d))).map(|(k, d)| z(k, d)).sum();
        let y = |d: usize| z(0, d).max(z(1, d)) - (z(0, d) * b[0]).min(z(1, d) * b[1]);
        (0..3).map(|d| y(d) * total).collect()
    });
}

#[test]
fn one_matrix_for_every_head_and_rows_in_the_middle() {
    let source = "layer M(out: dim, a: int = 2, b: int = 3) {
        weight W : in x a x b x out
        weight S : out x out
        weight m : b
        z[v]  = (h[v] @ W) @ S * m
        h'[v] = sum[a] sum[b] z[v]
    }
    layer L = M(2)";
    let run = run(source);
    run.check(PAPER, |v| {
        let wide = times(&h(PAPER, v), run.param("gnn.1.W"));
        let cell = |a: usize, b: usize| {
            let at = (a * 3 + b) * 2;
            scale(&times(&wide[at..at + 2], run.param("gnn.1.S")), run.param("gnn.1.m")[b])
        };
        sum((0..2).flat_map(|a| (0..3).map(move |b| (a, b))).map(|(a, b)| cell(a, b)), 2)
    });
}

#[test]
fn powers_and_constants() {
    let source = "layer P(out: dim, p: float = 0.5) {
        weight W : in x out
        h'[v] = (square(h[v] @ W) + 1) ^ p + (h[v] @ W) ^ 3 * (2 - out / 4) / sqrt(out)
    }
    layer L = P(2, p: 1.5)";
    let run = run(source);
    run.check(PAPER, |v| {
        let z = times(&h(PAPER, v), run.param("gnn.1.W"));
        z.iter().map(|x| (x * x + 1.0).powf(1.5) + x.powi(3) * 1.5 / 2f64.sqrt()).collect()
    });
}

#[test]
fn nodes_without_relations_keep_what_is_theirs() {
    let source = "layer O(out: dim) {
        weight b : out
        h'[v] = b
    }
    layer L = O(2)";
    let run = run(source);
    run.check(PAPER, |_| run.param("gnn.1.b").to_vec());
}

#[test]
fn a_type_without_incoming_relations_gets_no_messages() {
    let mut facts = facts();
    facts.relations.truncate(1);
    let hgt = run_on("layer L = HGT(6, heads: 2)", &facts);
    let gate = sigmoid(hgt.param("gnn.1.skip[author]")[0]);
    hgt.check(AUTHOR, |v| scale(&h(AUTHOR, v), 1.0 - gate));
    let gcn = run_on("layer L = GCN(4)", &facts);
    let rgcn = run_on("layer L = RGCN(4)", &facts);
    rgcn.check(AUTHOR, |v| add(&times(&h(AUTHOR, v), rgcn.param("gnn.1.S")), rgcn.param("gnn.1.b")));
    // Degrees are those of the whole graph, in which authors have edges.
    gcn.check(AUTHOR, |v| {
        add(
            &scale(&times(&h(AUTHOR, v), gcn.param("gnn.1.W")), 1.0 / (degree(AUTHOR, v) + 1.0)),
            gcn.param("gnn.1.b"),
        )
    });
    let gat = run_on("layer L = GAT(4, heads: 2)", &facts);
    gat.check(AUTHOR, |v| add(&times(&h(AUTHOR, v), gat.param("gnn.1.W")), gat.param("gnn.1.b")));
    let nothing = run_on(
        "layer N(out: dim) {\nweight W : in x out\nh'[v] = max[u -> v](h[u]) @ W\n}\nlayer L = N(3)",
        &facts,
    );
    nothing.check(AUTHOR, |_| vec![0.0; 3]);
}

#[test]
fn dropout_is_for_training() {
    let source = "layer L = GAT(4, heads: 2, attention_dropout: 0.5)";
    let count = |mode| {
        let (outcome, _) = lowered(source, mode).expect("it lowers");
        let sites: Vec<u32> = outcome
            .program
            .values
            .iter()
            .filter_map(|v| if let Op::Dropout { site, .. } = v.op { Some(site) } else { None })
            .collect();
        let mut unique = sites.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), sites.len(), "a site of its own for each");
        sites.len()
    };
    // Three relations and two node types.
    assert_eq!(count(Mode::Train), 5);
    assert_eq!(count(Mode::Infer), 0);
}

#[test]
fn weights_start_by_their_fans() {
    let init = |source: &str, name: &str| {
        let (outcome, _) = lowered(source, Mode::Train).expect("it lowers");
        outcome.params.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no {name}")).init
    };
    assert_eq!(init("layer L = RGCN(4)", "gnn.1.W[cites]"), Init::Glorot { fan_in: 6, fan_out: 4 });
    assert_eq!(init("layer L = RGCN(4)", "gnn.1.b"), Init::Zeros);
    assert_eq!(init("layer L = RGCN(4, bases: 2)", "gnn.1.W.bases"), Init::Glorot { fan_in: 6, fan_out: 4 });
    assert_eq!(init("layer L = GAT(8)", "gnn.1.W"), Init::Glorot { fan_in: 6, fan_out: 8 });
    assert_eq!(init("layer L = GAT(8)", "gnn.1.aL"), Init::Glorot { fan_in: 4, fan_out: 2 });
    assert_eq!(init("layer L = HGT(6, heads: 2)", "gnn.1.A[cites]"), Init::Glorot { fan_in: 3, fan_out: 3 });
    assert_eq!(init("layer L = HGT(6, heads: 2)", "gnn.1.mu[cites]"), Init::Ones);
}

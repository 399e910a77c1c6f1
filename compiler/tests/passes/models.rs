//! The models of the standard library, written with the builder: two layers over two node types.

use crate::world::{CLASSES, EDGE_FEATURE, FEATURE, NODES, RELATIONS};
use gsl_plan::build::Builder;
use gsl_plan::program::*;

pub struct Model {
    pub name: &'static str,
    pub program: Program,
    pub signature: Signature,
}

impl Model {
    pub fn trainable(&self) -> Vec<bool> {
        vec![true; self.signature.params.len()]
    }
}

const WIDTH: usize = 6;
const HEADS: usize = 2;

/// A builder that makes parameters as they are asked for, and panics where the compiler would report.
pub struct Net {
    pub b: Builder,
    sites: u32,
}

impl Net {
    pub fn new() -> Self {
        let signature = Signature { relations: RELATIONS.to_vec(), params: vec![] };
        Net { b: Builder::new(signature), sites: 0 }
    }

    pub fn param(&mut self, shape: &[usize]) -> ValueId {
        self.b.signature.params.push(shape.to_vec());
        let last = self.b.signature.params.len() as u32 - 1;
        self.b.param(last).expect("a parameter")
    }

    pub fn feature(&mut self, domain: Domain, width: usize) -> ValueId {
        self.b.push(Op::Feature { feature: 0 }, &[], domain, &[width]).expect("a feature")
    }

    pub fn unary(&mut self, op: UnaryOp, x: ValueId) -> ValueId {
        self.b.unary(op, x).expect("fits")
    }

    pub fn binary(&mut self, op: BinaryOp, x: ValueId, y: ValueId) -> ValueId {
        self.b.binary(op, x, y).expect("fits")
    }

    pub fn add(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.binary(BinaryOp::Add, x, y)
    }

    pub fn mul(&mut self, x: ValueId, y: ValueId) -> ValueId {
        self.binary(BinaryOp::Mul, x, y)
    }

    pub fn linear(&mut self, x: ValueId, n: &[usize]) -> ValueId {
        let k = self.b.value(x).width();
        let w = self.param(&[&[k], n].concat());
        self.b.linear(x, w, 1).expect("fits")
    }

    pub fn affine(&mut self, x: ValueId, n: usize) -> ValueId {
        let y = self.linear(x, &[n]);
        let bias = self.param(&[n]);
        self.add(y, bias)
    }

    pub fn concat(&mut self, parts: &[ValueId]) -> ValueId {
        self.b.op(Op::Concat, parts).expect("fits")
    }

    pub fn sum_inner(&mut self, x: ValueId, inner: usize) -> ValueId {
        self.b.op(Op::SumInner { inner }, &[x]).expect("fits")
    }

    pub fn reduce(&mut self, op: ReduceOp, x: ValueId) -> ValueId {
        self.b.reduce(op, x).expect("on edges")
    }

    pub fn dropout(&mut self, x: ValueId) -> ValueId {
        self.sites += 1;
        self.b.op(Op::Dropout { p: 0.3, site: self.sites }, &[x]).expect("fits")
    }

    /// Rows of both node types at the outermost hop: features through a layer, and an embedding table.
    fn encode(&mut self) -> [ValueId; 2] {
        let a = Domain::Nodes { ty: 0, hop: 2 };
        let b = Domain::Nodes { ty: 1, hop: 2 };
        self.b.at("encode a", None);
        let x = self.feature(a, FEATURE);
        let h = self.affine(x, WIDTH);
        let h = self.unary(UnaryOp::Tanh, h);
        self.b.at("encode b", None);
        self.b.signature.params.push(vec![NODES[1], WIDTH]);
        let param = self.b.signature.params.len() as u32 - 1;
        let table = self.b.push(Op::Embedding { param }, &[], b, &[WIDTH]).expect("a table");
        [h, table]
    }

    fn finish(mut self, name: &'static str, h: ValueId) -> Model {
        self.b.at("decode", None);
        let seeds = Domain::Nodes { ty: 0, hop: 0 };
        let scores = self.affine(h, CLASSES);
        let labels = self.b.push(Op::Label { label: 0 }, &[], seeds, &[]).expect("labels");
        let weights = self.b.push(Op::SeedWeight { predict: 0 }, &[], seeds, &[]).expect("weights");
        let scale = self.b.op(Op::LossScale { predict: 0 }, &[]).expect("a scale");
        self.b.at("loss", None);
        let losses = self.b.op(Op::CrossEntropy { smoothing: 0.1 }, &[scores, labels]).expect("fits");
        let weighted = self.mul(losses, weights);
        let total = self.b.op(Op::SumRows, &[weighted]).expect("fits");
        let loss = self.mul(total, scale);
        self.b.output(Role::Loss, loss);
        self.b.output(Role::TaskLoss(0), loss);
        self.b.output(Role::Scores(0), scores);
        Model { name, program: self.b.program, signature: self.b.signature }
    }
}

type Layer<'a> = dyn FnMut(&mut Net, &[ValueId; 2], u32) -> [Option<ValueId>; 2] + 'a;

fn two_layers(name: &'static str, layer: &mut Layer) -> Model {
    let mut net = Net::new();
    let mut h = net.encode();
    for hop in [1, 0] {
        net.b.at(format!("layer {}", 1 - hop), None);
        let next = layer(&mut net, &h, hop);
        for ty in 0..2 {
            let Some(rows) = next[ty] else { continue };
            let active = net.unary(UnaryOp::LeakyRelu(0.1), rows);
            h[ty] = if hop == 1 { net.dropout(active) } else { active };
        }
    }
    net.finish(name, h[0])
}

/// What an edge of a relation at a hop brings.
type Message<'a> = dyn FnMut(&mut Net, &[ValueId; 2], u32, u32) -> ValueId + 'a;

/// Sum of what each relation into a type brings, with a self loop.
fn per_relation(net: &mut Net, h: &[ValueId; 2], hop: u32, message: &mut Message) -> [Option<ValueId>; 2] {
    let mut out = [None, None];
    for ty in 0..2u32 {
        let here = net.b.prefix(h[ty as usize], hop).expect("on nodes");
        let bias = net.param(&[WIDTH]);
        let own = net.linear(here, &[WIDTH]);
        let mut sum = net.add(bias, own);
        for (rel, _) in RELATIONS.iter().enumerate().filter(|(_, r)| r.1 == ty) {
            let brought = message(net, h, rel as u32, hop);
            sum = net.add(sum, brought);
        }
        out[ty as usize] = Some(sum);
    }
    out
}

fn src(net: &mut Net, x: ValueId, rel: u32, hop: u32) -> ValueId {
    net.b.src(x, rel, hop).expect("a source")
}

fn dst(net: &mut Net, x: ValueId, rel: u32, hop: u32) -> ValueId {
    net.b.dst(x, rel, hop).expect("a destination")
}

/// The rows at the near end of a relation.
fn near(net: &mut Net, h: &[ValueId; 2], rel: u32, hop: u32) -> ValueId {
    net.b.prefix(h[RELATIONS[rel as usize].1 as usize], hop).expect("on nodes")
}

fn far(h: &[ValueId; 2], rel: u32) -> ValueId {
    h[RELATIONS[rel as usize].0 as usize]
}

pub fn rgcn() -> Model {
    two_layers("rgcn", &mut |net, h, hop| {
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let u = src(net, far(h, rel), rel, hop);
            let m = net.linear(u, &[WIDTH]);
            net.reduce(ReduceOp::Mean, m)
        })
    })
}

/// W_r = Σ_b a[r, b] V_b.
pub fn rgcn_bases() -> Model {
    two_layers("rgcn_bases", &mut |net, h, hop| {
        let coefficients = net.param(&[RELATIONS.len(), 2]);
        let bases = net.param(&[2, WIDTH, WIDTH]);
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let index = rel as usize;
            let a = net.b.op(Op::Index { index }, &[coefficients]).expect("an entry");
            let w = net.b.linear(a, bases, 1).expect("fits");
            let u = src(net, far(h, rel), rel, hop);
            let m = net.b.linear(u, w, 1).expect("fits");
            net.reduce(ReduceOp::Mean, m)
        })
    })
}

pub fn gcn() -> Model {
    two_layers("gcn", &mut |net, h, hop| {
        let w = net.param(&[WIDTH, WIDTH]);
        let norm = |net: &mut Net, ty: u32, hop: u32| {
            let degree = net.b.push(Op::Degree, &[], Domain::Nodes { ty, hop }, &[]).expect("a leaf");
            let one = net.b.constant(1.0);
            let loops = net.add(degree, one);
            net.unary(UnaryOp::Rsqrt, loops)
        };
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let (s, d) = RELATIONS[rel as usize];
            let u = src(net, far(h, rel), rel, hop);
            let z = net.b.linear(u, w, 1).expect("fits");
            let (ns, nd) = (norm(net, s, hop + 1), norm(net, d, hop));
            let (cs, cd) = (src(net, ns, rel, hop), dst(net, nd, rel, hop));
            let c = net.mul(cs, cd);
            let m = net.mul(c, z);
            net.reduce(ReduceOp::Sum, m)
        })
    })
}

/// softmax over the edges into a node, without the shift that keeps it finite from moving gradients.
fn softmax(net: &mut Net, e: ValueId, rel: u32, hop: u32) -> ValueId {
    let most = net.reduce(ReduceOp::Max, e);
    let most = net.b.op(Op::StopGradient, &[most]).expect("fits");
    let most = dst(net, most, rel, hop);
    let shifted = net.binary(BinaryOp::Sub, e, most);
    let p = net.unary(UnaryOp::Exp, shifted);
    let total = net.reduce(ReduceOp::Sum, p);
    let total = dst(net, total, rel, hop);
    net.binary(BinaryOp::Div, p, total)
}

fn dot(net: &mut Net, z: ValueId) -> ValueId {
    let a = net.param(&[HEADS, WIDTH / HEADS]);
    let product = net.mul(z, a);
    net.sum_inner(product, WIDTH / HEADS)
}

pub fn gat() -> Model {
    two_layers("gat", &mut |net, h, hop| {
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let v = near(net, h, rel, hop);
            let zu = net.linear(far(h, rel), &[HEADS, WIDTH / HEADS]);
            let zv = net.linear(v, &[HEADS, WIDTH / HEADS]);
            let (zu, zv) = (src(net, zu, rel, hop), dst(net, zv, rel, hop));
            let (l, r) = (dot(net, zu), dot(net, zv));
            let e = net.add(l, r);
            let e = net.unary(UnaryOp::LeakyRelu(0.2), e);
            let alpha = softmax(net, e, rel, hop);
            let alpha = net.dropout(alpha);
            let m = net.mul(alpha, zu);
            let m = net.reduce(ReduceOp::Sum, m);
            net.b.reshape(m, &[WIDTH]).expect("fits")
        })
    })
}

/// a · [z_u ‖ z_v ‖ feature], and the message [h_u ‖ feature] W.
pub fn concat_attention() -> Model {
    two_layers("concat_attention", &mut |net, h, hop| {
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let v = near(net, h, rel, hop);
            let (u, v) = (src(net, far(h, rel), rel, hop), dst(net, v, rel, hop));
            let w = net.feature(Domain::Edges { rel, hop }, EDGE_FEATURE);
            let both = net.concat(&[u, v, w]);
            let a = net.param(&[2 * WIDTH + EDGE_FEATURE]);
            let product = net.mul(both, a);
            let e = net.sum_inner(product, 2 * WIDTH + EDGE_FEATURE);
            let e = net.unary(UnaryOp::Tanh, e);
            let alpha = softmax(net, e, rel, hop);
            let message = net.concat(&[u, w]);
            let message = net.linear(message, &[WIDTH]);
            let m = net.mul(alpha, message);
            net.reduce(ReduceOp::Sum, m)
        })
    })
}

pub fn sage_pool() -> Model {
    two_layers("sage_pool", &mut |net, h, hop| {
        let mut out = [None, None];
        for ty in 0..2u32 {
            let here = net.b.prefix(h[ty as usize], hop).expect("on nodes");
            let mut parts = vec![here];
            for (rel, _) in RELATIONS.iter().enumerate().filter(|(_, r)| r.1 == ty) {
                let u = src(net, far(h, rel as u32), rel as u32, hop);
                let pooled = net.affine(u, WIDTH);
                let pooled = net.unary(UnaryOp::Relu, pooled);
                parts.push(net.reduce(ReduceOp::Max, pooled));
            }
            let all = net.concat(&parts);
            out[ty as usize] = Some(net.affine(all, WIDTH));
        }
        out
    })
}

/// h'[v] = Σ σ(h[u] A + h[v] B + e C) ⊙ (h[u] V).
pub fn gated() -> Model {
    two_layers("gated", &mut |net, h, hop| {
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let v = near(net, h, rel, hop);
            let (u, v) = (src(net, far(h, rel), rel, hop), dst(net, v, rel, hop));
            let w = net.feature(Domain::Edges { rel, hop }, EDGE_FEATURE);
            let (a, b, c) = (net.linear(u, &[WIDTH]), net.linear(v, &[WIDTH]), net.linear(w, &[WIDTH]));
            let ab = net.add(a, b);
            let abc = net.add(ab, c);
            let gate = net.unary(UnaryOp::Sigmoid, abc);
            let value = net.linear(u, &[WIDTH]);
            let m = net.mul(gate, value);
            net.reduce(ReduceOp::Sum, m)
        })
    })
}

/// A hidden layer on every edge, too wide for a kernel: relu([h_u ‖ h_v] A) B.
pub fn edge_mlp() -> Model {
    two_layers("edge_mlp", &mut |net, h, hop| {
        per_relation(net, h, hop, &mut |net, h, rel, hop| {
            let v = near(net, h, rel, hop);
            let (u, v) = (src(net, far(h, rel), rel, hop), dst(net, v, rel, hop));
            let both = net.concat(&[u, v]);
            let wide = net.affine(both, 80);
            let wide = net.unary(UnaryOp::Tanh, wide);
            let wide = net.linear(wide, &[80]);
            let wide = net.unary(UnaryOp::Tanh, wide);
            let m = net.linear(wide, &[WIDTH]);
            net.reduce(ReduceOp::Mean, m)
        })
    })
}

pub fn all() -> Vec<Model> {
    vec![rgcn(), rgcn_bases(), gcn(), gat(), concat_attention(), sage_pool(), gated(), edge_mlp()]
}

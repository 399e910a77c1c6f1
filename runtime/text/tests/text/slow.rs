//! The encoders once more, straight from their papers: one text, one head, one number at a time, in double precision.

use crate::tiny::{HEADS, HIDDEN, Kind, LAYERS, Names, Tensors, names};

type Rows = Vec<Vec<f64>>;

pub struct Slow<'a> {
    pub kind: Kind,
    pub tensors: &'a Tensors,
}

impl Slow<'_> {
    fn get(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    fn row(&self, name: &str, row: usize) -> Vec<f64> {
        self.get(name)[row * HIDDEN..(row + 1) * HIDDEN].iter().map(|&x| f64::from(x)).collect()
    }

    fn dense(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let one = |x: &Vec<f64>| {
            let dot = |(to, &bias): (usize, &f32)| {
                let row = &weight[to * x.len()..(to + 1) * x.len()];
                f64::from(bias) + row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>()
            };
            bias.iter().enumerate().map(dot).collect()
        };
        x.iter().map(one).collect()
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let (scale, shift) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let epsilon = if self.kind == Kind::Roberta { 1e-5 } else { 1e-12 };
        let one = |x: &Vec<f64>| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let unit = |x: &f64| (x - mean) / (variance + epsilon).sqrt();
            let scaled = |((x, &s), &b): ((&f64, &f32), &f32)| unit(x) * f64::from(s) + f64::from(b);
            x.iter().zip(scale).zip(shift).map(scaled).collect()
        };
        x.iter().map(one).collect()
    }

    fn activation(&self, x: f64) -> f64 {
        match self.kind {
            Kind::Bert => x * phi(x),
            Kind::DistilBert => x.max(0.0),
            Kind::Roberta => {
                let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inside.tanh())
            }
        }
    }

    /// The hidden rows of the last layer, one per token.
    pub fn hidden(&self, ids: &[u32]) -> Rows {
        let first = if self.kind == Kind::Roberta { 1 } else { 0 };
        let token = |(at, &id): (usize, &u32)| {
            let mut x = self.row("embeddings.word_embeddings.weight", id as usize);
            add(&mut x, &self.row("embeddings.position_embeddings.weight", at + first));
            if self.kind != Kind::DistilBert {
                add(&mut x, &self.row("embeddings.token_type_embeddings.weight", 0));
            }
            x
        };
        let x: Rows = ids.iter().enumerate().map(token).collect();
        let x = self.norm("embeddings.LayerNorm", &x);
        (0..LAYERS).fold(x, |x, layer| self.layer(&names(self.kind, layer), x))
    }

    fn layer(&self, names: &Names, x: Rows) -> Rows {
        let [q, k, v] = [0, 1, 2].map(|part| self.dense(&names.dense[part], &x));
        let attended = attend(&q, &k, &v);
        let y = self.norm(&names.norms[0], &sum(&x, &self.dense(&names.dense[3], &attended)));
        let mut wide = self.dense(&names.dense[4], &y);
        wide.iter_mut().flatten().for_each(|x| *x = self.activation(*x));
        self.norm(&names.norms[1], &sum(&y, &self.dense(&names.dense[5], &wide)))
    }

    pub fn pooler(&self, first: &[f64]) -> Vec<f64> {
        let mut x = self.dense("pooler.dense", &vec![first.to_vec()]).remove(0);
        x.iter_mut().for_each(|x| *x = x.tanh());
        x
    }
}

fn attend(q: &Rows, k: &Rows, v: &Rows) -> Rows {
    let width = HIDDEN / HEADS;
    let mut out = vec![vec![0.0; HIDDEN]; q.len()];
    for head in 0..HEADS {
        let columns = head * width..(head + 1) * width;
        for (i, out) in out.iter_mut().enumerate() {
            let score = |k: &Vec<f64>| {
                let dot: f64 = columns.clone().map(|c| q[i][c] * k[c]).sum();
                (dot / (width as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = k.iter().map(score).collect();
            let all: f64 = scores.iter().sum();
            for c in columns.clone() {
                out[c] = scores.iter().zip(v).map(|(s, v)| s / all * v[c]).sum();
            }
        }
    }
    out
}

fn sum(a: &Rows, b: &Rows) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn add(a: &mut [f64], b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// The normal distribution function, by the series of its integral from 0.
fn phi(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    (0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()).clamp(0.0, 1.0)
}

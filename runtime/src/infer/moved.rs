//! A trained model on another graph of the same declaration: new tables.
//!
//! Weights are what they were. A trained row for each node goes with the node's identifier: a node that the model was trained with
//! keeps its row, any other one takes the mean of all trained rows.

use gsl_plan::pairs::Against;
use gsl_plan::plan::{ParamKind, Plan, Predict};
use rayon::prelude::*;

use crate::graph::{Graph, Keys};
use crate::store::Params;
use crate::view::GraphView;

/// Nodes that have no trained row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    pub ty: String,
    /// The parameter whose mean they take.
    pub param: String,
    pub nodes: u64,
    pub of: u64,
}

impl Unseen {
    /// In a whole sentence.
    pub fn message(&self) -> String {
        let Self { ty, param, nodes, of } = self;
        format!(
            "{nodes} of {of} nodes of `{ty}` were not trained: in `{param}` they take the mean of the trained rows"
        )
    }
}

/// The nodes of a type go by their row numbers, which say nothing of other tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoKey {
    pub ty: String,
    pub param: String,
}

impl std::fmt::Display for NoKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ty, param } = self;
        write!(
            f,
            "`{param}` has a row for each `{ty}`, which has no key: no row of new tables can be told to be one of them"
        )
    }
}

impl std::error::Error for NoKey {}

impl NoKey {
    pub fn help(&self) -> String {
        format!("give `{}` a key, `key COLUMN`, and train again; or encode it by features", self.ty)
    }
}

/// A link that is ranked against all nodes, because there are fewer than the file draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fewer {
    pub predict: String,
    pub drawn: u32,
    pub nodes: u64,
}

impl Fewer {
    /// In a whole sentence.
    pub fn message(&self) -> String {
        let Self { predict, drawn, nodes } = self;
        format!(
            "`{predict}` is ranked against all {nodes} nodes: there are not the {drawn} candidates that are to be drawn"
        )
    }
}

/// The plan that was made for one graph, for another one, which may have fewer nodes than there are candidates.
pub fn moved(plan: &Plan, to: &Graph) -> (Plan, Vec<Fewer>) {
    let mut plan = Plan { graph: to.plan().clone(), facts: to.facts().clone(), ..plan.clone() };
    for param in &mut plan.params {
        if let ParamKind::Table { ty } = param.kind
            && (ty as usize) < to.node_types()
        {
            param.shape[0] = to.node_count(ty);
        }
    }
    let fewer = plan.predicts.iter_mut().filter_map(|predict| fitted(predict, to)).collect();
    (plan, fewer)
}

/// Ranks all nodes where there are fewer than are drawn.
fn fitted(predict: &mut Predict, to: &Graph) -> Option<Fewer> {
    let pairs = predict.pairs.as_mut()?;
    let protocol = &pairs.links.as_ref()?.protocol;
    let Against::Uniform(drawn) = protocol.against else { return None };
    let ends = protocol.sides.iter().map(|side| to.node_count(pairs.end(*side)) as u64);
    let nodes = ends.min().filter(|nodes| *nodes < u64::from(drawn))?;
    pairs.links.as_mut()?.protocol.against = Against::All;
    Some(Fewer { predict: predict.name.clone(), drawn, nodes })
}

/// The parameters of a plan that [`moved`] made of another one, from those of that plan; and which nodes the model does not know.
///
/// # Errors
/// If a parameter has a row for each node of a type without a key.
pub fn moved_params(
    plan: &Plan,
    params: &Params,
    from: &Graph,
    to: &Graph,
) -> Result<(Params, Vec<Unseen>), NoKey> {
    let mut all = Params::new(&plan.params, plan.seed);
    let mut unseen = Vec::new();
    for (index, param) in plan.params.iter().enumerate() {
        let index = index as u32;
        match param.kind {
            ParamKind::Table { ty } if (ty as usize) < to.node_types() => {
                let name = plan.facts.nodes[ty as usize].name.clone();
                if matches!(from.keys(ty), Keys::Rows(_)) {
                    return Err(NoKey { ty: name, param: param.name.clone() });
                }
                let width = param.shape[1..].iter().product();
                let (rows, nodes) = rows_by_key(params.values(index), width, from.keys(ty), to.keys(ty));
                all.set(index, &rows);
                let of = to.node_count(ty) as u64;
                unseen.extend((nodes > 0).then(|| Unseen { ty: name, param: param.name.clone(), nodes, of }));
            }
            _ => all.set(index, params.values(index)),
        }
    }
    Ok((all, unseen))
}

/// For each of the new keys the row of the same old one, else the mean of all; and how many have no row.
fn rows_by_key(rows: &[f32], width: usize, old: Keys, new: Keys) -> (Vec<f32>, u64) {
    let mean = mean(rows, width);
    let mut found = vec![0.0; new.len() * width];
    let take = |(id, row): (usize, &mut [f32])| match old.find(new.get(id)) {
        Some(at) => {
            row.copy_from_slice(&rows[at as usize * width..(at as usize + 1) * width]);
            0
        }
        None => {
            row.copy_from_slice(&mean);
            1
        }
    };
    let unseen = found.par_chunks_exact_mut(width.max(1)).enumerate().map(take).sum();
    (found, unseen)
}

/// The sum of the rows in their order over their number.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    let each = rows.chunks_exact(width.max(1));
    let count = each.len().max(1) as f64;
    each.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_keep_their_rows_and_others_take_the_mean() {
        let rows = [1.0, 2.0, 3.0, 6.0, 5.0, 10.0];
        let (found, unseen) = rows_by_key(&rows, 2, Keys::Ints(&[3, 5, 8]), Keys::Ints(&[1, 5, 8, 9]));
        assert_eq!(found, [3.0, 6.0, 3.0, 6.0, 5.0, 10.0, 3.0, 6.0]);
        assert_eq!(unseen, 2);
        let texts = Keys::Texts { offsets: &[0, 1, 3], bytes: b"aab" };
        let (found, unseen) =
            rows_by_key(&[1.0, 2.0], 1, texts, Keys::Texts { offsets: &[0, 2], bytes: b"ab" });
        assert_eq!((found, unseen), (vec![2.0], 0));
    }
}

//! What a decoder has learned of each relation: a row of its weight `R[r]`.

use gsl_plan::plan::Plan;
use gsl_plan::program::{Domain, Op};
use gsl_tables::{Output, OutputColumn};

use super::{Results, TableFile, WriteError, Written};
use crate::infer::Rows;

impl Results<'_> {
    /// A table for each such weight of the decoder, named by it. Columns: `relation`, `embedding`.
    pub(super) fn relations(&self, index: usize, file: &TableFile) -> Result<Written, WriteError> {
        let Some(pairs) = &self.plan.predicts[index].pairs else { return Ok(Vec::new()) };
        let relations = &self.plan.facts.relations;
        let names: Vec<&str> =
            pairs.relations.iter().map(|rel| relations[*rel as usize].name.as_str()).collect();
        let mut written = Vec::new();
        for param in weights(self.plan, index, pairs.kinds.ty) {
            let (weight, rows) = self.rows_of(param);
            let columns = [
                OutputColumn::new("relation", Output::Text(&names)),
                OutputColumn::new("embedding", Output::FloatList { width: rows.width, values: &rows.data }),
            ];
            written.extend(file.with(&weight).write(&columns, names.len())?);
        }
        Ok(written)
    }

    /// The weight's name and its rows; those of shared bases are put together.
    fn rows_of(&self, param: usize) -> (String, Rows) {
        let declared = &self.plan.params[param];
        let data = self.params.values(param as u32).to_vec();
        let rows = Rows { width: declared.shape[1..].iter().product(), data };
        let Some(base) = declared.name.strip_suffix(".coefficients") else {
            return (last(&declared.name), rows);
        };
        let shared = self.plan.params.iter().position(|p| p.name == format!("{base}.bases"));
        let combined = shared.map(|shared| combine(&rows, self.params.values(shared as u32)));
        (last(base), combined.unwrap_or(rows))
    }
}

/// Parameters that the decoder reads by relation, in the order in which it first does.
fn weights(plan: &Plan, predict: usize, kinds: u32) -> Vec<usize> {
    let own = plan.scorers.iter().filter(|scorer| scorer.predict == predict);
    let mut found = Vec::new();
    for value in own.flat_map(|scorer| &scorer.exec.forward.values) {
        if let (Op::Embedding { param }, Domain::Nodes { ty, .. }) = (&value.op, value.domain)
            && ty == kinds
            && !found.contains(&(*param as usize))
        {
            found.push(*param as usize);
        }
    }
    found
}

fn last(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// rows × bases \[n\] times bases \[n\] × width.
fn combine(coefficients: &Rows, bases: &[f32]) -> Rows {
    let n = coefficients.width.max(1);
    let width = bases.len() / n;
    let mut data = Vec::with_capacity(coefficients.data.len() / n * width);
    for row in coefficients.data.chunks_exact(n) {
        for at in 0..width {
            data.push(row.iter().enumerate().map(|(base, c)| c * bases[base * width + at]).sum());
        }
    }
    Rows { width, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_bases_are_put_together() {
        let coefficients = Rows { width: 2, data: vec![1.0, 0.0, 2.0, -1.0] };
        let rows = combine(&coefficients, &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
        assert_eq!(rows, Rows { width: 3, data: vec![1.0, 2.0, 3.0, -8.0, -16.0, -24.0] });
    }
}

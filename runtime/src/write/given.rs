//! Scores of the pairs that a table names, in the order of its rows.

use gsl_plan::pairs::Pairs as Ends;
use gsl_plan::plan::PairTable;
use gsl_tables::{Column, Source, Values, Want};

use super::pairs::Pairs;
use super::predicted::Predicted;
use super::{Results, TableFile, WriteError, Written};
use crate::construct::open_source;
use crate::graph::{Key, Keys};
use crate::pairs::Edge;

impl Results<'_> {
    /// Columns: both ends, of a family the relation, what is predicted.
    pub(super) fn given(
        &mut self,
        index: usize,
        table: &PairTable,
        file: &TableFile,
    ) -> Result<Written, WriteError> {
        let predict = &self.plan.predicts[index];
        let Some(ends) = &predict.pairs else { return Ok(Vec::new()) };
        let pairs = self.read(table, ends)?;
        let edge =
            |at: usize| Edge { kind: pairs.kinds[at], position: 0, src: pairs.src[at], dst: pairs.dst[at] };
        let edges: Vec<Edge> = (0..pairs.src.len()).map(edge).collect();
        let known = self.known();
        let Some(scoring) = self.inference.scoring(index) else { return Ok(Vec::new()) };
        let scores = scoring.scores(known, &edges)?;
        let predicted = Predicted::of(&predict.task, &scores);
        self.with_ends(index, &pairs, &predicted.columns(&predicted.texts()), file)
    }

    fn read(&self, table: &PairTable, ends: &Ends) -> Result<Pairs, WriteError> {
        let source = open_source(&table.source, self.base)?;
        let (src, dst) = (self.graph.keys(ends.src), self.graph.keys(ends.dst));
        let mut wanted = vec![(table.src.as_str(), want(src)), (table.dst.as_str(), want(dst))];
        wanted.extend(table.relation.as_deref().map(|column| (column, Want::Text)));
        let columns = source.read(&wanted)?.columns;
        let name = |ty: u32| format!("`{}`", self.plan.facts.nodes[ty as usize].name);
        let kinds = match columns.get(2) {
            Some(column) => find(&source, column, "relation of this family", |key| self.kind(ends, key))?,
            None => vec![0; columns[0].len()],
        };
        Ok(Pairs {
            kinds,
            src: find(&source, &columns[0], &name(ends.src), |key| src.find(key))?,
            dst: find(&source, &columns[1], &name(ends.dst), |key| dst.find(key))?,
        })
    }

    fn kind(&self, ends: &Ends, key: Key) -> Option<u32> {
        let name = |rel: &u32| self.plan.facts.relations[*rel as usize].name.as_str();
        ends.relations.iter().position(|rel| key.text() == Some(name(rel))).map(|kind| kind as u32)
    }
}

fn want(keys: Keys) -> Want {
    match keys {
        Keys::Texts { .. } => Want::Text,
        Keys::Rows(_) | Keys::Ints(_) => Want::Int,
    }
}

/// What each cell of a column names; a missing one names nothing.
fn find(
    source: &Source,
    column: &Column,
    wanted: &str,
    of: impl Fn(Key) -> Option<u32>,
) -> Result<Vec<u32>, WriteError> {
    let mut found = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let key = key_at(column, row);
        match key.and_then(&of) {
            Some(id) => found.push(id),
            None => {
                return Err(WriteError::Unknown {
                    file: source.files().next().map(Into::into).unwrap_or_default(),
                    row: row + 1,
                    column: column.name.clone(),
                    found: key.map_or_else(|| "missing".into(), |key| key.to_string()),
                    wanted: wanted.into(),
                });
            }
        }
    }
    Ok(found)
}

fn key_at(column: &Column, row: usize) -> Option<Key<'_>> {
    if column.validity.as_ref().is_some_and(|valid| !valid.get(row)) {
        return None;
    }
    match &column.values {
        Values::Int(values) => Some(Key::Int(values[row])),
        Values::Text(texts) => {
            let code = texts.codes[row];
            (code != gsl_tables::MISSING).then(|| Key::Text(texts.values.get(code)))
        }
        _ => None,
    }
}

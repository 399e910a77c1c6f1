//! Scores of the pairs that a table names, in the order of its rows.

use std::path::Path;

use gsl_plan::pairs::Pairs as Ends;
use gsl_plan::plan::{PairTable, Plan, WriteWhat};
use gsl_tables::{Column, Source, Values, Want};
use rustc_hash::FxHashMap;

use super::pairs::{BATCH, Pairs};
use super::predicted::Predicted;
use super::{Results, TableFile, Unknown, WriteError, Written, kind_of};
use crate::construct::open_source;
use crate::graph::{Graph, Key, Keys};
use crate::infer::Rows;
use crate::pairs::Edge;

/// Reads the tables of pairs that the plan names, so that a pair which is not in the graph is found before anything is trained.
/// Paths are below `base`.
///
/// # Errors
/// If a table cannot be read, or names a node or a relation that there is not.
pub fn look_up(plan: &Plan, graph: &Graph, base: &Path) -> Result<(), WriteError> {
    for write in &plan.writes {
        if let WriteWhat::Scores { predict, pairs, relation } = &write.what {
            Named { plan, graph, base }.pairs(*predict, pairs, relation.as_deref())?;
        }
    }
    Ok(())
}

impl Results<'_> {
    /// Columns: both ends, of a family the relation, what is predicted. All pairs are of `relation` if one is named.
    pub(super) fn given(
        &mut self,
        index: usize,
        (table, relation): (&PairTable, Option<&str>),
        file: &TableFile,
    ) -> Result<Written, WriteError> {
        let predict = &self.plan.predicts[index];
        let named = Named { plan: self.plan, graph: self.graph, base: self.base };
        let Some(pairs) = named.pairs(index, table, relation)? else { return Ok(Vec::new()) };
        let edge =
            |at: usize| Edge { kind: pairs.kinds[at], position: 0, src: pairs.src[at], dst: pairs.dst[at] };
        let edges: Vec<Edge> = (0..pairs.src.len()).map(edge).collect();
        let known = self.known();
        let Some(scoring) = self.inference.scoring(index) else { return Ok(Vec::new()) };
        let mut scores = Rows { width: 1, data: Vec::new() };
        for (at, some) in edges.chunks(BATCH as usize).enumerate() {
            (self.told)(&file.doing("rows", at as u64 * BATCH, edges.len() as u64));
            let found = scoring.scores(known, some)?;
            scores.width = found.width;
            scores.data.extend(found.data);
        }
        let predicted = Predicted::of(&predict.task, &scores);
        self.with_ends(index, &pairs, &predicted.columns(&predicted.texts()), file)
    }
}

/// What the names in a table of pairs are looked up in.
struct Named<'a> {
    plan: &'a Plan,
    graph: &'a Graph,
    base: &'a Path,
}

impl Named<'_> {
    /// The pairs of a table; none if the prediction has none.
    fn pairs(
        &self,
        predict: usize,
        table: &PairTable,
        one: Option<&str>,
    ) -> Result<Option<Pairs>, WriteError> {
        let Some(ends) = &self.plan.predicts[predict].pairs else { return Ok(None) };
        let one = one.and_then(|name| kind_of(self.plan, predict, name)).unwrap_or(0);
        let source = open_source(&table.source, self.base)?;
        let (src, dst) = (self.graph.keys(ends.src), self.graph.keys(ends.dst));
        let mut wanted = vec![(table.src.as_str(), want(src)), (table.dst.as_str(), want(dst))];
        wanted.extend(table.relation.as_deref().map(|column| (column, Want::Text)));
        let columns = source.read(&wanted)?.columns;
        let name = |ty: u32| format!("`{}`", self.plan.facts.nodes[ty as usize].name);
        let kinds = match columns.get(2) {
            Some(column) => self.kinds(&source, column, ends)?,
            None => vec![one; columns[0].len()],
        };
        let (src_name, dst_name) = (name(ends.src), name(ends.dst));
        Ok(Some(Pairs {
            kinds,
            src: find(&source, &columns[0], (&src_name, &[]), |key| src.find(key))?,
            dst: find(&source, &columns[1], (&dst_name, &[]), |key| dst.find(key))?,
        }))
    }

    fn kinds(&self, source: &Source, column: &Column, ends: &Ends) -> Result<Vec<u32>, WriteError> {
        let name = |rel: &u32| self.plan.facts.relations[*rel as usize].name.clone();
        let names: Vec<String> = ends.relations.iter().map(name).collect();
        let numbers: FxHashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        let kind = |key: Key| numbers.get(key.text()?).copied();
        find(source, column, ("relation of this family", &names), kind)
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
    (wanted, known): (&str, &[String]),
    of: impl Fn(Key) -> Option<u32>,
) -> Result<Vec<u32>, WriteError> {
    let mut found = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let key = key_at(column, row);
        match key.and_then(&of) {
            Some(id) => found.push(id),
            None => {
                return Err(WriteError::Unknown(Box::new(Unknown {
                    file: source.files().next().map(Into::into).unwrap_or_default(),
                    row: row + 1,
                    column: column.name.clone(),
                    found: key.map_or_else(|| "missing".into(), |key| key.to_string()),
                    wanted: wanted.into(),
                    known: known.to_vec(),
                })));
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

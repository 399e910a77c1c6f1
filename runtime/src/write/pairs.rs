//! Predictions of edges and the best new links, named by both ends.

use gsl_tables::{Bitmap, Output, OutputColumn};

use super::columns::{KeyColumn, end_names, named, part_name};
use super::predicted::Predicted;
use super::{OpenTable, Results, TableFile, WriteError, Written};
use crate::pairs::{Best, Edge, Edges, Wanted};

/// Edges that are predicted and written at once.
pub(super) const BATCH: u64 = 1 << 14;

/// Of an edge that no row of its table tells of.
const NO_ROW: u32 = u32::MAX;

/// Pairs of nodes with the relation of each, by its number among those of the prediction.
pub struct Pairs {
    pub kinds: Vec<u32>,
    pub src: Vec<u32>,
    pub dst: Vec<u32>,
}

impl Pairs {
    fn of_edges(edges: &[Edge]) -> Self {
        Pairs {
            kinds: edges.iter().map(|edge| edge.kind).collect(),
            src: edges.iter().map(|edge| edge.src).collect(),
            dst: edges.iter().map(|edge| edge.dst).collect(),
        }
    }

    fn of_best(found: &[Best]) -> Self {
        Pairs {
            kinds: found.iter().map(|best| best.kind).collect(),
            src: found.iter().map(|best| best.src).collect(),
            dst: found.iter().map(|best| best.dst).collect(),
        }
    }
}

impl Results<'_> {
    /// Columns: both ends, of a family the relation, the row of the edge's table, `part`, what is predicted. So many edges are held at
    /// once, whatever their number.
    pub(super) fn of_edges(&mut self, index: usize, file: &TableFile) -> Result<Written, WriteError> {
        let Some(edges) = Edges::of(self.graph, &self.plan.predicts[index]) else { return Ok(Vec::new()) };
        let count = edges.count();
        let mut table = file.open(count as usize)?;
        for first in (0..count.max(1)).step_by(BATCH as usize) {
            (self.told)(&file.doing("rows", first, count));
            self.some_edges(index, edges.some(first..(first + BATCH).min(count)), &mut table)?;
        }
        table.finish()
    }

    fn some_edges(&mut self, index: usize, some: Vec<Edge>, table: &mut OpenTable) -> Result<(), WriteError> {
        let (plan, graph, known) = (self.plan, self.graph, self.known());
        let predict = &plan.predicts[index];
        let (Some(edges), Some(pairs), Some(scoring)) =
            (Edges::of(graph, predict), &predict.pairs, self.inference.scoring(index))
        else {
            return Ok(());
        };
        let scores = scoring.scores(known, &some)?;
        let predicted = Predicted::of(&predict.task, &scores);
        let stored =
            |edge: &Edge| graph.stored_rows(pairs.relations[edge.kind as usize])[edge.position as usize];
        let rows: Vec<i64> = some.iter().map(|edge| i64::from(stored(edge))).collect();
        let mut has_row = Bitmap::new();
        some.iter().for_each(|edge| has_row.push(stored(edge) != NO_ROW));
        let parts: Vec<&str> = some.iter().map(|edge| part_name(edges.part_of(edge))).collect();
        let mut columns = vec![
            OutputColumn { validity: Some(&has_row), ..OutputColumn::new("row", Output::Int(&rows)) },
            OutputColumn::new("part", Output::Text(&parts)),
        ];
        let texts = predicted.texts();
        columns.extend(predicted.columns(&texts));
        self.put_with_ends(index, &Pairs::of_edges(&some), &columns, table)
    }

    /// Columns: both ends, of a family the relation, `rank` from 1, `score`.
    pub(super) fn links(
        &mut self,
        index: usize,
        wanted: Wanted,
        file: &TableFile,
    ) -> Result<Written, WriteError> {
        let known = self.known();
        let Some(scoring) = self.inference.scoring(index) else { return Ok(Vec::new()) };
        let mut told = |done, all| (self.told)(&file.doing("sources", done, all));
        let found = scoring.best(known, wanted, &mut told)?;
        let ranks: Vec<i64> = found.iter().map(|best| i64::from(best.rank)).collect();
        let scores: Vec<f32> = found.iter().map(|best| best.score).collect();
        let columns = [
            OutputColumn::new("rank", Output::Int(&ranks)),
            OutputColumn::new("score", Output::Float32(&scores)),
        ];
        self.with_ends(index, &Pairs::of_best(&found), &columns, file)
    }

    /// One table of all its columns, as [`Results::put_with_ends`] puts them.
    pub(super) fn with_ends(
        &self,
        index: usize,
        named_pairs: &Pairs,
        columns: &[OutputColumn],
        file: &TableFile,
    ) -> Result<Written, WriteError> {
        let mut table = file.open(named_pairs.src.len())?;
        self.put_with_ends(index, named_pairs, columns, &mut table)?;
        table.finish()
    }

    /// Names of both ends and of the relation go before the columns.
    fn put_with_ends(
        &self,
        index: usize,
        named_pairs: &Pairs,
        columns: &[OutputColumn],
        table: &mut OpenTable,
    ) -> Result<(), WriteError> {
        let Some(pairs) = &self.plan.predicts[index].pairs else { return Ok(()) };
        let keys = |ty: u32, nodes: &[u32]| KeyColumn::of(self.graph.keys(ty), nodes.iter().copied());
        let (src, dst) = (keys(pairs.src, &named_pairs.src), keys(pairs.dst, &named_pairs.dst));
        let relations = &self.plan.facts.relations;
        let relation = |kind: &u32| relations[pairs.relations[*kind as usize] as usize].name.as_str();
        let of_relation: Vec<&str> = named_pairs.kinds.iter().map(relation).collect();
        let edge = &self.graph.plan().edges[relations[pairs.relations[0] as usize].declared_by];
        let mut names = end_names(edge).to_vec();
        let mut ids = vec![src.output(), dst.output()];
        if let gsl_plan::graph::Relation::Column(column) = &edge.relation {
            names.push(column.clone());
            ids.push(Output::Text(&of_relation));
        }
        table.put(&named(&mut names, &ids, columns))
    }
}

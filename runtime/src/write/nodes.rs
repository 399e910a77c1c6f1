//! Predictions and embeddings of nodes: a row for each node of the type, in ascending order of the keys.

use gsl_tables::{Output, OutputColumn};

use super::columns::{KeyColumn, key_name, named, part_name};
use super::predicted::Predicted;
use super::{Results, TableFile, WriteError, Written};
use crate::view::GraphView;

impl Results<'_> {
    /// Columns: the key, `part`, what is predicted.
    pub(super) fn of_nodes(&self, predict: usize, file: &TableFile) -> Result<Written, WriteError> {
        let Some(scores) = self.computed.scores.get(predict).and_then(Option::as_ref) else {
            return Ok(Vec::new());
        };
        let predict = &self.plan.predicts[predict];
        let predicted = Predicted::of(&predict.task, scores);
        let parts: Vec<&str> =
            self.graph.parts(predict.ty, predict.label).iter().map(|&part| part_name(part)).collect();
        let mut columns = vec![OutputColumn::new("part", Output::Text(&parts))];
        let texts = predicted.texts();
        columns.extend(predicted.columns(&texts));
        self.with_keys(predict.ty, &columns, file)
    }

    /// Columns: the key, `embedding`.
    pub(super) fn embeddings(&self, ty: u32, file: &TableFile) -> Result<Written, WriteError> {
        let Some(rows) = self.computed.rows(ty) else { return Ok(Vec::new()) };
        let values = Output::FloatList { width: rows.width, values: &rows.data };
        self.with_keys(ty, &[OutputColumn::new("embedding", values)], file)
    }

    fn with_keys(&self, ty: u32, columns: &[OutputColumn], file: &TableFile) -> Result<Written, WriteError> {
        let count = self.graph.node_count(ty);
        let keys = KeyColumn::of(self.graph.keys(ty), 0..count as u32);
        let mut names = [key_name(self.graph, ty)];
        file.write(&named(&mut names, &[keys.output()], columns), count)
    }
}

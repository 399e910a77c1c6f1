//! What both construction dialects say, in one form: blocks of tables with features and labels.
//!
//! Decided here: what is kept of a block. Not decided here: how a dialect spells it, how blocks become a graph.

use super::stages::CANDIDATES;
use super::text;
use crate::source::Failure;

#[derive(Debug, Default)]
pub struct Schema {
    pub nodes: Vec<NodeBlock>,
    pub edges: Vec<EdgeBlock>,
    /// Edges with an end that is in no table are left out.
    pub drops_dangling: bool,
    /// Every relation has its opposite.
    pub reverses: bool,
}

/// Columns of a node type. Several blocks may describe one type.
#[derive(Debug)]
pub struct NodeBlock {
    pub at: String,
    pub name: String,
    pub table: Table,
    pub key: Option<String>,
    pub features: Vec<Feature>,
    pub labels: Vec<Label>,
}

/// Columns of a relation. Several blocks may describe one, of which one has the ends.
#[derive(Debug)]
pub struct EdgeBlock {
    pub at: String,
    pub triple: Triple,
    pub table: Table,
    pub ends: Option<(String, String)>,
    pub features: Vec<Feature>,
    pub labels: Vec<Label>,
}

/// Source type, relation, destination type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triple(pub String, pub String, pub String);

impl Triple {
    pub fn show(&self) -> String {
        format!("{},{},{}", self.0, self.1, self.2)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    Csv { separator: char },
    Json,
    Parquet,
    Hdf5,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub at: String,
    pub format: Format,
    pub files: Vec<String>,
}

/// A feature: columns, each through the same stages, side by side.
#[derive(Debug, Clone)]
pub struct Feature {
    pub at: String,
    pub name: String,
    pub columns: Vec<String>,
    /// GSL transforms in their order.
    pub stages: Vec<String>,
    /// Columns are divided by this before the stages.
    pub divisor: Option<f64>,
    pub storage: Option<&'static str>,
    /// The feature's own table, where it is not in the block's.
    pub table: Option<Table>,
    /// Text as tokens: what trains a language model with the graph.
    pub is_tokens: bool,
    /// Text as the vectors of a language model that reads it before anything is trained.
    pub is_embedded: bool,
}

impl Feature {
    /// Whether it holds keys of nodes, and no numbers.
    pub fn is_candidates(&self) -> bool {
        self.stages.iter().any(|stage| stage.starts_with(CANDIDATES))
    }
}

impl Feature {
    /// `concat(one_hot(a), one_hot(b))`, or nothing where it is the column of its name.
    pub fn expr(&self) -> Result<Option<String>, Failure> {
        let columns = text::names(&self.columns)?;
        if let ([column], [stage], true) = (&columns[..], &self.stages[..], self.is_candidates()) {
            let arguments = stage.strip_prefix(CANDIDATES).unwrap_or_default().replace('(', ", ");
            return Ok(Some(format!(
                "{CANDIDATES}({column}{}",
                if arguments.is_empty() { ")" } else { &arguments }
            )));
        }
        if self.stages.is_empty() && self.divisor.is_none() && self.columns == [self.name.clone()] {
            return Ok(None);
        }
        let one = |column: &String| {
            let start =
                self.divisor.map_or_else(|| column.clone(), |d| format!("{column} / {}", text::number(d)));
            match &self.stages[..] {
                [stage] if self.divisor.is_none() && !stage.contains('(') => format!("{stage}({column})"),
                stages => {
                    std::iter::once(start).chain(stages.iter().cloned()).collect::<Vec<_>>().join(" |> ")
                }
            }
        };
        Ok(Some(match columns.as_slice() {
            [column] => one(column),
            all => format!("concat({})", all.iter().map(one).collect::<Vec<_>>().join(", ")),
        }))
    }

    /// `feature age : float16 = age |> min_max`
    pub fn statement(&self) -> Result<String, Failure> {
        let storage = self.storage.map_or_else(String::new, |s| format!(" : {s}"));
        let expr = self.expr()?.map_or_else(String::new, |e| format!(" = {e}"));
        Ok(format!("feature {}{storage}{expr}", text::name(&self.name)?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Classification,
    Regression,
    Link,
    /// A feature is to be reconstructed.
    Reconstruct,
}

#[derive(Debug, Clone)]
pub struct Label {
    pub at: String,
    /// Its column, unless another label has that name.
    pub name: String,
    pub column: String,
    pub task: Task,
    /// Several classes in one cell, parted by this.
    pub separator: Option<String>,
    /// Several classes in one cell.
    pub is_multi: bool,
    pub split: Split,
    /// The names that the masks of the split have.
    pub masks: Option<Vec<String>>,
}

/// Names of the masks of training, validation and test.
pub type Masks = Vec<Option<String>>;

#[derive(Debug, Clone)]
pub enum Split {
    /// No part at all.
    None,
    /// Shares of training, validation and test.
    Random([f64; 3]),
    /// Tables of identifiers.
    Files([Option<Table>; 3]),
}

impl Label {
    /// Whether its masks are those that a task names.
    pub fn has_masks(&self, masks: &[Option<String>]) -> bool {
        let has =
            |(i, mask): (usize, &String)| self.masks.as_ref().is_some_and(|own| own.get(i) == Some(mask));
        masks.iter().enumerate().filter_map(|(i, mask)| Some((i, mask.as_ref()?))).all(has)
    }

    /// Whether the graph has it: what is predicted of links and reconstructions stands in the experiment.
    pub fn is_of_graph(&self) -> bool {
        matches!(self.task, Task::Classification | Task::Regression)
    }
}

impl Split {
    /// Whether some rows validate.
    pub fn has_valid(&self) -> bool {
        match self {
            Split::None => false,
            Split::Random([_, valid, _]) => *valid > 0.0,
            Split::Files([_, valid, _]) => valid.is_some(),
        }
    }

    /// What stands behind `split x =`.
    pub fn rule(&self, paths: &super::tables::Paths) -> Option<String> {
        const PARTS: [&str; 3] = ["train", "valid", "test"];
        let arguments: Vec<String> = match self {
            Split::None => return None,
            Split::Random(shares) => {
                let given = PARTS.iter().zip(shares).filter(|(_, share)| **share > 0.0);
                given.map(|(part, share)| format!("{part}: {}", text::percent(*share))).collect()
            }
            Split::Files(tables) => {
                let given =
                    PARTS.iter().zip(tables).filter_map(|(part, table)| Some((part, table.as_ref()?)));
                given.map(|(part, table)| format!("{part}: {}", paths.string(&table.files[0]))).collect()
            }
        };
        let rule = if matches!(self, Split::Random(_)) { "random" } else { "files" };
        Some(format!("{rule}({})", arguments.join(", ")))
    }
}

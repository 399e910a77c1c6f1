//! What is worth knowing of a finished build, said once and kept with the graph.

use gsl_plan::graph::{EdgeType, FeatureExpr, Label, Part, Split};
use gsl_tables::ColumnKind;

use super::report::RelationReport;
use super::{Builder, edges, feature};

impl Builder<'_> {
    pub(super) fn warn(&mut self) {
        for node in &self.report.nodes {
            for label in node.labels.iter().filter(|label| !label.never_trained.is_empty()) {
                self.report.warnings.push(format!(
                    "`{}.{}`: by chance of the split, classes of the test part that no training row has: {}",
                    node.name,
                    label.name,
                    label.never_trained.join(", ")
                ));
            }
            self.report.warnings.extend(node.labels.iter().flat_map(|label| label.warnings(&node.name)));
        }
        for relation in &self.report.relations {
            let labels = relation.labels.iter();
            self.report.warnings.extend(labels.flat_map(|label| label.warnings(&relation.name)));
        }
        if self.known.is_none() {
            let empty = self.empty_parts();
            self.report.warnings.extend(empty);
        }
        for (ty, features) in self.plan.nodes.iter().zip(&self.fitted.nodes) {
            let warnings = features.iter().flat_map(|one| feature::warnings(&ty.name, one));
            self.report.warnings.extend(warnings);
        }
        for (edge, features) in self.plan.edges.iter().zip(&self.fitted.edges) {
            let warnings = features.iter().flat_map(|one| feature::warnings(edges::name_of(edge), one));
            self.report.warnings.extend(warnings);
        }
        let rounded = self.rounded();
        self.report.warnings.extend(rounded);
        for node in &self.report.nodes {
            let warnings = node.features.iter().filter_map(|one| one.warning(&node.name));
            self.report.warnings.extend(warnings);
        }
        for relation in self.report.relations.iter().filter(|relation| relation.edges == 0) {
            self.report.warnings.push(format!("relation `{}` has no edges", relation.name));
        }
    }

    /// Labels with parts that no row is in. Those of edges are counted over all relations of a declaration.
    fn empty_parts(&self) -> Vec<String> {
        let nodes = self.plan.nodes.iter().zip(&self.report.nodes);
        let nodes = nodes.map(|(ty, report)| (ty.name.as_str(), &ty.labels, &report.labels));
        let edges =
            self.first_reports().map(|(edge, report)| (edges::name_of(edge), &edge.labels, &report.labels));
        let mut said = Vec::new();
        for (owner, labels, reports) in nodes.chain(edges) {
            for label in labels.iter().filter(|label| !label.name.starts_with('(')) {
                let found = reports.iter().find(|report| report.name == label.name);
                said.extend(found.into_iter().flat_map(|report| empty_parts_of(owner, label, report.parts)));
            }
        }
        said
    }

    /// Columns of whole numbers that are features as they are, and too large for the 24 bits of a stored number.
    fn rounded(&self) -> Vec<String> {
        let nodes = self.plan.nodes.iter().zip(&self.report.nodes);
        let nodes =
            nodes.map(|(ty, report)| (ty.name.as_str(), &ty.sources[..], &ty.features, &report.features));
        let edges = self.first_reports().map(|(edge, report)| {
            (edges::name_of(edge), std::slice::from_ref(&edge.source), &edge.features, &report.features)
        });
        let mut said = Vec::new();
        for (owner, sources, features, reports) in nodes.chain(edges) {
            for (feature, report) in features.iter().zip(reports) {
                let FeatureExpr::Column { column, .. } = &feature.expr else { continue };
                // A column belongs to the first table that has it.
                let kind = sources.iter().find_map(|source| self.tables.get(source).kind(column));
                if kind == Some(&ColumnKind::Int) && report.max.abs().max(report.min.abs()) > WHOLE_IN_F32 {
                    said.push(format!(
                        "feature `{}` of `{owner}` has whole numbers beyond {WHOLE_IN_F32}, which are rounded to 24 bits: \
                         `standardize({column})` takes them before",
                        feature.name
                    ));
                }
            }
        }
        said
    }

    /// Each declaration of edges with the report of its first relation, which has what is counted of a family as a whole.
    fn first_reports(&self) -> impl Iterator<Item = (&EdgeType, &RelationReport)> {
        let forward = self.facts.relations.iter().filter(|relation| relation.reverse_of.is_none());
        let mut next = 0;
        forward.zip(&self.report.relations).filter_map(move |(facts, report)| {
            let is_first = facts.declared_by >= next;
            next = facts.declared_by + 1;
            is_first.then(|| (&self.plan.edges[facts.declared_by], report))
        })
    }
}

/// Whole numbers up to here are told apart by 32 bits of a float.
const WHOLE_IN_F32: f64 = 16_777_216.0;

/// What is said of the parts of a split that no labelled row is in: of the test part only where it was asked for.
fn empty_parts_of(owner: &str, label: &Label, parts: [u64; 4]) -> Vec<String> {
    if parts.iter().sum::<u64>() == 0 {
        return Vec::new();
    }
    let tested = match &label.split {
        None => false,
        Some(Split::Random { test, .. }) => *test > 0.0,
        Some(Split::By { test, .. }) => !test.is_empty(),
        Some(Split::Files { test, .. }) => test.is_some(),
        Some(Split::Column { .. }) => true,
    };
    let name = format!("`{owner}.{}`", label.name);
    let valid = (parts[Part::Valid as usize] == 0).then(|| format!("{name} has no validation rows"));
    let test = (tested && parts[Part::Test as usize] == 0)
        .then(|| format!("{name} has no test rows: nothing will be tested"));
    valid.into_iter().chain(test).collect()
}

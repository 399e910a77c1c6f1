//! What is worth knowing of a finished build, said once and kept with the graph.

use gsl_plan::graph::{Feature, FeatureExpr, Label, Part, Source, Split};
use gsl_tables::ColumnKind;

use super::report::FeatureReport;
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
        let mut said = Vec::new();
        for (ty, report) in self.plan.nodes.iter().zip(&self.report.nodes) {
            for label in ty.labels.iter().filter(|label| !label.name.starts_with('(')) {
                let found = report.labels.iter().find(|one| one.name == label.name);
                said.extend(found.map(|one| empty_parts_of(&ty.name, label, one.parts)).unwrap_or_default());
            }
        }
        for (index, edge) in self.plan.edges.iter().enumerate() {
            for label in edge.labels.iter().filter(|label| !label.name.starts_with('(')) {
                let mut parts = [0; 4];
                let of_edge = self.facts.relations.iter().filter(|relation| relation.declared_by == index);
                for facts in of_edge.filter(|relation| relation.reverse_of.is_none()) {
                    let found = facts.labels.iter().find(|one| one.name == label.name);
                    found.iter().for_each(|one| (0..4).for_each(|part| parts[part] += one.parts[part]));
                }
                said.extend(empty_parts_of(edges::name_of(edge), label, parts));
            }
        }
        said
    }

    /// Columns of whole numbers that are features as they are, and too large for the 24 bits of a stored number.
    fn rounded(&self) -> Vec<String> {
        let mut said = Vec::new();
        let mut look = |owner: &str, source: &Source, features: &[Feature], reports: &[FeatureReport]| {
            let header = &self.tables.get(source).header;
            for (feature, report) in features.iter().zip(reports) {
                let FeatureExpr::Column { column, .. } = &feature.expr else { continue };
                let is_whole = header.column(column).is_some_and(|info| info.kind == ColumnKind::Int);
                if is_whole && report.max.abs().max(report.min.abs()) > WHOLE_IN_F32 {
                    said.push(format!(
                        "feature `{}` of `{owner}` has whole numbers beyond {WHOLE_IN_F32}, which are rounded to 24 bits: \
                         `standardize({column})` takes them before",
                        feature.name
                    ));
                }
            }
        };
        for (ty, report) in self.plan.nodes.iter().zip(&self.report.nodes) {
            for source in &ty.sources {
                look(&ty.name, source, &ty.features, &report.features);
            }
        }
        for (index, edge) in self.plan.edges.iter().enumerate() {
            let first = self.facts.relations.iter().position(|relation| relation.declared_by == index);
            let name = first.map(|at| &self.facts.relations[at].name);
            let report = self.report.relations.iter().find(|report| Some(&report.name) == name);
            let reports = report.map_or(&[][..], |report| &report.features);
            look(edges::name_of(edge), &edge.source, &edge.features, reports);
        }
        said
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

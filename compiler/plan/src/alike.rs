//! Two declarations that differ in their tables alone: that of a graph that a model was trained on, and that of new tables.
//!
//! New tables are read as the old ones were. Kinds of columns may have been guessed otherwise from other cells: those of the old
//! declaration hold. What is done with rows that break a rule may change too, since nothing learned depends on it.

use crate::graph::{EdgeType, Feature, FeatureExpr, GraphPlan, Label, NodeType, Source, Split};

impl GraphPlan {
    /// This declaration with the tables of `new`, which says the same of them.
    ///
    /// # Errors
    /// What `new` says otherwise, as words: `feature "size" of "item"`.
    pub fn with_tables_of(&self, new: &GraphPlan) -> Result<GraphPlan, String> {
        if (self.seed, self.graphs) != (new.seed, new.graphs) {
            return Err("its seed, or what it is a graph of".into());
        }
        if self.nodes.len() != new.nodes.len() || self.edges.len() != new.edges.len() {
            return Err("its node types and relations".into());
        }
        let nodes = self.nodes.iter().zip(&new.nodes).map(|(old, new)| old.with_tables_of(new));
        let nodes = nodes.collect::<Result<_, _>>()?;
        let edges = self.edges.iter().zip(&new.edges).map(|(old, new)| old.with_tables_of(new));
        Ok(GraphPlan { name: self.name.clone(), nodes, edges: edges.collect::<Result<_, _>>()?, ..*self })
    }

    /// The same with labels of nodes that no rule splits.
    pub fn without_splits_of_nodes(mut self) -> GraphPlan {
        self.nodes.iter_mut().flat_map(|node| &mut node.labels).for_each(|label| label.split = None);
        self
    }
}

impl NodeType {
    /// How the old labels were split stays as it was: new nodes are not split, see [`GraphPlan::without_splits_of_nodes`].
    fn with_tables_of(&self, new: &NodeType) -> Result<NodeType, String> {
        let column = |node: &NodeType| node.key.as_ref().map(|key| key.column.clone());
        let same = (&self.name, self.sources.len(), column(self), &self.time, &self.graph)
            == (&new.name, new.sources.len(), column(new), &new.time, &new.graph);
        if !same {
            return Err(format!("node type `{}`", self.name));
        }
        labels(&self.labels, &new.labels, &self.name)?;
        Ok(NodeType {
            sources: new.sources.clone(),
            features: features(&self.features, &new.features, &self.name)?,
            duplicates: new.duplicates,
            ..self.clone()
        })
    }
}

impl EdgeType {
    fn with_tables_of(&self, new: &EdgeType) -> Result<EdgeType, String> {
        let features = features(&self.features, &new.features, self.relation.name())?;
        let labels = labels(&self.labels, &new.labels, self.relation.name())?;
        for (old, new) in self.labels.iter().zip(&new.labels) {
            if !alike(old.split.as_ref(), new.split.as_ref()) {
                return Err(format!("the split of `{}` of `{}`", old.name, self.relation.name()));
            }
        }
        let found =
            EdgeType { source: new.source.clone(), missing: new.missing, features, labels, ..self.clone() };
        let wanted =
            EdgeType { features: found.features.clone(), labels: found.labels.clone(), ..new.clone() };
        if found == wanted { Ok(found) } else { Err(format!("relation `{}`", self.relation.name())) }
    }
}

fn features(old: &[Feature], new: &[Feature], owner: &str) -> Result<Vec<Feature>, String> {
    let names = |all: &[Feature]| all.iter().map(|feature| feature.name.clone()).collect::<Vec<_>>();
    if names(old) != names(new) {
        return Err(format!("the features of `{owner}`"));
    }
    for (old, new) in old.iter().zip(new) {
        let mut found = new.clone();
        adopt_kinds(&mut found.expr, &old.expr);
        if found != *old {
            return Err(format!("feature `{}` of `{owner}`", old.name));
        }
    }
    Ok(old.to_vec())
}

/// Gives columns the kinds that those in the same places of `like` have.
fn adopt_kinds(expr: &mut FeatureExpr, like: &FeatureExpr) {
    match (expr, like) {
        (FeatureExpr::Column { kind, .. }, FeatureExpr::Column { kind: known, .. }) => *kind = *known,
        (FeatureExpr::Arith { left, right, .. }, FeatureExpr::Arith { left: a, right: b, .. }) => {
            adopt_kinds(left, a);
            adopt_kinds(right, b);
        }
        (FeatureExpr::Apply { input, .. }, FeatureExpr::Apply { input: like, .. }) => {
            adopt_kinds(input, like);
        }
        (FeatureExpr::Concat(parts), FeatureExpr::Concat(like)) => {
            parts.iter_mut().zip(like).for_each(|(part, like)| adopt_kinds(part, like));
        }
        _ => {}
    }
}

/// The labels, with the splits of the new ones.
fn labels(old: &[Label], new: &[Label], owner: &str) -> Result<Vec<Label>, String> {
    if old.len() != new.len() {
        return Err(format!("the labels of `{owner}`"));
    }
    let one = |(old, new): (&Label, &Label)| {
        let found = Label { split: new.split.clone(), ..old.clone() };
        if found == *new { Ok(found) } else { Err(format!("label `{}` of `{owner}`", old.name)) }
    };
    old.iter().zip(new).map(one).collect()
}

/// Whether two rules differ in their files alone.
fn alike(old: Option<&Split>, new: Option<&Split>) -> bool {
    match (old, new) {
        (Some(Split::Files { valid, test, .. }), Some(Split::Files { valid: other, test: last, .. })) => {
            let is_there = |source: &Option<Source>| source.is_some();
            (is_there(valid), is_there(test)) == (is_there(other), is_there(last))
        }
        _ => old == new,
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::*;

    fn plan(path: &str, kind: ColumnKind) -> GraphPlan {
        let column = FeatureExpr::Column { column: "size".into(), kind };
        let expr = FeatureExpr::Apply { transform: Transform::Standardize, input: Box::new(column) };
        let label = Label {
            name: "kind".into(),
            column: "kind".into(),
            kind: LabelKind::Class,
            transforms: Vec::new(),
            several: Several::default(),
            split: Some(Split::Column { column: "fold".into() }),
        };
        let feature = Feature { name: "size".into(), expr, storage: Storage::default(), width: None };
        let item = NodeType {
            name: "item".into(),
            sources: vec![Source::of(vec![path.into()])],
            key: Some(Key { column: "id".into(), kind: KeyKind::Int }),
            features: vec![feature],
            labels: vec![label],
            duplicates: DuplicatePolicy::default(),
            time: None,
            graph: None,
        };
        GraphPlan { name: "shop".into(), nodes: vec![item], edges: Vec::new(), seed: 0, graphs: None }
    }

    #[test]
    fn tables_and_guessed_kinds_may_differ() {
        let (old, mut new) = (plan("march.csv", ColumnKind::Number), plan("april.csv", ColumnKind::Text));
        new.nodes[0].key = Some(Key { column: "id".into(), kind: KeyKind::Text });
        new.nodes[0].duplicates = DuplicatePolicy::First;
        let found = old.with_tables_of(&new).unwrap();
        assert_eq!(found.nodes[0].sources, new.nodes[0].sources);
        assert_eq!(found.nodes[0].features, old.nodes[0].features);
        assert_eq!(found.nodes[0].key, old.nodes[0].key);
        assert_eq!(found.nodes[0].duplicates, DuplicatePolicy::First);
        assert_eq!(found.nodes[0].labels, old.nodes[0].labels);
        assert_eq!(found.without_splits_of_nodes().nodes[0].labels[0].split, None);
        assert_eq!(old.with_tables_of(&old).unwrap(), old);
    }

    #[test]
    fn what_else_differs_is_named() {
        let old = plan("march.csv", ColumnKind::Number);
        let differs = |change: &dyn Fn(&mut GraphPlan)| {
            let mut new = plan("april.csv", ColumnKind::Number);
            change(&mut new);
            old.with_tables_of(&new).unwrap_err()
        };
        assert_eq!(
            differs(&|new| new.nodes[0].features[0].storage = Storage::Int8),
            "feature `size` of `item`"
        );
        assert_eq!(differs(&|new| new.nodes[0].labels[0].column = "sort".into()), "label `kind` of `item`");
        assert_eq!(differs(&|new| new.nodes[0].key = None), "node type `item`");
        assert_eq!(differs(&|new| new.nodes.clear()), "its node types and relations");
    }
}

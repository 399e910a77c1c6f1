//! Blocks to a graph: node types, relations, names that are unique, and the text of it.
//!
//! Decided here: what becomes of several blocks for one type, of types without a table, of relations that share a name.

use super::notes::Notes;
use super::schema::{EdgeBlock, Feature, Label, Masks, NodeBlock, Schema, Split, Table, Task, Triple};
use super::tables::Paths;
use super::text;
use crate::source::Failure;
use gsl_compiler::diag::{did_you_mean, one_of};
use std::collections::BTreeSet;
use std::fmt::Write;

#[derive(Debug)]
pub struct Graph {
    pub name: String,
    pub nodes: Vec<NodeType>,
    pub edges: Vec<Relation>,
    drops_dangling: bool,
}

/// What has features and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Node(usize),
    Edge(usize),
}

#[derive(Debug)]
pub struct NodeType {
    pub name: String,
    /// The first gives the nodes; none where the relations do.
    tables: Vec<Table>,
    key: Option<String>,
    pub features: Vec<Feature>,
    pub labels: Vec<Label>,
}

#[derive(Debug)]
pub struct Relation {
    pub triple: Triple,
    /// Its name in the graph, where no two relations share one.
    pub name: String,
    pub reverse: Option<String>,
    table: Table,
    ends: (String, String),
    pub features: Vec<Feature>,
    pub labels: Vec<Label>,
}

impl Graph {
    pub fn of(name: String, schema: Schema, notes: &mut Notes) -> Result<Self, Failure> {
        let mut nodes = Vec::new();
        for block in schema.nodes {
            match nodes.iter().position(|ty: &NodeType| ty.name == block.name) {
                Some(known) => join(&mut nodes[known], block, notes)?,
                None => nodes.push(node_type(block)),
            }
        }
        let mut edges: Vec<Relation> = Vec::new();
        let mut endless = Vec::new();
        for block in schema.edges {
            if block.ends.is_none() {
                endless.push(block);
            } else if let Some(known) = edges.iter().find(|r| r.triple == block.triple) {
                let text =
                    format!("`{}` has a table already: GSL reads one source for each relation", known.name);
                notes.lost(block.at, text + ", of any number of files; put the rows or columns into it");
            } else {
                edges.extend(relation(block, notes));
            }
        }
        endless.iter().for_each(|block| without_ends(block, notes));
        for Triple(src, _, dst) in edges.iter().map(|r| r.triple.clone()).collect::<Vec<_>>() {
            for end in [src, dst] {
                if nodes.iter().all(|ty| ty.name != end) {
                    nodes.push(NodeType {
                        name: end,
                        tables: vec![],
                        key: None,
                        features: vec![],
                        labels: vec![],
                    });
                }
            }
        }
        if edges.is_empty() {
            return Err(Failure::new("the schema has no relation with ends").help("a graph has `edges`"));
        }
        let mut graph = Graph { name, nodes, edges, drops_dangling: schema.drops_dangling };
        graph.name_relations(notes);
        graph.settle_names(notes)?;
        if schema.reverses {
            graph.reverse_all(notes);
        }
        Ok(graph)
    }

    pub fn is_homogeneous(&self) -> bool {
        self.nodes.len() == 1 && self.edges.len() == 1
    }

    pub fn node(&self, name: &str) -> Option<&NodeType> {
        self.nodes.iter().find(|ty| ty.name == name)
    }

    pub fn relation(&self, triple: &Triple) -> Option<&Relation> {
        self.edges.iter().find(|r| r.triple == *triple)
    }

    /// Relations that share a name take their ends into it.
    fn name_relations(&mut self, notes: &mut Notes) {
        let names: Vec<String> = self.edges.iter().map(|r| r.triple.1.clone()).collect();
        for relation in &mut self.edges {
            let Triple(src, name, dst) = &relation.triple;
            if names.iter().filter(|other| *other == name).count() > 1 {
                relation.name = format!("{src}_{name}_{dst}");
                let text = format!("relations have unique names in GSL: `{}` is this one", relation.name);
                notes.changed(relation.table.at.clone(), text);
            }
        }
    }

    /// A second label of a column, and a feature that has the name of a label, get another name; two features of one name are
    /// refused.
    fn settle_names(&mut self, notes: &mut Notes) -> Result<(), Failure> {
        let types = self.nodes.iter_mut().map(|ty| (&mut ty.features, &mut ty.labels));
        let relations = self.edges.iter_mut().map(|r| (&mut r.features, &mut r.labels));
        for (features, labels) in types.chain(relations) {
            let taken_by_labels = name_labels(labels, notes);
            let mut taken = taken_by_labels.clone();
            for feature in features.iter_mut() {
                if taken_by_labels.contains(&feature.name) {
                    let name = format!("{}_feature", feature.name);
                    let text = format!("`{}` is a label already: the feature is `{name}`", feature.name);
                    notes.changed(feature.at.clone(), text);
                    // The column is no longer the one of the feature's name, so the expression names it.
                    feature.name = name;
                }
                if !taken.insert(feature.name.clone()) {
                    let message =
                        format!("`{}`: there are two features named `{}`", feature.at, feature.name);
                    return Err(Failure::new(message).help("give one of them another `feature_name`"));
                }
            }
        }
        Ok(())
    }

    pub fn reverse_all(&mut self, notes: &mut Notes) {
        if self.is_homogeneous() {
            let text =
                "a reverse is a relation of its own; GraphStorm doubles the edges of the only relation";
            notes.changed("--reverse", text);
        }
        for at in 0..self.edges.len() {
            let name = format!("{}_rev", self.edges[at].name);
            self.reverse(at, name);
        }
    }

    /// Gives a relation its opposite, unless it has one.
    fn reverse(&mut self, at: usize, mut name: String) {
        if self.edges[at].reverse.is_some() {
            return;
        }
        while self.edges.iter().any(|r| r.name == name || r.reverse.as_ref() == Some(&name)) {
            name.push('_');
        }
        self.edges[at].reverse = Some(name);
    }

    /// What `head,relation,reverse,tail` says: that the one is the opposite of the other.
    pub fn pair(&mut self, path: &str, said: &str, notes: &mut Notes) -> Result<(), Failure> {
        let parts: Vec<&str> = said.split(',').map(str::trim).collect();
        let [head, rel, reverse, tail] = parts[..] else {
            let message = format!("`{path}` is \"{said}\"");
            return Err(Failure::new(message).help("expected head,relation,reverse relation,tail"));
        };
        let triple = Triple(head.to_owned(), rel.to_owned(), tail.to_owned());
        let opposite = Triple(tail.to_owned(), reverse.to_owned(), head.to_owned());
        let at = self.position(path, &triple)?;
        if self.relation(&opposite).is_some() {
            let text = "the opposite has a table of its own, so GSL does not know that the two are one: write \
                        `reverse` in the relation instead of the table";
            notes.lost(path, text);
        } else {
            self.reverse(at, reverse.replace('-', "_"));
        }
        Ok(())
    }

    pub fn position(&self, path: &str, triple: &Triple) -> Result<usize, Failure> {
        self.edges.iter().position(|r| r.triple == *triple).ok_or_else(|| {
            let known: Vec<String> = self.edges.iter().map(|r| r.triple.show()).collect();
            unknown(path, "relation", &triple.show(), &known)
        })
    }

    pub fn labels(&self, owner: Owner) -> &[Label] {
        match owner {
            Owner::Node(at) => &self.nodes[at].labels,
            Owner::Edge(at) => &self.edges[at].labels,
        }
    }

    /// The split of a feature that is reconstructed: the one with these masks, or the one of its column, or the only one.
    pub fn reconstruction(&self, owner: Owner, feature: &str, masks: Option<&Masks>) -> Option<&Split> {
        let all = || self.labels(owner).iter().filter(|label| label.task == Task::Reconstruct);
        let reads = |column: &String| {
            let found = self.features(owner).iter().find(|f| f.name == feature);
            found.is_some_and(|f| f.name == *column || f.columns.contains(column))
        };
        let by_masks = masks.and_then(|masks| all().find(|label| label.has_masks(masks)));
        let found = by_masks.or_else(|| all().find(|label| reads(&label.column)));
        let only = || all().next().filter(|_| all().count() == 1);
        found.or_else(only).map(|label| &label.split).filter(|split| !matches!(split, Split::None))
    }

    pub fn features(&self, owner: Owner) -> &[Feature] {
        match owner {
            Owner::Node(at) => &self.nodes[at].features,
            Owner::Edge(at) => &self.edges[at].features,
        }
    }

    /// Marks a label as one of several classes.
    pub fn make_multi(&mut self, owner: Owner, label: usize) {
        match owner {
            Owner::Node(at) => self.nodes[at].labels[label].is_multi = true,
            Owner::Edge(at) => self.edges[at].labels[label].is_multi = true,
        }
    }

    /// The tokens of a type become the vectors of a language model that is not trained.
    pub fn embed(&mut self, ty: &str, model: &str) {
        let node = self.nodes.iter_mut().find(|node| node.name == ty);
        let Some(feature) = node.and_then(|node| node.features.iter_mut().find(|f| f.is_tokens)) else {
            return;
        };
        for stage in feature.stages.iter_mut().filter(|stage| stage.starts_with("tokens(")) {
            let length = stage.rsplit_once(", ").map_or("", |(_, length)| length.trim_end_matches(')'));
            *stage = format!("embed({}, {length}, pool: pooler)", text::string(model));
        }
        (feature.is_tokens, feature.is_embedded) = (false, true);
    }

    /// The `graph` item.
    pub fn text(&self, paths: &Paths, notes: &mut Notes) -> Result<String, Failure> {
        let mut out = String::new();
        let _ = writeln!(out, "graph {} {{", text::name(&self.name)?);
        for ty in &self.nodes {
            out += &ty.text(paths, notes)?;
        }
        for relation in &self.edges {
            out += &relation.text(self.drops_dangling, paths, notes)?;
        }
        out.push_str("}\n");
        Ok(out)
    }
}

pub fn unknown(path: &str, what: &str, name: &str, known: &[String]) -> Failure {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it has none at all".to_owned(),
        None => format!("it has {}", one_of(&names).replace(" or ", " and ")),
    };
    Failure::new(format!("`{path}`: the schema has no {what} `{name}`")).help(help)
}

/// Gives each label of the graph a name of its own.
fn name_labels(labels: &mut [Label], notes: &mut Notes) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for label in labels.iter_mut().filter(|label| label.is_of_graph()) {
        let mut count = 1;
        while !taken.insert(label.name.clone()) {
            count += 1;
            label.name = format!("{}_{count}", label.column);
        }
        if count > 1 {
            let text = format!("the second label of `{}` is `{}`", label.column, label.name);
            notes.changed(label.at.clone(), text);
        }
    }
    taken
}

fn node_type(block: NodeBlock) -> NodeType {
    let NodeBlock { name, table, key, features, labels, .. } = block;
    let mut ty = NodeType { name, tables: vec![table], key, features: vec![], labels };
    add_features(&mut ty, features);
    ty
}

/// Features, and the tables of those that have their own.
fn add_features(ty: &mut NodeType, features: Vec<Feature>) {
    for feature in features {
        if let Some(table) = feature.table.clone()
            && !ty.tables.iter().any(|known| known.files == table.files)
        {
            ty.tables.push(table);
        }
        ty.features.push(feature);
    }
}

/// A further block of a type: joined on the key. One without a key is aligned by the order of rows, which GSL does not do.
fn join(ty: &mut NodeType, block: NodeBlock, notes: &mut Notes) -> Result<(), Failure> {
    match (&ty.key, &block.key) {
        (Some(_), Some(_)) => {}
        (None, Some(_)) => {
            // The block with the identifiers gives the nodes; what came before it is what lacks a key.
            let at = ty.tables[0].at.clone();
            by_row_order(&at, &block.name, block.key.as_deref(), &ty.features, &ty.labels, notes);
            *ty = node_type(block);
            return Ok(());
        }
        (key, None) => {
            by_row_order(&block.at, &block.name, key.as_deref(), &block.features, &block.labels, notes);
            return Ok(());
        }
    }
    if ty.key != block.key {
        let message = format!("`{}.node_id_col`: `{}` has another identifier already", block.at, block.name);
        return Err(Failure::new(message)
            .help("tables of one type are joined on one column: rename it in one of them"));
    }
    ty.tables.push(block.table);
    ty.labels.extend(block.labels);
    add_features(ty, block.features);
    Ok(())
}

fn by_row_order(
    at: &str,
    ty: &str,
    key: Option<&str>,
    features: &[Feature],
    labels: &[Label],
    notes: &mut Notes,
) {
    let columns = features.iter().flat_map(|f| f.columns.iter()).chain(labels.iter().map(|l| &l.column));
    let columns: Vec<&str> = columns.map(String::as_str).collect();
    let key = key.unwrap_or("id");
    let text = format!(
        "GSL joins tables on the key, never by the order of rows, so the columns {} of `{ty}` are left out: add the column `{key}` \
         to these files and write `join` and their paths behind the first table",
        one_of(&columns).replace(" or ", " and "),
    );
    notes.lost(at, text);
}

fn relation(block: EdgeBlock, notes: &mut Notes) -> Option<Relation> {
    let EdgeBlock { triple, table, ends, features, labels, .. } = block;
    for feature in features.iter().filter(|f| f.table.is_some()) {
        notes.lost(
            &feature.at,
            "GSL joins no tables to a relation: put the column into the table of its edges",
        );
    }
    let features = features.into_iter().filter(|f| f.table.is_none()).collect();
    Some(Relation { name: triple.1.clone(), triple, reverse: None, table, ends: ends?, features, labels })
}

fn without_ends(block: &EdgeBlock, notes: &mut Notes) {
    let text = "columns without ends are aligned by the order of rows, which GSL does not do: put them into the table \
                that has the ends";
    notes.lost(&block.at, text);
}

impl NodeType {
    fn text(&self, paths: &Paths, notes: &mut Notes) -> Result<String, Failure> {
        let name = text::name(&self.name)?;
        let Some((first, joined)) = self.tables.split_first() else {
            return Ok(format!("node {name} from edges\n"));
        };
        let mut out = format!("node {name} from {}", paths.source(first));
        for table in joined {
            let _ = write!(out, " join {}", paths.source(table));
        }
        let mut body = Vec::new();
        if let Some(key) = &self.key {
            body.push(format!("key {}", text::name(key)?));
        }
        statements(&mut body, &self.features, &self.labels, paths, notes)?;
        Ok(out + &block(&body))
    }
}

impl Relation {
    fn text(&self, drops: bool, paths: &Paths, notes: &mut Notes) -> Result<String, Failure> {
        let Triple(src, _, dst) = &self.triple;
        let (from, to) = (text::name(&self.ends.0)?, text::name(&self.ends.1)?);
        let head = format!(
            "edge {} from {} ({from}, {to})",
            arrow(src, &self.name, dst)?,
            paths.source(&self.table)
        );
        let mut body = Vec::new();
        if let Some(reverse) = &self.reverse {
            body.push(format!("reverse {}", text::name(reverse)?));
        }
        if drops {
            body.push("missing = drop".to_owned());
        }
        statements(&mut body, &self.features, &self.labels, paths, notes)?;
        Ok(head + &block(&body))
    }

    /// The split of link prediction, which stands in the experiment: the one with these masks, or the first.
    pub fn link(&self, masks: Option<&Masks>) -> Option<&Label> {
        let mut links = self.labels.iter().filter(|l| l.task == Task::Link);
        let named = masks.and_then(|masks| links.clone().find(|l| l.has_masks(masks)));
        named.or_else(|| links.next())
    }

    /// `user -rates-> movie`
    pub fn path(&self) -> Result<String, Failure> {
        arrow(&self.triple.0, &self.name, &self.triple.2)
    }
}

fn arrow(src: &str, relation: &str, dst: &str) -> Result<String, Failure> {
    Ok(format!("{} -{}-> {}", text::name(src)?, text::name(relation)?, text::name(dst)?))
}

fn block(body: &[String]) -> String {
    match body {
        [] => "\n".to_owned(),
        [one] => format!(" {{ {one} }}\n"),
        all => format!(" {{\n{}\n}}\n", all.join("\n")),
    }
}

fn statements(
    body: &mut Vec<String>,
    features: &[Feature],
    labels: &[Label],
    paths: &Paths,
    notes: &mut Notes,
) -> Result<(), Failure> {
    for feature in features {
        body.push(feature.statement()?);
    }
    for label in labels.iter().filter(|l| l.is_of_graph()) {
        body.push(label_statement(label)?);
        if let Some(rule) = label.split.rule(paths) {
            body.push(format!("split {} = {rule}", text::name(&label.name)?));
        }
        if features.iter().any(|f| f.columns.contains(&label.column)) {
            let text = format!("`{}` is a feature and a label: the answer is among the inputs", label.column);
            notes.changed(&label.at, text + ", allowed by name: `allow leak`");
            body.push(format!("allow leak({})", text::name(&label.name)?));
        }
    }
    Ok(())
}

fn label_statement(label: &Label) -> Result<String, Failure> {
    let (name, column) = (text::name(&label.name)?, text::name(&label.column)?);
    Ok(match (label.task, label.is_multi, &label.separator) {
        (Task::Regression, ..) => format!("label {name} : float = {column}"),
        (_, true, Some(separator)) => {
            format!("label {name} : classes = multi_hot({column}, separator: {})", text::string(separator))
        }
        (_, true, None) => format!("label {name} : classes = {column}"),
        _ => format!("label {name} : class = {column}"),
    })
}

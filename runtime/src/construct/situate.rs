//! What a node is besides its row: when it comes into being, which small graph it is in, and the features that follow from edges.

use gsl_plan::graph::{Feature, NodeType, Structure};
use serde_json::json;

use super::assemble::{array_of, relations_in};
use super::batches::Offenders;
use super::computed::Lists;
use super::error::{BuildError, Result};
use super::lowered::{column_name, lowered, structures};
use super::membership::{Sides, arrays, members, stay_inside};
use super::nodes::{home_of, whole_frame};
use super::times::{refuse_missing, times, want_of};
use super::{Alignments, Builder};
use crate::graph::piece::Piece;

/// A column of structural features: its name, and a number for each node.
pub type Computed = (String, Vec<f64>);

impl Builder<'_> {
    /// When the nodes of a type come into being.
    pub(super) fn time_nodes(
        &mut self,
        index: usize,
        ty: &NodeType,
        alignments: &mut Alignments,
    ) -> Result<()> {
        let Some(column) = &ty.time else { return Ok(()) };
        let (tables, nodes) = (&self.tables, &self.nodes[index]);
        let depends = json!([self.rows_depend_on(index), column]);
        let want = want_of(tables.get(&ty.sources[home_of(ty, tables, column)]), column);
        self.stages.run(&format!("time/{}", ty.name), &depends, || {
            let columns = [(column.clone(), want)];
            let frame = whole_frame(ty, tables, nodes.len(), alignments.get(tables, nodes)?, &columns)?;
            let mut missing = Offenders::default();
            let place = |node| frame.place(Some(column), node).unwrap_or_default();
            let found = times(frame.column(column, want)?, 0, &mut missing, place);
            refuse_missing(&ty.name, column, missing)?;
            Ok(((), vec![("time".to_string(), Piece::of(&found, None))]))
        })?;
        self.facts.nodes[index].time = true;
        Ok(())
    }

    /// Which small graph the nodes of a type are in.
    pub(super) fn place_nodes(
        &mut self,
        index: usize,
        ty: &NodeType,
        alignments: &mut Alignments,
    ) -> Result<()> {
        let mut of = Vec::new();
        if let (Some(column), Some(graphs)) = (&ty.graph, self.plan.graphs) {
            let (tables, nodes, graphs) = (&self.tables, &self.nodes[index], &self.nodes[graphs]);
            let depends = json!([
                self.rows_depend_on(index),
                column,
                self.keys_depend_on(self.plan.graphs.unwrap_or(0))
            ]);
            self.stages.run(&format!("graph/{}", ty.name), &depends, || {
                let columns = [(column.clone(), graphs.keys.want())];
                let frame = whole_frame(ty, tables, nodes.len(), alignments.get(tables, nodes)?, &columns)?;
                Ok(((), arrays(&members(ty, column, &frame, graphs)?)))
            })?;
            of = self.stages.last()[0].1.load::<u32>().map_err(|error| self.unreadable(error))?;
        }
        self.members.push(of);
        Ok(())
    }

    fn unreadable(&self, error: std::io::Error) -> BuildError {
        BuildError::Scratch { file: self.scratch.folder.clone(), error }
    }

    /// What the rows of all tables of a type, aligned with its nodes, are a function of.
    fn rows_depend_on(&self, index: usize) -> serde_json::Value {
        let sources = &self.plan.nodes[index].sources;
        let prints: Vec<String> = sources.iter().map(|source| self.print(source)).collect();
        json!([self.keys_depend_on(index), sources, prints])
    }

    /// No edge leads from one small graph into another.
    pub(super) fn check_inside(&self) -> Result<()> {
        let Some(graphs) = self.plan.graphs else { return Ok(()) };
        for (facts, (indptr, src)) in self.facts.relations.iter().zip(self.lists()) {
            let (one, other) = (&self.members[facts.src], &self.members[facts.dst]);
            if facts.reverse_of.is_some() || one.is_empty() || other.is_empty() {
                continue;
            }
            let sides = Sides {
                src: (&self.nodes[facts.src], one),
                dst: (&self.nodes[facts.dst], other),
                graphs: &self.nodes[graphs],
            };
            let indptr = indptr.load::<u64>().map_err(|error| self.unreadable(error))?;
            stay_inside(facts, &indptr, src, &sides)?;
        }
        Ok(())
    }

    /// The lists of all relations, by their index.
    fn lists(&self) -> Vec<(&Piece, &Piece)> {
        let edges = self.stages.done().iter().filter(|done| done.record.name.starts_with("edges/"));
        let mut lists = Vec::new();
        for done in edges {
            let of = |own| (array_of(&done.arrays, own, "indptr"), array_of(&done.arrays, own, "src"));
            lists.extend((0..relations_in(&done.arrays)).map(of));
        }
        lists
    }

    // -------------------------------------------------------------------------------------------- structural features

    /// Computes the features that follow from edges, of all types that have some.
    pub(super) fn compute_structure(&mut self) -> Result<()> {
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            let wanted: Vec<usize> =
                (0..ty.features.len()).filter(|&at| is_structural(&ty.features[at])).collect();
            if !wanted.is_empty() {
                self.structure_of(index, ty, &wanted)?;
            }
        }
        Ok(())
    }

    fn structure_of(&mut self, index: usize, ty: &NodeType, wanted: &[usize]) -> Result<()> {
        let mut read: Vec<&Structure> = Vec::new();
        wanted.iter().for_each(|&at| structures(&ty.features[at].expr, &mut read));
        let taken = |name: &str| ty.sources.iter().any(|source| self.tables.get(source).has(name));
        let name = |structure: &Structure| column_name(self.plan, structure, &taken);
        let mut ty = ty.clone();
        for &at in wanted {
            ty.features[at] = lowered(&ty.features[at], &name);
        }
        let depends = json!([self.features_depend_on(index), self.structure_depends_on(&read)]);
        let names: Vec<String> = read.iter().map(|structure| name(structure)).collect();
        let known = wanted.iter().map(|&at| self.knows_feature(&ty, at, &depends, index));
        let known: Vec<bool> = known.collect::<Result<_>>()?;
        let scratch = self.beside_keys();
        let lists = Lists { facts: &self.facts, pieces: self.lists(), scratch: &scratch };
        let mut computed: Vec<Computed> = Vec::new();
        if known.contains(&false) {
            for (name, structure) in names.into_iter().zip(read) {
                computed.push((name, lists.column(index, structure)?));
            }
        }
        let mut alignments = Alignments::new(self, index);
        self.run_features(index, &ty, &mut alignments, wanted, &depends, &computed)
    }

    /// What the columns are a function of: of all edges for degrees over all relations.
    fn structure_depends_on(&self, read: &[&Structure]) -> serde_json::Value {
        let one = |structure: &&Structure| match structure {
            Structure::Degree | Structure::Count => {
                self.plan.edges.iter().map(|edge| self.edges_depend_on(edge)).collect()
            }
            Structure::InDegree(of) | Structure::OutDegree(of) | Structure::PageRank { relation: of, .. } => {
                vec![self.edges_depend_on(&self.plan.edges[of.edge])]
            }
        };
        read.iter().map(one).collect::<Vec<Vec<serde_json::Value>>>().into()
    }
}

pub fn is_structural(feature: &Feature) -> bool {
    let mut found = Vec::new();
    structures(&feature.expr, &mut found);
    !found.is_empty()
}

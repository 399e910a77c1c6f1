//! The end of a build: degrees, and all arrays into one file.

use std::path::Path;

use crate::graph::piece::{Piece, numbers_of};
use crate::graph::{ArrayRecord, GraphWriter, Meta, StageRecord};

use super::Builder;
use super::error::{BuildError, Result};
use super::report::BuildReport;
use super::stages::Arrays;

impl Builder<'_> {
    /// Writes the graph file and says what was counted.
    pub(super) fn write(mut self, file: &Path) -> Result<BuildReport> {
        let mut writer = GraphWriter::create(file)?;
        let stages = self.place();
        for ty in &self.plan.nodes {
            writer.node_type(&ty.name)?;
            ty.labels.iter().try_for_each(|label| writer.label(&ty.name, &label.name))?;
        }
        for (index, facts) in self.facts.relations.iter().enumerate() {
            writer.relation(index, facts)?;
            if facts.reverse_of.is_none() && !self.plan.edges[facts.declared_by].candidates.is_empty() {
                writer.candidates(index)?;
            }
        }
        for (done, record) in self.stages.done().iter().zip(&stages) {
            for ((_, piece), array) in done.arrays.iter().zip(&record.arrays) {
                writer.array(&array.dataset, piece)?;
            }
        }
        self.write_degrees(&mut writer)?;
        self.warn();
        self.report.seconds = self.started.elapsed().as_secs_f64();
        let meta = Meta {
            content_key: self.report.content_key.clone(),
            plan: self.plan.clone(),
            facts: self.facts,
            fitted: self.fitted,
            fingerprints: self.prints,
            report: self.report.clone(),
            stages,
        };
        writer.finish(&meta)?;
        self.stages.clear();
        Ok(self.report)
    }

    /// The stages, with the datasets that their arrays become.
    fn place(&self) -> Vec<StageRecord> {
        let mut relation = 0;
        let one = |done: &super::stages::Done| {
            let (kind, rest) = done.record.name.split_once('/').unwrap_or((&done.record.name, ""));
            let first = relation;
            if kind == "edges" {
                relation += relations_in(&done.arrays);
            }
            let array = |(name, piece): &(String, Piece)| ArrayRecord {
                name: name.clone(),
                dataset: dataset_of(kind, rest, name, first),
                element: piece.element,
                width: piece.width,
            };
            StageRecord { arrays: done.arrays.iter().map(array).collect(), ..done.record.clone() }
        };
        self.stages.done().iter().map(one).collect()
    }

    /// Incoming edges of every node over all relations, and how many nodes no edge touches.
    fn write_degrees(&mut self, writer: &mut GraphWriter) -> Result<()> {
        let counts: Vec<usize> = self.nodes.iter().map(|nodes| nodes.len()).collect();
        let mut degrees: Vec<Vec<f32>> = counts.iter().map(|&count| vec![0.0; count]).collect();
        let mut sends: Vec<Vec<bool>> = counts.iter().map(|&count| vec![false; count]).collect();
        let failed = |error| BuildError::Scratch { file: self.scratch.folder.clone(), error };
        let mut first = 0;
        for done in self.stages.done().iter().filter(|done| done.record.name.starts_with("edges/")) {
            for own in 0..relations_in(&done.arrays) {
                let facts = &self.facts.relations[first + own];
                let reversed = self.facts.relations.get(first + own + 1);
                let reversed = reversed.is_some_and(|next| next.reverse_of == Some(first + own));
                add_degrees(array_of(&done.arrays, own, "indptr"), &mut degrees[facts.dst])
                    .map_err(failed)?;
                if facts.reverse_of.is_none() && !reversed {
                    mark(array_of(&done.arrays, own, "src"), &mut sends[facts.src]).map_err(failed)?;
                }
            }
            first += relations_in(&done.arrays);
        }
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            writer.array(&format!("nodes/{}/degree", ty.name), &Piece::of(&degrees[index], None))?;
            let touched = degrees[index].iter().zip(&sends[index]);
            let isolated = touched.filter(|(degree, sends)| **degree == 0.0 && !**sends).count();
            self.report.nodes[index].isolated = isolated as u64;
        }
        Ok(())
    }
}

pub(super) fn relations_in(arrays: &Arrays) -> usize {
    let is_list = |name: &str| name.split_once('/').is_some_and(|(_, array)| array == "indptr");
    arrays.iter().filter(|(name, _)| is_list(name)).count()
}

pub(super) fn array_of<'a>(arrays: &'a Arrays, relation: usize, name: &str) -> &'a Piece {
    let wanted = format!("{relation}/{name}");
    &arrays.iter().find(|(known, _)| *known == wanted).expect("every relation has it").1
}

fn dataset_of(kind: &str, rest: &str, array: &str, first: usize) -> String {
    match kind {
        "graph" | "time" => format!("nodes/{rest}/{kind}"),
        "labels" => format!("nodes/{rest}/labels/{array}"),
        "features" => {
            let (ty, feature) = rest.split_once('/').unwrap_or((rest, ""));
            format!("nodes/{ty}/{array}/{feature}")
        }
        "edges" => {
            let (own, array) = array.split_once('/').unwrap_or((array, ""));
            format!("edges/{}/{array}", first + own.parse::<usize>().unwrap_or(0))
        }
        _ => format!("{kind}/{rest}/{array}"),
    }
}

fn add_degrees(indptr: &Piece, degrees: &mut [f32]) -> std::io::Result<()> {
    let (mut last, mut node) = (None, 0);
    indptr.for_each(&mut |bytes| -> std::io::Result<()> {
        for bound in numbers_of::<u64>(bytes) {
            if let Some(last) = last {
                degrees[node] += (bound - last) as f32;
                node += 1;
            }
            last = Some(bound);
        }
        Ok(())
    })
}

fn mark(src: &Piece, sends: &mut [bool]) -> std::io::Result<()> {
    src.for_each(&mut |bytes| -> std::io::Result<()> {
        numbers_of::<u32>(bytes).for_each(|node| sends[node as usize] = true);
        Ok(())
    })
}

//! Predictions of small graphs: the relations along which their nodes are read out, and the rows that this gives.
//!
//! ```text
//! h'[v] = mean[u -> v] h[u]
//!
//! %e : edges(member)@0 × [d] = Src(h)                  from the nodes of each graph, hop 1
//! %g : nodes(graph)@0 × [d]  = Reduce Sum(%e) / count  the graphs, hop 0
//! ```

use gsl_plan::graph::{GraphFacts, RelationFacts};
use gsl_plan::members::{Member, Members};
use gsl_plan::plan::{Virtuals, WriteWhat};
use gsl_plan::program::{Op, Role, ValueId};

use super::{Lowering, Wrong, fault};
use crate::layers::{LowerCx, Mode, Rows, lower_layer};
use crate::passes::Costs;
use crate::sema::{CheckedGraph, Experiment, Predict};

/// Relations from the nodes of small graphs to those, where an experiment predicts some.
pub fn members(
    experiment: &Experiment,
    graph: &CheckedGraph,
    facts: &GraphFacts,
    virtuals: &mut Virtuals,
) -> Option<Members> {
    let graphs = graph.plan.graphs? as u32;
    experiment.predicts.iter().any(|p| p.readout.is_some()).then_some(())?;
    let mut relations = Vec::new();
    for ty in graph.plan.member_types() {
        let ty = ty as u32;
        virtuals.relations.push((ty, graphs));
        relations.push(Member { ty, rel: (facts.relations.len() + virtuals.relations.len()) as u32 - 1 });
    }
    Some(Members { graphs, relations })
}

/// What is known of a graph, with the relations of members behind its own.
pub fn with_members(facts: &GraphFacts, members: Option<&Members>) -> GraphFacts {
    let mut known = facts.clone();
    let Some(members) = members else { return known };
    let of = |member: &Member| RelationFacts {
        name: "member".to_owned(),
        src: member.ty as usize,
        dst: members.graphs as usize,
        edges: facts.nodes[member.ty as usize].count,
        declared_by: usize::MAX,
        ..RelationFacts::default()
    };
    known.relations.extend(members.relations.iter().map(of));
    known
}

impl<'a> Lowering<'a> {
    /// Rows of the small graphs, Nodes{graph, 0} × \[width\], from those of nodes at hop 1: what the readout gives, and beside
    /// it the graph's own row where there is one.
    pub fn readout(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        members: &Members,
        rows: &Rows,
    ) -> Result<ValueId, Wrong> {
        let Some(call) = &predict.readout else { return Err(fault(predict.span)(no_readout())) };
        let layer = self.layer_call(call, format!("predict.{}.readout", predict.name), None);
        let mut nodes = Rows::new();
        for member in &members.relations {
            let row = cx.builder.prefix(rows[&member.ty], 1).map_err(fault(predict.span))?;
            nodes.insert(member.ty, row);
        }
        let read = lower_layer(cx, &layer, &self.scope(call.id), &nodes, 0, &[members.graphs])?;
        let Some(read) = read.get(&members.graphs).copied() else {
            return Err(fault(predict.span)(no_readout()));
        };
        match self.experiment.graphs_have_rows(self.graph) {
            true => {
                let own = self.encode_type(cx, members.graphs, 0)?;
                cx.builder.at(format!("rows of {}", predict.name), None);
                cx.builder.op(Op::Concat, &[read, own]).map_err(fault(predict.span))
            }
            false => Ok(read),
        }
    }

    /// Inference gives the rows of small graphs too, where they are written.
    pub fn keep_readout(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        members: &Members,
        read: ValueId,
    ) -> Result<(), Wrong> {
        let what = WriteWhat::Embeddings { ty: members.graphs };
        let is_written = self.experiment.writes.iter().any(|written| written.write.what == what);
        if cx.mode != Mode::Infer || !is_written {
            return Ok(());
        }
        let width = cx.builder.value(read).width();
        let row = cx.builder.reshape(read, &[width]).map_err(fault(predict.span))?;
        cx.builder.output(Role::Hidden { ty: members.graphs }, row);
        Ok(())
    }

    /// Nodes of one type that a labelled row of a prediction stands for: of a small graph the mean, else one.
    pub fn rows_of_each(&self, index: usize) -> f64 {
        let (Some(members), Some(_)) = (&self.around.members, &self.experiment.predicts[index].readout)
        else {
            return 1.0;
        };
        let nodes: u64 = members.relations.iter().map(|m| self.facts.nodes[m.ty as usize].count).sum();
        let graphs = self.facts.nodes[members.graphs as usize].count.max(1) * members.relations.len() as u64;
        nodes as f64 / graphs.max(1) as f64
    }

    /// A batch of so many graphs and their nodes at hop 0 of an estimate.
    pub fn count_members(&self, costs: &mut Costs, members: &Members, batch: f64) {
        let all = self.facts.nodes[members.graphs as usize].count as f64;
        let graphs = batch.min(all);
        costs.nodes[members.graphs as usize] = vec![graphs];
        for member in &members.relations {
            let nodes = self.facts.nodes[member.ty as usize].count as f64;
            costs.edges[member.rel as usize] = vec![nodes * graphs / all.max(1.0)];
        }
    }
}

fn no_readout() -> gsl_plan::verify::VerifyError {
    gsl_plan::verify::VerifyError::new("a graph is predicted without a readout")
}

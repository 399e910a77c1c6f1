//! Small graphs that are predicted: how their rows come from those of their nodes.
//!
//! A readout is a layer of message passing along relations that the graph does not have: from each node type to the type
//! that stands for the small graphs leads one edge for each node, to the graph that it is in. A batch of graphs stands one
//! hop in front of the neighbourhoods of their nodes, as [`crate::pairs`] do.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The node type whose nodes are the small graphs.
    pub graphs: u32,
    pub relations: Vec<Member>,
}

/// Nodes of one type and the relation that leads from them to their graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub ty: u32,
    pub rel: u32,
}

"""Trains the experiment of mag.gsl with DGL: same model, batches, fanouts and negatives.

usage: OMP_NUM_THREADS=2 train_dgl.py DATA [--negatives 32] [--batches 60]   (needs torch, dgl, numpy and pyarrow)

Prints `batch N loss` as each batch ends. What DGL has for it is used as its manual has it: a heterograph in CSC form, neighbours of
all relations by `NeighborSampler`, the batch's edges and their reverses left out through `find_exclude_eids`, sparse Adam for
learned rows. Each group of K positives shares K drawn destinations, so that scores are products of matrices.
"""
import argparse
import os
from pathlib import Path

import dgl
import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from dgl.nn import GraphConv, HeteroGraphConv
from torch import nn

WIDTH, FANOUTS, BATCH = 128, [10, 10], 1024
ENDS = {
    "writes": ("author", "written_by", "paper"),
    "affiliated": ("author", "affiliates", "institution"),
    "cites": ("paper", "cited_by", "paper"),
    "has_topic": ("paper", "topic_of", "field"),
}
LINK, BACK = ("paper", "cites", "paper"), ("paper", "cited_by", "paper")


def rows_of(keys):
    """A key is a letter and its row."""
    return np.array([int(key[1:]) for key in keys.to_pylist()])


def load(data):
    """The graph without links of the valid and test parts; features of papers; numbers of the links to train on."""
    counts = {ty: pq.read_metadata(data / f"nodes/{ty}.parquet").num_rows for ty in ("paper", "author", "institution", "field")}
    edges = {}
    for rel, (src, back, dst) in ENDS.items():
        table = pq.read_table(data / f"edges/{rel}")
        if rel == "cites":
            table = pq.read_table(data / "cites_train.parquet")
        u, v = (torch.from_numpy(rows_of(table[end])) for end in ("src", "dst"))
        edges[src, rel, dst], edges[dst, back, src] = (u, v), (v, u)
    graph = dgl.heterograph(edges, num_nodes_dict=counts).formats("csc")
    graph.create_formats_()
    lists = pq.read_table(data / "nodes/paper.parquet", columns=["feat"])["feat"].combine_chunks()
    return graph, torch.from_numpy(np.array(lists.flatten())).view(-1, WIDTH), *edges[LINK]


class Rgcn(nn.Module):
    def __init__(self, graph):
        super().__init__()
        of = lambda: GraphConv(WIDTH, WIDTH, norm="right", bias=False, allow_zero_in_degree=True)
        self.relations = HeteroGraphConv({rel: of() for rel in graph.etypes}, aggregate="sum")
        self.itself = nn.Linear(WIDTH, WIDTH)

    def forward(self, block, rows):
        own = {ty: x[: block.num_dst_nodes(ty)] for ty, x in rows.items()}
        sums = self.relations(block, (rows, own))
        return {ty: self.itself(x) + sums.get(ty, 0) for ty, x in own.items()}


class Model(nn.Module):
    def __init__(self, graph, features):
        super().__init__()
        self.features = features
        self.into = nn.ModuleDict({ty: nn.Linear(WIDTH, WIDTH) for ty in graph.ntypes})
        self.layers = nn.ModuleList([Rgcn(graph), Rgcn(graph)])

    def forward(self, learned, ids, blocks):
        stored = lambda ty: self.features[ids[ty]] if ty == "paper" else learned[ty](ids[ty])
        rows = {ty: self.into[ty](stored(ty)) for ty in ids}
        rows = self.layers[0](blocks[0], rows)
        return self.layers[1](blocks[1], {ty: F.relu(x) for ty, x in rows.items()})["paper"]


def loss_of(h, batch, k):
    """-log of the softmax of each positive against the K negatives of its group. `h`: rows of sources, destinations, negatives."""
    u, v, w = h
    groups = u.view(-1, k, WIDTH) @ w.view(-1, k, WIDTH).transpose(1, 2)
    scores = torch.cat([(u * v).sum(1, keepdim=True), groups.reshape(batch, k)], 1)
    return F.cross_entropy(scores, torch.zeros(batch, dtype=torch.long))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--negatives", type=int, default=32)
    parser.add_argument("--batches", type=int, default=60)
    arguments = parser.parse_args()
    k = arguments.negatives
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    graph, features, src, dst = load(arguments.data)
    sampler = dgl.dataloading.NeighborSampler(FANOUTS)
    learned = nn.ModuleDict({ty: nn.Embedding(graph.num_nodes(ty), WIDTH, sparse=True) for ty in graph.ntypes if ty != "paper"})
    model = Model(graph, features)
    steps = [torch.optim.Adam(model.parameters(), lr=3e-3), torch.optim.SparseAdam(list(learned.parameters()), lr=1e-2)]
    order = torch.randperm(len(src))
    for batch in range(arguments.batches):
        edges = order[batch * BATCH : (batch + 1) * BATCH]
        drawn = torch.randint(graph.num_nodes("paper"), (BATCH,))
        seeds, place = torch.unique(torch.cat([src[edges], dst[edges], drawn]), return_inverse=True)
        out = dgl.dataloading.find_exclude_eids(graph, {LINK: edges}, "reverse_types", reverse_etypes={LINK: BACK, BACK: LINK})
        ids, _, blocks = sampler.sample(graph, {"paper": seeds}, exclude_eids=out)
        h = model(learned, ids, blocks)
        loss = loss_of([h[rows] for rows in place.split(BATCH)], BATCH, k)
        for step in steps:
            step.zero_grad()
        loss.backward()
        for step in steps:
            step.step()
        print(f"batch {batch + 1} {loss.item():.4f}", flush=True)


if __name__ == "__main__":
    main()

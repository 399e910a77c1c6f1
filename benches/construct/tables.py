"""Makes the tables of the comparison with GraphStorm: a power-law graph with text keys, for peer.gsl and peer.json.

usage: tables.py OUT [--nodes 200000] [--edges 10000000] [--seed 1]      (needs numpy and pyarrow)

OUT/nodes.parquet (id, feat: list of 64 floats, label), OUT/edges/part-*.parquet (src, dst), and the keys of each part of the
split in OUT/{train,valid,test}.parquet. Keys are ascending in the node table; edges come in random order.
"""
import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CLASSES, WIDTH, FILES = 16, 64, 4
SAME_CLASS = 0.25  # edges whose ends are of one class by intent
SIGNAL = 0.15  # deviation of the class centres
MISLABELLED = 0.1
TRAIN, VALID = 0.8, 0.1
EXPONENT, CAP = 2.3, 2000.0  # of the Pareto weights that degrees are in proportion to


class Sampler:
    """Draws nodes in proportion to a weight, of all classes or of one."""

    def __init__(self, rng, classes):
        weight = np.minimum((1.0 - rng.random(len(classes))) ** (-1.0 / (EXPONENT - 1.0)), CAP)
        self.order = np.argsort(classes, kind="stable")
        self.sums = np.concatenate([[0.0], np.cumsum(weight[self.order])])
        self.ends = np.concatenate([[0], np.cumsum(np.bincount(classes, minlength=CLASSES))])

    def _at(self, sums):
        place = np.searchsorted(self.sums, sums, side="right") - 1
        return self.order[np.clip(place, 0, len(self.order) - 1)]

    def any(self, rng, count):
        return self._at(rng.random(count) * self.sums[-1])

    def of(self, rng, classes):
        low, high = self.sums[self.ends[classes]], self.sums[self.ends[classes + 1]]
        return self._at(low + rng.random(len(classes)) * (high - low))


def node_table(rng, keys, classes):
    centres = rng.normal(0, SIGNAL, (CLASSES, WIDTH))
    features = (centres[classes] + rng.normal(0, 1, (len(keys), WIDTH))).astype(np.float32)
    noisy = rng.random(len(keys)) < MISLABELLED
    labels = np.where(noisy, rng.integers(0, CLASSES, len(keys)), classes)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), WIDTH)
    return pa.table({"id": keys, "feat": lists.cast(pa.list_(pa.float32())), "label": labels})


def ends(rng, classes, count):
    src = Sampler(rng, classes).any(rng, count)
    targets = Sampler(rng, classes)
    dst = targets.any(rng, count)
    same = rng.random(count) < SAME_CLASS
    dst[same] = targets.of(rng, classes[src[same]])
    return src, dst


def write_split(rng, keys, out):
    draw = rng.random(len(keys))
    part = np.where(draw < TRAIN, 0, np.where(draw < TRAIN + VALID, 1, 2))
    for i, name in enumerate(("train", "valid", "test")):
        pq.write_table(pa.table({"id": keys.take(np.nonzero(part == i)[0])}), out / f"{name}.parquet")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng, out = np.random.default_rng(arguments.seed), arguments.out
    (out / "edges").mkdir(parents=True, exist_ok=True)
    keys = pa.array([f"n{i:08}" for i in range(arguments.nodes)])
    classes = rng.integers(0, CLASSES, arguments.nodes)
    pq.write_table(node_table(rng, keys, classes), out / "nodes.parquet")
    write_split(rng, keys, out)
    src, dst = ends(rng, classes, arguments.edges)
    for i, (s, d) in enumerate(zip(np.array_split(src, FILES), np.array_split(dst, FILES))):
        pq.write_table(pa.table({"src": keys.take(s), "dst": keys.take(d)}), out / f"edges/part-{i:02}.parquet")


if __name__ == "__main__":
    main()

"""Checks a graph file against the table in docs/graph-file.md: every dataset is one of its rows, with that type and shape, and every
row of it is found.

usage: check.py GRAPH.h5 … docs/graph-file.md
"""

import json
import re
import sys

import h5py

TYPES = {"u8": "<u1", "i8": "<i1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i64": "<i8", "f16": "<f2", "f32": "<f4", "f64": "<f8"}


def documented(page):
    """The rows of the first table of the page: names of datasets, with one (type, shape) each."""
    rows = []
    for line in open(page, encoding="utf-8"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 3:
            continue
        names = re.findall(r"`([^`]+)`", cells[0])
        kinds = re.findall(r"\b([uif]\d+)(?: \[([^\]]*)\])?", cells[1])
        whole = [names[0]]
        for name in names[1:]:
            whole.append(re.sub(r"[^/]+$", "", names[0]) + name.removeprefix("\u2026/"))
        kinds = kinds * len(whole) if len(kinds) == 1 else kinds
        rows += list(zip(whole, kinds))
    return rows


def pattern(name):
    """`nodes/T/features/F` as an expression: capitals that stand alone are any name."""
    steps = [r"[^/]+" if re.fullmatch(r"[A-Z]", step) else re.escape(step) for step in name.split("/")]
    return re.compile("/".join(steps))


def sizes(name, facts, file):
    """What the letters of a documented shape are for this dataset."""
    steps = name.split("/")
    if steps[0] == "nodes":
        node = next(n for n in facts["nodes"] if n["name"] == steps[1])
        known = {"n": node["count"], "n + 1": node["count"] + 1}
        if steps[-1] == "bytes":
            known["bytes"] = int(file[f"nodes/{steps[1]}/keys/offsets"][-1])
        widths = {f["name"]: f["width"] for f in node["features"]}
    elif steps[0] == "edges":
        relation = facts["relations"][int(steps[1])]
        known = {"edges": relation["edges"], "n_dst + 1": facts["nodes"][relation["dst"]]["count"] + 1}
        widths = {f["name"]: f["width"] for f in relation["features"]}
        if steps[2] == "candidates":
            known["most"] = file[name].shape[1]
    else:
        return {}
    return known | ({"width": widths[steps[-1]]} if steps[-2] in ("features", "scales") else {})


def stored(name, facts, kind):
    """The type of a feature's numbers is that of its storage."""
    steps = name.split("/")
    if steps[2:3] != ["features"]:
        return kind
    owner = facts["relations"][int(steps[1])] if steps[0] == "edges" else next(
        n for n in facts["nodes"] if n["name"] == steps[1]
    )
    storage = next(f["storage"] for f in owner["features"] if f["name"] == steps[3])
    return {"Float32": "f32", "Float16": "f16", "BFloat16": "u16", "Int8": "i8"}[storage]


def main(*paths):
    *graphs, page = paths
    rows = documented(page)
    assert len(rows) > 10, f"only {len(rows)} rows in {page}"
    seen = set().union(*(found(path, rows) for path in graphs))
    missing = [row for i, (row, _) in enumerate(rows) if i not in seen]
    assert not missing, f"documented, but in no file: {missing}"
    print(f"all of {len(rows)} rows are found, and nothing else")


def found(path, rows):
    """The rows whose datasets the file has."""
    seen, datasets = set(), []
    with h5py.File(path) as file:
        assert file.attrs["format"] == "gsl graph"
        file.visititems(lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
        facts = json.loads(file["meta/facts"][:].tobytes())
        for name in datasets:
            fits = [i for i, (row, _) in enumerate(rows) if pattern(row).fullmatch(name)]
            assert fits, f"{name} is not documented"
            _, (kind, shape) = rows[fits[0]]
            data, kind = file[name], stored(name, facts, kind)
            assert data.dtype.newbyteorder("<") == TYPES[kind], f"{name}: {data.dtype}, documented {kind}"
            known = sizes(name, facts, file)
            if shape:
                wanted = tuple(int(known.get(part, part)) for part in shape.split(", "))
                assert data.shape == wanted, f"{name}: {data.shape}, documented {wanted}"
            assert data.chunks is None and data.compression is None, f"{name} is not contiguous"
            assert data.size == 0 or data.id.get_offset() % 64 == 0, f"{name} is not aligned"
            assert len(data.attrs["blake3"]) == 64, f"{name} has no hash"
            seen.add(fits[0])
    return seen


main(*sys.argv[1:])

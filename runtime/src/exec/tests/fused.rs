//! A fused traversal with every way of combining, against plain loops.

use super::*;
use gsl_plan::schedule::{self, *};

/// Per edge: m = src[4] · dst[0..4] + dst[4] · 2, s = edge feature; outputs m by destination, by source, summed, m ⊗ s.
fn schedule() -> Schedule {
    let buffer = |domain, width, slot: u32| schedule::Buffer {
        domain,
        width,
        slot,
        name: format!("b{slot}"),
        materialised: None,
    };
    let input = |operand, access, width| KernelInput { operand, access, width };
    let kernel = Kernel {
        inputs: vec![
            input(Operand::Stored(Stored::NodeFeature { ty: 1, feature: 0 }), Access::Src, 4),
            input(Operand::Stored(Stored::NodeFeature { ty: 0, feature: 0 }), Access::Dst, WIDTH),
            input(Operand::Stored(Stored::EdgeFeature { rel: 1, feature: 0 }), Access::Edge, 2),
            input(Operand::Part { of: Whole::Param(2), start: 2, len: 4 }, Access::Global, 4),
        ],
        instrs: vec![
            Instr { op: RowOp::Load { input: 0, start: 0 }, width: 4 },
            Instr { op: RowOp::Load { input: 1, start: 1 }, width: 4 },
            Instr { op: mul(0, 1), width: 4 },
            Instr { op: RowOp::Load { input: 3, start: 0 }, width: 4 },
            Instr { op: mul(2, 3), width: 4 },
            Instr { op: RowOp::Load { input: 2, start: 0 }, width: 2 },
        ],
    };
    let out = |reg, at: u32, combine| EdgeOutput { reg, out: BufferId(at), combine, accumulate: false };
    let outputs = vec![
        out(4, 0, EdgeCombine::ToDst(ReduceOp::Sum)),
        out(4, 1, EdgeCombine::ToDst(ReduceOp::Max)),
        out(4, 2, EdgeCombine::ToSrc),
        out(4, 3, EdgeCombine::ToGlobal),
        out(5, 4, EdgeCombine::Outer { other: 4, batch: 1, k: 2, n: 4 }),
        out(2, 5, EdgeCombine::Each),
    ];
    Schedule {
        buffers: vec![
            buffer(nodes(0, 0), 4, 0),
            buffer(nodes(0, 0), 4, 1),
            buffer(nodes(1, 1), 4, 2),
            buffer(Domain::Global, 4, 3),
            buffer(Domain::Global, 8, 4),
            buffer(edges(1, 0), 4, 5),
        ],
        slots: 6,
        steps: vec![Step {
            kind: StepKind::Traverse { rel: 1, hop: 0, kernel, outputs },
            name: "messages".into(),
            heads: None,
        }],
        outputs: vec![],
    }
}

fn mul(a: Reg, b: Reg) -> RowOp {
    RowOp::Binary { op: BinaryOp::Mul, a, left: Broadcast::Full, b, right: Broadcast::Full }
}

#[test]
fn a_fused_traversal_agrees_with_plain_loops() {
    for storage in Storage::ALL {
        agrees_with_plain_loops(&World::new([Fanout::All, Fanout::Neighbors(2)]).stored_as(storage));
    }
}

fn agrees_with_plain_loops(world: &World) {
    let mut executor = Executor::new(&schedule(), &signature()).unwrap();
    world.run(&mut executor, context(true), Goal::All).unwrap();
    let block = world.block.edges(1, 0).unwrap();
    let mut sums: Vec<Vec<f64>> =
        executor.rows.iter().zip([4, 4, 4, 4, 8, 4]).map(|(rows, width)| vec![0.0; rows * width]).collect();
    sums[1].fill(f64::NEG_INFINITY);
    let bias = &world.params.values(2)[2..6];
    let features = world.graph.edge_feature(1, 0);
    for row in 0..block.rows() {
        let dst = world.graph.node_feature(0, 0).row(world.block.ids(0)[row] as usize);
        for e in block.indptr[row] as usize..block.indptr[row + 1] as usize {
            let from = block.src[e] as usize;
            let src = world.graph.node_feature(1, 0).row(world.block.ids(1)[from] as usize);
            let place = features.rows.unwrap()[block.position[e] as usize] as usize;
            for c in 0..4 {
                let product = f64::from(src[c] * dst[c + 1]);
                let m = product * f64::from(bias[c]);
                sums[0][row * 4 + c] += m;
                sums[1][row * 4 + c] = sums[1][row * 4 + c].max(m);
                sums[2][from * 4 + c] += m;
                sums[3][c] += m;
                (0..2).for_each(|k| sums[4][k * 4 + c] += f64::from(features.stored.row(place)[k]) * m);
                sums[5][e * 4 + c] = product;
            }
        }
    }
    sums[1].iter_mut().filter(|x| x.is_infinite()).for_each(|x| *x = 0.0);
    for (at, expected) in sums.iter().enumerate() {
        let found = executor.buffer(BufferId(at as u32)).data;
        let worst = found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-4 && found.len() == expected.len(), "output {at}: {worst}");
    }
    assert_eq!(executor.transposes(), [(1, 0)]);
}

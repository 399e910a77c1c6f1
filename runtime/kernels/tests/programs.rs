//! Random programs over random rows and blocks, against the naive interpreter in double precision.

mod common;

use common::*;
use gsl_kernels::random::{Key, Stream};
use gsl_kernels::*;
use proptest::prelude::*;

const ALL: [Access; 5] = [Access::Row, Access::Src, Access::Dst, Access::Edge, Access::Global];

/// A random block, seen from a random side.
struct Case {
    indptr: Vec<u32>,
    other: Vec<u32>,
    edge: Option<Vec<u32>>,
    direction: Direction,
    program: RowProgram,
    bank: Bank,
}

impl Case {
    fn new(draw: &mut Stream, dst: usize, src: usize) -> Self {
        let (indptr, other) = random_block(draw, dst, src);
        let by_dst = draw.below(2) == 0;
        let edges = other.len();
        let (indptr, other, edge, direction) = if by_dst {
            (indptr, other, None, Direction::ByDst)
        } else {
            let (indptr, other, edge) = transpose_block(&indptr, &other, src);
            (indptr, other, Some(edge), Direction::BySrc)
        };
        let accesses: Vec<Access> = (0..2 + draw.below(4)).map(|_| ALL[draw.below(5) as usize]).collect();
        let sizes = Sizes { rows: indptr.len() - 1, src, dst, edges };
        let (program, bank) = random_program(draw, &accesses, sizes);
        Case { indptr, other, edge, direction, program, bank }
    }

    fn adj(&self) -> Adjacency<'_> {
        Adjacency { indptr: &self.indptr, other: &self.other, edge: self.edge.as_deref() }
    }

    fn rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// The registers of every edge, row by row.
    fn edges(&self) -> Vec<Vec<(Place, Vec<Vec<f64>>)>> {
        let inputs = self.bank.inputs();
        (0..self.rows())
            .map(|row| {
                places(self.direction, &self.indptr, &self.other, self.edge.as_deref(), row)
                    .into_iter()
                    .map(|place| (place, evaluate(&self.program, &inputs, place)))
                    .collect()
            })
            .collect()
    }

    fn last(&self) -> Reg {
        self.program.widths().len() - 1
    }

    fn random_reg(&self, draw: &mut Stream) -> Reg {
        if draw.below(2) == 0 { self.last() } else { draw.below(self.program.widths().len() as u32) as Reg }
    }
}

fn reduce(how: Reduce, edges: &[&Vec<f64>], width: usize) -> Vec<f64> {
    let column = |i: usize| edges.iter().map(move |row| row[i]);
    let one = |i: usize| match how {
        _ if edges.is_empty() => 0.0,
        Reduce::Sum => column(i).sum(),
        Reduce::Mean => column(i).sum::<f64>() / edges.len() as f64,
        Reduce::Max => column(i).fold(f64::NEG_INFINITY, f64::max),
        Reduce::Min => column(i).fold(f64::INFINITY, f64::min),
    };
    (0..width).map(one).collect()
}

fn tolerance(want: &[f64]) -> f64 {
    3e-5 * (1.0 + want.iter().fold(0.0, |a: f64, b| a.max(b.abs())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rows_are_mapped_and_summed(seed: u64, rows in prop::sample::select(vec![0usize, 1, 7, 64, 300, 2500])) {
        let mut draw = Key::new(seed, 1).stream();
        let accesses: Vec<Access> =
            (0..1 + draw.below(4)).map(|_| [Access::Row, Access::Row, Access::Global][draw.below(3) as usize]).collect();
        let sizes = Sizes { rows, src: 0, dst: 0, edges: 0 };
        let (program, bank) = random_program(&mut draw, &accesses, sizes);
        let inputs = bank.inputs();
        let regs = program.widths().len();
        let (first, second) = (regs - 1, draw.below(regs as u32) as Reg);
        let want: Vec<Vec<Vec<f64>>> =
            (0..rows).map(|row| evaluate(&program, &inputs, Place { row, ..Place::default() })).collect();
        let flat = |reg: Reg| want.iter().flat_map(|regs| regs[reg].clone()).collect::<Vec<f64>>();

        let got = same_for_any_threads(|| {
            let mut a = vec![9.0; rows * program.width(first)];
            let mut b = vec![1.0; rows * program.width(second)];
            map_rows(&program, &inputs, rows, &mut [Output::new(first, &mut a), Output::add(second, &mut b)]);
            a.extend(b);
            a
        });
        let mut both = flat(first);
        both.extend(flat(second).iter().map(|x| x + 1.0));
        assert_close(&got, &both, tolerance(&both), &format!("{program:?}"));

        let (w1, w2) = (program.width(first), program.width(second));
        let got = same_for_any_threads(|| {
            let (mut a, mut b) = (vec![9.0; w1], vec![1.0; w2]);
            sum_rows(&program, &inputs, rows, &mut [Output::new(first, &mut a), Output::add(second, &mut b)]);
            a.extend(b);
            a
        });
        let total = |reg: Reg, i: usize| want.iter().map(|regs| regs[reg][i]).sum::<f64>();
        let sums: Vec<f64> =
            (0..w1).map(|i| total(first, i)).chain((0..w2).map(|i| 1.0 + total(second, i))).collect();
        let scale = 1e-5 * (1.0 + rows as f64) + tolerance(&both) * (1.0 + rows as f64).sqrt();
        assert_close(&got, &sums, scale, &format!("{program:?}"));

        let got = same_for_any_threads(|| {
            let mut out = vec![9.0; w1 * w2];
            outer_rows(&program, &inputs, rows, (first, second), 1, false, &mut out);
            out
        });
        let cell = |i: usize| want.iter().map(|regs| regs[first][i / w2] * regs[second][i % w2]).sum::<f64>();
        let products: Vec<f64> = (0..w1 * w2).map(cell).collect();
        let size = tolerance(&both) / 3e-5;
        assert_close(&got, &products, scale * size * size, &format!("{program:?}"));
    }

    #[test]
    fn blocks_are_reduced(seed: u64, dst in 0usize..200, src in 0usize..100) {
        let mut draw = Key::new(seed, 2).stream();
        let case = Case::new(&mut draw, dst, src);
        let inputs = case.bank.inputs();
        let edges = case.edges();
        let hows = [Reduce::Sum, Reduce::Mean, Reduce::Max, Reduce::Min];
        let (how, other_how) = (hows[draw.below(4) as usize], hows[draw.below(4) as usize]);
        let (first, second) = (case.last(), case.random_reg(&mut draw));
        let (w1, w2) = (case.program.width(first), case.program.width(second));

        let got = same_for_any_threads(|| {
            let (mut a, mut b) = (vec![9.0; case.rows() * w1], vec![1.0; case.rows() * w2]);
            let mut outputs = [Reduced::new(first, how, &mut a), Reduced::add(second, other_how, &mut b)];
            traverse(&case.program, case.direction, case.adj(), &inputs, &mut outputs);
            a.extend(b);
            a
        });
        let all = |reg: Reg, how: Reduce| -> Vec<f64> {
            let row = |edges: &Vec<(Place, Vec<Vec<f64>>)>| {
                reduce(how, &edges.iter().map(|(_, regs)| &regs[reg]).collect::<Vec<_>>(), case.program.width(reg))
            };
            edges.iter().flat_map(row).collect()
        };
        let mut want = all(first, how);
        want.extend(all(second, other_how).iter().map(|x| x + 1.0));
        let mut size: Vec<f64> = edges.iter().flatten().flat_map(|(_, regs)| regs[first].clone()).collect();
        size.extend(edges.iter().flatten().flat_map(|(_, regs)| regs[second].clone()));
        assert_close(&got, &want, 10.0 * tolerance(&size), &format!("{:?} {how:?} {other_how:?}", case.program));
    }

    #[test]
    fn edges_are_written_and_summed(seed: u64, dst in 0usize..200, src in 0usize..100) {
        let mut draw = Key::new(seed, 3).stream();
        let case = Case::new(&mut draw, dst, src);
        let (inputs, edges) = (case.bank.inputs(), case.edges());
        let (first, second) = (case.last(), case.random_reg(&mut draw));
        let (w1, w2) = (case.program.width(first), case.program.width(second));
        let count = case.other.len();

        let got = same_for_any_threads(|| {
            let (mut a, mut b) = (vec![9.0; count * w1], vec![1.0; count * w2]);
            let mut outputs = [Output::new(first, &mut a), Output::add(second, &mut b)];
            traverse_edges(&case.program, case.direction, case.adj(), &inputs, &mut outputs);
            a.extend(b);
            a
        });
        let mut want = vec![1.0; count * (w1 + w2)];
        for (place, regs) in edges.iter().flatten() {
            want[place.edge * w1..][..w1].copy_from_slice(&regs[first]);
            let row = &mut want[count * w1 + place.edge * w2..][..w2];
            row.iter_mut().zip(&regs[second]).for_each(|(to, x)| *to += x);
        }
        let size = tolerance(&want);
        assert_close(&got, &want, size, &format!("{:?}", case.program));

        let sum = |f: &dyn Fn(&Vec<Vec<f64>>) -> f64| edges.iter().flatten().map(|(_, regs)| f(regs)).sum::<f64>();
        let got = same_for_any_threads(|| {
            let (mut a, mut b) = (vec![9.0; w1], vec![1.0; w2]);
            let mut outputs = [Output::new(first, &mut a), Output::add(second, &mut b)];
            traverse_global(&case.program, case.direction, case.adj(), &inputs, &mut outputs);
            a.extend(b);
            a
        });
        let mut want: Vec<f64> = (0..w1).map(|i| sum(&|regs| regs[first][i])).collect();
        want.extend((0..w2).map(|i| 1.0 + sum(&|regs| regs[second][i])));
        let scale = 1e-5 * count as f64 + size * (1.0 + count as f64).sqrt();
        assert_close(&got, &want, scale, &format!("{:?}", case.program));

        let got = same_for_any_threads(|| {
            let mut out = vec![2.0; w1 * w2];
            outer_edges(&case.program, case.direction, case.adj(), &inputs, (first, second), 1, true, &mut out);
            out
        });
        let want: Vec<f64> =
            (0..w1 * w2).map(|i| 2.0 + sum(&|regs| regs[first][i / w2] * regs[second][i % w2])).collect();
        assert_close(&got, &want, scale * (size / 3e-5).powi(2), &format!("{:?}", case.program));
    }

    #[test]
    fn a_transposed_block_has_the_same_edges(seed: u64, dst in 0usize..60, src in 0usize..60) {
        let (indptr, other) = random_block(&mut Key::new(seed, 4).stream(), dst, src);
        let (indptr_t, dst_t, pos) = transpose_block(&indptr, &other, src);
        prop_assert_eq!(indptr_t.len(), src + 1);
        let mut seen = vec![false; other.len()];
        for s in 0..src {
            let range = indptr_t[s] as usize..indptr_t[s + 1] as usize;
            prop_assert!(pos[range.clone()].is_sorted());
            for e in range {
                let p = pos[e] as usize;
                prop_assert!(!std::mem::replace(&mut seen[p], true));
                prop_assert_eq!(other[p] as usize, s);
                let d = dst_t[e] as usize;
                prop_assert!((indptr[d] as usize..indptr[d + 1] as usize).contains(&p));
            }
        }
        prop_assert!(seen.into_iter().all(|seen| seen));
    }
}

#[test]
fn every_unary_and_binary_operation() {
    use UnaryOp::*;
    let unaries = [
        Neg,
        Exp,
        Log,
        Log1p,
        Sqrt,
        Rsqrt,
        Recip,
        Tanh,
        Sigmoid,
        Relu,
        ReluGrad,
        LeakyRelu(0.1),
        LeakyReluGrad(0.1),
        Elu(0.7),
        EluGrad(0.7),
        Gelu,
        GeluGrad,
        Silu,
        SiluGrad,
        Softplus,
        LogSigmoid,
        Abs,
        Sign,
        Square,
        Sin,
        Cos,
        Floor,
        IsZero,
    ];
    let values: Vec<f32> = (1..=400).map(|i| i as f32 * 0.013).collect();
    let signed: Vec<f32> = values.iter().enumerate().map(|(i, &x)| if i % 2 == 0 { x } else { -x }).collect();
    for op in unaries {
        let positive = matches!(op, Log | Log1p | Sqrt | Rsqrt | Recip);
        let data = if positive { &values } else { &signed };
        let program = RowProgram::new(vec![InputSpec::row(5)], vec![Instr::Load(0), Instr::Unary(op, 0)])
            .expect("well formed");
        let mut out = vec![0.0; data.len()];
        map_rows(&program, &[Input::new(data)], data.len() / 5, &mut [Output::new(1, &mut out)]);
        let want: Vec<f64> = data.iter().map(|&x| unary(op, f64::from(x))).collect();
        assert_close(&out, &want, 1e-6, &format!("{op:?}"));
    }
    use BinaryOp::*;
    let coarse: Vec<f32> = (0..400).map(|i| (i * 7 % 19) as f32 * 0.25 + 0.25).collect();
    for op in [Add, Sub, Mul, Div, Max, Min, Pow, Eq, Gt, Ge, Lt] {
        let instr = Instr::Binary { op, a: Arg::full(0), b: Arg::full(1), width: 20 };
        let specs = vec![InputSpec::row(20), InputSpec::global(20)];
        let program =
            RowProgram::new(specs, vec![Instr::Load(0), Instr::Load(1), instr]).expect("well formed");
        let mut out = vec![0.0; 400];
        let inputs = [Input::new(&coarse), Input::new(&coarse[5..25])];
        map_rows(&program, &inputs, 20, &mut [Output::new(2, &mut out)]);
        let want: Vec<f64> =
            (0..400).map(|i| binary(op, f64::from(coarse[i]), f64::from(coarse[5 + i % 20]))).collect();
        assert_close(&out, &want, 1e-6, &format!("{op:?}"));
    }
}

#[test]
fn matrices_apply_forwards_and_backwards() {
    let mut draw = Key::new(8, 8).stream();
    for (batch, k, n) in [(1, 1, 1), (1, 5, 3), (4, 8, 8), (2, 17, 33)] {
        let (rows, w) = (70, grid_vec(&mut draw, batch * k * n));
        let (x, y) = (grid_vec(&mut draw, rows * batch * k), grid_vec(&mut draw, rows * batch * n));
        let specs =
            vec![InputSpec::row(batch * k), InputSpec::row(batch * n), InputSpec::global(batch * k * n)];
        let forward = Instr::Matvec { x: 0, w: 2, batch, k, n, transpose_w: false };
        let backward = Instr::Matvec { x: 1, w: 2, batch, k, n, transpose_w: true };
        let program = RowProgram::new(specs, vec![Instr::Load(0), Instr::Load(1), forward, backward])
            .expect("well formed");
        let inputs = [Input::new(&x), Input::new(&y), Input::new(&w)];
        let (mut a, mut b) = (vec![0.0; rows * batch * n], vec![0.0; rows * batch * k]);
        map_rows(&program, &inputs, rows, &mut [Output::new(2, &mut a), Output::new(3, &mut b)]);
        let all: Vec<_> =
            (0..rows).map(|row| evaluate(&program, &inputs, Place { row, ..Place::default() })).collect();
        let want = |reg: usize| all.iter().flat_map(|regs| regs[reg].clone()).collect::<Vec<f64>>();
        assert_close(&a, &want(2), 1e-5, "forward");
        assert_close(&b, &want(3), 1e-5, "backward");
    }
}

#[test]
fn select_takes_either_side() {
    let (cond, yes) = ([1.0, 0.0, f32::NAN, -2.0], [1.0, f32::NAN, 3.0, 4.0]);
    let specs = vec![InputSpec::row(2), InputSpec::row(2), InputSpec::global(1)];
    let spread = Instr::Expand { x: Arg::scalar(2), width: 2 };
    let select = Instr::Select { cond: 0, yes: 1, no: 3 };
    let instrs = vec![Instr::Load(0), Instr::Load(1), Instr::Load(2), spread, select];
    let program = RowProgram::new(specs, instrs).expect("well formed");
    let mut out = [0.0; 4];
    let inputs = [Input::new(&cond), Input::new(&yes), Input::new(&[7.0])];
    map_rows(&program, &inputs, 2, &mut [Output::new(4, &mut out)]);
    assert_eq!(out, [1.0, 7.0, 3.0, 4.0]);
}

#[test]
fn nan_reaches_its_row_and_no_other() {
    let (indptr, src) = ([0, 2, 4, 4], [0, 1, 1, 2]);
    let x = [1.0, 1.0, 2.0, 2.0, f32::NAN, 3.0];
    let program = RowProgram::new(vec![InputSpec::src(2)], vec![Instr::Load(0)]).expect("well formed");
    for how in [Reduce::Sum, Reduce::Mean, Reduce::Max, Reduce::Min] {
        let mut out = [9.0; 6];
        let adj = Adjacency::new(&indptr, &src);
        traverse(&program, Direction::ByDst, adj, &[Input::new(&x)], &mut [Reduced::new(0, how, &mut out)]);
        assert!(out[2].is_nan(), "{how:?}");
        assert!(!out[3].is_nan() && out[0] > 0.0 && out[4..] == [0.0, 0.0], "{how:?} {out:?}");
    }
}

#[test]
#[should_panic(expected = "row 7 is wanted")]
fn a_source_beyond_the_input_is_refused() {
    let program = RowProgram::new(vec![InputSpec::src(2)], vec![Instr::Load(0)]).expect("well formed");
    let adj = Adjacency::new(&[0, 2], &[0, 7]);
    let mut out = [0.0; 2];
    let outputs = &mut [Reduced::new(0, Reduce::Sum, &mut out)];
    in_pool(1, || traverse(&program, Direction::ByDst, adj, &[Input::new(&[0.0; 6])], outputs));
}

#[test]
fn dropout_keeps_the_expected_share_and_its_mask() {
    let (rows, width, p) = (500, 50, 0.3);
    let (x, ids): (Vec<f32>, Vec<u64>) =
        (vec![1.0; rows * width], (0..rows as u64).map(|i| i << 33 | 5).collect());
    let dropout = Instr::Dropout { x: 0, p, key: Key::new(4, 2), ids: 1 };
    let specs = vec![InputSpec::row(width), InputSpec::ids(Access::Row)];
    let program = RowProgram::new(specs, vec![Instr::Load(0), dropout]).expect("well formed");
    let mut out = vec![0.0; rows * width];
    map_rows(&program, &[Input::new(&x), Input::ids(&ids)], rows, &mut [Output::new(1, &mut out)]);
    let kept = out.iter().filter(|&&x| x != 0.0).count() as f64 / out.len() as f64;
    assert!((kept - 0.7).abs() < 0.01, "{kept}");
    assert!(out.iter().all(|&x| x == 0.0 || (x - 1.0 / 0.7).abs() < 1e-6));
    let order: Vec<u32> = (0..rows as u32).rev().collect();
    let mut reversed = vec![0.0; rows * width];
    let inputs = [Input::new(&x), Input::gathered_ids(&ids, &order)];
    map_rows(&program, &inputs, rows, &mut [Output::new(1, &mut reversed)]);
    let mirrored: Vec<f32> = reversed.chunks(width).rev().flatten().copied().collect();
    assert!(out == mirrored, "the mask follows the identifier");
}

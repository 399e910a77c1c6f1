//! Kernels beside ceilings. Every kernel is measured in turn with the ceiling that bounds it, so that other load on the
//! machine falls on both; the table gives medians and their ratio.
//!
//! `cargo bench -p gsl-kernels [-- filter]`; `RAYON_NUM_THREADS` sets the threads.

mod ceilings;

use gsl_kernels::random::Key;
use gsl_kernels::*;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 9;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let bench = Bench { filter };
    println!("{} threads", rayon::current_num_threads());
    println!("{:44} {:>10} {:>9} {:>12} {:>7}", "kernel", "ms", "rate", "ceiling", "ratio");
    aggregation(&bench);
    storages(&bench);
    attention(&bench);
    products(&bench);
    pointwise(&bench);
    rows(&bench);
}

struct Bench {
    filter: String,
}

fn seconds(f: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

impl Bench {
    /// Alternates ceiling and kernel. `work` is what the kernel moves or computes, in giga-units; the ceiling returns the same
    /// of itself.
    fn compare(
        &self,
        name: &str,
        unit: &str,
        work: f64,
        ceiling: &mut dyn FnMut() -> f64,
        kernel: &mut dyn FnMut(),
    ) {
        if !name.contains(&self.filter) {
            return;
        }
        let (mut bound, mut times) = (Vec::new(), Vec::new());
        kernel();
        for _ in 0..ROUNDS {
            let mut done = 0.0;
            let time = seconds(&mut || done = ceiling());
            bound.push(time / done);
            times.push(seconds(kernel));
        }
        let (best, time) = (1.0 / median(bound), median(times));
        let rate = work / time;
        println!("{name:44} {:10.3} {rate:6.1} {unit} {best:7.1} {unit} {:6.2}", 1e3 * time, rate / best);
    }
}

fn normal(len: usize, purpose: u32) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Key::new(1, purpose).fill_normal(&mut values, 1.0);
    values
}

/// A random block: every destination has 10 sources on average.
fn block(dst: usize, src: usize) -> (Vec<u32>, Vec<u32>) {
    let key = Key::new(2, 0);
    let mut indptr = vec![0u32];
    for v in 0..dst as u64 {
        indptr.push(indptr[v as usize] + key.below_at(v, 21));
    }
    let other = (0..u64::from(indptr[dst])).map(|e| key.fold(1).below_at(e, src as u32)).collect();
    (indptr, other)
}

const GIGA: f64 = 1e-9;

fn aggregation(bench: &Bench) {
    let (dst, src) = (100_000, 400_000);
    let (indptr, other) = block(dst, src);
    let adj = Adjacency::new(&indptr, &other);
    for width in [64, 128, 256] {
        let x = normal(src * width, 3);
        let w = normal(other.len(), 4);
        let mut out = vec![0.0; dst * width];
        let rows = GIGA * (other.len() * (width * 4 + 4)) as f64;
        let bytes = rows + GIGA * (dst * width * 4) as f64;
        let mut ceiling = || {
            ceilings::gather(&x, width, &other);
            rows
        };
        let copy = RowProgram::new(vec![InputSpec::src(width)], vec![Instr::Load(0)]).expect("well formed");
        for how in [Reduce::Sum, Reduce::Mean] {
            bench.compare(&format!("spmm {how:?} width {width}"), "GB/s", bytes, &mut ceiling, &mut || {
                let outputs = &mut [Reduced::new(0, how, &mut out)];
                traverse(&copy, Direction::ByDst, adj, &[Input::new(&x)], outputs);
            });
        }
        bench.compare(&format!("spmm Max width {width}"), "GB/s", bytes, &mut ceiling, &mut || {
            let outputs = &mut [Reduced::new(0, Reduce::Max, &mut out)];
            traverse(&copy, Direction::ByDst, adj, &[Input::new(&x)], outputs);
        });
        let weighted = Instr::Binary { op: BinaryOp::Mul, a: Arg::scalar(1), b: Arg::full(0), width };
        let program = RowProgram::new(
            vec![InputSpec::src(width), InputSpec::edge(1)],
            vec![Instr::Load(0), Instr::Load(1), weighted],
        );
        let program = program.expect("well formed");
        bench.compare(&format!("spmm edge weight width {width}"), "GB/s", bytes, &mut ceiling, &mut || {
            let outputs = &mut [Reduced::new(2, Reduce::Sum, &mut out)];
            traverse(&program, Direction::ByDst, adj, &[Input::new(&x), Input::new(&w)], outputs);
        });
    }
}

/// What reading narrow rows costs: rates count the bytes that the rows would have as `f32`.
fn storages(bench: &Bench) {
    let (dst, src, width) = (100_000, 400_000, 128);
    let (indptr, other) = block(dst, src);
    let adj = Adjacency::new(&indptr, &other);
    let wide = normal(src * width, 18);
    let half: Vec<f16> = wide.iter().map(|&x| f16::from_f32(x)).collect();
    let upper: Vec<bf16> = wide.iter().map(|&x| bf16::from_f32(x)).collect();
    let bytes: Vec<i8> = wide.iter().map(|&x| (x * 25.0) as i8).collect();
    let scale = vec![0.04; width];
    let stored = [
        ("float32", Floats::F32(&wide)),
        ("float16", Floats::F16(&half)),
        ("bfloat16", Floats::BF16(&upper)),
        ("int8", Floats::I8 { data: &bytes, scale: &scale }),
    ];
    let moved = GIGA * (other.len() * (width * 4 + 4)) as f64;
    let mut ceiling = || {
        ceilings::gather(&wide, width, &other);
        moved
    };
    let copy = RowProgram::new(vec![InputSpec::src(width)], vec![Instr::Load(0)]).expect("well formed");
    let mut out = vec![0.0; dst * width];
    let mut rows = vec![0.0; other.len() * width];
    let (w, shape) = (normal(width * 64, 19), Shape { rows: other.len(), batch: 1, k: width, n: 64 });
    let mut product = vec![0.0; other.len() * 64];
    for (name, x) in stored {
        bench.compare(&format!("stored {name}: spmm Mean"), "GB/s", moved, &mut ceiling, &mut || {
            let outputs = &mut [Reduced::new(0, Reduce::Mean, &mut out)];
            traverse(&copy, Direction::ByDst, adj, &[Input { data: Data::Floats(x), index: None }], outputs);
        });
        bench.compare(&format!("stored {name}: gather_rows"), "GB/s", moved, &mut ceiling, &mut || {
            gather_rows(x, width, &other, &mut rows);
        });
        bench.compare(&format!("stored {name}: gathered linear"), "GB/s", moved, &mut ceiling, &mut || {
            linear(shape, x, Some(&other), &w, Start::Zero, &mut product);
        });
    }
}

/// The kernels of graph attention: the maximum of the scores, the weighted sum, and the gradient of the weights.
fn attention(bench: &Bench) {
    let (dst, src, heads, d) = (100_000, 400_000, 4, 32);
    let width = heads * d;
    let (indptr, other) = block(dst, src);
    let adj = Adjacency::new(&indptr, &other);
    let (z, left, right) = (normal(src * width, 5), normal(src * heads, 6), normal(dst * heads, 7));
    let dy = normal(dst * width, 8);
    let (mut top, mut total, mut out) =
        (vec![0.0; dst * heads], vec![0.0; dst * heads], vec![0.0; dst * width]);
    let mut dalpha = vec![0.0; other.len() * heads];
    let narrow = GIGA * (other.len() * (heads * 4 + 4)) as f64;
    let wide = GIGA * (other.len() * (width * 4 + 4)) as f64;

    let specs =
        vec![InputSpec::src(heads), InputSpec::dst(heads), InputSpec::dst(heads), InputSpec::src(width)];
    let binary = |op, a, b, width| Instr::Binary { op, a, b, width };
    let score = vec![
        Instr::Load(0),
        Instr::Load(1),
        binary(BinaryOp::Add, Arg::full(0), Arg::full(1), heads),
        Instr::Unary(UnaryOp::LeakyRelu(0.2), 2),
    ];
    let program = RowProgram::new(specs[..2].to_vec(), score.clone()).expect("well formed");
    let mut ceiling = || {
        ceilings::gather(&left, heads, &other);
        narrow
    };
    bench.compare("gat scores, Max", "GB/s", narrow, &mut ceiling, &mut || {
        let outputs = &mut [Reduced::new(3, Reduce::Max, &mut top)];
        traverse(&program, Direction::ByDst, adj, &[Input::new(&left), Input::new(&right)], outputs);
    });

    let mut instrs = score;
    instrs.extend([
        Instr::Load(2),
        binary(BinaryOp::Sub, Arg::full(3), Arg::full(4), heads),
        Instr::Unary(UnaryOp::Exp, 5),
        Instr::Load(3),
        binary(BinaryOp::Mul, Arg::outer(6, d), Arg::full(7), width),
    ]);
    let program = RowProgram::new(specs, instrs).expect("well formed");
    let mut ceiling = || {
        ceilings::gather(&z, width, &other);
        ceilings::gather(&left, heads, &other);
        wide + narrow
    };
    bench.compare("gat exp and weighted sum, 4 x 32", "GB/s", wide + narrow, &mut ceiling, &mut || {
        let inputs = [Input::new(&left), Input::new(&right), Input::new(&top), Input::new(&z)];
        let outputs = &mut [Reduced::new(6, Reduce::Sum, &mut total), Reduced::new(8, Reduce::Sum, &mut out)];
        traverse(&program, Direction::ByDst, adj, &inputs, outputs);
    });

    let program = RowProgram::new(
        vec![InputSpec::src(width), InputSpec::dst(width)],
        vec![
            Instr::Load(0),
            Instr::Load(1),
            binary(BinaryOp::Mul, Arg::full(0), Arg::full(1), width),
            Instr::SumInner { x: 2, inner: d },
        ],
    );
    let program = program.expect("well formed");
    let mut ceiling = || {
        ceilings::gather(&z, width, &other);
        wide
    };
    let bytes = wide + GIGA * (other.len() * heads * 4) as f64;
    bench.compare("gat edge gradients, dots 4 x 32", "GB/s", bytes, &mut ceiling, &mut || {
        let outputs = &mut [Output::new(3, &mut dalpha)];
        traverse_edges(&program, Direction::ByDst, adj, &[Input::new(&z), Input::new(&dy)], outputs);
    });
}

fn products(bench: &Bench) {
    let mut ceiling = || GIGA * ceilings::multiply_add();
    for (rows, batch, k, n) in [
        (4096, 1, 256, 256),
        (65_536, 1, 128, 128),
        (65_536, 1, 602, 64),
        (65_536, 1, 128, 16),
        (65_536, 4, 32, 32),
        (65_536, 8, 8, 8),
        (65_536, 1, 128, 1),
    ] {
        let shape = Shape { rows, batch, k, n };
        let (x, w) = (normal(rows * batch * k, 9), normal(batch * k * n, 10));
        let (mut out, mut dx, mut dw) = (normal(rows * batch * n, 11), x.clone(), w.clone());
        let flops = GIGA * (2 * rows * batch * k * n) as f64;
        let name = format!("{rows} x {batch} x {k} x {n}");
        bench.compare(&format!("linear   {name}"), "GF/s", flops, &mut ceiling, &mut || {
            linear(shape, &x, None, &w, Start::Zero, &mut out);
        });
        bench.compare(&format!("linear_t {name}"), "GF/s", flops, &mut ceiling, &mut || {
            linear_t(shape, &out, &w, false, &mut dx);
        });
        bench.compare(&format!("outer    {name}"), "GF/s", flops, &mut ceiling, &mut || {
            outer(shape, &x, None, &out, false, &mut dw);
        });
    }
}

fn pointwise(bench: &Bench) {
    let (rows, width) = (200_000, 128);
    let (x, bias) = (normal(rows * width, 12), normal(width, 13));
    let ids: Vec<u64> = (0..rows as u64).collect();
    let (mut out, mut target) = (x.clone(), x.clone());
    let bytes = GIGA * (2 * rows * width * 4) as f64;
    let mut copy = || {
        ceilings::copy(&x, &mut target);
        bytes
    };
    let specs = vec![InputSpec::row(width), InputSpec::global(width), InputSpec::ids(Access::Row)];
    let base = [
        Instr::Load(0),
        Instr::Load(1),
        Instr::Binary { op: BinaryOp::Add, a: Arg::full(0), b: Arg::full(1), width },
    ];
    let tails = [
        ("bias, relu", vec![Instr::Unary(UnaryOp::Relu, 2)]),
        ("bias, gelu", vec![Instr::Unary(UnaryOp::Gelu, 2)]),
        ("bias, tanh", vec![Instr::Unary(UnaryOp::Tanh, 2)]),
        (
            "bias, relu, dropout",
            vec![
                Instr::Unary(UnaryOp::Relu, 2),
                Instr::Dropout { x: 3, p: 0.5, key: Key::new(1, 1), ids: 2 },
            ],
        ),
    ];
    for (name, tail) in tails {
        let instrs: Vec<Instr> = base.iter().cloned().chain(tail).collect();
        let last = instrs.len() - 1;
        let program = RowProgram::new(specs.clone(), instrs).expect("well formed");
        let inputs = [Input::new(&x), Input::new(&bias), Input::ids(&ids)];
        bench.compare(&format!("map {name}, width {width}"), "GB/s", bytes, &mut copy, &mut || {
            map_rows(&program, &inputs, rows, &mut [Output::new(last, &mut out)]);
        });
    }
    let scores = normal(rows * 8, 14);
    let program = RowProgram::new(
        vec![InputSpec::row(4), InputSpec::row(4)],
        vec![
            Instr::Load(0),
            Instr::Load(1),
            Instr::Binary { op: BinaryOp::Mul, a: Arg::full(0), b: Arg::full(1), width: 4 },
            Instr::SumInner { x: 2, inner: 4 },
            Instr::Binary { op: BinaryOp::Sub, a: Arg::full(2), b: Arg::scalar(3), width: 4 },
        ],
    );
    let program = program.expect("well formed");
    let (a, b) = scores.split_at(rows * 4);
    let bytes = GIGA * (3 * rows * 4 * 4) as f64;
    let mut narrow = || {
        ceilings::copy(a, &mut target[..rows * 4]);
        bytes * 2.0 / 3.0
    };
    bench.compare("map product, sum, difference, width 4", "GB/s", bytes, &mut narrow, &mut || {
        map_rows(
            &program,
            &[Input::new(a), Input::new(b)],
            rows,
            &mut [Output::new(4, &mut out[..rows * 4])],
        );
    });
    let program = RowProgram::new(vec![InputSpec::row(width)], vec![Instr::Load(0)]).expect("well formed");
    let bytes = GIGA * (rows * width * 4) as f64;
    let mut read = || {
        ceilings::read(&x);
        bytes
    };
    let mut sum = vec![0.0; width];
    bench.compare("sum over rows, width 128", "GB/s", bytes, &mut read, &mut || {
        sum_rows(&program, &[Input::new(&x)], rows, &mut [Output::new(0, &mut sum)]);
    });
    black_box(sum);
}

fn rows(bench: &Bench) {
    let (n, width) = (400_000, 128);
    let table = normal(n * width, 15);
    let key = Key::new(3, 3);
    let index: Vec<u32> = (0..500_000).map(|i| key.below_at(i, n as u32)).collect();
    let mut out = vec![0.0; index.len() * width];
    let bytes = GIGA * (index.len() * width * 4) as f64;
    let mut gather = || {
        ceilings::gather(&table, width, &index);
        bytes
    };
    bench.compare("gather_rows width 128 (payload)", "GB/s", bytes, &mut gather, &mut || {
        gather_rows(&table, width, &index, &mut out);
    });
    let mut sums = table.clone();
    bench.compare("scatter_add_rows width 128 (payload)", "GB/s", bytes, &mut gather, &mut || {
        scatter_add_rows(&out, width, &index, &mut sums);
    });

    let len = 16 << 20;
    let (grad, from) = (normal(len, 16), normal(len, 17));
    let (mut p, mut m, mut v, mut to) = (from.clone(), vec![0.0; len], vec![0.0; len], from.clone());
    let mut copy = || {
        ceilings::copy(&from, &mut to);
        GIGA * (len * 8) as f64
    };
    bench.compare("adam, 16 Mi parameters", "GB/s", GIGA * (len * 28) as f64, &mut copy, &mut || {
        adam(Adam::default(), &mut p, &mut m, &mut v, &grad);
    });
    for classes in [47, 172] {
        let rows = 50_000;
        let logits = &grad[..rows * classes];
        let labels: Vec<i32> = (0..rows as u64).map(|r| key.below_at(r, classes as u32) as i32).collect();
        let (mut losses, ones) = (vec![0.0; rows], vec![1.0; rows]);
        let bytes = GIGA * (rows * classes * 4) as f64;
        bench.compare(&format!("cross entropy, {classes} classes"), "GB/s", bytes, &mut copy, &mut || {
            cross_entropy(logits, classes, &labels, None, 0.0, &mut losses);
        });
        bench.compare(
            &format!("cross entropy gradient, {classes} classes"),
            "GB/s",
            2.0 * bytes,
            &mut copy,
            &mut || {
                cross_entropy_grad(logits, classes, &labels, None, 0.0, &ones, &mut p[..rows * classes]);
            },
        );
    }
    let (indptr, other) = block(100_000, n);
    let mut read = || {
        ceilings::read(&from);
        GIGA * (len * 4) as f64
    };
    let bytes = GIGA * (other.len() * 16) as f64;
    bench.compare("transpose_block, 1 M edges", "GB/s", bytes, &mut read, &mut || {
        black_box(transpose_block(&indptr, &other, n));
    });
}

//! Products, losses, optimisers and norms against naive loops in double precision.

mod common;

use common::*;
use gsl_kernels::random::Key;
use gsl_kernels::*;
use proptest::prelude::*;

fn normal(key: Key, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    key.fill_normal(&mut values, 1.0);
    values
}

fn shapes() -> impl Strategy<Value = Shape> {
    let width = || prop::sample::select(vec![1usize, 2, 3, 5, 8, 13, 16, 31, 40, 64]);
    let rows = prop::sample::select(vec![0usize, 1, 3, 65, 257, 1100, 2600]);
    let batch = prop::sample::select(vec![1usize, 2, 4]);
    (rows, batch, width(), width()).prop_map(|(rows, batch, k, n)| Shape { rows, batch, k, n })
}

fn naive_linear(s: Shape, x: &[f32], w: &[f32]) -> Vec<f64> {
    let cell = |r: usize, b: usize, j: usize| -> f64 {
        (0..s.k)
            .map(|i| f64::from(x[(r * s.batch + b) * s.k + i]) * f64::from(w[(b * s.k + i) * s.n + j]))
            .sum()
    };
    let cells = (0..s.rows).flat_map(|r| (0..s.batch).flat_map(move |b| (0..s.n).map(move |j| (r, b, j))));
    cells.map(|(r, b, j)| cell(r, b, j)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn linear_and_its_gradients(s in shapes(), seed: u64, gathered: bool, storage in 0u32..6) {
        let key = Key::new(seed, 0);
        let stored = if gathered { 50 } else { s.rows };
        let numbers = Numbers::nearest(storage, normal(key.fold(0), stored * s.batch * s.k), s.batch * s.k);
        let table = numbers.borrow();
        let index: Vec<u32> = (0..s.rows as u64).map(|r| key.below_at(r, 50)).collect();
        let width = s.batch * s.k;
        let row = |r: usize| (0..width).map(move |c| common::stored(table, width, r, c) as f32);
        let x: Vec<f32> = if gathered {
            index.iter().flat_map(|&r| row(r as usize)).collect()
        } else {
            (0..s.rows).flat_map(row).collect()
        };
        let index = gathered.then_some(&index[..]);
        let (w, dy) = (normal(key.fold(1), width * s.n), normal(key.fold(2), s.rows * s.batch * s.n));
        let bias = normal(key.fold(3), s.batch * s.n);

        let want = naive_linear(s, &x, &w);
        let got = same_for_any_threads(|| {
            let mut out = vec![9.0; s.rows * s.batch * s.n];
            linear(s, table, index, &w, Start::Zero, &mut out);
            out
        });
        assert_close(&got, &want, 1e-4, "linear");
        let mut twice = got.clone();
        linear(s, table, index, &w, Start::Keep, &mut twice);
        assert_close(&twice, &want.iter().map(|x| 2.0 * x).collect::<Vec<_>>(), 1e-4, "keep");
        linear(s, table, index, &w, Start::Bias(&bias), &mut twice);
        let biased: Vec<f64> =
            want.iter().enumerate().map(|(i, x)| x + f64::from(bias[i % (s.batch * s.n)])).collect();
        assert_close(&twice, &biased, 1e-4, "bias");

        let got = same_for_any_threads(|| {
            let mut dx = vec![1.0; s.rows * width];
            linear_t(s, &dy, &w, true, &mut dx);
            dx
        });
        let cell = |at: usize| -> f64 {
            let (r, b, i) = (at / width, at / s.k % s.batch, at % s.k);
            1.0 + (0..s.n)
                .map(|j| f64::from(dy[(r * s.batch + b) * s.n + j]) * f64::from(w[(b * s.k + i) * s.n + j]))
                .sum::<f64>()
        };
        assert_close(&got, &(0..s.rows * width).map(cell).collect::<Vec<_>>(), 1e-4, "transposed");

        let got = same_for_any_threads(|| {
            let mut dw = vec![9.0; width * s.n];
            outer(s, table, index, &dy, false, &mut dw);
            dw
        });
        let cell = |at: usize| -> f64 {
            let (b, i, j) = (at / (s.k * s.n), at / s.n % s.k, at % s.n);
            (0..s.rows)
                .map(|r| f64::from(x[(r * s.batch + b) * s.k + i]) * f64::from(dy[(r * s.batch + b) * s.n + j]))
                .sum()
        };
        assert_close(&got, &(0..width * s.n).map(cell).collect::<Vec<_>>(), 1e-3, "outer");
    }

    #[test]
    fn cross_entropy_and_its_gradient(
        seed: u64, rows in 0usize..600, classes in prop::sample::select(vec![1usize, 2, 7, 16, 47, 300]),
        smoothing in prop::sample::select(vec![0.0f32, 0.1]), weighted: bool,
    ) {
        let key = Key::new(seed, 1);
        let logits: Vec<f32> = normal(key, rows * classes).iter().map(|x| 3.0 * x).collect();
        let labels: Vec<i32> = (0..rows as u64).map(|r| key.below_at(r, classes as u32 + 1) as i32 - 1).collect();
        let (weights, dloss) = (normal(key.fold(2), rows), normal(key.fold(3), rows));
        let weight = weighted.then_some(&weights[..]);
        let (mut want, mut want_grad) = (Vec::new(), Vec::new());
        for (r, row) in logits.chunks(classes).enumerate() {
            let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            let logp: Vec<f64> = row.iter().map(|&x| f64::from(x) - total.ln()).collect();
            let s = f64::from(smoothing);
            let target = |c: usize| s / classes as f64 + if c as i32 == labels[r] { 1.0 - s } else { 0.0 };
            let factor = if labels[r] < 0 { 0.0 } else { weight.map_or(1.0, |w| f64::from(w[r])) };
            want.push(-factor * (0..classes).map(|c| target(c) * logp[c]).sum::<f64>());
            want_grad.extend((0..classes).map(|c| f64::from(dloss[r]) * factor * (logp[c].exp() - target(c))));
        }
        let got = same_for_any_threads(|| {
            let mut losses = vec![9.0; rows];
            cross_entropy(&logits, classes, &labels, weight, smoothing, &mut losses);
            losses
        });
        assert_close(&got, &want, 1e-5, "loss");
        let got = same_for_any_threads(|| {
            let mut grad = vec![9.0; rows * classes];
            cross_entropy_grad(&logits, classes, &labels, weight, smoothing, &dloss, &mut grad);
            grad
        });
        assert_close(&got, &want_grad, 1e-5, "gradient");
    }
}

#[test]
fn softmax_is_stable_for_huge_logits() {
    let logits = [1e4, 0.0, -1e4, -1e4, -1e4, -1e4];
    let (mut p, mut logp, mut loss) = ([9.0; 6], [9.0; 6], [9.0; 2]);
    softmax_rows(&logits, 3, &mut p);
    assert_close(&p, &[1.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], 1e-6, "softmax");
    log_softmax_rows(&logits, 3, &mut logp);
    let third = -(3f64.ln());
    assert_close(&logp, &[0.0, -1e4, -2e4, third, third, third], 1e-6, "log softmax");
    cross_entropy(&logits, 3, &[2, 1], None, 0.1, &mut loss);
    assert_close(&loss, &[0.9 * 2e4 + 0.1 * 1e4, -third], 1e-6, "loss");
    let mut grad = [9.0; 6];
    cross_entropy_grad(&logits, 3, &[2, -1], None, 0.0, &[1.0, 1.0], &mut grad);
    assert_close(&grad, &[1.0, 0.0, -1.0, 0.0, 0.0, 0.0], 1e-6, "gradient");
    let mut bad = [0.0; 3];
    softmax_rows(&[1.0, f32::NAN, 2.0], 3, &mut bad);
    assert!(bad.iter().all(|p| p.is_nan()));
}

#[test]
#[should_panic(expected = "label 3 is not below the 3 classes")]
fn a_label_beyond_the_classes_is_refused() {
    cross_entropy(&[0.0; 3], 3, &[3], None, 0.0, &mut [0.0]);
}

/// Adam as the paper writes it.
fn naive_adam(h: Adam, p: &mut f64, m: &mut f64, v: &mut f64, grad: f64) {
    let [lr, b1, b2, eps, decay] = [h.lr, h.b1, h.b2, h.eps, h.weight_decay].map(f64::from);
    let g = if h.decoupled { grad } else { grad + decay * *p };
    *m = b1 * *m + (1.0 - b1) * g;
    *v = b2 * *v + (1.0 - b2) * g * g;
    let (m_hat, v_hat) = (*m / (1.0 - b1.powi(h.step as i32)), *v / (1.0 - b2.powi(h.step as i32)));
    if h.decoupled {
        *p -= lr * decay * *p;
    }
    *p -= lr * m_hat / (v_hat.sqrt() + eps);
}

#[test]
fn adam_follows_the_paper() {
    let key = Key::new(1, 2);
    for (decoupled, weight_decay) in [(false, 0.0), (false, 0.1), (true, 0.1)] {
        let n = 40_000;
        let mut state = [normal(key, n), vec![0.0; n], vec![0.0; n]];
        let mut want: Vec<[f64; 3]> = state[0].iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect();
        for step in 1..=5 {
            let grad = normal(key.fold(step), n);
            let hyper = Adam { step, lr: 0.01, weight_decay, decoupled, ..Adam::default() };
            let [p, m, v] = &mut state;
            adam(hyper, p, m, v, &grad);
            for ([p, m, v], &g) in want.iter_mut().zip(&grad) {
                naive_adam(hyper, p, m, v, f64::from(g));
            }
        }
        for (part, got) in state.iter().enumerate() {
            assert_close(got, &want.iter().map(|w| w[part]).collect::<Vec<_>>(), 1e-5, "adam");
        }
    }
}

#[test]
fn sparse_adam_touches_only_its_rows() {
    let key = Key::new(2, 2);
    let (width, rows) = (5, [1u32, 4, 7]);
    let table = normal(key, 10 * width);
    let grads = normal(key.fold(1), rows.len() * width);
    let mut sparse = [table.clone(), vec![0.5; 10 * width], vec![0.25; 10 * width]];
    let mut dense = sparse.clone();
    let hyper = Adam { step: 9, ..Adam::default() };
    let [p, m, v] = &mut sparse;
    sparse_adam_rows(hyper, p, m, v, width, &rows, &grads);
    let mut grad = vec![0.0; 10 * width];
    scatter_add_rows(&grads, width, &rows, &mut grad);
    let before = dense.clone();
    let [p, m, v] = &mut dense;
    adam(hyper, p, m, v, &grad);
    for part in 0..3 {
        for row in 0..10u32 {
            let range = row as usize * width..(row as usize + 1) * width;
            let want = if rows.contains(&row) { &dense[part] } else { &before[part] };
            assert_eq!(sparse[part][range.clone()], want[range], "part {part}, row {row}");
        }
    }
}

#[test]
fn sgd_with_and_without_momentum() {
    let (mut p, mut buffer) = (vec![1.0f32; 20_000], vec![0.0f32; 20_000]);
    let grad = vec![2.0f32; 20_000];
    sgd(&mut p, None, &grad, 0.1, 0.5);
    assert!(p.iter().all(|&x| (x - 0.75).abs() < 1e-6));
    for _ in 0..2 {
        sgd(&mut p, Some((&mut buffer, 0.9)), &grad, 0.1, 0.0);
    }
    assert!(p.iter().all(|&x| (x - (0.75 - 0.2 - 0.38)).abs() < 1e-6));
}

#[test]
fn norms_and_groups_do_not_depend_on_threads() {
    let key = Key::new(5, 5);
    let x = normal(key, 123_457);
    let want = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let index: Vec<u32> = (0..5000).map(|i| key.below_at(i, 700)).collect();
    let groups = group_rows(&index);
    let once = in_pool(1, || norm(&x));
    assert!((once - want).abs() < 1e-9 * want);
    for threads in 2..=4 {
        assert_eq!(in_pool(threads, || norm(&x)).to_bits(), once.to_bits());
        assert_eq!(in_pool(threads, || group_rows(&index)), groups);
    }
    assert!(groups.unique.is_sorted_by(|a, b| a < b));
    for (g, &row) in groups.unique.iter().enumerate() {
        let positions = &groups.position[groups.indptr[g] as usize..groups.indptr[g + 1] as usize];
        assert!(positions.is_sorted() && positions.iter().all(|&p| index[p as usize] == row));
    }
    assert_eq!(groups.position.len(), index.len());
    let mut y = vec![1.0; 3];
    axpy(2.0, &[1.0, 2.0, 3.0], &mut y);
    scale(&mut y, 0.5);
    assert_eq!(y, [1.5, 2.5, 3.5]);
    let mut inverse = [9.0; 3];
    inverse_degrees(&[0, 2, 2, 6], &mut inverse);
    assert_eq!((inverse, in_degrees(&[0, 2, 2, 6])), ([0.5, 0.0, 0.25], vec![2, 0, 4]));
}

use super::*;
use crate::comm::{Solo, Threads};
use gsl_plan::plan::{Decay, Optimizer, Warmup};

fn param(name: &str, shape: &[usize], init: Init, kind: ParamKind) -> Param {
    Param { name: name.into(), shape: shape.to_vec(), init, kind }
}

fn model(rows: usize) -> Vec<Param> {
    vec![
        param("w", &[4, 3], Init::Glorot { fan_in: 4, fan_out: 3 }, ParamKind::Dense),
        param("emb", &[rows, 2], Init::Normal { std: 1.0 }, ParamKind::Table { ty: 0 }),
        param("b", &[3], Init::Ones, ParamKind::Dense),
    ]
}

fn optimizer() -> Optimizer {
    Optimizer {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        clip: None,
        warmup: Warmup::None,
        decay: Decay::None,
    }
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let (small, large) = (Params::new(&model(5), 7), Params::new(&model(50), 7));
    assert_eq!(small.values(1), &large.values(1)[..10]);
    assert_eq!(small.values(0), large.values(0));
    let only = Params::new(&model(5)[..1], 7);
    assert_eq!(small.values(0), only.values(0));
    assert_ne!(small.values(0), Params::new(&model(5), 8).values(0));
    let bound = (6.0f32 / 7.0).sqrt();
    assert!(small.values(0).iter().all(|x| x.abs() <= bound));
    assert_eq!(small.values(2), [1.0; 3]);
}

/// One step with these gradients on this rank; the gradient's length before clipping.
fn step(
    params: &mut Params,
    batches: &[(&[f32], &[RowGradient])],
    clip: Option<f32>,
    comm: &dyn crate::comm::Communicator,
) -> f64 {
    let mut collected = params.collector();
    for (dense, lists) in batches {
        collected.add_dense(|gradient| gradient.values[..dense.len()].copy_from_slice(dense));
        collected.add_rows(1, lists).unwrap();
    }
    let length = collected.finish(clip, comm).unwrap();
    params.step(&collected, &optimizer(), &optimizer());
    length
}

fn moved(params: &Params, before: &Params, param: u32) -> Vec<f32> {
    params.values(param).iter().zip(before.values(param)).map(|(new, old)| new - old).collect()
}

#[test]
fn the_first_step_has_the_length_of_the_learning_rate() {
    let before = Params::new(&model(5), 7);
    let mut params = before.clone();
    let length = step(&mut params, &[(&[3.0, -4.0, 0.0], &[])], None, &Solo);
    assert!((length - 5.0).abs() < 1e-6);
    let moved = moved(&params, &before, 0);
    assert!((moved[0] + 0.1).abs() < 1e-5 && (moved[1] - 0.1).abs() < 1e-5 && moved[2] == 0.0, "{moved:?}");
}

#[test]
fn clipping_looks_at_dense_parameters_and_embeddings_together() {
    let mut collected = Params::new(&model(5), 7).collector();
    collected.add_dense(|gradient| gradient.values[0] = 30.0);
    collected.add_rows(1, &[RowGradient { ids: &[2], rows: &[0.0, 40.0] }]).unwrap();
    let length = collected.finish(Some(5.0), &Solo).unwrap();
    assert!((length - 50.0).abs() < 1e-5);
    assert!((collected.dense()[0] - 3.0).abs() < 1e-5);
    let (_, ids, rows) = collected.rows().next().unwrap();
    assert!(ids == [2] && rows[0] == 0.0 && (rows[1] - 4.0).abs() < 1e-5, "{rows:?}");
}

#[test]
fn clipping_comes_after_the_sum_over_ranks() {
    let all = Threads::run(2, |comm| {
        let mut collected = Params::new(&model(5), 7).collector();
        let rank = crate::comm::Communicator::rank(comm);
        collected.add_dense(|gradient| gradient.values[rank] = [30.0, 40.0][rank]);
        let length = collected.finish(Some(5.0), comm)?;
        Ok::<_, StoreError>((length, collected.dense()[..2].to_vec()))
    })
    .unwrap();
    for (length, dense) in all {
        assert!(
            (length - 50.0).abs() < 1e-5 && (dense[0] - 3.0).abs() < 1e-5 && (dense[1] - 4.0).abs() < 1e-5
        );
    }
}

#[test]
fn a_step_of_several_batches_takes_their_mean() {
    let before = Params::new(&model(5), 7);
    let rows = |x: f32| [x, 2.0 * x];
    let (a, b) = (rows(1.0), rows(3.0));
    let lists = [[RowGradient { ids: &[3], rows: &a }], [RowGradient { ids: &[3], rows: &b }]];
    let mut collected = before.collector();
    for (dense, lists) in [([1.0, 5.0], &lists[0]), ([3.0, -1.0], &lists[1])] {
        collected.add_dense(|gradient| gradient.values[..2].copy_from_slice(&dense));
        collected.add_rows(1, lists).unwrap();
    }
    collected.finish(None, &Solo).unwrap();
    assert_eq!((collected.batches(), &collected.dense()[..3]), (2, &[2.0, 2.0, 0.0][..]));
    assert_eq!(collected.rows().next(), Some((1, &[3][..], &[2.0, 4.0][..])));
}

#[test]
fn a_step_sums_repeated_rows_and_leaves_the_others() {
    let before = Params::new(&model(5), 7);
    let mut params = before.clone();
    let lists = [
        RowGradient { ids: &[3, 1], rows: &[1.0, 1.0, -2.0, 2.0] },
        RowGradient { ids: &[1], rows: &[2.0, 2.0] },
    ];
    step(&mut params, &[(&[], &lists)], None, &Solo);
    let moved = moved(&params, &before, 1);
    assert!(moved[..2].iter().chain(&moved[4..6]).chain(&moved[8..]).all(|&x| x == 0.0), "{moved:?}");
    assert_eq!(moved[2], 0.0);
    assert!((moved[3] + 0.1).abs() < 1e-5 && (moved[6] + 0.1).abs() < 1e-5, "{moved:?}");
}

#[test]
fn ranks_that_touch_different_rows_end_with_the_same_table() {
    let all = Threads::run(2, |comm| {
        let mut params = Params::new(&model(5), 7);
        let rank = crate::comm::Communicator::rank(comm) as u32;
        let (ids, rows) = ([rank, 4], [1.0, -1.0, 0.5, rank as f32]);
        step(&mut params, &[(&[], &[RowGradient { ids: &ids, rows: &rows }])], None, comm);
        Ok::<_, StoreError>(params)
    })
    .unwrap();
    assert_eq!(all[0], all[1]);
    let mut alone = Params::new(&model(5), 7);
    let list = RowGradient { ids: &[0, 4, 1], rows: &[1.0, -1.0, 1.0, 1.0, 1.0, -1.0] };
    step(&mut alone, &[(&[], &[list])], None, &Solo);
    assert_eq!(all[0], alone);
}

#[test]
fn frozen_parameters_stay_whatever_the_weight_decay() {
    let before = Params::new(&model(5), 7);
    for frozen in [&[0, 1][..], &[2]] {
        let mut params = before.clone();
        params.begin_stage(frozen);
        let mut collected = params.collector();
        assert_eq!(collected.tables().is_empty(), frozen.contains(&1));
        collected.add_dense(|gradient| gradient.values.fill(0.5));
        collected.finish(None, &Solo).unwrap();
        let decayed = Optimizer { weight_decay: 0.1, decoupled: true, ..optimizer() };
        params.step(&collected, &decayed, &decayed);
        for param in [0, 2] {
            let moved = moved(&params, &before, param).iter().any(|x| x.abs() > 0.0);
            assert_eq!(moved, !frozen.contains(&param), "parameter {param}, frozen {frozen:?}");
        }
    }
}

#[test]
fn the_average_follows_and_comes_back() {
    let mut params = Params::new(&model(5), 7);
    let first = params.values(0)[0];
    let mut average = Average::new(&params, 0.5);
    params.dense.values[0] = first + 1.0;
    average.update(&params);
    let near = 1.0 - 2.0 / 11.0;
    let mut kept = params.clone();
    average.swap(&mut kept);
    assert!((kept.values(0)[0] - first - near).abs() < 1e-6);
    average.swap(&mut kept);
    assert_eq!(kept, params);
    let mut other = Average::new(&Params::new(&model(5), 99), 0.5);
    for tensor in average.state() {
        other.restore(&tensor.name, tensor.data).unwrap();
    }
    other.set_steps(average.steps());
    assert_eq!(other, average);
}

#[test]
fn the_state_comes_back() {
    let mut params = Params::new(&model(5), 7);
    step(&mut params, &[(&[0.5; 15], &[RowGradient { ids: &[2], rows: &[1.0, 2.0] }])], None, &Solo);
    let mut other = Params::new(&model(5), 99);
    for tensor in params.state() {
        other.restore(&tensor.name, tensor.data).unwrap();
    }
    other.set_steps(&params.steps()).unwrap();
    assert_eq!(params, other);
    assert!(matches!(other.restore("param/x", &[]), Err(StoreError::Unknown { .. })));
    assert!(matches!(
        other.restore("param/b", &[1.0]),
        Err(StoreError::Length { found: 1, expected: 3, .. })
    ));
}

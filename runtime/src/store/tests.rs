use super::*;
use crate::comm::{Solo, Threads};
use gsl_plan::plan::{Decay, Optimizer};

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

#[test]
fn the_first_dense_step_has_the_length_of_the_learning_rate() {
    let mut params = Params::new(&model(5), 7);
    let before = params.values(2).to_vec();
    let mut gradient = params.gradient();
    let range = params.gradient_range(2).unwrap();
    gradient.values[range].copy_from_slice(&[3.0, -4.0, 0.0]);
    let length = params.dense_step(&mut gradient, &optimizer());
    assert!((length - 5.0).abs() < 1e-6);
    let moved: Vec<f32> = params.values(2).iter().zip(before).map(|(new, old)| new - old).collect();
    assert!((moved[0] + 0.1).abs() < 1e-5 && (moved[1] - 0.1).abs() < 1e-5 && moved[2] == 0.0, "{moved:?}");
}

#[test]
fn clipping_scales_to_the_limit() {
    let mut params = Params::new(&model(5), 7);
    let mut gradient = params.gradient();
    gradient.values[0] = 30.0;
    gradient.values[1] = 40.0;
    params.dense_step(&mut gradient, &Optimizer { clip: Some(5.0), ..optimizer() });
    assert!((gradient.values[0] - 3.0).abs() < 1e-5 && (gradient.values[1] - 4.0).abs() < 1e-5);
}

#[test]
fn a_sparse_step_sums_repeated_rows_and_leaves_the_others() {
    let mut params = Params::new(&model(5), 7);
    let before = params.values(1).to_vec();
    let lists = [
        RowGradient { ids: &[3, 1], rows: &[1.0, 1.0, -2.0, 2.0] },
        RowGradient { ids: &[1], rows: &[2.0, 2.0] },
    ];
    let touched = params.sparse_step(1, &lists, &optimizer(), &Solo).unwrap();
    assert_eq!(touched, 2);
    let moved: Vec<f32> = params.values(1).iter().zip(&before).map(|(new, old)| new - old).collect();
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
        params.sparse_step(1, &[RowGradient { ids: &ids, rows: &rows }], &optimizer(), comm)?;
        Ok::<_, StoreError>(params)
    })
    .unwrap();
    assert_eq!(all[0], all[1]);
    let mut alone = Params::new(&model(5), 7);
    let list = RowGradient { ids: &[0, 4, 1], rows: &[1.0, -1.0, 1.0, 1.0, 1.0, -1.0] };
    alone.sparse_step(1, &[list], &optimizer(), &Solo).unwrap();
    assert_eq!(all[0], alone);
}

#[test]
fn the_state_comes_back() {
    let mut params = Params::new(&model(5), 7);
    let mut gradient = params.gradient();
    gradient.values.fill(0.5);
    params.dense_step(&mut gradient, &optimizer());
    params.sparse_step(1, &[RowGradient { ids: &[2], rows: &[1.0, 2.0] }], &optimizer(), &Solo).unwrap();
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

//! Exact values of every transform, and what each refuses.

use gsl_plan::graph::{Buckets, Fill};
use gsl_tables::{FloatList, Interner, MISSING, TextColumn, TextList};

use super::super::value::Lists;
use super::*;

fn column(data: &[f64]) -> Value {
    Value::Numbers(Numbers::new(1, data.to_vec()))
}

/// NaN stands for a gap.
fn gappy(data: &[f64]) -> Value {
    let missing = data.iter().map(|x| x.is_nan()).collect();
    let data = data.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
    Value::Numbers(Numbers { width: 1, data, missing })
}

/// An empty text stands for a gap.
fn texts(cells: &[&str]) -> Value {
    let mut interner = Interner::new();
    let code = |cell: &&str| if cell.is_empty() { MISSING } else { interner.intern(cell).unwrap_or(MISSING) };
    let codes = cells.iter().map(code).collect();
    Value::Text(TextColumn { codes, values: interner.into_values() })
}

fn rows(value: &Value) -> usize {
    match value {
        Value::Numbers(x) => x.rows(),
        Value::Text(text) => text.codes.len(),
        Value::Lists(lists) => lists.list.len(),
        Value::Texts(list) => list.len(),
        _ => unreachable!("not made by these tests"),
    }
}

fn fitted(transform: &Transform, value: &Value, trains: Option<&[bool]>) -> Result<FittedTransform, Fault> {
    FittedTransform::fit(transform, value.clone(), rows(value), trains).map_err(|found| found.fault)
}

fn through(transform: &Transform, value: &Value) -> Numbers {
    match fitted(transform, value, None).unwrap().apply(value.clone(), rows(value)).unwrap() {
        Value::Numbers(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

fn applied(transform: &Transform, data: &[f64]) -> Vec<f64> {
    through(transform, &column(data)).data
}

#[test]
fn standardize_has_mean_0_and_deviation_1() {
    let z = applied(&Transform::Standardize, &[1.0, 2.0, 3.0, 6.0]);
    assert!(z.iter().sum::<f64>().abs() < 1e-12);
    assert!((z.iter().map(|x| x * x).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
    assert_eq!(applied(&Transform::Standardize, &[0.1, 0.1, 0.1]), [0.0; 3]);
    let far = fitted(&Transform::Standardize, &column(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), None).unwrap();
    let expected = FittedTransform::Standardize { mean: vec![1e9 + 2.0], std: vec![6f64.sqrt() / 3.0] };
    assert_eq!(far, expected, "nothing cancels");
    assert_eq!(
        fitted(&Transform::Standardize, &column(&[1e200]), None),
        Err(Fault::TooLarge { found: 1e200 })
    );
}

#[test]
fn min_max_holds_to_learned_or_stated_bounds() {
    let learned = Transform::MinMax { low: None, high: None };
    assert_eq!(applied(&learned, &[2.0, 4.0, 3.0]), [0.0, 1.0, 0.5]);
    assert_eq!(applied(&learned, &[3.0, 3.0]), [0.0, 0.0]);
    assert!(fitted(&learned, &column(&[3.0, 3.0]), None).unwrap().constant());
    let low = Transform::MinMax { low: Some(0.0), high: None };
    assert_eq!(applied(&low, &[2.0, 4.0, -1.0]), [0.5, 1.0, 0.0]);
    let both = Transform::MinMax { low: Some(0.0), high: Some(10.0) };
    assert_eq!(applied(&both, &[2.0, 40.0]), [0.2, 1.0]);
}

#[test]
fn sum_normalize_divides_by_the_sum() {
    assert_eq!(applied(&Transform::SumNormalize, &[1.0, 3.0, 4.0]), [0.125, 0.375, 0.5]);
    assert_eq!(fitted(&Transform::SumNormalize, &column(&[1.0, -1.0]), None), Err(Fault::SumIsZero));
}

#[test]
fn gauss_rank_is_odd_and_shares_ties() {
    let z = applied(&Transform::GaussRank, &[5.0, 1.0, 3.0, 3.0, 7.0, 100.0]);
    assert_eq!(z[2], z[3]);
    assert!((z[1] + z[5]).abs() < 1e-12 && z[1] < z[2] && z[2] < z[0]);
}

#[test]
fn quantile_counts_what_is_below_and_half_of_ties() {
    assert_eq!(applied(&Transform::Quantile, &[4.0, 1.0, 2.0, 2.0]), [0.875, 0.125, 0.5, 0.5]);
    let fitted = fitted(&Transform::Quantile, &column(&[1.0, 2.0, 2.0, 4.0]), None).unwrap();
    let Ok(Value::Numbers(new)) = fitted.apply(column(&[0.0, 1.5, 3.0, 9.0]), 4) else { panic!() };
    assert_eq!(new.data, [0.0, 0.25, 0.75, 1.0]);
}

#[test]
fn logs_and_roots_refuse_what_has_none() {
    assert_eq!(applied(&Transform::Log1p, &[0.0, 1.0]), [0.0, 2f64.ln()]);
    assert_eq!(applied(&Transform::Sqrt, &[9.0]), [3.0]);
    assert_eq!(applied(&Transform::Abs, &[-9.0, 2.0]), [9.0, 2.0]);
    assert_eq!(applied(&Transform::Clip { low: -1.0, high: 1.0 }, &[-9.0, 0.5, 9.0]), [-1.0, 0.5, 1.0]);
    let refused = |fitted: FittedTransform, x| fitted.apply(column(&[0.0, x]), 2).unwrap_err();
    assert_eq!(
        refused(FittedTransform::Log1p, -1.0),
        Located::at(1, Fault::LogBelowMinusOne { found: -1.0 })
    );
    assert_eq!(refused(FittedTransform::Sqrt, -1.0), Located::at(1, Fault::RootOfNegative { found: -1.0 }));
}

#[test]
fn buckets_are_half_open() {
    let hot = applied(&Transform::Bucket(Buckets::Bounds(vec![1.0, 2.0])), &[0.5, 1.0, 2.0]);
    assert_eq!(hot, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn even_buckets_and_their_windows() {
    let even = |window| Transform::Bucket(Buckets::Even { count: 4, from: 0.0, to: 40.0, window });
    let hot = |window, x| applied(&even(window), &[x]);
    assert_eq!(hot(0.0, 10.0), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(hot(0.0, -5.0), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(hot(0.0, 500.0), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(hot(10.0, 14.0), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(hot(10.0, 15.0), [0.0, 1.0, 1.0, 0.0]);
    assert_eq!(hot(30.0, 20.0), [1.0; 4]);
    assert_eq!(hot(10.0, -5.0), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn quantile_buckets_hold_equal_shares() {
    let transform = Transform::Bucket(Buckets::Quantiles(4));
    let values: Vec<f64> = (0..8).map(f64::from).collect();
    let hot = applied(&transform, &values);
    let counts: Vec<f64> = (0..4).map(|bucket| hot.iter().skip(bucket).step_by(4).sum()).collect();
    assert_eq!(counts, [2.0; 4]);
    let bounds = |data: &[f64]| match fitted(&transform, &column(data), None) {
        Ok(FittedTransform::Bucket { bounds, .. }) => bounds[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bounds(&values), [2.0, 4.0, 6.0]);
    assert_eq!(
        bounds(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0]),
        [2.0],
        "equal bounds are one, none is empty"
    );
    assert_eq!(bounds(&[5.0; 9]), [0.0; 0]);
}

#[test]
fn one_hot_knows_all_or_the_most_frequent() {
    let all = Transform::OneHot { top: None };
    assert_eq!(through(&all, &texts(&["b", "a", "", "b"])).data, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(applied(&all, &[7.0, -2.0]), [0.0, 1.0, 1.0, 0.0]);
    let top = Transform::OneHot { top: Some(1) };
    let value = texts(&["b", "a", "", "b", "c", "c", "c"]);
    let mask = [true, true, true, true, true, false, false];
    let one = fitted(&top, &value, Some(&mask)).unwrap();
    let Ok(Value::Numbers(hot)) = one.apply(texts(&["b", "a", "", "new"]), 4) else { panic!() };
    assert_eq!(hot.data, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], "`b`, all others, nothing, all others");
    let untrained = fitted(&top, &value, Some(&[false; 7]));
    assert_eq!(untrained, Err(Fault::NothingToFit { transform: "one_hot" }));
}

#[test]
fn too_many_values_are_refused() {
    let many: Vec<f64> = (0..65_537).map(f64::from).collect();
    let all = Transform::OneHot { top: None };
    assert_eq!(fitted(&all, &column(&many), None), Err(Fault::TooManyValues { transform: "one_hot" }));
    assert!(fitted(&all, &column(&many[1..]), None).is_ok());
    assert!(fitted(&Transform::OneHot { top: Some(2) }, &column(&many), None).is_ok());
    let alike = column(&[1.0, 2f64.powi(53)]);
    assert_eq!(fitted(&all, &alike, None), Err(Fault::TooLargeToTell { found: 2f64.powi(53) }));
}

#[test]
fn multi_hot_words_sort_as_numbers_when_all_are() {
    let value = texts(&["2  9", "10 9", ""]);
    let transform = Transform::MultiHot { separator: " ".to_string() };
    let FittedTransform::MultiHot { vocabulary, .. } = fitted(&transform, &value, None).unwrap() else {
        panic!()
    };
    assert_eq!(vocabulary.words(), ["2", "9", "10"]);
    assert_eq!(through(&transform, &value).data, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let wrong = fitted(&transform, &column(&[1.0]), None);
    assert_eq!(wrong, Err(Fault::TextWanted { transform: "multi_hot" }));
}

#[test]
fn multi_hot_takes_lists_as_they_are() {
    let values = ["b c", "a"].into_iter().collect();
    let list = Value::Texts(TextList { offsets: vec![0, 2, 2, 4], codes: vec![0, 1, 1, 1], values });
    let transform = Transform::MultiHot { separator: " ".to_string() };
    assert_eq!(through(&transform, &list).data, [1.0, 1.0, 0.0, 0.0, 1.0, 0.0], "`a`, `b c`; nothing; `a`");
    let known = fitted(&transform, &list, None).unwrap();
    let values = ["z", "a"].into_iter().collect();
    let new = Value::Texts(TextList { offsets: vec![0, 2], codes: vec![0, 1], values });
    let Ok(Value::Numbers(hot)) = known.apply(new, 1) else { panic!() };
    assert_eq!(hot.data, [1.0, 0.0], "an unseen text is nothing");
}

#[test]
fn hash_gives_each_value_one_column() {
    let hot = through(&Transform::Hash { columns: 5 }, &texts(&["a", "", "a"]));
    assert_eq!((hot.width, hot.data.iter().sum::<f64>()), (5, 2.0));
    assert_eq!(hot.data[..5], hot.data[10..]);
    assert_eq!(hot.data[hash::column_of("a", 5)], 1.0);
}

#[test]
fn fill_replaces_gaps() {
    let x = gappy(&[1.0, f64::NAN, 1.0, 4.0, 6.0, 3.0]);
    let filled = |fill| through(&Transform::Fill(fill), &x).data[1];
    assert_eq!(filled(Fill::Constant(-7.0)), -7.0);
    assert_eq!(filled(Fill::Mean), 3.0);
    assert_eq!(filled(Fill::Median), 3.0);
    assert_eq!(filled(Fill::Mode), 1.0);
    assert_eq!(through(&Transform::Fill(Fill::Median), &gappy(&[1.0, 2.0, f64::NAN])).data[2], 1.5);
    assert_eq!(
        through(&Transform::Fill(Fill::Mode), &gappy(&[2.0, 1.0, f64::NAN])).data[2],
        1.0,
        "smallest of equals"
    );
}

#[test]
fn fill_replaces_missing_texts() {
    let value = texts(&["b", "", "a", "b"]);
    let filled = |fill| match fitted(&Transform::Fill(fill), &value, None).unwrap().apply(value.clone(), 4) {
        Ok(Value::Text(text)) => {
            (0..4).map(|row| text.get(row).unwrap_or("?").to_string()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(filled(Fill::Mode), ["b", "b", "a", "b"]);
    assert_eq!(filled(Fill::Text("none".into())), ["b", "none", "a", "b"]);
    assert_eq!(filled(Fill::Text("a".into())), ["b", "a", "a", "b"]);
}

#[test]
fn vectors_of_texts_and_lists() {
    let parted = |take| Transform::Vector { separator: Some(";".into()), take };
    let value = texts(&["1;2;3", "", "4; 5;6e1"]);
    let all = through(&parted(None), &value);
    assert_eq!(
        (all.data, all.missing),
        (vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 4.0, 5.0, 60.0], vec![false, true, false])
    );
    assert_eq!(through(&parted(Some(2)), &texts(&["1;2;3", "4;5"])).data, [1.0, 2.0, 4.0, 5.0]);
    let refused = |transform: &Transform, value: &Value| {
        fitted(transform, value, None).unwrap().apply(value.clone(), rows(value)).unwrap_err()
    };
    let word = refused(&parted(None), &texts(&["1;2", "1;x"]));
    assert_eq!(word, Located::at(1, Fault::NotANumber { found: "x".into() }));
    let short = refused(&parted(Some(3)), &texts(&["1;2;3", "4;5"]));
    assert_eq!(short, Located::at(1, Fault::Widths { found: 2, expected: 3 }));
    let odd = refused(&parted(None), &texts(&["1", "4;5", "6;7", "8;9"]));
    assert_eq!(odd, Located::at(0, Fault::Widths { found: 1, expected: 2 }));
    let list = FloatList::Ragged { offsets: vec![0, 2, 5], values: vec![1.0, 2.0, 3.0, 4.0, 5.0] };
    let lists = Value::Lists(Lists { list, missing: Vec::new() });
    assert_eq!(
        through(&Transform::Vector { separator: None, take: Some(2) }, &lists).data,
        [1.0, 2.0, 3.0, 4.0]
    );
    let none =
        Value::Lists(Lists { list: FloatList::Fixed { rows: 0, width: 3, values: vec![] }, missing: vec![] });
    assert_eq!(fitted(&Transform::Vector { separator: None, take: None }, &none, None), Err(Fault::NoWidth));
}

#[test]
fn rows_are_normalized_and_periods_turned() {
    let wide = Value::Numbers(Numbers::new(2, vec![3.0, -4.0, 0.0, 0.0]));
    assert_eq!(through(&Transform::NormalizeRows { p: 2 }, &wide).data, [0.6, -0.8, 0.0, 0.0]);
    assert_eq!(through(&Transform::NormalizeRows { p: 1 }, &wide).data[..2], [3.0 / 7.0, -4.0 / 7.0]);
    let turn = applied(&Transform::Cyclic { period: 12.0 }, &[0.0, 3.0, 12.0, 18.0]);
    let expected = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    assert!(turn.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-15), "{turn:?}");
}

#[test]
fn statistics_see_the_named_rows_only() {
    let mask = [true, true, false];
    let min_max = Transform::MinMax { low: None, high: None };
    let learned = fitted(&min_max, &column(&[0.0, 10.0, 99.0]), Some(&mask)).unwrap();
    assert_eq!(learned, FittedTransform::MinMax { min: vec![0.0], max: vec![10.0] });
    let none = fitted(&min_max, &column(&[1.0]), Some(&[false]));
    assert_eq!(none, Err(Fault::NothingToFit { transform: "min_max" }));
    let infinite = fitted(&min_max, &column(&[1.0, f64::INFINITY]), None);
    assert_eq!(infinite, Err(Fault::NotFinite { found: f64::INFINITY }));
}

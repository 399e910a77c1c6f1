//! Every metric against a slow, obvious version of it; ties, single classes and unknown classes are among the rows.

use super::interval::wilson;
use super::*;
use gsl_plan::plan::Average;
use proptest::prelude::*;

const EVERY: [Average; 3] = [Average::Macro, Average::Micro, Average::Weighted];

/// Scores with many ties.
fn score() -> impl Strategy<Value = f32> {
    (-4i8..=4).prop_map(|x| f32::from(x) / 2.0)
}

/// Rows of one of three classes (of two, if the third is never drawn).
fn one_class(classes: usize) -> impl Strategy<Value = Vec<(usize, Vec<f32>)>> {
    prop::collection::vec((0..classes, prop::collection::vec(score(), classes)), 1..24)
}

/// Rows of three classes, some of them unknown.
fn several() -> impl Strategy<Value = Vec<(Vec<f32>, Vec<f32>)>> {
    let label = prop_oneof![3 => Just(0.0f32), 3 => Just(1.0), 1 => Just(f32::NAN)];
    prop::collection::vec((prop::collection::vec(label, 3), prop::collection::vec(score(), 3)), 1..24)
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

fn every_metric() -> Vec<Metric> {
    let mut all = vec![Metric::RocAuc(Average::Macro), Metric::CalibrationError { bins: 5 }];
    all.extend([Metric::Ndcg(None), Metric::Ndcg(Some(2)), Metric::RecallAt(1), Metric::RecallAt(2)]);
    all
}

fn judged(rows: &[(usize, Vec<f32>)]) -> Judged {
    let classes = rows[0].1.len();
    let mut judged = Judged::new(&Task::Classification { classes: names(classes) }, &every_metric());
    rows.iter().for_each(|(truth, scores)| judged.add(&[*truth as f32], scores));
    judged.finish();
    judged
}

fn judged_several(rows: &[(Vec<f32>, Vec<f32>)]) -> Judged {
    let mut judged = Judged::new(&Task::MultiLabel { classes: names(3) }, &every_metric());
    rows.iter().for_each(|(label, scores)| judged.add(label, scores));
    judged.finish();
    judged
}

fn near(found: Option<f64>, expected: Option<f64>) -> Result<(), TestCaseError> {
    let same = match (found, expected) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        (None, None) => true,
        _ => false,
    };
    prop_assert!(same, "{found:?} is not {expected:?}");
    Ok(())
}

/// How the obvious versions see one class: whether each row has it, whether it was predicted, and its score.
struct View {
    has: Vec<bool>,
    said: Vec<bool>,
    score: Vec<f64>,
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let powers: Vec<f64> = scores.iter().map(|s| f64::from(*s).exp()).collect();
    powers.iter().map(|p| p / powers.iter().sum::<f64>()).collect()
}

fn first_best(scores: &[f32]) -> usize {
    (0..scores.len()).find(|&i| scores.iter().all(|s| *s <= scores[i])).expect("a score")
}

fn view(rows: &[(usize, Vec<f32>)], class: usize) -> View {
    View {
        has: rows.iter().map(|(truth, _)| *truth == class).collect(),
        said: rows.iter().map(|(_, s)| first_best(s) == class).collect(),
        score: rows.iter().map(|(_, s)| rounded(softmax(s)[class])).collect(),
    }
}

/// Sums in another order make other last digits, and would part what is tied.
fn rounded(x: f64) -> f64 {
    (x * 1e12).round()
}

fn view_several(rows: &[(Vec<f32>, Vec<f32>)], class: usize) -> View {
    let known = || rows.iter().filter(move |(label, _)| !label[class].is_nan());
    View {
        has: known().map(|(label, _)| label[class] == 1.0).collect(),
        said: known().map(|(_, s)| s[class] > 0.0).collect(),
        score: known().map(|(_, s)| f64::from(s[class])).collect(),
    }
}

impl View {
    fn count(&self, has: bool, said: bool) -> f64 {
        self.has.iter().zip(&self.said).filter(|(h, s)| (**h, **s) == (has, said)).count() as f64
    }

    fn rows(&self) -> f64 {
        self.count(true, true) + self.count(true, false)
    }

    fn occurs(&self) -> bool {
        self.rows() + self.count(false, true) > 0.0
    }

    fn precision(&self) -> f64 {
        share(self.count(true, true), self.count(true, true) + self.count(false, true))
    }

    fn recall(&self) -> f64 {
        share(self.count(true, true), self.rows())
    }

    fn f(&self, beta: f64) -> f64 {
        let (p, r) = (self.precision(), self.recall());
        share((1.0 + beta * beta) * p * r, beta * beta * p + r)
    }

    /// Over all pairs of a row that has the class and one that has not.
    fn auc(&self) -> Option<f64> {
        let of = |has: bool| (0..self.has.len()).filter(move |&i| self.has[i] == has);
        let pairs: Vec<f64> = of(true)
            .flat_map(|a| of(false).map(move |b| (a, b)))
            .map(|(a, b)| match self.score[a].total_cmp(&self.score[b]) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            })
            .collect();
        (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64)
    }

    /// (precision, recall) of every threshold, from the highest.
    fn curve(&self) -> Vec<(f64, f64)> {
        let mut thresholds = self.score.clone();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let all = self.has.iter().filter(|h| **h).count() as f64;
        let at = |t: f64| {
            let taken: Vec<bool> =
                (0..self.has.len()).filter(|&i| self.score[i] >= t).map(|i| self.has[i]).collect();
            let hits = taken.iter().filter(|h| **h).count() as f64;
            (hits / taken.len() as f64, hits / all)
        };
        if all == 0.0 { Vec::new() } else { thresholds.into_iter().map(at).collect() }
    }

    fn average_precision(&self) -> Option<f64> {
        let curve = self.curve();
        let before = std::iter::once(0.0).chain(curve.iter().map(|(_, recall)| *recall));
        let steps = curve.iter().zip(before).map(|((p, r), before)| (r - before) * p).sum();
        (!curve.is_empty()).then_some(steps)
    }
}

fn share(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

fn mean_of(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn averaged(views: &[View], average: Average, value: impl Fn(&View) -> f64) -> Option<f64> {
    match average {
        Average::Macro => {
            let values: Vec<f64> = views.iter().filter(|v| v.occurs()).map(&value).collect();
            mean_of(&values).or(Some(0.0))
        }
        Average::Weighted => {
            let total: f64 = views.iter().map(View::rows).sum();
            Some(share(views.iter().map(|v| v.rows() * value(v)).sum(), total))
        }
        _ => Some(value(&View {
            has: views.iter().flat_map(|v| v.has.clone()).collect(),
            said: views.iter().flat_map(|v| v.said.clone()).collect(),
            score: Vec::new(),
        })),
    }
}

fn agree_by_class(judged: &Judged, views: &[View]) -> Result<(), TestCaseError> {
    for average in EVERY {
        near(judged.metric(Metric::Precision(average)), averaged(views, average, View::precision))?;
        near(judged.metric(Metric::Recall(average)), averaged(views, average, View::recall))?;
        for beta in [0.5, 1.0, 2.0] {
            near(judged.metric(Metric::F { beta, average }), averaged(views, average, |v| v.f(beta)))?;
        }
    }
    let recalls: Vec<Option<f64>> = views.iter().map(|v| Some(v.recall())).collect();
    prop_assert_eq!(judged.by_class(Metric::Recall(Average::Each)), recalls);
    for (found, view) in judged.by_class(Metric::RocAuc(Average::Each)).into_iter().zip(views) {
        near(found, view.auc())?;
    }
    for (found, view) in judged.by_class(Metric::AveragePrecision(Average::Each)).into_iter().zip(views) {
        near(found, view.average_precision())?;
    }
    Ok(())
}

/// Over the classes that define it.
fn over_classes(views: &[View], value: impl Fn(&View) -> Option<f64>) -> [Option<f64>; 2] {
    let defined: Vec<(f64, f64)> = views.iter().filter_map(|v| Some((value(v)?, v.rows()))).collect();
    let total: f64 = defined.iter().map(|(_, w)| w).sum();
    let plain: Vec<f64> = defined.iter().map(|(v, _)| *v).collect();
    [mean_of(&plain), (total > 0.0).then(|| defined.iter().map(|(v, w)| v * w).sum::<f64>() / total)]
}

/// The mean over all orders that break the ties, of a number of the classes in that order.
fn over_orders(things: &[(f64, bool)], value: &dyn Fn(&[bool]) -> f64) -> f64 {
    let orders = permutations(things.len());
    let fitting: Vec<f64> = orders
        .iter()
        .filter(|o| o.windows(2).all(|w| things[w[0]].0 >= things[w[1]].0))
        .map(|o| value(&o.iter().map(|&i| things[i].1).collect::<Vec<_>>()))
        .collect();
    mean_of(&fitting).expect("an order")
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let insert = |p: &Vec<usize>, at: usize| [&p[..at], &[n - 1], &p[at..]].concat();
    shorter.iter().flat_map(|p| (0..n).map(move |at| insert(p, at))).collect()
}

fn gain(order: &[bool], k: usize) -> f64 {
    let discount = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
    order.iter().take(k).enumerate().filter(|(_, is)| **is).map(|(i, _)| discount(i + 1)).sum()
}

fn slow_ndcg(things: &[(f64, bool)], k: usize) -> Option<f64> {
    let mut best: Vec<bool> = things.iter().map(|t| t.1).collect();
    best.sort_by(|a, b| b.cmp(a));
    let ideal = gain(&best, k);
    (ideal > 0.0).then(|| over_orders(things, &|order| gain(order, k)) / ideal)
}

fn slow_recall_at(things: &[(f64, bool)], k: usize) -> Option<f64> {
    let total = things.iter().filter(|t| t.1).count();
    let within = |order: &[bool]| order.iter().take(k).filter(|is| **is).count() as f64;
    (total > 0).then(|| over_orders(things, &within) / total as f64)
}

/// The classes of a row: the score of each, and whether the row has it.
type Row = [(f64, bool)];

fn agree_by_row(judged: &Judged, rows: &[Vec<(f64, bool)>]) -> Result<(), TestCaseError> {
    let mean =
        |of: &dyn Fn(&Row) -> Option<f64>| mean_of(&rows.iter().filter_map(|r| of(r)).collect::<Vec<_>>());
    near(judged.metric(Metric::Ndcg(None)), mean(&|r| slow_ndcg(r, usize::MAX)))?;
    near(judged.metric(Metric::Ndcg(Some(2))), mean(&|r| slow_ndcg(r, 2)))?;
    near(judged.metric(Metric::RecallAt(1)), mean(&|r| slow_recall_at(r, 1)))?;
    near(judged.metric(Metric::RecallAt(2)), mean(&|r| slow_recall_at(r, 2)))
}

proptest! {
    #[test]
    fn metrics_of_three_classes_are_as_defined(rows in one_class(3)) {
        let judged = judged(&rows);
        let views: Vec<View> = (0..3).map(|c| view(&rows, c)).collect();
        let n = rows.len() as f64;
        let right = rows.iter().filter(|(truth, s)| first_best(s) == *truth).count() as f64;
        near(judged.metric(Metric::Accuracy), Some(right / n))?;
        let recalls: Vec<f64> = views.iter().filter(|v| v.rows() > 0.0).map(View::recall).collect();
        near(judged.metric(Metric::BalancedAccuracy), mean_of(&recalls))?;
        let surprise: Vec<f64> = rows.iter().map(|(truth, s)| -softmax(s)[*truth].ln()).collect();
        near(judged.metric(Metric::LogLoss), mean_of(&surprise))?;
        agree_by_class(&judged, &views)?;
        let [plain, weighted] = over_classes(&views, View::auc);
        near(judged.metric(Metric::RocAuc(Average::Macro)), plain)?;
        near(judged.metric(Metric::RocAuc(Average::Weighted)), weighted)?;
        let [plain, weighted] = over_classes(&views, View::average_precision);
        near(judged.metric(Metric::AveragePrecision(Average::Macro)), plain)?;
        near(judged.metric(Metric::AveragePrecision(Average::Weighted)), weighted)?;
        let by_row: Vec<Vec<(f64, bool)>> = rows
            .iter()
            .map(|(truth, s)| s.iter().enumerate().map(|(c, s)| (f64::from(*s), c == *truth)).collect())
            .collect();
        agree_by_row(&judged, &by_row)?;
    }

    #[test]
    fn metrics_of_two_classes_take_the_last_one_for_positive(rows in one_class(2), k in 1u32..30, least in 0.05f64..0.95) {
        let judged = judged(&rows);
        let view = view(&rows, 1);
        let curve = view.curve();
        let best = |values: Vec<f64>| (!curve.is_empty()).then(|| values.into_iter().fold(0.0, f64::max));
        near(judged.metric(Metric::RocAuc(Average::Macro)), view.auc())?;
        near(judged.metric(Metric::AveragePrecision(Average::Macro)), view.average_precision())?;
        let precise = curve.iter().filter(|(_, r)| *r >= least).map(|(p, _)| *p).collect();
        near(judged.metric(Metric::PrecisionAtRecall(least)), best(precise))?;
        let complete = curve.iter().filter(|(p, _)| *p >= least).map(|(_, r)| *r).collect();
        near(judged.metric(Metric::RecallAtPrecision(least)), best(complete))?;
        let chance = |i: usize| {
            let above = view.score.iter().filter(|s| **s > view.score[i]).count() as f64;
            let equal = view.score.iter().filter(|s| **s == view.score[i]).count() as f64;
            ((f64::from(k) - above) / equal).clamp(0.0, 1.0)
        };
        let hits: f64 = (0..rows.len()).filter(|&i| view.has[i]).map(chance).sum();
        near(judged.metric(Metric::HitsAt(k)), Some(hits))?;
    }

    #[test]
    fn metrics_of_several_classes_are_as_defined(rows in several()) {
        let judged = judged_several(&rows);
        let views: Vec<View> = (0..3).map(|c| view_several(&rows, c)).collect();
        if rows.iter().all(|(label, _)| label.iter().any(|y| !y.is_nan())) {
            agree_by_class(&judged, &views)?;
        }
        let known = |(label, s): &(Vec<f32>, Vec<f32>)| -> Vec<(f64, bool)> {
            label.iter().zip(s).filter(|(y, _)| !y.is_nan()).map(|(y, s)| (f64::from(*s), *y == 1.0)).collect()
        };
        let right = rows.iter().filter(|r| known(r).iter().all(|(s, has)| (*s > 0.0) == *has)).count();
        near(judged.metric(Metric::Accuracy), Some(right as f64 / rows.len() as f64))?;
        let p = |(s, has): &(f64, bool)| if *has { 1.0 / (1.0 + (-s).exp()) } else { 1.0 / (1.0 + s.exp()) };
        let losses: Vec<f64> = rows
            .iter()
            .filter_map(|r| mean_of(&known(r).iter().map(|c| -p(c).ln()).collect::<Vec<_>>()))
            .collect();
        near(judged.metric(Metric::LogLoss), mean_of(&losses))?;
        let [plain, weighted] = over_classes(&views, View::auc);
        near(judged.metric(Metric::RocAuc(Average::Macro)), plain)?;
        near(judged.metric(Metric::RocAuc(Average::Weighted)), weighted)?;
        let [plain, _] = over_classes(&views, View::average_precision);
        near(judged.metric(Metric::AveragePrecision(Average::Macro)), plain)?;
        agree_by_row(&judged, &rows.iter().map(known).collect::<Vec<_>>())?;
    }

    #[test]
    fn calibration_is_the_mean_gap_over_bins(rows in one_class(3)) {
        let mut bins = vec![Vec::new(); 5];
        for (truth, scores) in &rows {
            let sure = softmax(scores)[first_best(scores)];
            let at = (0..5).find(|b| f64::from(sure as f32) <= f64::from(b + 1) / 5.0).expect("a bin");
            bins[at as usize].push((sure, f64::from(u8::from(first_best(scores) == *truth))));
        }
        let gap = |bin: &Vec<(f64, f64)>| bin.iter().map(|(sure, right)| right - sure).sum::<f64>().abs();
        let expected = bins.iter().map(gap).sum::<f64>() / rows.len() as f64;
        let found = judged(&rows).metric(Metric::CalibrationError { bins: 5 }).expect("rows");
        prop_assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn errors_of_numbers_are_as_defined(rows in prop::collection::vec((-3i8..4, score()), 1..24)) {
        let mut judged = Judged::new(&Task::Regression { mean: 1.0, std: 2.0 }, &[]);
        rows.iter().for_each(|(y, s)| judged.add(&[f32::from(*y)], &[*s]));
        judged.finish();
        let pairs: Vec<(f64, f64)> =
            rows.iter().map(|(y, s)| (f64::from(*s) * 2.0 + 1.0, f64::from(*y))).collect();
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            mean_of(&pairs.iter().map(|(p, y)| of(*p, *y)).collect::<Vec<_>>()).expect("rows")
        };
        let mse = mean(&|p, y| (p - y) * (p - y));
        near(judged.metric(Metric::Mse), Some(mse))?;
        near(judged.metric(Metric::Rmse), Some(mse.sqrt()))?;
        near(judged.metric(Metric::Mae), Some(mean(&|p, y| (p - y).abs())))?;
        let centre = mean(&|_, y| y);
        let spread = mean(&|_, y| (y - centre) * (y - centre));
        near(judged.metric(Metric::R2), (spread > 1e-12).then(|| 1.0 - mse / spread))?;
        let relative: Vec<f64> =
            pairs.iter().filter(|(_, y)| *y != 0.0).map(|(p, y)| (p - y).abs() / y.abs()).collect();
        near(judged.metric(Metric::Mape), mean_of(&relative))?;
    }

    #[test]
    fn rows_that_count_twice_are_rows_that_stand_twice(rows in one_class(3), key in any::<u64>()) {
        let once = judged(&rows);
        let times: Vec<u32> = (0..rows.len()).map(|i| (key >> (2 * (i % 32)) & 3) as u32).collect();
        let repeated: Vec<(usize, Vec<f32>)> =
            rows.iter().zip(&times).flat_map(|(row, n)| vec![row.clone(); *n as usize]).collect();
        prop_assume!(!repeated.is_empty());
        let (twice, counted) = (judged(&repeated), Times::Each(&times));
        let sums = once.sums(counted);
        let mut metrics = every_metric();
        metrics.extend([Metric::Accuracy, Metric::LogLoss, Metric::AveragePrecision(Average::Weighted)]);
        for metric in metrics {
            near(once.counted(metric, counted, &sums), twice.metric(metric))?;
        }
    }

    /// The score of a class against all others orders rows as its probability does.
    #[test]
    fn odds_are_of_the_probability(scores in prop::collection::vec(-6f32..6.0, 2..6)) {
        for (odds, p) in row::log_odds(&scores).into_iter().zip(softmax(&scores)) {
            prop_assert!((f64::from(odds) - (p / (1.0 - p)).ln()).abs() < 1e-5);
        }
    }
}

#[test]
fn f1_by_hand() {
    let rows = [(0, [2., 1., 0.]), (0, [0., 3., 0.]), (1, [0., 1., 0.]), (2, [5., 0., 0.])];
    let judged = judged(&rows.map(|(t, s)| (t, s.to_vec())));
    assert_eq!(judged.metric(Metric::Accuracy), Some(0.5));
    let f1 = |average| judged.metric(Metric::F { beta: 1.0, average }).unwrap();
    assert!((f1(Average::Macro) - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
    assert!((f1(Average::Weighted) - (1.0 + 2.0 / 3.0) / 4.0).abs() < 1e-12);
}

#[test]
fn one_class_alone_has_no_curve() {
    let judged = judged(&[(1, vec![0.0, 1.0]), (1, vec![1.0, 0.0])]);
    assert_eq!(judged.metric(Metric::RocAuc(Average::Macro)), None);
    assert_eq!(judged.metric(Metric::AveragePrecision(Average::Macro)), Some(1.0));
    assert_eq!(judged.metric(Metric::Rmse), None);
}

#[test]
fn nothing_is_said_of_no_rows() {
    let task = Task::Classification { classes: names(2) };
    let metrics = [Metric::Accuracy, Metric::RocAuc(Average::Macro), Metric::HitsAt(3), Metric::Ndcg(None)];
    let mut judged = Judged::new(&task, &metrics);
    judged.finish();
    assert!(judged.named(&metrics).is_empty() && intervals(&judged, &metrics, 7).is_empty());
}

#[test]
fn scores_of_any_size_are_told_apart() {
    let rows = [(0, vec![0.0, 9e3]), (1, vec![0.0, 1e4]), (0, vec![1e4, -1e4]), (1, vec![-1e4, 1e4])];
    let judged = judged(&rows);
    assert_eq!(judged.metric(Metric::RocAuc(Average::Macro)), Some(1.0));
    assert_eq!(judged.metric(Metric::LogLoss), Some(9e3 / 4.0));
    let several = judged_several(&[(vec![1.0, 0.0, 1.0], vec![-1e4, 1e4, 1e4])]);
    assert!((several.metric(Metric::LogLoss).unwrap() - 2e4 / 3.0).abs() < 1e-9);
}

/// Values of Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I: 81 of 263, 15 of 148, 0 of 20.
#[test]
fn wilson_is_as_published() {
    for (hits, n, expected) in
        [(81., 263., [0.2553, 0.3662]), (15., 148., [0.0624, 0.1605]), (0., 20., [0.0, 0.1611])]
    {
        let found = wilson(hits, n);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5), "{found:?}");
    }
}

#[test]
fn intervals_hold_the_metric_and_depend_on_the_seed_alone() {
    let rows: Vec<(usize, Vec<f32>)> =
        (0..200).map(|i| (i % 3, (0..3).map(|c| ((i * 7 + c * 5) % 11) as f32 / 4.0).collect())).collect();
    let judged = judged(&rows);
    let metrics = [
        Metric::Accuracy,
        Metric::F { beta: 1.0, average: Average::Macro },
        Metric::RocAuc(Average::Macro),
        Metric::F { beta: 1.0, average: Average::Each },
    ];
    let found = intervals(&judged, &metrics, 7);
    assert_eq!(found.names().collect::<Vec<_>>(), ["accuracy", "f1_macro", "roc_auc"]);
    for (name, value) in judged.named(&metrics) {
        let [low, high] = found[&name];
        assert!(low <= value && value <= high && high - low < 0.2, "{name}: {low} {value} {high}");
    }
    assert_eq!(found, intervals(&judged, &metrics, 7));
    assert_ne!(found["roc_auc"], intervals(&judged, &metrics, 8)["roc_auc"]);
}

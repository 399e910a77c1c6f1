//! Fitting features to rows that come in batches, any number of times and in any order.
//!
//! An expression is fitted from the columns upwards: in each pass over the rows those transforms learn whose inputs are
//! known by then. So `fill(mean) |> standardize` takes two passes, and features that are equally deep share theirs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gsl_plan::graph::{Arith, ColumnKind, Feature, FeatureExpr, Transform};
use gsl_tables::Want;
use rayon::prelude::*;

use super::error::{Fault, Result};
use super::feature::{self, FittedExpr, FittedFeature, explain, read_as};
use super::frame::Frame;
use super::scratch::Scratch;
use super::transform::{FittedTransform, Learner};
use super::value::Located;
use crate::text::Models;

/// Rows of a table that can be gone through again and again, in batches. `each` may be called by several threads at once, and
/// batches may come in any order.
pub trait Batches: Sync {
    fn for_each(
        &self,
        columns: &[(String, Want)],
        each: &(dyn Fn(&Frame) -> Result<()> + Sync),
    ) -> Result<()>;

    /// The language models of the features.
    fn models(&self) -> Models {
        Models::default()
    }
}

/// All rows in one batch.
impl Batches for Frame {
    fn for_each(
        &self,
        _columns: &[(String, Want)],
        each: &(dyn Fn(&Frame) -> Result<()> + Sync),
    ) -> Result<()> {
        each(self)
    }

    fn models(&self) -> Models {
        self.models.clone()
    }
}

/// Fits all features of an owner. One pass over the rows for each depth of nested learning (`fill(mean) |> standardize` is
/// two), none where nothing is learned.
pub fn fit_all(
    owner: &str,
    features: &[Feature],
    batches: &dyn Batches,
    scratch: &Scratch,
) -> Result<Vec<FittedFeature>> {
    let mut drafts: Vec<Draft> = features.iter().map(|feature| Draft::of(&feature.expr)).collect();
    loop {
        let (mut columns, mut learners) = (Vec::new(), 0);
        drafts.iter().for_each(|draft| draft.pending(&mut columns, &mut learners));
        if learners == 0 {
            break;
        }
        let learned = pass(owner, features, &drafts, &columns, batches, &scratch.share(learners))?;
        drafts = drafts
            .into_par_iter()
            .zip(features)
            .zip(learned)
            .map(|((draft, feature), learners)| {
                draft.advance(&mut learners.into_iter()).map_err(|found| explain(owner, feature, found, None))
            })
            .collect::<Result<_>>()?;
    }
    drafts
        .into_iter()
        .zip(features)
        .map(|(draft, feature)| draft.finish(owner, feature, &batches.models()))
        .collect()
}

/// Computes a fitted feature for the rows of one batch.
pub use super::feature::apply;

/// Goes through all rows once: what the learners of each feature have seen, in the order of [`Draft::learn`].
fn pass(
    owner: &str,
    features: &[Feature],
    drafts: &[Draft],
    columns: &[(String, Want)],
    batches: &dyn Batches,
    share: &Scratch,
) -> Result<Vec<Vec<Learner>>> {
    let all: Vec<Mutex<Vec<Learner>>> = drafts
        .iter()
        .map(|draft| {
            let mut learners = Vec::new();
            draft.learners(&mut learners);
            Mutex::new(learners.into_iter().map(|learner| learner.with_scratch(share.clone())).collect())
        })
        .collect();
    batches.for_each(columns, &|frame| {
        features.par_iter().zip(drafts).zip(&all).try_for_each(|((feature, draft), all)| {
            let mut batch = Vec::new();
            let seen = draft.learn(frame, &mut batch).and_then(|()| {
                let mut all = locked(all);
                all.iter_mut().zip(batch).try_for_each(|(all, batch)| all.merge(batch))
            });
            seen.map_err(|found| explain(owner, feature, found, Some(frame)))
        })
    })?;
    Ok(all
        .into_iter()
        .map(|learners| learners.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect())
}

fn locked<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list of floats as it is.
const AS_IT_IS: Transform = Transform::Vector { separator: None, take: None };

/// An expression of which some is fitted.
enum Draft {
    Known(FittedExpr),
    /// Learns in the next pass.
    Learn {
        transform: Transform,
        input: FittedExpr,
    },
    Apply {
        transform: Transform,
        input: Box<Draft>,
    },
    Arith {
        op: Arith,
        left: Box<Draft>,
        right: Box<Draft>,
    },
    Concat(Vec<Draft>),
}

impl Draft {
    fn of(expr: &FeatureExpr) -> Self {
        match expr {
            FeatureExpr::Column { column, kind } => Draft::column(column, *kind),
            FeatureExpr::Const(x) => Draft::Known(FittedExpr::Const(*x)),
            // By then a column of its own, see `lowered`: one that is still here is in no frame.
            FeatureExpr::Structure(structure) => Draft::column(&format!("{structure:?}"), ColumnKind::Number),
            FeatureExpr::Arith { op, left, right } => Draft::arith(*op, Draft::of(left), Draft::of(right)),
            FeatureExpr::Concat(parts) => Draft::concat(parts.iter().map(Draft::of).collect()),
            FeatureExpr::Apply { transform, input } => match input.as_ref() {
                FeatureExpr::Column { column, kind: kind @ ColumnKind::Vector { width } }
                    if matches!(transform, Transform::Vector { .. }) =>
                {
                    Draft::lists(column, *kind, *width, transform)
                }
                FeatureExpr::Column { column, kind } => {
                    let input = Draft::column(column, read_as(transform, *kind));
                    Draft::apply(transform.clone(), input)
                }
                input => Draft::apply(transform.clone(), Draft::of(input)),
            },
        }
    }

    /// A column; one of lists is always brought to a width.
    fn column(column: &str, kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Vector { width } => Draft::lists(column, kind, width, &AS_IT_IS),
            _ => Draft::Known(FittedExpr::Column { column: column.to_string(), kind }),
        }
    }

    /// A column of lists through `vector`: nothing is learned where the table's header knows the width.
    fn lists(column: &str, kind: ColumnKind, width: Option<usize>, vector: &Transform) -> Self {
        let lists = FittedExpr::Column { column: column.to_string(), kind };
        match (vector, width) {
            (Transform::Vector { separator: None, take: None }, Some(width)) => {
                Draft::Known(lists.through(FittedTransform::Vector { width, separator: None, more: false }))
            }
            _ => Draft::apply(vector.clone(), Draft::Known(lists)),
        }
    }

    fn apply(transform: Transform, input: Draft) -> Self {
        match input {
            Draft::Known(input) => match Learner::of(&transform) {
                Ok(_) => Draft::Learn { transform, input },
                Err(known) => Draft::Known(input.through(known)),
            },
            input => Draft::Apply { transform, input: Box::new(input) },
        }
    }

    fn arith(op: Arith, left: Draft, right: Draft) -> Self {
        match (left, right) {
            (Draft::Known(left), Draft::Known(right)) => {
                Draft::Known(FittedExpr::Arith { op, left: Box::new(left), right: Box::new(right) })
            }
            (left, right) => Draft::Arith { op, left: Box::new(left), right: Box::new(right) },
        }
    }

    fn concat(parts: Vec<Draft>) -> Self {
        match parts.iter().all(|part| matches!(part, Draft::Known(_))) {
            true => {
                let known = |part| if let Draft::Known(expr) = part { Some(expr) } else { None };
                Draft::Known(FittedExpr::Concat(parts.into_iter().filter_map(known).collect()))
            }
            false => Draft::Concat(parts),
        }
    }

    /// Calls `each` for what learns in the next pass, from left to right.
    fn visit<'a>(&'a self, each: &mut dyn FnMut(&'a Transform, &'a FittedExpr)) {
        match self {
            Draft::Known(_) => {}
            Draft::Learn { transform, input } => each(transform, input),
            Draft::Apply { input, .. } => input.visit(each),
            Draft::Arith { left, right, .. } => {
                left.visit(each);
                right.visit(each);
            }
            Draft::Concat(parts) => parts.iter().for_each(|part| part.visit(each)),
        }
    }

    /// The columns that the next pass reads, and how many transforms learn in it.
    fn pending(&self, columns: &mut Vec<(String, Want)>, learners: &mut usize) {
        self.visit(&mut |_, input| {
            input.columns(columns);
            *learners += 1;
        });
    }

    fn learners(&self, into: &mut Vec<Learner>) {
        self.visit(&mut |transform, _| into.extend(Learner::of(transform).ok()));
    }

    /// Learners that have seen one batch.
    fn learn(&self, frame: &Frame, into: &mut Vec<Learner>) -> Result<(), Located> {
        let mut done = Ok(());
        self.visit(&mut |transform, input| {
            if done.is_ok()
                && let Ok(mut learner) = Learner::of(transform)
            {
                done = feature::evaluate(input, frame, &mut 0)
                    .and_then(|value| learner.see(value, frame.len, frame.trains.as_deref()));
                into.push(learner);
            }
        });
        done
    }

    /// The draft after a pass: what has learned is fitted, and so is what depends on it alone and learns nothing.
    fn advance(self, learned: &mut dyn Iterator<Item = Learner>) -> Result<Self, Located> {
        Ok(match self {
            Draft::Learn { input, .. } => match learned.next() {
                Some(learner) => Draft::Known(input.through(learner.finish()?)),
                None => Draft::Known(input),
            },
            Draft::Apply { transform, input } => Draft::apply(transform, input.advance(learned)?),
            Draft::Arith { op, left, right } => {
                let left = left.advance(learned)?;
                Draft::arith(op, left, right.advance(learned)?)
            }
            Draft::Concat(parts) => {
                let parts = parts.into_iter().map(|part| part.advance(learned));
                Draft::concat(parts.collect::<Result<_, _>>()?)
            }
            known => known,
        })
    }

    fn finish(self, owner: &str, feature: &Feature, models: &Models) -> Result<FittedFeature> {
        let Draft::Known(mut expr) = self else { unreachable!("passes go on until all is known") };
        let wrong = |fault: Fault| explain(owner, feature, fault.into(), None);
        expr.sign(models).map_err(wrong)?;
        let width = expr.width().map_err(wrong)?;
        Ok(FittedFeature { name: feature.name.clone(), width, expr })
    }
}

#[cfg(test)]
mod tests {
    use gsl_plan::graph::{Buckets, Fill, Storage};
    use gsl_tables::{Bitmap, FloatList, MISSING, TextColumn, Values};
    use proptest::prelude::*;

    use super::super::error::{BuildError, Fault};
    use super::*;

    const ONE_HOT: Transform = Transform::OneHot { top: None };

    /// Batches of a table with the columns `x` (numbers, some missing), `t` (texts) and `v` (lists), in the given order.
    struct Cut(Vec<Frame>);

    impl Batches for Cut {
        fn for_each(&self, _: &[(String, Want)], each: &(dyn Fn(&Frame) -> Result<()> + Sync)) -> Result<()> {
            self.0.par_iter().try_for_each(each)
        }
    }

    type Row = (Option<f64>, Option<&'static str>, Option<[f32; 2]>, bool);

    fn frame(rows: &[Row]) -> Frame {
        let validity =
            |valid: &dyn Fn(&Row) -> bool| -> Option<Bitmap> { Some(rows.iter().map(valid).collect()) };
        let mut interner = gsl_tables::Interner::new();
        let codes =
            rows.iter().map(|row| row.1.and_then(|text| interner.intern(text)).unwrap_or(MISSING)).collect();
        let mut lists = (vec![0u64], Vec::new());
        for row in rows {
            lists.1.extend(row.2.into_iter().flatten());
            lists.0.push(lists.1.len() as u64);
        }
        let column =
            |name: &str, values, validity| gsl_tables::Column { name: name.to_string(), values, validity };
        let mut frame = Frame::new(rows.len());
        frame.trains = Some(rows.iter().map(|row| row.3).collect());
        frame.insert(vec![
            (
                Want::Float,
                column(
                    "x",
                    Values::Float(rows.iter().map(|r| r.0.unwrap_or(0.0)).collect()),
                    validity(&|r| r.0.is_some()),
                ),
            ),
            (
                Want::Text,
                column(
                    "t",
                    Values::Text(TextColumn { codes, values: interner.into_values() }),
                    validity(&|r| r.1.is_some()),
                ),
            ),
            (
                Want::FloatList,
                column(
                    "v",
                    Values::FloatList(FloatList::Ragged { offsets: lists.0, values: lists.1 }),
                    validity(&|r| r.2.is_some()),
                ),
            ),
        ]);
        frame
    }

    fn column(name: &str, kind: ColumnKind) -> FeatureExpr {
        FeatureExpr::Column { column: name.to_string(), kind }
    }

    fn through(input: FeatureExpr, transform: Transform) -> FeatureExpr {
        FeatureExpr::Apply { transform, input: Box::new(input) }
    }

    fn features() -> Vec<Feature> {
        let x = || column("x", ColumnKind::Number);
        let t = || column("t", ColumnKind::Text);
        let v = || column("v", ColumnKind::Vector { width: None });
        let exprs = vec![
            through(through(x(), Transform::Fill(Fill::Mean)), Transform::Standardize),
            through(through(x(), Transform::Fill(Fill::Median)), Transform::GaussRank),
            through(
                through(x(), Transform::MinMax { low: None, high: Some(1.0) }),
                Transform::Fill(Fill::Constant(0.5)),
            ),
            through(through(x(), Transform::Fill(Fill::Mode)), Transform::Quantile),
            through(through(x(), Transform::Fill(Fill::Constant(3.0))), Transform::SumNormalize),
            through(
                through(x(), Transform::Fill(Fill::Constant(0.0))),
                Transform::Bucket(Buckets::Quantiles(4)),
            ),
            through(t(), ONE_HOT),
            through(t(), Transform::OneHot { top: Some(2) }),
            through(through(t(), Transform::Fill(Fill::Mode)), ONE_HOT),
            through(through(t(), Transform::Hash { columns: 3 }), Transform::Standardize),
            through(t(), Transform::MultiHot { separator: " ".into() }),
            through(through(v(), Transform::Fill(Fill::Mean)), Transform::Standardize),
            FeatureExpr::Concat(vec![through(x(), Transform::Fill(Fill::Mean)), through(t(), ONE_HOT)]),
        ];
        let one =
            |(i, expr)| Feature { name: format!("f{i}"), expr, storage: Storage::default(), width: None };
        exprs.into_iter().enumerate().map(one).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let number = prop_oneof![
            Just(None),
            (-5i32..5).prop_map(|x| Some(f64::from(x) / 3.0)),
            (-1e30..1e30f64).prop_map(Some)
        ];
        let text = proptest::option::of(prop_oneof![Just("a"), Just("b c"), Just("c b  d"), Just("10 9")]);
        let list = proptest::option::of((-9i8..9, -1f32..1.0).prop_map(|(a, b)| [f32::from(a), b]));
        proptest::collection::vec((number, text, list, any::<bool>()), 1..60).prop_map(|mut rows| {
            rows.push((Some(1.25), Some("a"), Some([1.0, 2.0]), true));
            rows
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn neither_batches_nor_order_nor_memory_matter(
            (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            size in 1usize..20,
        ) {
            let features = features();
            let folder = tempfile::tempdir().unwrap();
            let whole = fit_all("t", &features, &frame(&rows), &Scratch::unbounded()).unwrap();
            let cut = Cut(shuffled.chunks(size).map(frame).collect());
            let scratch = Scratch { folder: folder.path().to_path_buf(), memory: 3_000 };
            let pieces = fit_all("t", &features, &cut, &scratch).unwrap();
            prop_assert_eq!(&whole, &pieces);
            let frame = frame(&rows);
            for one in &whole {
                let rows = apply("t", one, &frame);
                prop_assert!(rows.is_ok_and(|rows| rows.width == one.width && rows.data.len() == frame.len * one.width));
            }
        }
    }

    #[test]
    fn a_pass_for_each_depth_and_none_for_nothing() {
        let passes = |expr: FeatureExpr| {
            let counted = Counted {
                rows: frame(&[(Some(1.0), Some("a"), Some([1.0, 2.0]), true)]),
                passes: Mutex::new(Vec::new()),
            };
            let features = [Feature { name: "f".into(), expr, storage: Storage::default(), width: None }];
            fit_all("t", &features, &counted, &Scratch::unbounded()).unwrap();
            counted.passes.into_inner().unwrap()
        };
        let x = || column("x", ColumnKind::Number);
        assert_eq!(passes(through(x(), Transform::Log1p)), Vec::<Vec<String>>::new());
        assert_eq!(passes(column("v", ColumnKind::Vector { width: Some(2) })), Vec::<Vec<String>>::new());
        assert_eq!(passes(through(column("v", ColumnKind::Vector { width: None }), AS_IT_IS)), [["v"]]);
        let filled = || through(x(), Transform::Fill(Fill::Mean));
        assert_eq!(passes(through(filled(), Transform::Standardize)), [["x"], ["x"]]);
        let both = FeatureExpr::Concat(vec![filled(), through(column("t", ColumnKind::Text), ONE_HOT)]);
        assert_eq!(passes(both), [["x", "t"]]);
    }

    struct Counted {
        rows: Frame,
        passes: Mutex<Vec<Vec<String>>>,
    }

    impl Batches for Counted {
        fn for_each(
            &self,
            columns: &[(String, Want)],
            each: &(dyn Fn(&Frame) -> Result<()> + Sync),
        ) -> Result<()> {
            self.passes.lock().unwrap().push(columns.iter().map(|(name, _)| name.clone()).collect());
            each(&self.rows)
        }
    }

    #[test]
    fn lists_of_another_width_are_named_whatever_the_batches() {
        let rows: Vec<Row> = (0..9).map(|_| (None, None, Some([1.0, 2.0]), true)).collect();
        let mut odd = frame(&rows);
        let lists = FloatList::Ragged { offsets: vec![0, 2, 5, 7], values: vec![0.0; 7] };
        odd.insert(vec![(Want::FloatList, gsl_tables::Column::new("w", Values::FloatList(lists)))]);
        let mut other = Frame::new(1);
        let lists = FloatList::Ragged { offsets: vec![0, 2], values: vec![0.0; 2] };
        other.insert(vec![(Want::FloatList, gsl_tables::Column::new("w", Values::FloatList(lists)))]);
        let expr = column("w", ColumnKind::Vector { width: None });
        let features = [Feature { name: "f".into(), expr, storage: Storage::default(), width: None }];
        let fitted = fit_all("t", &features, &Cut(vec![odd, other]), &Scratch::unbounded()).unwrap();
        assert_eq!(fitted[0].width, 2);
        let mut odd = frame(&rows[..2]);
        let lists = FloatList::Ragged { offsets: vec![0, 2, 5], values: vec![0.0; 5] };
        odd.insert(vec![(Want::FloatList, gsl_tables::Column::new("w", Values::FloatList(lists)))]);
        let error = apply("t", &fitted[0], &odd).unwrap_err();
        assert!(
            matches!(error, BuildError::Feature { fault: Fault::Widths { found: 3, expected: 2 }, .. }),
            "{error}"
        );
    }
}

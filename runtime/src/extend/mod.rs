//! What a program adds to the language in Rust: modules, losses, metrics, samplers of negatives, each under a name that a file says
//! as `rust("name")`.
//!
//! Decided here: what each kind is given and what it owes, and that a name is registered once. The functions of rows here work on
//! slices and bring their own gradient; with the feature `dfdx`, [`tape`] makes them of forward functions on tensors. docs/rust.md
//! has an example of each.

mod metric;
mod negatives;
#[cfg(feature = "dfdx")]
pub mod tape;

pub use metric::{LinkMetric, Metric, RankRow, RankedLinks, ScoredRows};
pub use negatives::{Ends, Group, Link, Negatives, NegativesOf};

pub use gsl_plan::external::{Argument, Call, RowFunction};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is registered, by name. Cloning it is cheap: what it holds is shared.
#[derive(Clone, Default)]
pub struct Extensions {
    all: BTreeMap<String, Extension>,
}

/// One registration.
#[derive(Clone)]
pub enum Extension {
    /// Of the operands that its equation names.
    Module(Arc<dyn RowFunction>),
    /// Of scores (rows × classes, or one number) and targets: the class, a 0 or 1 for each class, or the standardised number. Its
    /// rows are the loss of each row; of a label of several classes of each row and class.
    Loss(Arc<dyn RowFunction>),
    /// Of the score of a link and the score of one of its negatives.
    LinkLoss(Arc<dyn RowFunction>),
    Metric(Arc<dyn Metric>),
    LinkMetric(Arc<dyn LinkMetric>),
    Negatives(Arc<dyn Negatives>),
}

impl Extensions {
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers under a name.
    ///
    /// # Panics
    /// If the name is registered already, or is not made of letters, digits and `_` with a letter in front.
    pub fn register(mut self, name: &str, extension: Extension) -> Self {
        let mut letters = name.chars();
        let good = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        assert!(good, "`{name}` cannot be registered: a name is letters, digits and `_`, a letter first");
        let before = self.all.insert(name.to_owned(), extension);
        assert!(before.is_none(), "`{name}` is registered twice");
        self
    }

    /// A module with a gradient of its own: `x' = rust("name", width)(x, W)`. Panics as [`Extensions::register`] does.
    pub fn row_module(self, name: &str, module: impl RowFunction + 'static) -> Self {
        self.register(name, Extension::Module(Arc::new(module)))
    }

    /// A loss of labels with a gradient of its own. Panics as [`Extensions::register`] does.
    pub fn row_loss(self, name: &str, loss: impl RowFunction + 'static) -> Self {
        self.register(name, Extension::Loss(Arc::new(loss)))
    }

    /// A loss of links with a gradient of its own. Panics as [`Extensions::register`] does.
    pub fn row_link_loss(self, name: &str, loss: impl RowFunction + 'static) -> Self {
        self.register(name, Extension::LinkLoss(Arc::new(loss)))
    }

    /// A metric of labels: `metrics = accuracy, rust("name")`. Panics as [`Extensions::register`] does.
    pub fn metric(self, name: &str, metric: impl Metric + 'static) -> Self {
        self.register(name, Extension::Metric(Arc::new(metric)))
    }

    /// A metric of links: `evaluate = mrr, rust("name") against all`. Panics as [`Extensions::register`] does.
    pub fn link_metric(self, name: &str, metric: impl LinkMetric + 'static) -> Self {
        self.register(name, Extension::LinkMetric(Arc::new(metric)))
    }

    /// A sampler: `negatives = rust("name", 32)`. Panics as [`Extensions::register`] does.
    pub fn negatives(self, name: &str, negatives: impl Negatives + 'static) -> Self {
        self.register(name, Extension::Negatives(Arc::new(negatives)))
    }

    /// Everything, in the order of the names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Extension)> {
        self.all.iter().map(|(name, extension)| (name.as_str(), extension))
    }

    /// A module or a loss.
    pub fn function(&self, name: &str) -> Option<&Arc<dyn RowFunction>> {
        match self.all.get(name)? {
            Extension::Module(f) | Extension::Loss(f) | Extension::LinkLoss(f) => Some(f),
            _ => None,
        }
    }

    pub fn metric_of(&self, name: &str) -> Option<&Arc<dyn Metric>> {
        match self.all.get(name)? {
            Extension::Metric(metric) => Some(metric),
            _ => None,
        }
    }

    pub fn link_metric_of(&self, name: &str) -> Option<&Arc<dyn LinkMetric>> {
        match self.all.get(name)? {
            Extension::LinkMetric(metric) => Some(metric),
            _ => None,
        }
    }

    pub fn negatives_of(&self, name: &str) -> Option<&Arc<dyn Negatives>> {
        match self.all.get(name)? {
            Extension::Negatives(negatives) => Some(negatives),
            _ => None,
        }
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(_: &ScoredRows) -> Option<f64> {
        Some(1.0)
    }

    #[test]
    fn what_is_registered_is_found_as_what_it_is() {
        let extensions = Extensions::new().metric("one", one);
        assert!(extensions.metric_of("one").is_some());
        assert!(extensions.function("one").is_none());
        assert!(extensions.link_metric_of("one").is_none());
        assert!(extensions.negatives_of("two").is_none());
        assert_eq!(extensions.all().map(|(name, _)| name).collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    #[should_panic(expected = "`one` is registered twice")]
    fn a_name_is_registered_once() {
        let _ = Extensions::new().metric("one", one).metric("one", one);
    }

    #[test]
    #[should_panic(expected = "`a metric` cannot be registered")]
    fn a_name_is_a_word() {
        let _ = Extensions::new().metric("a metric", one);
    }
}

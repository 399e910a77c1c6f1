//! Statistics of a finished feature, over its rows in their final order.

use super::feature::Counted;
use super::report::FeatureReport;

/// Extremes and sum of the numbers seen so far. Numbers come in one order, so that the sum has one value.
#[derive(Debug, Clone)]
pub struct Tally {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0 }
    }
}

impl Tally {
    pub fn see(&mut self, data: &[f32]) {
        for &x in data {
            let x = f64::from(x);
            (self.min, self.max, self.sum) = (self.min.min(x), self.max.max(x), self.sum + x);
        }
        self.count += data.len() as u64;
    }

    /// The report of a feature with such inputs.
    pub fn report(&self, name: &str, width: usize, inputs: Counted) -> FeatureReport {
        let (min, max) = if self.count == 0 { (0.0, 0.0) } else { (self.min, self.max) };
        let mean = self.sum / self.count.max(1) as f64;
        let Counted { missing, cut } = inputs;
        FeatureReport { name: name.to_string(), width: width as u64, missing, cut, min, max, mean }
    }
}

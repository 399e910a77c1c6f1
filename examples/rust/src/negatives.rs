//! A sampler of negatives.

use gsc::extend::{Ends, Group, Negatives, NegativesOf};

/// Nodes in proportion to a power of how many links they have, so that what is popular is told apart from what is right. Mikolov et
/// al. 2013 take 3/4.
pub struct Popular {
    pub power: f64,
}

impl Negatives for Popular {
    fn of(&self, ends: &Ends) -> Box<dyn NegativesOf> {
        let mut sum = 0.0;
        let weigh = |degree: u32| {
            sum += f64::from(degree).powf(self.power);
            sum
        };
        Box::new(Cumulated { sums: ends.degrees().into_iter().map(weigh).collect() })
    }
}

/// By node, the weights up to it.
struct Cumulated {
    sums: Vec<f64>,
}

impl NegativesOf for Cumulated {
    fn draw(&self, group: &Group) -> Vec<u32> {
        let all = self.sums.last().copied().unwrap_or(0.0);
        let draw = |place: u32| {
            let at = group.key.uniform_f64_at(u64::from(place)) * all;
            self.sums.partition_point(|sum| *sum <= at).min(self.sums.len() - 1) as u32
        };
        (0..group.count).map(draw).collect()
    }
}

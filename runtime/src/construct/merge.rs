//! Several numbers of one column made one: what parallel edges have after they are merged.

use gsl_plan::graph::Parallel;

use super::exact::Exact;

/// The numbers of merged rows as one. NaN is missing: left out, and given where all are. The order of `values` does not matter, to
/// the bit: a sum is rounded once.
pub fn merged(policy: Parallel, values: impl Iterator<Item = f64> + Clone) -> f64 {
    let mut present = values.filter(|x| !x.is_nan());
    let Some(first) = present.next() else { return f64::NAN };
    let Some(second) = present.next() else { return first };
    let rest = [first, second].into_iter().chain(present);
    match policy {
        Parallel::Min => rest.fold(f64::INFINITY, least),
        Parallel::Max => -rest.map(|x| -x).fold(f64::INFINITY, least),
        Parallel::Mean => {
            let (sum, count) = sum_of(rest);
            sum / count
        }
        Parallel::Keep | Parallel::Sum | Parallel::Count => sum_of(rest).0,
    }
}

/// The smaller one; of two zeros the negative.
fn least(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_lt() { a } else { b }
}

fn sum_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut count) = (Exact::default(), 0.0);
    for x in values {
        sum.add(x);
        count += 1.0;
    }
    (sum.value(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_numbers_are_left_out() {
        let of = |policy, values: &[f64]| merged(policy, values.iter().copied());
        let values = [3.0, f64::NAN, -1.0, 4.0];
        assert_eq!(of(Parallel::Sum, &values), 6.0);
        assert_eq!(of(Parallel::Mean, &values), 2.0);
        assert_eq!(of(Parallel::Min, &values), -1.0);
        assert_eq!(of(Parallel::Max, &values), 4.0);
        for policy in [Parallel::Sum, Parallel::Mean, Parallel::Min, Parallel::Max] {
            assert!(of(policy, &[f64::NAN, f64::NAN]).is_nan());
            assert_eq!(of(policy, &[f64::NAN, 0.1]), 0.1);
        }
        assert_eq!(of(Parallel::Sum, &[1e300, 1.0, -1e300]), 1.0);
    }

    proptest! {
        #[test]
        fn order_does_not_matter((values, shuffled) in prop::collection::vec(
            prop_oneof![any::<f64>().prop_filter("finite", |x| x.is_finite() || x.is_nan()), Just(0.1), Just(-0.0), Just(0.0)],
            0..20,
        ).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle()))) {
            for policy in [Parallel::Sum, Parallel::Mean, Parallel::Min, Parallel::Max] {
                let (a, b) = (merged(policy, values.iter().copied()), merged(policy, shuffled.iter().copied()));
                prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{policy:?} {a} {b}");
            }
        }
    }
}

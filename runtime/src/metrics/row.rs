//! What one row of scores says.

/// Index of the largest value; the first of equals; NaN never wins.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &x) in row.iter().enumerate().skip(1) {
        if x > row[best] || row[best].is_nan() {
            best = i;
        }
    }
    best
}

/// log softmax(row)\[at\], by log-sum-exp in f64.
pub fn log_softmax_at(row: &[f32], at: usize) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x)) as f64;
    let sum: f64 = row.iter().map(|&x| (x as f64 - max).exp()).sum();
    row[at] as f64 - max - sum.ln()
}

/// log(p / (1 − p)) of every class, p = softmax(row): s − log Σ exp of the other scores. It orders rows as p does, and does not
/// saturate.
pub fn log_odds(row: &[f32]) -> Vec<f64> {
    let best = argmax(row);
    let max = f64::from(row[best]);
    let powers: Vec<f64> = row.iter().map(|&x| (f64::from(x) - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let others = |class: usize| {
        if class == best { others_of_best(row, best) } else { max + (sum - powers[class]).ln() }
    };
    row.iter().enumerate().map(|(class, &x)| f64::from(x) - others(class)).collect()
}

/// log Σ exp of all scores but the best, which are too small to be told from it in a sum.
fn others_of_best(row: &[f32], best: usize) -> f64 {
    let others = || row.iter().enumerate().filter(|(class, _)| *class != best).map(|(_, &x)| f64::from(x));
    let max = others().fold(f64::NEG_INFINITY, f64::max);
    max + others().map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// log(1 + exp(x)), without overflow.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Normalised discounted cumulative gain at `k` of things with a score that are relevant or not: Σ 1 / log2(1 + rank) over the
/// relevant ones to rank `k`, over the most that could be. Things of equal scores share their ranks. None if nothing is relevant.
/// Järvelin and Kekäläinen 2002; ties: McSherry and Najork 2008.
pub fn ndcg(things: &mut [(f64, bool)], k: Option<u32>) -> Option<f64> {
    let k = k.map_or(usize::MAX, |k| k as usize);
    let discount = |rank: usize| if rank <= k { 1.0 / (1.0 + rank as f64).log2() } else { 0.0 };
    let relevant = things.iter().filter(|(_, is)| *is).count();
    let gain: f64 = shared_ranks(things)
        .map(|(ranks, relevant)| {
            let len = ranks.len() as f64;
            relevant as f64 * ranks.map(discount).sum::<f64>() / len
        })
        .sum();
    let most: f64 = (1..=relevant).map(discount).sum();
    (relevant > 0).then(|| gain / most)
}

/// Share of the relevant things that are among the `k` of the highest scores; things of equal scores share their ranks.
pub fn recall_at(things: &mut [(f64, bool)], k: u32) -> Option<f64> {
    let total = things.iter().filter(|(_, is)| *is).count();
    let within = |(ranks, relevant): (std::ops::RangeInclusive<usize>, usize)| {
        let len = ranks.end() + 1 - ranks.start();
        let inside = (k as usize + 1).saturating_sub(*ranks.start()).min(len);
        relevant as f64 * inside as f64 / len as f64
    };
    let found: f64 = shared_ranks(things).map(within).sum();
    (total > 0).then(|| found / total as f64)
}

trait Len {
    fn len(&self) -> usize;
}

impl Len for std::ops::RangeInclusive<usize> {
    fn len(&self) -> usize {
        self.end() + 1 - self.start()
    }
}

/// By falling score, the ranks from 1 that things of one score share, and how many of them are relevant.
fn shared_ranks(
    things: &mut [(f64, bool)],
) -> impl Iterator<Item = (std::ops::RangeInclusive<usize>, usize)> {
    things.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut rank = 0;
    things.chunk_by(|a, b| a.0 == b.0).map(move |equal| {
        let first = rank + 1;
        rank += equal.len();
        (first..=rank, equal.iter().filter(|(_, is)| *is).count())
    })
}

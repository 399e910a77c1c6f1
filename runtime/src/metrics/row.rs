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
/// saturate. Rounded to f32, so that rows whose odds are equal but for the order of a sum are tied.
pub fn log_odds(row: &[f32]) -> Vec<f32> {
    let best = argmax(row);
    let max = f64::from(row[best]);
    let powers: Vec<f64> = row.iter().map(|&x| (f64::from(x) - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let others = |class: usize| {
        if class == best { others_of_best(row, best) } else { max + (sum - powers[class]).ln() }
    };
    row.iter().enumerate().map(|(class, &x)| (f64::from(x) - others(class)) as f32).collect()
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

/// Things of one score: the ranks that they share, from 1, and how many of them are relevant.
struct Tied {
    first: usize,
    last: usize,
    relevant: usize,
}

impl Tied {
    /// What the relevant ones get in mean over all orders of them, if a rank is worth so much.
    fn mean_worth(&self, worth: impl Fn(usize) -> f64) -> f64 {
        let total: f64 = (self.first..=self.last).map(worth).sum();
        self.relevant as f64 * total / (self.last + 1 - self.first) as f64
    }
}

/// By falling score, of things with a score that are relevant or not.
fn tied(things: &mut [(f64, bool)]) -> impl Iterator<Item = Tied> {
    things.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut last = 0;
    things.chunk_by(|a, b| a.0 == b.0).map(move |equal| {
        let first = last + 1;
        last += equal.len();
        Tied { first, last, relevant: equal.iter().filter(|(_, is)| *is).count() }
    })
}

/// Normalised discounted cumulative gain at `k` of things with a score that are relevant or not: Σ 1 / log2(1 + rank) over the
/// relevant ones to rank `k`, over the most that could be. Things of equal scores share their ranks. None if nothing is relevant.
/// Järvelin and Kekäläinen 2002; ties: McSherry and Najork 2008.
pub fn ndcg(things: &mut [(f64, bool)], k: Option<u32>) -> Option<f64> {
    let k = k.map_or(usize::MAX, |k| k as usize);
    let worth = |rank: usize| if rank <= k { 1.0 / (1.0 + rank as f64).log2() } else { 0.0 };
    let relevant = things.iter().filter(|(_, is)| *is).count();
    let gain: f64 = tied(things).map(|tied| tied.mean_worth(worth)).sum();
    let most: f64 = (1..=relevant).map(worth).sum();
    (relevant > 0).then(|| gain / most)
}

/// Share of the relevant things that are among the `k` of the highest scores; things of equal scores share their ranks.
pub fn recall_at(things: &mut [(f64, bool)], k: u32) -> Option<f64> {
    let worth = |rank: usize| f64::from(u8::from(rank <= k as usize));
    let total = things.iter().filter(|(_, is)| *is).count();
    let found: f64 = tied(things).map(|tied| tied.mean_worth(worth)).sum();
    (total > 0).then(|| found / total as f64)
}

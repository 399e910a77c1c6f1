//! The page of a sweep: its trials in a table, their curves, and each value beside what it led to.

use super::html::{page, table};
use super::svg::{Points, Series, line_chart};

/// A trial, as the page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    pub number: usize,
    /// Values of the swept `param`s, in the order of the sweep.
    pub values: Vec<String>,
    /// (epochs done, what is watched there)
    pub curve: Vec<(u32, f64)>,
    pub best: Option<f64>,
    /// `finished`, `pruned after epoch 3`.
    pub state: String,
}

/// The page of sweep `name`; `params` are what is swept, `metric` is what is watched. The trials come best first.
pub fn render(name: &str, params: &[String], metric: &str, trials: &[TrialRow]) -> String {
    let mut body = String::new();
    let heads: Vec<&str> = ["trial"]
        .into_iter()
        .chain(params.iter().map(String::as_str))
        .chain([metric, "epochs", "state"])
        .collect();
    table(&mut body, "Trials, best first", &heads, &trials.iter().map(cells).collect::<Vec<_>>());
    body.push_str("<h2>Curves</h2><div class=charts>");
    body.push_str(&curves(metric, trials));
    body.push_str("</div>");
    page(&format!("sweep {name}"), &body)
}

/// The cells of a trial: number, values, best value, epochs, state.
pub fn cells(trial: &TrialRow) -> Vec<String> {
    let best = trial.best.map_or_else(|| "–".to_owned(), |best| format!("{best:.4}"));
    let epochs = trial.curve.last().map_or(0, |(epochs, _)| *epochs);
    let head = std::iter::once(trial.number.to_string()).chain(trial.values.iter().cloned());
    head.chain([best, epochs.to_string(), trial.state.clone()]).collect()
}

/// The best value so far of every trial, over epochs.
fn curves(metric: &str, trials: &[TrialRow]) -> String {
    let names: Vec<String> =
        trials.iter().map(|trial| format!("trial {}: {}", trial.number, trial.values.join(", "))).collect();
    let points: Vec<Points> = trials
        .iter()
        .map(|trial| {
            let mut points = Points::default();
            trial.curve.iter().for_each(|(epochs, value)| points.set(f64::from(*epochs), *value));
            points
        })
        .collect();
    let series: Vec<Series> =
        names.iter().zip(&points).map(|(name, points)| Series::new(name, points)).collect();
    line_chart(metric, &series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_row_and_a_line_for_each_trial() {
        let trial = |number, best| TrialRow {
            number,
            values: vec!["0.01".into()],
            curve: vec![(1, 0.5), (2, best)],
            best: Some(best),
            state: "finished".into(),
        };
        let page = render("tune", &["lr".into()], "valid.accuracy", &[trial(2, 0.75), trial(1, 0.5)]);
        assert!(page.contains("<td>0.7500</td>") && page.contains("sweep tune"));
        assert_eq!(page.matches("<polyline").count(), 2);
    }
}

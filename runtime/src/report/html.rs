//! The report: one self-contained HTML page made from the events of a run. No scripts, nothing fetched.

use super::event::Event;
use super::svg::{Points, Series, line_chart};
use crate::metrics::{ClassScore, Confusion, Ordered, RelationScore, Sums};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The page for these events, in the order in which they happened. Of a resumed run the later telling of an epoch counts.
pub fn render(events: &[Event]) -> String {
    let mut body = String::new();
    summary(&mut body, events);
    test(&mut body, events);
    curves(&mut body, events);
    data(&mut body, events);
    stages(&mut body, events);
    profile(&mut body, events);
    messages(&mut body, events);
    page(&events.iter().rev().find_map(title).unwrap_or_else(|| "run".into()), &body)
}

/// A page with this title around HTML.
pub(super) fn page(title: &str, body: &str) -> String {
    format!("{HEAD}<title>{0}</title><main><h1>{0}</h1>{body}</main></html>\n", escape(title))
}

fn title(event: &Event) -> Option<String> {
    match event {
        Event::RunStarted { experiment, .. } => Some(experiment.clone()),
        _ => None,
    }
}

fn summary(page: &mut String, events: &[Event]) {
    let mut rows = Vec::new();
    for event in events {
        match event {
            Event::RunStarted { file, version, plan, ranks, threads, seed, parameters, .. } => {
                rows = vec![
                    ("file", file.clone()),
                    ("parameters", group(*parameters)),
                    ("seed", seed.to_string()),
                    ("ranks × threads", format!("{ranks} × {threads}")),
                    ("version", version.clone()),
                    ("plan", plan.chars().take(16).collect()),
                ];
            }
            Event::RunFinished { seconds, peak_memory } => {
                rows.push(("time", format!("{seconds:.1} s")));
                rows.push(("peak memory", mib(*peak_memory)));
            }
            Event::Stopped { epoch, reason } => {
                rows.push(("stopped", format!("after epoch {epoch}: {reason}")))
            }
            _ => {}
        }
    }
    let body = rows.iter().map(|(k, v)| vec![k.to_string(), v.clone()]).collect::<Vec<_>>();
    table(page, "Run", &[], &body);
}

fn test(page: &mut String, events: &[Event]) {
    for event in events {
        let Event::Tested { predict, classes, metrics, intervals, by_class, by_relation, sums } = event
        else {
            continue;
        };
        let _ = write!(page, "<h2>Test: {}</h2><p class=big>", escape(predict));
        for (name, value) in metrics.iter() {
            let _ = write!(page, "<span><b>{value:.4}</b> {}", escape(name));
            if let Some([low, high]) = intervals.get(name) {
                let _ = write!(page, " <small>{low:.4} … {high:.4}</small>");
            }
            page.push_str("</span>");
        }
        let sure = if intervals.is_empty() { "" } else { " Small numbers: the 95% interval." };
        let counted = match sums {
            Sums::Ranks(_) => "ranks of links",
            _ => "labelled rows",
        };
        let _ = write!(page, "</p><p>{} {counted} of the test part.{sure}</p>", group(sums.rows()));
        per_class(page, classes, &sums.by_class(), by_class);
        per_relation(page, by_relation);
        if let Sums::Classes(confusion) = sums {
            confusion_matrix(page, classes, confusion);
        }
    }
}

/// Relations, those with the most links first.
fn per_relation(page: &mut String, scores: &BTreeMap<String, RelationScore>) {
    let mut sorted: Vec<(&String, &RelationScore)> = scores.iter().collect();
    sorted.sort_by_key(|(_, score)| std::cmp::Reverse(score.rows));
    let Some((_, first)) = sorted.first() else { return };
    let names: Vec<&str> = first.metrics.names().collect();
    let head: Vec<&str> = ["relation", "ranked ends"].into_iter().chain(names.iter().copied()).collect();
    let row = |(name, score): &(&String, &RelationScore)| {
        let of = |metric: &&str| score.metrics.get(metric).map_or("–".into(), |x| format!("{x:.4}"));
        [(*name).clone(), group(score.rows)].into_iter().chain(names.iter().map(of)).collect()
    };
    table(page, "By relation", &head, &sorted.iter().map(row).collect::<Vec<Vec<String>>>());
}

fn per_class(
    page: &mut String,
    classes: &[String],
    scores: &[ClassScore],
    metrics: &Ordered<Vec<Option<f64>>>,
) {
    if scores.is_empty() {
        return;
    }
    let number = |x: f64| format!("{x:.3}");
    let row = |(c, s): (usize, &ClassScore)| {
        let name = classes.get(c).cloned().unwrap_or_else(|| c.to_string());
        let mut row = vec![name, group(s.support), group(s.predicted)];
        row.extend([s.precision, s.recall, s.f1].map(number));
        row.extend(metrics.values().map(|of| of.get(c).copied().flatten().map_or("–".into(), number)));
        row
    };
    let rows: Vec<Vec<String>> = scores.iter().enumerate().map(row).collect();
    let mut head = vec!["class", "rows", "predicted", "precision", "recall", "F1"];
    head.extend(metrics.names());
    table(page, "By class", &head, &rows);
}

fn confusion_matrix(page: &mut String, classes: &[String], confusion: &Confusion) {
    let n = confusion.classes;
    page.push_str("<h3>Confusion</h3><p>Row: true class. Column: predicted. Shade: share of the row.</p><div class=wide><table class=confusion><tr><th></th>");
    for c in 0..n {
        let _ = write!(page, "<th class=turn><span>{}</span></th>", escape(classes.get(c).map_or("", |s| s)));
    }
    page.push_str("</tr>");
    for t in 0..n {
        let row = &confusion.counts[t * n..(t + 1) * n];
        let total = row.iter().sum::<u64>().max(1) as f64;
        let _ = write!(page, "<tr><th>{}</th>", escape(classes.get(t).map_or("", |s| s)));
        for (p, &count) in row.iter().enumerate() {
            let share = count as f64 / total;
            let kind = if p == t { "hit" } else { "miss" };
            let text = if count == 0 { String::new() } else { count.to_string() };
            let _ = write!(page, "<td class={kind} style=\"--s:{share:.3}\">{text}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn curves(page: &mut String, events: &[Event]) {
    let mut loss = Points::default();
    let mut metrics: Vec<(String, Points)> = Vec::new();
    for event in events {
        match event {
            Event::Epoch { epoch, loss: value, .. } => loss.set(f64::from(*epoch), *value),
            Event::Evaluated { at, part, predict, metrics: found, .. } => {
                for (name, value) in found.iter() {
                    let name = format!("{part} {predict} {name}");
                    match metrics.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, points)) => points.set(*at, *value),
                        None => {
                            let mut points = Points::default();
                            points.set(*at, *value);
                            metrics.push((name, points));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    if loss.is_empty() {
        return;
    }
    page.push_str("<h2>Curves</h2><div class=charts>");
    page.push_str(&line_chart("training loss", &[Series::new("loss", &loss)]));
    for (name, points) in &metrics {
        page.push_str(&line_chart(name, &[Series::new(name, points)]));
    }
    page.push_str("</div>");
}

/// The graph; where it was not inspected, what its build counted.
fn data(page: &mut String, events: &[Event]) {
    let inspected = events.iter().rev().find_map(|e| match e {
        Event::GraphInspected { inspection } => Some(inspection),
        _ => None,
    });
    if let Some(inspection) = inspected {
        return super::graph::section(page, inspection);
    }
    let Some(report) = events.iter().rev().find_map(|e| match e {
        Event::GraphBuilt { report } => Some(report),
        _ => None,
    }) else {
        return;
    };
    page.push_str("<h2>Data</h2>");
    json(page, report);
}

/// Any JSON as nested tables: arrays of objects become rows under common headings.
fn json(page: &mut String, value: &serde_json::Value) {
    use serde_json::Value::{Array, Object};
    match value {
        Object(fields) => {
            page.push_str("<table class=plain>");
            for (name, field) in fields {
                let _ = write!(page, "<tr><th>{}</th><td>", escape(&name.replace('_', " ")));
                json(page, field);
                page.push_str("</td></tr>");
            }
            page.push_str("</table>");
        }
        Array(items) if items.iter().any(|i| i.is_object()) => json_rows(page, items),
        Array(items) => {
            let texts: Vec<_> = items.iter().take(60).map(scalar).collect();
            let more = items.len().saturating_sub(60);
            let tail = if more > 0 { format!(", … {more} more") } else { String::new() };
            page.push_str(&escape(&(texts.join(", ") + &tail)));
        }
        other => page.push_str(&escape(&scalar(other))),
    }
}

fn json_rows(page: &mut String, items: &[serde_json::Value]) {
    let mut heads: Vec<&String> = Vec::new();
    for name in items.iter().filter_map(|i| i.as_object()).flat_map(|o| o.keys()) {
        if !heads.contains(&name) {
            heads.push(name);
        }
    }
    page.push_str("<table><tr>");
    for h in heads.iter() {
        let _ = write!(page, "<th>{}</th>", escape(&h.replace('_', " ")));
    }
    page.push_str("</tr>");
    for item in items {
        page.push_str("<tr>");
        for head in &heads {
            page.push_str("<td>");
            if let Some(field) = item.get(head.as_str()) {
                json(page, field);
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

fn scalar(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) => s.clone(),
        serde_json::Value::Null => "–".into(),
        serde_json::Value::Number(n) => match n.as_u64() {
            Some(n) => group(n),
            None => n.as_f64().map_or_else(|| n.to_string(), |x| format!("{x:.4}")),
        },
        other => other.to_string(),
    }
}

fn stages(page: &mut String, events: &[Event]) {
    let rows: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::StageFinished { stage, seconds, reused, peak_memory } => Some(vec![
                stage.clone(),
                if *reused { "reused".into() } else { format!("{seconds:.2} s") },
                mib(*peak_memory),
            ]),
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        table(page, "Time and memory by stage", &["stage", "time", "peak memory so far"], &rows);
    }
}

fn profile(page: &mut String, events: &[Event]) {
    let Some(steps) = events.iter().rev().find_map(|e| match e {
        Event::Profile { steps } => Some(steps),
        _ => None,
    }) else {
        return;
    };
    let total: f64 = steps.iter().map(|s| s.seconds).sum::<f64>().max(1e-12);
    let mut sorted: Vec<_> = steps.iter().collect();
    sorted.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let rows: Vec<_> = sorted
        .iter()
        .take(40)
        .map(|s| {
            vec![
                s.name.clone(),
                group(s.runs),
                format!("{:.3} s", s.seconds),
                format!("{:.1} %", 100.0 * s.seconds / total),
            ]
        })
        .collect();
    if !rows.is_empty() {
        table(page, "Training time by step", &["step", "runs", "time", "share"], &rows);
    }
}

fn messages(page: &mut String, events: &[Event]) {
    let rows: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::Warning { message } => Some(vec!["warning".to_string(), message.clone()]),
            Event::Failed { message } => Some(vec!["failed".to_string(), message.clone()]),
            Event::Written { path, rows } => {
                Some(vec!["wrote".to_string(), format!("{path}: {} rows", group(*rows))])
            }
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        table(page, "Messages and files", &[], &rows);
    }
}

pub(super) fn table(page: &mut String, title: &str, heads: &[&str], rows: &[Vec<String>]) {
    let _ = write!(page, "<h2>{}</h2><div class=wide><table>", escape(title));
    if !heads.is_empty() {
        page.push_str("<tr>");
        for h in heads.iter() {
            let _ = write!(page, "<th>{}</th>", escape(h));
        }
        page.push_str("</tr>");
    }
    for row in rows {
        page.push_str("<tr>");
        for cell in row.iter() {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

/// `1234567` → `1,234,567`
pub fn group(n: u64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let (first, rest) = digits.split_at(head);
    let mut parts: Vec<&str> = if first.is_empty() { vec![] } else { vec![first] };
    parts.extend((0..rest.len() / 3).map(|i| &rest[3 * i..3 * i + 3]));
    parts.join(",")
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><style>
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--line:#d9dde2;--soft:#6b7480;--hit:34,120,60;--miss:190,60,40;--c:#2463eb}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#14171a;--line:#333a42;--soft:#98a2ad;--hit:60,170,95;--miss:220,90,70;--c:#6ea0ff}}
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
main{max-width:68rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem}
table{border-collapse:collapse}td,th{padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft)}.wide{overflow-x:auto}.big span{margin-right:2rem}.big b{font-size:1.5rem}
.charts{display:flex;flex-wrap:wrap;gap:1.5rem}.charts figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}
.confusion td,.confusion th{padding:.1rem .25rem;font-size:.65rem;border:0;text-align:right}.confusion .hit{background:rgba(var(--hit),var(--s))}
.confusion .miss{background:rgba(var(--miss),var(--s))}.turn span{writing-mode:vertical-rl}svg text{fill:var(--soft);font-size:11px}
</style>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(group).each_ref().map(|s| s.as_str())
        );
    }

    #[test]
    fn the_page_shows_what_happened_and_escapes_names() {
        let mut confusion = Confusion::new(2);
        confusion.add(0, 0, 0.3, 1);
        confusion.add(1, 0, 1.3, 1);
        let events = [
            Event::Epoch { epoch: 1, loss: 0.5, seconds: 1.0, seeds: 10 },
            Event::Tested {
                predict: "a.b".into(),
                classes: vec!["<x>".into(), "y".into()],
                metrics: Ordered::from([("accuracy".to_string(), 0.5)]),
                intervals: Ordered::from([("accuracy".to_string(), [0.25, 0.75])]),
                by_relation: BTreeMap::from([(
                    "of_kind".to_string(),
                    RelationScore { rows: 4, metrics: Ordered::from([("mrr".to_string(), 0.25)]) },
                )]),
                by_class: Ordered::from([("roc_auc_each".to_string(), vec![Some(0.5), None])]),
                sums: Sums::Classes(confusion),
            },
        ];
        let page = render(&events);
        assert!(page.contains("&lt;x&gt;") && !page.contains("<x>"));
        assert!(page.contains("<b>0.5000</b> accuracy <small>0.2500 … 0.7500</small>"));
        assert!(page.contains("of_kind") && page.contains("0.2500"));
        assert!(page.contains("roc_auc_each") && page.contains("<svg"));
    }
}

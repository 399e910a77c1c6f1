//! `gsc explain FILE --defaults`: an experiment with nothing left unsaid, each value with its origin.

use serde::Serialize;

use super::Checked;
use super::experiment::Experiment;
use super::stages::Trained;
use super::value::number_text;
use super::write::show;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    pub file: String,
    /// From one.
    pub line: usize,
    pub is_default: bool,
    /// `param`s in it that `--set` overrode.
    pub set: Vec<String>,
}

/// One setting, as it stands after completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub depth: usize,
    /// `batch`, `encode package`
    pub name: String,
    /// As GSL.
    pub value: String,
    pub origin: Origin,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_default {
            f.write_str("default, ")?;
        }
        write!(f, "{}:{}", self.file, self.line)?;
        for name in &self.set {
            write!(f, ", --set {name}")?;
        }
        Ok(())
    }
}

/// The experiment as GSL, one setting a line, each with a comment that says where it comes from.
pub fn defaults(checked: &Checked, experiment: &Experiment) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for param in &checked.params {
        let Some(value) = &param.value else { continue };
        let origin = if param.set { "--set".to_owned() } else { format!("{}:{}", checked.path, param.line) };
        let ty = param.ty.name().map_or(String::new(), |ty| format!(" : {ty}"));
        rows.push((format!("param {}{ty} = {value}", param.name), origin));
    }
    if !rows.is_empty() {
        rows.push(Default::default());
    }
    let graph = &checked.graphs[experiment.graph].plan;
    rows.push((format!("experiment {} on {} {{", experiment.name, graph.name), String::new()));
    rows.extend(settings(experiment.lines.iter().filter(|l| l.name.starts_with("encode"))));
    rows.extend(settings(experiment.lines.iter().filter(|l| l.name == "gnn")));
    for predict in &experiment.predicts {
        rows.push(Default::default());
        rows.push((format!("    predict {} {{", predict.name), String::new()));
        rows.extend(settings(predict.lines.iter()));
        rows.push(("    }".to_owned(), String::new()));
    }
    rows.push(Default::default());
    rows.extend(settings(
        experiment.lines.iter().filter(|l| !l.name.starts_with("encode") && l.name != "gnn"),
    ));
    let shown = |trained: &Trained, indent: &str| -> Vec<(String, String)> {
        trained.show().into_iter().map(|text| (format!("{indent}{text}"), String::new())).collect()
    };
    rows.extend(shown(&experiment.training.always, "    "));
    for stage in &experiment.training.parts {
        rows.push((format!("    stage {} {{", stage.name), String::new()));
        rows.extend(shown(&stage.trained, "        "));
        rows.extend(settings(stage.lines.iter()));
        rows.push(("    }".to_owned(), String::new()));
    }
    let graph_of = &checked.graphs[experiment.graph];
    let shown = experiment.writes.iter().map(|written| show(&written.write, graph_of, &experiment.predicts));
    rows.extend(shown.map(|write| (format!("    {write}"), String::new())));
    rows.push(("}".to_owned(), String::new()));
    rows.push(Default::default());
    rows.push(("// the graph".to_owned(), String::new()));
    rows.push((format!("// seed of random splits: {}", number_text(graph.seed as f64)), String::new()));
    layout(&rows)
}

fn settings<'a>(lines: impl Iterator<Item = &'a Line> + Clone) -> Vec<(String, String)> {
    let widest = lines.clone().map(|l| l.name.len()).max().unwrap_or(0);
    lines
        .map(|l| {
            let indent = "    ".repeat(l.depth + 1);
            (format!("{indent}{:<widest$} = {}", l.name, l.value), l.origin.to_string())
        })
        .collect()
}

/// Comments in one column, as far as lines are not too long.
fn layout(rows: &[(String, String)]) -> String {
    const WIDEST: usize = 72;
    let lengths = rows.iter().filter(|(_, origin)| !origin.is_empty()).map(|(code, _)| code.chars().count());
    let column = lengths.filter(|n| *n <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for (code, origin) in rows {
        match origin.is_empty() {
            true => text.push_str(code),
            false => text.push_str(&format!("{code:<column$}  // {origin}")),
        }
        text.push('\n');
    }
    text
}

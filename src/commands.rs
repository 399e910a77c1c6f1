//! One function for each command.

use crate::args::{
    CheckArgs, Command, ExplainArgs, FileArgs, FmtArgs, GraphArgs, Import, InspectArgs, NewArgs, RunArgs,
    SweepArgs,
};
use crate::gradients;
use crate::import;
use crate::pipeline::{self, Goal, Outcome};
use crate::source::{Failure, SourceText};
use crate::world::FileWorld;
use gsl_compiler::diag;
use gsl_runtime::graph::Graph;
use gsl_runtime::report::Events;
use gsl_runtime::report::progress::{Progress, show_with_intervals};
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

type Done = Result<ExitCode, Failure>;

pub fn dispatch(command: &Command, color: bool) -> Done {
    match command {
        Command::Run(args) => run(args, Goal::Run, color),
        Command::Train(args) => run(args, Goal::Train, color),
        Command::Infer(args) => run(args, Goal::Infer, color),
        Command::Sweep(args) => sweep(args, color),
        Command::Check(args) => check(args, color),
        Command::Explain(args) => explain(args, color),
        Command::Build(args) => build(args, color),
        Command::Inspect(args) => inspect(args, color),
        Command::New(args) => new(args),
        Command::Fmt(args) => fmt(args, color),
        Command::Import(Import::Graphstorm(args)) => say(&import::graphstorm(args)?),
    }
}

/// Writes to standard output; a reader that went away is no failure.
fn say(text: &str) -> Done {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn say_json(value: &impl serde::Serialize) -> Done {
    say(&(serde_json::to_string_pretty(value).map_err(Failure::new)? + "\n"))
}

fn run(args: &RunArgs, goal: Goal, color: bool) -> Done {
    let outcome = pipeline::run(args, goal, color)?;
    if args.file.json { say_json(&outcome) } else { say(&summary(&outcome)) }
}

fn sweep(args: &SweepArgs, color: bool) -> Done {
    let swept = crate::sweep::sweep(args, color)?;
    if args.run.file.json {
        return say_json(&swept);
    }
    let best = format!("best: trial {}\n", swept.best);
    say(&(swept.table + &best + &summary(&swept.run) + &format!("sweep: {}\n", swept.report.display())))
}

/// `test package.section: accuracy 0.8421 [0.8357, 0.8483], f1_macro 0.7010 [0.6890, 0.7122] (12687 rows)`
fn summary(outcome: &Outcome) -> String {
    let mut text = String::new();
    for tested in &outcome.tested {
        text += &format!(
            "{}: test {}: {} ({} {})\n",
            outcome.experiment,
            tested.predict,
            show_with_intervals(&tested.metrics, &tested.intervals),
            tested.rows,
            tested.unit
        );
    }
    text + &format!("report: {}\n", outcome.out.join("report.html").display())
}

fn check(args: &CheckArgs, color: bool) -> Done {
    let source = SourceText::read(&args.file.file)?;
    if args.file.json {
        return check_json(&source, &args.file);
    }
    let checked = pipeline::check(&source, &args.file, color)?;
    if !args.gradients {
        let (graphs, experiments) = (checked.graphs.len(), checked.experiments.len());
        return say(&format!(
            "{}: {graphs} graph(s), {experiments} experiment(s), no mistakes\n",
            source.name()
        ));
    }
    let mut passed = true;
    let wanted = |name: &str| args.file.experiment.as_ref().is_none_or(|e| e == name);
    if checked.experiments.iter().all(|e| !wanted(&e.name)) {
        pipeline::choose(&checked, &args.file)?;
    }
    for experiment in checked.experiments.iter().filter(|e| wanted(&e.name)) {
        let built = pipeline::build(
            &experiment.graph_plan(checked.graph_of(experiment)),
            &source,
            &args.file,
            &quiet(),
        )
        .ok();
        let known = built.as_ref().map(Graph::facts);
        let facts = gradients::toy_facts(&experiment.graph_plan(checked.graph_of(experiment)), known);
        let plan =
            gsl_compiler::plan(&checked, &experiment.on_any_graph(), &facts).or_else(|diagnostics| {
                source.report(&diagnostics, color)?;
                Err(Failure::told())
            })?;
        let report = gradients::check(&plan, 1, &args.file.extensions).map_err(Failure::new)?;
        passed &= report.passes();
        say(&gradient_table(&experiment.name, &report))?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn gradient_table(name: &str, report: &gradients::Report) -> String {
    let [compiled, reference, exact] = report.loss;
    let mut text =
        format!("{name}: loss {compiled:.6} compiled, {reference:.6} reference, {exact:.6} in f64\n");
    text += &format!("  {:<48} {:>10} {:>12} {:>12}\n", "parameter", "gradient", "reference", "differences");
    for p in &report.params {
        let mark = if p.passes() { "" } else { "  <- differs" };
        text += &format!(
            "  {:<48} {:>10.2e} {:>12.1e} {:>12.1e}{mark}\n",
            p.param, p.size, p.reference, p.differences
        );
    }
    let end = if report.passes() { "gradients agree" } else { "GRADIENTS DIFFER" };
    text + &format!(
        "{end} (relative: reference to {:.0e}, finite differences to {:.0e})\n",
        gradients::REFERENCE_TOLERANCE,
        report.params.iter().map(|p| p.allowed).fold(0.0, f64::max)
    )
}

fn check_json(source: &SourceText, args: &FileArgs) -> Done {
    let world = FileWorld::with(&source.folder(), &args.extensions);
    let overrides = pipeline::overrides(&args.set)?;
    let (_, diagnostics) = gsl_compiler::check(&source.text, &source.name(), &world, &overrides);
    say_json(&diag::json(&diagnostics, &source.name(), &source.text))?;
    let failed = diagnostics.iter().any(|d| d.is_error());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The diagnostic whose last part this one has, or whose code is nearly the same.
fn near(what: &str) -> Option<diag::Code> {
    let last = what.rsplit("::").next().unwrap_or(what);
    let all = diag::codes::ALL.iter().map(|code| code.as_str());
    meant(last).or_else(|| diag::did_you_mean(what, all).and_then(diag::Code::find))
}

/// The diagnostic that a part of its code names: `stop_on_test`, `leak::stop_on_test`.
fn meant(what: &str) -> Option<diag::Code> {
    let is_end =
        |code: &diag::Code| code.as_str().strip_suffix(what).is_some_and(|rest| rest.ends_with("::"));
    diag::codes::ALL.iter().copied().find(is_end)
}

fn explain(args: &ExplainArgs, color: bool) -> Done {
    if args.what.starts_with("gsl::") {
        return match diag::Code::find(&args.what) {
            Some(code) => say(code.page().unwrap_or(code.summary())),
            None => Err(Failure::new(format!("there is no diagnostic `{}`", args.what)).help(
                match near(&args.what) {
                    Some(code) => format!("did you mean `{code}`?"),
                    None => "codes stand at the top of messages, for example gsl::schema::no_such_column"
                        .to_owned(),
                },
            )),
        };
    }
    let file = FileArgs {
        file: args.what.clone().into(),
        experiment: args.experiment.clone(),
        set: args.set.clone(),
        cache: args.cache.clone(),
        threads: None,
        building: args.building.clone(),
        json: args.json,
        extensions: args.extensions.clone(),
    };
    let source = SourceText::read(&file.file).map_err(|failure| match meant(&args.what) {
        Some(code) if !file.file.exists() => {
            failure.help(format!("a diagnostic is explained by its whole code: `gsc explain {code}`"))
        }
        _ => failure,
    })?;
    let checked = pipeline::check(&source, &file, color)?;
    let experiment = pipeline::choose(&checked, &file)?;
    if args.defaults {
        return say(&gsl_compiler::sema::explain::defaults(&checked, experiment));
    }
    let graph =
        pipeline::build(&experiment.graph_plan(checked.graph_of(experiment)), &source, &file, &quiet())?;
    if args.passes {
        return say(&passes(&checked, experiment, &graph, &source, color)?);
    }
    let plan = pipeline::plan(&checked, experiment, &graph, None, (&source, &file.extensions), color)?;
    if args.json {
        return say_json(&plan);
    }
    let events = source.folder().join("out").join(&plan.experiment).join("events.jsonl");
    say(&crate::explain::plan(&plan, Some(&events), args.all))
}

fn passes(
    checked: &gsl_compiler::sema::Checked,
    experiment: &gsl_compiler::sema::Experiment,
    graph: &Graph,
    source: &SourceText,
    color: bool,
) -> Result<String, Failure> {
    let snapshots = gsl_compiler::passes_of(checked, experiment, graph.facts()).or_else(|diagnostics| {
        source.report(&diagnostics, color)?;
        Err(Failure::told())
    })?;
    let mut text = String::new();
    for (i, snapshot) in snapshots.iter().enumerate() {
        let same = i > 0 && snapshots[i - 1].text == snapshot.text;
        let body = if same { "(nothing changed)\n" } else { snapshot.text.as_str() };
        text += &format!("// after {}\n{body}\n", snapshot.pass);
    }
    Ok(crate::explain::named(&text, graph.facts()))
}

fn quiet() -> Events {
    Events::default()
}

fn build(args: &GraphArgs, color: bool) -> Done {
    let progress = Progress::new(std::io::stderr().is_terminal(), args.file.json);
    let graph = graph_of(args, &Events::new(vec![Box::new(progress)]), color)?;
    if args.file.json { say_json(graph.facts()) } else { say(&format!("{}\n", graph.path().display())) }
}

fn graph_of(args: &GraphArgs, events: &Events, color: bool) -> Result<Graph, Failure> {
    pipeline::set_threads(&args.file)?;
    let source = SourceText::read(&args.file.file)?;
    let checked = pipeline::check(&source, &args.file, color)?;
    pipeline::build(pipeline::choose_graph(&checked, args)?, &source, &args.file, events)
}

fn inspect(args: &InspectArgs, color: bool) -> Done {
    let file = &args.graph.file.file;
    let graph = match file.extension().is_some_and(|extension| extension == "h5") {
        true => Graph::open(file).map_err(Failure::new)?,
        false => graph_of(&args.graph, &quiet(), color)?,
    };
    let inspection = gsl_runtime::inspect::inspect(&graph);
    match &args.html {
        _ if args.graph.file.json => say_json(&inspection),
        None => say(&crate::inspect::text(inspection, args.all)),
        Some(path) => {
            let page = gsl_runtime::report::graph::render(&inspection);
            let written = gsl_runtime::train::checkpoint::write_atomically(path, page.as_bytes());
            written.map_err(|e| pipeline::cannot_write(path, &e))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn new(args: &NewArgs) -> Done {
    let written = crate::new::write(args)?;
    eprint!("{}", written.summary);
    say(&format!("{}\n", written.path.display()))
}

fn fmt(args: &FmtArgs, color: bool) -> Done {
    let mut untidy = Vec::new();
    for path in &args.files {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Failure::new)?;
            let source = SourceText { path: "standard input".into(), text };
            say(&formatted(&source, color)?)?;
            continue;
        }
        let source = SourceText::read(path)?;
        let new = formatted(&source, color)?;
        if new == source.text {
            continue;
        }
        if args.check {
            untidy.push(path.display().to_string());
        } else {
            let written = gsl_runtime::train::checkpoint::write_atomically(path, new.as_bytes());
            written.map_err(|e| pipeline::cannot_write(path, &e))?;
        }
    }
    if untidy.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!("not in the canonical style: {}", untidy.join(", ")))
        .help("run gsc fmt on them"))
}

fn formatted(source: &SourceText, color: bool) -> Result<String, Failure> {
    gsl_compiler::syntax::format(&source.text).or_else(|diagnostics| {
        source.report(&diagnostics, color)?;
        Err(Failure::told())
    })
}

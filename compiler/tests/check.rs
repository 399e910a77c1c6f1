//! Names, schemas and experiments: transcripts of mistakes, files that are right, defaults in full.

mod support;

use std::path::Path;

use gsl_compiler::diag::{Diagnostic, render};
use gsl_compiler::sema::{Checked, explain};
use gsl_compiler::syntax::ast::Item;
use gsl_compiler::world::TestWorld;

use support::{folder, gsl_files, read};

const SET: &[(String, String)] = &[];

/// The tables of the Debian example, and those that the file declares in comments.
fn checked(source: &str) -> (Checked, Vec<Diagnostic>) {
    gsl_compiler::check(source, "test.gsl", &TestWorld::debian().with_tables_of(source), SET)
}

fn front_end(source: &str, _path: &Path) -> Vec<Diagnostic> {
    checked(source).1
}

#[test]
fn mistakes_are_explained() {
    support::transcripts(&folder("bad/sema"), front_end);
}

#[test]
fn good_files_are_clean() {
    for path in gsl_files(&folder("good")) {
        let source = read(&path);
        let found = front_end(&source, &path);
        assert!(found.is_empty(), "{}", render(&found, &path.display().to_string(), &source, false));
    }
}

#[test]
fn defaults_are_shown_in_full() {
    let mut differing = Vec::new();
    for path in gsl_files(&folder("good")) {
        let (checked, _) = checked(&read(&path));
        let shown: Vec<String> = checked.experiments.iter().map(|e| explain::defaults(&checked, e)).collect();
        differing.extend(support::compare(&path.with_extension("gsl.defaults"), &shown.join("\n")));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

/// What the default model needs.
const DEFAULT: &str = "use std.layers.RGCN\n";

/// The source without its experiments and what stands on them. Layers are shown by their own names, not by the file's.
fn without_experiments(source: &str) -> String {
    let parsed = gsl_compiler::parse(source);
    let mut rest = source.to_owned();
    for item in parsed.file.items.iter().rev() {
        if matches!(item, Item::Experiment(_) | Item::Sweep(_) | Item::Distill(_)) {
            let span = item.span();
            rest.replace_range(span.start as usize..span.end as usize, "");
        }
    }
    format!("{DEFAULT}{}", rest.replace(" as Attention", "").replace(DEFAULT.trim(), ""))
}

/// What an experiment says, less where it is said.
fn settings(shown: &str) -> Vec<String> {
    let is_setting = |line: &&str| !line.starts_with("param ") && !line.is_empty();
    let said = |line: &str| line.rsplit_once("  // ").map_or(line, |(said, _)| said).trim().to_owned();
    shown.lines().filter(is_setting).map(said).collect()
}

#[test]
fn what_is_shown_is_the_same_experiment() {
    for path in gsl_files(&folder("good")) {
        let source = read(&path);
        let rest = without_experiments(&source);
        for experiment in &checked(&source).0.experiments {
            let shown = explain::defaults(&checked(&source).0, experiment);
            let settings_alone: String =
                shown.lines().filter(|l| !l.starts_with("param ")).map(|l| format!("{l}\n")).collect();
            let again = format!("{rest}\n{settings_alone}");
            let (found, diagnostics) = checked(&again);
            let said = render(&diagnostics, "shown", &again, false);
            assert!(found.experiments.len() == 1, "{}\n{said}", path.display());
            assert_eq!(
                settings(&explain::defaults(&found, &found.experiments[0])),
                settings(&shown),
                "{}\n{said}",
                path.display()
            );
        }
    }
}

#[test]
fn checking_is_fast() {
    let path = folder("good").join("sections.gsl");
    let source = read(&path);
    checked(&source);
    let start = std::time::Instant::now();
    for _ in 0..10 {
        checked(&source);
    }
    let each = start.elapsed() / 10;
    assert!(each.as_millis() < 100, "one check took {each:?}");
}

#[test]
fn overrides_are_checked_like_the_source() {
    let source = "param lr : float = 3e-3\nparam hidden : dim = 64\nparam data : path = \"data\"\n";
    let set = |name: &str, text: &str| {
        let (checked, found) =
            gsl_compiler::check(source, "test.gsl", &TestWorld::new(), &[(name.to_owned(), text.to_owned())]);
        let value = checked.env.get(name).cloned().flatten().map(|v| v.to_string());
        (value, found.iter().map(|d| d.code.as_str()).collect::<Vec<_>>())
    };
    assert_eq!(set("lr", "1e-2"), (Some("0.01".into()), vec![]));
    assert_eq!(set("data", "../shared"), (Some("\"../shared\"".into()), vec![]));
    assert_eq!(set("hidden", "0").1, ["gsl::param::override"]);
    assert_eq!(set("hidden", "x y").1, ["gsl::param::override"]);
    assert_eq!(set("hiden", "3").1, ["gsl::param::override"]);
}

#[test]
fn the_standard_library_has_no_mistakes() {
    for (name, _, text) in gsl_compiler::sema::library::STD {
        let (_, found) = gsl_compiler::check(text, name, &TestWorld::new(), SET);
        assert!(found.is_empty(), "{}", render(&found, name, text, false));
    }
}

/// The example of a page marked `mark`.
fn example<'p>(page: &'p str, mark: &str) -> Option<&'p str> {
    let start = page.find(&format!("```gsl {mark}\n"))?;
    let text = &page[start..];
    let text = &text[text.find('\n')? + 1..];
    Some(&text[..text.find("```")?])
}

/// Codes of the areas that the checker of this file reports.
fn is_ours(code: &str) -> bool {
    let areas = ["names", "args", "param", "schema", "leak", "model", "experiment", "not_yet"];
    areas.iter().any(|area| code.starts_with(&format!("gsl::{area}::")))
}

#[test]
fn pages_fail_with_exactly_their_code() {
    let mut wrong = Vec::new();
    for code in gsl_compiler::diag::codes::ALL.iter().filter(|c| is_ours(c.as_str())) {
        let Some(page) = code.page() else {
            wrong.push(format!("{code} has no page"));
            continue;
        };
        if let Some(fails) = example(page, "fails") {
            let found = front_end(fails, Path::new(""));
            let codes: Vec<&str> = found.iter().map(|d| d.code.as_str()).collect();
            if codes != [code.as_str()] {
                wrong.push(format!(
                    "{code}: the example gives\n{}",
                    render(&found, code.as_str(), fails, false)
                ));
            }
        }
        let works = example(page, "works").unwrap_or_default();
        let found = front_end(works, Path::new(""));
        if works.is_empty() || !found.is_empty() {
            wrong.push(format!("{code} does not work:\n{}", render(&found, code.as_str(), works, false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Codes without a failing example in a file: what the command line or the data gets wrong.
#[test]
fn few_codes_have_no_failing_example() {
    let ours = gsl_compiler::diag::codes::ALL.iter().filter(|c| is_ours(c.as_str()));
    let without: Vec<&str> = ours
        .filter(|c| c.page().is_some_and(|page| example(page, "fails").is_none()))
        .map(|c| c.as_str())
        .collect();
    assert_eq!(without, ["gsl::param::override", "gsl::schema::unreadable", "gsl::experiment::data"]);
}

/// Checking never panics: every line of the good files left out once, and every few words.
#[test]
fn damaged_files_are_checked_too() {
    for path in gsl_files(&folder("good")) {
        let source = read(&path);
        let lines: Vec<&str> = source.lines().collect();
        for left_out in 0..lines.len() {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, l)| *l).collect();
            checked(&rest.join("\n"));
        }
        let words: Vec<&str> = source.split_inclusive([' ', '\n', '(', ')', ',']).collect();
        for left_out in (0..words.len()).step_by(7) {
            let rest: Vec<&str> =
                words.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, w)| *w).collect();
            checked(&rest.concat());
        }
    }
}

/// The file of a page.
fn page_file(code: &str) -> std::path::PathBuf {
    let name = code.trim_start_matches("gsl::").replace("::", "/");
    folder("../../docs/errors").join(name).with_extension("md")
}

#[test]
fn pages_are_laid_out_as_the_formatter_does() {
    let mut differing = Vec::new();
    for code in gsl_compiler::diag::codes::ALL.iter().filter(|c| is_ours(c.as_str())) {
        let page = code.page().unwrap_or_default();
        let mut laid_out = page.to_owned();
        for mark in ["fails", "works"] {
            let Some(found) = example(page, mark) else { continue };
            laid_out = laid_out.replace(found, &gsl_compiler::syntax::format(found).unwrap_or_default());
        }
        differing.extend(support::compare(&page_file(code.as_str()), &laid_out));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

#[test]
fn layers_of_other_files_are_checked_there() {
    let source = "use Mine from \"m.gsl\"\nlayer Two(out: dim) = Mine(out) >> Mine(out)\n";
    let module = "layer Mine(out: dim) {\n    weight W : in x out\n    h'[v] = sum[u -> v] h[u] @ V\n}\n";
    let world = TestWorld::new().module("m.gsl", module);
    let (_, found) = gsl_compiler::check(source, "test.gsl", &world, SET);
    let errors: Vec<_> = found.iter().filter(|d| d.is_error()).collect();
    assert_eq!(errors.len(), 1, "{}", render(&found, "test.gsl", source, false));
    assert_eq!(errors[0].code.as_str(), "gsl::layer::unknown_name");
    assert_eq!(errors[0].file.as_ref().map(|f| f.name.as_str()), Some("m.gsl"));
}

#[test]
fn a_failing_override_is_one_mistake() {
    let source = "\
param ws : dim = 8
graph debian {
    node package from \"data/packages.parquet\" {
        key     name
        feature size = installed_size
        label   section : class
        split   section = random(train: 80%, valid: 10%, test: 10%)
    }
}
experiment one on debian {
    encode package = size |> linear(ws)
    predict package.section
}
";
    let overrides = [("ws".to_owned(), "0".to_owned())];
    let (_, found) = gsl_compiler::check(source, "test.gsl", &TestWorld::debian(), &overrides);
    let codes: Vec<&str> = found.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["gsl::param::override"], "{}", render(&found, "test.gsl", source, false));
}

#[test]
fn stated_formats_reach_the_plan() {
    use gsl_plan::graph::{CellKind, Cells, Format, Source};
    let (checked, found) = checked(&read(&folder("good").join("sources.gsl")));
    assert!(found.is_empty());
    let plan = &checked.graphs[0].plan;
    let csv = Format::Csv { separator: ';', quote: Some('\''), header: true };
    let paths = |paths: &[&str]| paths.iter().map(|path| path.to_string()).collect();
    let kinds = vec![("y".to_owned(), CellKind::Float), ("id".to_owned(), CellKind::Text)];
    let cells = Cells { kinds, missing: vec!["-".to_owned()] };
    let expected = [
        Source { paths: paths(&["a.txt", "b.txt"]), format: Some(csv), cells: Cells::default() },
        Source { paths: paths(&["more.log"]), format: Some(Format::JsonLines), cells },
    ];
    assert_eq!(plan.nodes[0].sources, expected);
    let edges = [
        Format::Hdf5 { group: Some("edges".into()) },
        Format::Csv { separator: '\t', quote: Some('"'), header: true },
    ];
    let formats: Vec<Option<Format>> = plan.edges.iter().map(|edge| edge.source.format.clone()).collect();
    assert_eq!(formats, edges.map(Some));
}

#[test]
fn a_program_that_registers_nothing_says_so() {
    let source = "module Mine = rust(\"mine\")\n";
    let (_, found) = gsl_compiler::check(source, "test.gsl", &TestWorld::new(), SET);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(only.code.as_str(), "gsl::names::rust");
    assert_eq!(only.message, "no module `mine` is registered in this program");
    assert!(only.help.as_deref().is_some_and(|help| help.contains("docs/rust.md")), "{only:?}");
}

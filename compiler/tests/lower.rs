//! From checked experiments and invented facts to plans: every program verifies, stages fit together, names are stable.

mod support;

use gsl_compiler::LowerOptions;
use gsl_compiler::diag::render;
use gsl_compiler::sema::Checked;
use gsl_compiler::world::TestWorld;
use gsl_plan::graph::*;
use gsl_plan::plan::{ParamKind, Plan};
use gsl_plan::program::{Domain, Op, Program, Role};
use gsl_plan::verify::verify;

use support::{folder, gsl_files, read};

/// Facts of a graph that was never built.
fn facts(plan: &GraphPlan) -> GraphFacts {
    let feature = |f: &Feature| {
        let width = if f.name == "again" { 1 } else { 3 };
        FeatureFacts { name: f.name.clone(), width, ..FeatureFacts::default() }
    };
    let label = |l: &Label| {
        let classes = match l.kind {
            LabelKind::Class if l.name == "essential" => vec!["false".to_owned(), "true".to_owned()],
            LabelKind::Class | LabelKind::Classes => vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            LabelKind::Float => Vec::new(),
        };
        LabelFacts {
            name: l.name.clone(),
            train_counts: classes.iter().map(|_| 20).collect(),
            classes,
            parts: [0, 60, 20, 20],
            mean: 2.0,
            std: 0.5,
        }
    };
    let nodes = plan.nodes.iter().map(|n| NodeFacts {
        name: n.name.clone(),
        count: 100,
        features: n.features.iter().map(feature).collect(),
        labels: n.labels.iter().map(label).collect(),
        ..NodeFacts::default()
    });
    let mut facts = GraphFacts { nodes: nodes.collect(), relations: Vec::new() };
    for (i, edge) in plan.edges.iter().enumerate() {
        let names = match &edge.relation {
            Relation::Named(name) => vec![(name.clone(), edge.reverse.clone())],
            Relation::Column(_) => {
                let opposite = |x: &str| edge.reverse.as_ref().map(|r| format!("{r}.{x}"));
                ["x", "y"].map(|x| (x.to_owned(), opposite(x))).to_vec()
            }
        };
        for (name, reverse) in names {
            let features: Vec<FeatureFacts> = edge.features.iter().map(feature).collect();
            let forward = facts.relations.len();
            let relation = |name, src, dst, reverse_of| RelationFacts {
                name,
                src,
                dst,
                edges: 300,
                reverse_of,
                declared_by: i,
                features: features.clone(),
                labels: edge.labels.iter().map(label).collect(),
                ..RelationFacts::default()
            };
            facts.relations.push(relation(name, edge.src, edge.dst, None));
            facts.relations.extend(reverse.map(|r| relation(r, edge.dst, edge.src, Some(forward))));
        }
    }
    facts
}

fn checked(source: &str) -> Checked {
    let world = TestWorld::debian().with_tables_of(source);
    let (checked, found) = gsl_compiler::check(source, "test.gsl", &world, &[]);
    assert!(found.is_empty(), "{}", render(&found, "test.gsl", source, false));
    checked
}

fn plan(checked: &Checked, name: &str) -> Plan {
    let experiment = checked.experiment(name).unwrap_or_else(|| panic!("no experiment {name}"));
    let facts = facts(&experiment.graph_plan(checked.graph_of(experiment)));
    match gsl_compiler::lower(checked, experiment, &facts, &LowerOptions::default()) {
        Ok(lowered) => lowered.plan,
        Err(wrong) => panic!("{name}: {}", render(&wrong, "test.gsl", "", false)),
    }
}

fn good(file: &str) -> Checked {
    checked(&read(&folder("good").join(file)))
}

/// What is said of an experiment once its graph is built: 100 nodes of each type, three classes of each label.
fn refused(source: &str) -> String {
    let checked = checked(source);
    let experiment = &checked.experiments[0];
    let facts = facts(&experiment.graph_plan(checked.graph_of(experiment)));
    match gsl_compiler::lower(&checked, experiment, &facts, &LowerOptions::default()) {
        Ok(_) => panic!("this was to be refused"),
        Err(wrong) => render(&wrong, "test.gsl", source, false),
    }
}

#[test]
fn metrics_that_are_always_1_are_refused_once_the_data_are_known() {
    let graph = "graph g {
        node package from \"data/packages.parquet\" {
            key   name
            label section : class
            split section = random(train: 60%, valid: 20%, test: 20%)
        }
        edge package -depends-> package from \"data/depends.parquet\" (package, target)
    }\n";
    let with = |predict: &str| {
        format!("{graph}experiment e on g {{ encode package = embedding(7)\n predict {predict} }}")
    };
    let said = refused(&with("package.section { metrics = recall_at(3) }"));
    assert!(
        said.contains("gsl::experiment::data") && said.contains("`recall_at(k: 3)` is 1 whatever"),
        "{said}"
    );
    let said = refused(&with("package.section { metrics = ndcg(4) }"));
    assert!(said.contains("`ndcg(k: 4)` is of more ranks than there are classes"), "{said}");
    let link = |evaluate: &str| with(&format!("link package -depends-> package {{ evaluate = {evaluate} }}"));
    let said = refused(&link("mrr, hits(10, 100) against all"));
    assert!(said.contains("gsl::experiment::data") && said.contains("`hits(100)` is 1 whatever"), "{said}");
    for good in [with("package.section { metrics = recall_at(2), ndcg(3) }"), link("hits(99) against all")] {
        plan(&checked(&good), "e");
    }
}

#[test]
fn every_good_experiment_has_a_plan() {
    for path in gsl_files(&folder("good")) {
        let checked = checked(&read(&path));
        for experiment in &checked.experiments {
            let plan = plan(&checked, &experiment.name);
            let signature = plan.signature();
            let programs = std::iter::once(&plan.train).chain(plan.infer.iter().map(|s| &s.exec));
            for exec in programs {
                verify(&exec.forward, &signature).unwrap();
                verify(&exec.program, &signature).unwrap();
            }
            assert_eq!(plan.train.hops.len(), plan.sampler.fanouts.len(), "{}", experiment.name);
            let json = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        }
    }
}

#[test]
fn each_stage_reads_what_the_one_before_it_wrote() {
    for (file, name) in [("sections.gsl", "sections"), ("sections.gsl", "deep"), ("everything.gsl", "venues")]
    {
        let plan = plan(&good(file), name);
        assert_eq!(plan.infer.len(), plan.sampler.fanouts.len() + 2);
        for pair in plan.infer.windows(2) {
            let written: Vec<u32> = pair[0].types.iter().map(|(ty, _)| *ty).collect();
            assert_eq!(written, pair[1].reads, "{} → {}", pair[0].name, pair[1].name);
            for value in pair[1].exec.forward.values.iter().filter(|v| v.op == Op::Hidden) {
                let Domain::Nodes { ty, .. } = value.domain else { panic!("hidden rows are on nodes") };
                assert!(pair[0].types.contains(&(ty, value.width())));
            }
            assert!(pair[1].exec.hops.len() <= 1);
        }
        let last = plan.infer.last().unwrap();
        assert!(last.exec.forward.outputs.iter().any(|o| o.role == Role::Scores(0)));
    }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.params.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn parameters_are_named_after_their_place() {
    let checked = good("sections.gsl");
    let sections = plan(&checked, "sections");
    let expected = [
        "encode.maintainer.embedding",
        "encode.package.linear.W",
        "encode.package.linear.b",
        "gnn.1.S",
        "gnn.1.W[depends]",
        "gnn.1.W[keeps]",
        "gnn.1.W[kept_by]",
        "gnn.1.W[needed_by]",
        "gnn.1.b",
        "gnn.2.S",
        "gnn.2.W[depends]",
        "gnn.2.W[keeps]",
        "gnn.2.W[needed_by]",
        "gnn.2.b",
        "predict.package.section.W",
        "predict.package.section.b",
    ];
    let mut found = names(&sections);
    found.sort_unstable();
    assert_eq!(found, expected);
    let table = sections.params.iter().find(|p| p.name == "encode.maintainer.embedding").unwrap();
    assert_eq!((table.kind, table.shape.as_slice()), (ParamKind::Table { ty: 1 }, &[100, 128][..]));
    let columns = plan(&checked, "columns");
    assert!(names(&columns).iter().all(|n| !n.starts_with("gnn") && !n.contains("maintainer")));
}

fn dropouts(program: &Program) -> Vec<u32> {
    let sites = program.values.iter().filter_map(|v| match v.op {
        Op::Dropout { site, .. } => Some(site),
        _ => None,
    });
    sites.collect()
}

#[test]
fn dropout_is_for_training_and_every_site_is_its_own() {
    let plan = plan(&good("sections.gsl"), "sections");
    let mut sites = dropouts(&plan.train.forward);
    let count = sites.len();
    sites.sort_unstable();
    sites.dedup();
    assert!(count > 0 && sites.len() == count, "{sites:?}");
    assert!(plan.infer.iter().all(|s| dropouts(&s.exec.forward).is_empty()));
}

#[test]
fn a_number_is_predicted_standardised() {
    let plan = plan(&good("everything.gsl"), "venues");
    let program = &plan.train.forward;
    let shape = |i| {
        let found = program.outputs.iter().find(|o| o.role == Role::Scores(i)).unwrap();
        program.values[found.value.index()].shape.clone()
    };
    assert_eq!((shape(0), shape(1)), (vec![3], vec![]));
    let constants: Vec<f32> = program
        .values
        .iter()
        .filter_map(|v| match v.op {
            Op::Const(x) => Some(x),
            _ => None,
        })
        .collect();
    assert!(
        constants.contains(&2.0),
        "the mean, the reciprocal of the deviation or the delta: {constants:?}"
    );
    assert!(constants.contains(&0.5), "the weight");
}

#[test]
fn what_only_the_data_knows_is_said_at_lowering() {
    let checked = good("sections.gsl");
    let experiment = checked.experiment("sections").unwrap();
    let graph = &checked.graph_of(experiment).plan;
    let said = |change: &dyn Fn(&mut GraphFacts)| {
        let mut facts = facts(graph);
        change(&mut facts);
        let result = gsl_compiler::plan(&checked, experiment, &facts);
        result.map_err(|wrong| wrong.iter().map(|d| d.message.clone()).collect::<Vec<_>>())
    };
    assert!(said(&|_| {}).is_ok());
    let no_rows = said(&|f| f.nodes[0].labels[0].parts[1] = 0).unwrap_err();
    assert_eq!(no_rows, ["`package.section` has no rows to train on"]);
    let one_class = said(&|f| f.nodes[0].labels[0].classes.truncate(1)).unwrap_err();
    assert_eq!(one_class, ["`package.section` has 1 class, and there is nothing to tell apart"]);
    let no_valid = said(&|f| f.nodes[0].labels[0].parts[2] = 0).unwrap_err();
    assert_eq!(no_valid, ["`stop` watches `package.section`, which has no validation rows"]);
}

#[test]
fn defaults_that_watch_validation_go_where_there_is_none() {
    let checked = good("sections.gsl");
    let experiment = checked.experiment("quick").unwrap();
    let mut facts = facts(&checked.graph_of(experiment).plan);
    facts.nodes[0].labels[0].parts[2] = 0;
    let plan = gsl_compiler::plan(&checked, experiment, &facts).unwrap();
    assert_eq!((plan.trainer.stop, plan.trainer.best), (None, None));
}

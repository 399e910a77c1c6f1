//! What an experiment writes: every result in every format, by `gsc run` and again by `gsc infer`.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use support::Folder;

const USERS: usize = 12;
const MOVIES: usize = 9;

const GRAPH: &str = r#"
graph films {
    node user   from "users.csv"   { key id; feature age  = standardize(age) }
    node movie  from "movies.csv"  { key title; feature year = standardize(year) }
    node studio from "studios.csv" { key name; feature size = standardize(size) }
    edge user -rates-> movie from "rates.csv" (who, what) {
        reverse rated_by
        label liked : class = liked
        split liked = random(train: 60%, valid: 20%, test: 20%)
    }
    edge studio -made-> movie from "made.csv" (studio, movie)
}
"#;

const LABELS: &str = r#"
experiment likes on films {
    predict (user -rates-> movie).liked
    epochs = 2
    write predictions of (user -rates-> movie).liked, embeddings of studio to "likes" as csv
    write scores of (user -rates-> movie) from "pairs.csv" (a, b) to "likes" as csv
    write predictions of (user -rates-> movie), embeddings to "likes"
    write embeddings of user, predictions to "likes" as npy
}
"#;

const LINKS: &str = r#"
experiment links on films {
    predict link user -rates-> movie {
        decode = distmult
    }
    epochs = 2
    write links(3) of (user -rates-> movie), relations of link user -rates-> movie to "links" as csv
    write links(3, known: keep) of (user -rates-> movie) to "kept" as csv
    write scores of (user -rates-> movie) from "pairs.csv" (a, b) to "links" as csv
}
"#;

const FAMILY: &str = r#"
graph facts {
    node thing from edges
    edge thing -[rel]-> thing from "facts.csv" (a, b) { reverse inv }
}

experiment complete on facts {
    gnn = none
    encode thing = embedding(8)
    predict link thing -[rel]-> thing {
        decode = distmult
    }
    epochs = 2
    write links(2) of (thing -[rel]-> thing), relations to "facts" as csv
    write scores of (thing -[rel]-> thing) from "asked.csv" (x, y, z) to "facts" as csv
    write links(2) of (thing -`/is/fond of`-> thing), links(2) of (thing -knows-> thing) to "one" as csv
    write scores of (thing -knows-> thing) from "asked.csv" (x, y) to "one" as csv
}
"#;

const MANY: &str = r#"
graph films {
    node user  from "users.csv"  { key id }
    node movie from "movies.csv" { key id }
    edge user -rates-> movie from "rates.csv" (who, what) {
        label liked : class = liked
        split liked = random(train: 10%, valid: 10%, test: 10%)
    }
}

experiment likes on films {
    encode user  = embedding(4)
    encode movie = embedding(4)
    gnn = none
    predict (user -rates-> movie).liked
    epochs = 1
    write predictions of (user -rates-> movie).liked to "out" as csv
    write predictions of (user -rates-> movie).liked to "out" as npy
    write scores of (user -rates-> movie) from "pairs.csv" (a, b) to "out" as csv
}
"#;

#[test]
fn edges_have_predictions_by_the_keys_of_both_ends() {
    let folder = films(LABELS);
    folder.gsc(&["run", "films.gsl"]).ok();
    let edges = table(&folder.read("likes/user-rates-movie.liked.csv"));
    assert!(edges[0].starts_with(&[
        "who".into(),
        "what".into(),
        "row".into(),
        "part".into(),
        "prediction".into()
    ]));
    assert_eq!(edges.len() - 1, rated().len());
    for row in &edges[1..] {
        let (user, movie) = rated()[row[2].parse::<usize>().expect("a row number")];
        assert_eq!(
            (row[0].as_str(), row[1].as_str()),
            (format!("{user}").as_str(), format!("m{movie}").as_str())
        );
        assert!(["train", "valid", "test"].contains(&row[3].as_str()));
        assert!(["no", "yes"].contains(&row[4].as_str()));
    }
    let parquet = folder.at("likes/user-rates-movie.liked.parquet");
    assert!(parquet.is_file());
    assert!(folder.at("likes/user-rates-movie.liked.npy").is_file());
    assert!(folder.at("likes/user-rates-movie.liked.ids.csv").is_file());
}

/// More edges than are predicted and written at once.
#[test]
fn many_edges_are_written_in_batches() {
    let folder = Folder::new();
    let (users, movies) = (170, 120);
    let numbers = |count: usize| (0..count).fold(String::from("id\n"), |text, id| text + &format!("{id}\n"));
    let (mut rates, mut pairs) = (String::from("who,what,liked\n"), String::from("a,b\n"));
    for (user, movie) in (0..users).flat_map(|user| (0..movies).map(move |movie| (user, movie))) {
        let _ = writeln!(rates, "{user},{movie},{}", (user * 3 + movie) % 2);
        let _ = writeln!(pairs, "{user},{movie}");
    }
    folder.write("users.csv", numbers(users)).write("movies.csv", numbers(movies));
    folder.write("rates.csv", rates).write("pairs.csv", pairs).write("many.gsl", MANY);
    folder.gsc(&["run", "many.gsl"]).ok();
    let edges = table(&folder.read("out/user-rates-movie.liked.csv"));
    assert_eq!(edges.len() - 1, users * movies);
    let ends = |row: &[String]| [1, 0].map(|at: usize| row[at].parse::<usize>().expect("a key"));
    assert!(edges[1..].is_sorted_by_key(|row| ends(row)), "by destination and source");
    let given = table(&folder.read("out/user-rates-movie.scores.csv"));
    let all: BTreeMap<_, _> = given[1..].iter().map(|row| (ends(row), &row[2..])).collect();
    assert!(edges[1..].iter().all(|row| all[&ends(row)] == &row[4..]));
    let matrix = std::fs::metadata(folder.at("out/user-rates-movie.liked.npy")).expect("a matrix").len();
    assert_eq!(matrix as usize, 128 + users * movies * 2 * 4);
    let ids = folder.read("out/user-rates-movie.liked.ids.csv");
    assert_eq!(ids.lines().count() - 1, users * movies);
}

#[test]
fn pairs_of_a_table_are_predicted_like_edges() {
    let folder = films(LABELS);
    folder.gsc(&["run", "films.gsl"]).ok();
    let of_edges = table(&folder.read("likes/user-rates-movie.liked.csv"));
    let given = table(&folder.read("likes/user-rates-movie.scores.csv"));
    assert_eq!(given.len() - 1, USERS * MOVIES);
    let all: BTreeMap<_, _> = given[1..].iter().map(|row| ((&row[0], &row[1]), &row[2..])).collect();
    for row in &of_edges[1..] {
        assert_eq!(all[&(&row[0], &row[1])], &row[4..]);
    }
}

#[test]
fn embeddings_are_written_of_types_that_are_not_predicted() {
    let folder = films(LABELS);
    folder.gsc(&["run", "films.gsl"]).ok();
    let studios = table(&folder.read("likes/studio.embeddings.csv"));
    assert_eq!(studios[0][..2], ["name".to_owned(), "embedding".to_owned()]);
    assert_eq!(studios.len() - 1, 3);
    for name in ["user.embeddings.parquet", "movie.embeddings.parquet"] {
        assert!(folder.at("likes").join(name).is_file());
    }
    let matrix = std::fs::read(folder.at("likes/user.embeddings.npy")).expect("a matrix");
    assert!(String::from_utf8_lossy(&matrix[..128]).contains(&format!("'shape': ({USERS}, ")));
    let ids = table(&folder.read("likes/user.embeddings.ids.csv"));
    assert_eq!(
        ids[1..].iter().map(|row| row[0].parse::<usize>().expect("an id")).collect::<Vec<_>>(),
        (0..USERS).collect::<Vec<_>>()
    );
}

#[test]
fn links_are_the_best_of_all_pairs() {
    let folder = films(LINKS);
    folder.gsc(&["run", "films.gsl"]).ok();
    let scores = table(&folder.read("links/user-rates-movie.scores.csv"));
    assert_eq!(scores[0], ["who", "what", "score"]);
    let known: BTreeSet<(String, String)> =
        rated().into_iter().map(|(user, movie)| (user.to_string(), format!("m{movie}"))).collect();
    let new = |row: &Vec<String>| !known.contains(&(row[0].clone(), row[1].clone()));
    assert_eq!(best(&scores[1..], 3, new), best_written(&folder.read("links/user-rates-movie.links.csv")));
    assert_eq!(
        best(&scores[1..], 3, |_| true),
        best_written(&folder.read("kept/user-rates-movie.links.csv"))
    );
    let relations = table(&folder.read("links/user-rates-movie.relations.R.csv"));
    assert_eq!((relations.len(), relations[1][0].as_str()), (2, "rates"));
}

#[test]
fn what_is_written_is_written_again() {
    for experiment in [LABELS, LINKS] {
        let folder = films(experiment);
        folder.gsc(&["run", "films.gsl"]).ok();
        let folders = || ["likes", "links", "kept"].map(|name| files(&folder, name));
        let before = folders();
        for name in ["likes", "links", "kept"] {
            let _ = std::fs::remove_dir_all(folder.at(name));
        }
        folder.gsc(&["infer", "films.gsl"]).ok();
        assert!(before == folders(), "inference writes the same files");
    }
}

/// Edges with a label whose links are predicted too: both have scores, and each can be named.
#[test]
fn scores_of_links_and_of_labels_are_told_apart() {
    let both = |of: &str| {
        format!(
            "
experiment both on films {{
    predict (user -rates-> movie).liked
    predict link user -rates-> movie
    epochs = 1
    write scores of {of} from \"pairs.csv\" (a, b) to \"scores\" as csv
}}"
        )
    };
    let columns = |of: &str| {
        let folder = films(&both(of));
        folder.gsc(&["run", "films.gsl", "--quiet"]).ok();
        let written = files(&folder, "scores");
        let text = String::from_utf8(written.values().next().expect("a table").clone()).expect("CSV");
        text.lines().next().expect("a header").to_owned()
    };
    let (link, label) = (columns("link user -rates-> movie"), columns("(user -rates-> movie).liked"));
    assert!(link.ends_with(",score") && label != link, "{link} {label}");
    let ran = films(&both("(user -rates-> movie)")).gsc(&["check", "films.gsl"]);
    assert!(ran.code != 0 && ran.err.contains("several predictions have scores"), "{}", ran.err);
}

#[test]
fn families_have_links_and_rows_of_each_relation() {
    let folder = facts("x,y,z\nt0,t1,knows\nt3,t3,/is/fond of\n", FAMILY);
    folder.gsc(&["run", "facts.gsl"]).ok();
    let relations = table(&folder.read("facts/thing-rel-thing.relations.R.csv"));
    let names: Vec<_> = relations[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["/is/fond of", "knows"]);
    let links = table(&folder.read("facts/thing-rel-thing.links.csv"));
    assert_eq!(links[0], ["a", "b", "rel", "rank", "score"]);
    assert!(links[1..].iter().all(|row| row[0] != row[1]), "no node is linked to itself");
    let scores = table(&folder.read("facts/thing-rel-thing.scores.csv"));
    assert_eq!(scores[1][..3], ["t0", "t1", "knows"]);
    assert_eq!(scores.len(), 3);
}

#[test]
fn one_relation_of_a_family_has_links_and_scores() {
    let folder = facts("x,y,z\nt0,t1,knows\nt3,t3,/is/fond of\n", FAMILY);
    folder.gsc(&["run", "facts.gsl"]).ok();
    let all = table(&folder.read("facts/thing-rel-thing.links.csv"));
    for (file, relation) in [("thing-is_fond_of-thing", "/is/fond of"), ("thing-knows-thing", "knows")] {
        let one = table(&folder.read(&format!("one/{file}.links.csv")));
        let of_all = all.iter().filter(|row| row[2] == relation || row[2] == "rel");
        assert!(one.len() > 7, "{one:?}");
        assert_eq!(one, of_all.cloned().collect::<Vec<_>>());
    }
    let scores = table(&folder.read("one/thing-knows-thing.scores.csv"));
    let of_all = table(&folder.read("facts/thing-rel-thing.scores.csv"));
    assert_eq!(scores[..2], of_all[..2]);
    assert_eq!(scores[2][..3], ["t3", "t3", "knows"]);
}

#[test]
fn families_are_explained_and_inspected_in_a_line() {
    let folder = facts("x,y,z\nt0,t1,knows\n", FAMILY);
    let text = folder.gsc(&["explain", "facts.gsl"]).ok().out;
    let line =
        |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
    let trains = line("trains");
    assert!(trains.contains(" edges of link thing -[rel]-> thing in 1 step an epoch, 2 epochs"), "{text}");
    assert!(
        line("time").contains("an epoch and") && line("memory").contains("of buffers in a step"),
        "{text}"
    );
    for file in [
        "facts/thing-rel-thing.links.csv: at most 28 rows",
        "one/thing-knows-thing.links.csv: at most 14 rows",
    ] {
        assert!(text.contains(&format!("writes   {file}\n")), "{text}");
    }
    assert!(line("edge thing -[rel]-> thing").contains("2 relations of 10 · 10 · 10 edges"), "{text}");
    assert!(!text.contains("edge thing -knows-> thing"));
    assert!(folder.gsc(&["explain", "facts.gsl", "--all"]).ok().out.contains("edge thing -knows-> thing"));

    let text = folder.gsc(&["inspect", "facts.gsl"]).ok().out;
    assert!(
        text.contains("thing -[rel]-> thing") && text.contains("thing -reverses of [rel]-> thing"),
        "{text}"
    );
    assert!(text.contains("2 relations of 10 · 10 · 10 edges") && !text.contains("knows"), "{text}");
    assert!(text.contains("7 nodes, 20 edges (reverses not counted)"), "{text}");
    let all = folder.gsc(&["inspect", "facts.gsl", "--all"]).ok().out;
    assert!(all.contains("thing -knows-> thing") && all.contains("knows into thing"), "{all}");
    folder.gsc(&["run", "facts.gsl", "--quiet"]).ok();
    let text = folder.gsc(&["explain", "facts.gsl"]).ok().out;
    assert!(text.contains("; the last run took "), "{text}");
}

#[test]
fn a_relation_that_the_family_does_not_have_is_refused_before_training() {
    let folder =
        facts("x,y,z\nt0,t1,knows\n", &FAMILY.replace("thing -knows-> thing", "thing -nows-> thing"));
    let ran = folder.gsc(&["run", "facts.gsl"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`link thing -[rel]-> thing` has no relation `nows`"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `knows`?"), "{}", ran.err);
    let reverse = FAMILY.replace("thing -knows-> thing", "thing -`inv_knows`-> thing");
    let ran = facts("x,y,z\nt0,t1,knows\n", &reverse).gsc(&["run", "facts.gsl"]);
    assert!(ran.err.contains("it is the reverse of `knows`"), "{}", ran.err);
}

/// A family of two relations among seven things.
fn facts(asked: &str, file: &str) -> Folder {
    let folder = Folder::new();
    let mut facts = String::from("a,rel,b\n");
    for i in 0..20 {
        let _ = writeln!(facts, "t{},{},t{}", i % 7, ["/is/fond of", "knows"][i % 2], (i * 3 + 1) % 7);
    }
    folder.write("facts.csv", facts).write("asked.csv", asked).write("facts.gsl", file);
    folder
}

#[test]
fn inference_with_another_model_says_what_differs() {
    let folder = films(LINKS);
    folder.gsc(&["run", "films.gsl"]).ok();
    let changed = LINKS.replace("    epochs = 2\n", "    epochs = 3\n    encode user = embedding(128)\n");
    folder.write("films.gsl", format!("{GRAPH}{changed}"));
    for _ in 0..2 {
        let ran = folder.gsc(&["infer", "films.gsl"]);
        assert_eq!(ran.code, 1);
        assert!(!ran.err.contains("--resume"), "{}", ran.err);
        assert!(ran.err.contains("train again: gsc train films.gsl"), "{}", ran.err);
        for part in ["`epochs`", "is new", "is gone"] {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
    }
}

#[test]
fn metrics_come_in_the_order_of_the_file() {
    let folder = films(LINKS);
    let ran = folder.gsc(&["run", "films.gsl"]).ok();
    let is_in_order = |text: &str| {
        let places = ["mrr", "hits_1", "hits_3", "hits_10"].map(|name| {
            [format!("{name} "), format!("\"{name}\":"), format!("</b> {name}")]
                .iter()
                .find_map(|shown| text.find(shown.as_str()))
                .unwrap_or_else(|| panic!("no {name} in {text}"))
        });
        places.is_sorted()
    };
    assert!(is_in_order(&ran.out), "{}", ran.out);
    assert!(ran.out.contains(" ranks of links)\n"), "{}", ran.out);
    let line = ran.err.lines().find(|line| line.contains("valid link")).expect("an evaluation");
    assert!(is_in_order(line), "{line}");
    let events = folder.read("out/links/events.jsonl");
    for event in ["evaluated", "tested"] {
        let start = format!("{{\"event\":\"{event}\"");
        let line = events.lines().find(|line| line.starts_with(&start)).expect("an event");
        assert!(is_in_order(line), "{line}");
    }
    let report = folder.read("out/links/report.html");
    assert!(is_in_order(&report[report.find("<h2>Test").expect("a test")..]));
    assert!(report.contains(" ranks of links of the test part."));
}

#[test]
fn pairs_that_name_no_node_are_refused() {
    let folder = films(LINKS);
    folder.write("pairs.csv", "a,b\n3,m1\n99,m1\n");
    let ran = folder.gsc(&["run", "films.gsl"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("row 2: `a` is `99`, which is no `user`"), "{}", ran.err);
    assert!(!ran.err.contains("epoch"), "nothing is trained before: {}", ran.err);
    assert!(!folder.at("out/links/checkpoints").exists());
    let folder = facts("x,y,z\nt0,t1,nows\n", FAMILY);
    let ran = folder.gsc(&["run", "facts.gsl"]);
    assert!(ran.err.contains("row 1: `z` is `nows`, which is no relation of this family"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `knows`?") && !ran.err.contains("epoch"), "{}", ran.err);
    assert!(!folder.at("links/user-rates-movie.scores.csv").exists());
}

fn films(experiment: &str) -> Folder {
    let folder = Folder::new();
    let (mut users, mut movies) = (String::from("id,age\n"), String::from("title,year\n"));
    let mut pairs = String::from("a,b\n");
    for user in 0..USERS {
        let _ = writeln!(users, "{user},{}", 20 + user * 7 % 31);
        for movie in 0..MOVIES {
            let _ = writeln!(pairs, "{user},m{movie}");
        }
    }
    let mut made = String::from("studio,movie\n");
    for movie in 0..MOVIES {
        let _ = writeln!(movies, "m{movie},{}", 1990 + movie * 5 % 23);
        let _ = writeln!(made, "s{},m{movie}", movie % 3);
    }
    let mut rates = String::from("who,what,liked\n");
    for (user, movie) in rated() {
        let _ = writeln!(rates, "{user},m{movie},{}", if (user + movie) % 3 == 0 { "yes" } else { "no" });
    }
    folder.write("users.csv", users).write("movies.csv", movies).write("made.csv", made);
    folder.write("studios.csv", "name,size\ns0,1\ns1,5\ns2,9\n").write("rates.csv", rates);
    folder.write("pairs.csv", pairs).write("films.gsl", format!("{GRAPH}{experiment}"));
    folder
}

/// Users and the movies that they have rated.
fn rated() -> Vec<(usize, usize)> {
    let all = (0..USERS).flat_map(|user| (0..MOVIES).map(move |movie| (user, movie)));
    all.filter(|(user, movie)| (user * 5 + movie * 7) % 4 < 2).collect()
}

/// Rows of cells, the header first; lists in quotes stay one cell.
fn table(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let mut quoted = false;
        let cut = |c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        };
        line.split(cut).map(str::to_owned).collect()
    };
    text.lines().map(cells).collect()
}

/// By user, the movies of the best scores in their order.
fn best(
    scores: &[Vec<String>],
    most: usize,
    counts: impl Fn(&Vec<String>) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<(f32, String)>> = BTreeMap::new();
    for row in scores.iter().filter(|row| counts(row)) {
        found.entry(row[0].clone()).or_default().push((row[2].parse().expect("a score"), row[1].clone()));
    }
    let ranked = |mut all: Vec<(f32, String)>| {
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.into_iter().take(most).map(|(_, movie)| movie).collect()
    };
    found.into_iter().map(|(user, all)| (user, ranked(all))).collect()
}

fn best_written(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rows = table(text);
    assert_eq!(rows[0], ["who", "what", "rank", "score"]);
    for row in &rows[1..] {
        let own = found.entry(row[0].clone()).or_default();
        own.push(row[1].clone());
        assert_eq!(row[2], own.len().to_string());
    }
    found
}

/// Names and contents of the files in a folder.
fn files(folder: &Folder, name: &str) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder.at(name)) else { return BTreeMap::new() };
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
    };
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

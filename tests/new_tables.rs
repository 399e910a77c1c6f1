//! `gsc infer` on tables that the model was not trained on: what was learned is applied, nothing is learned anew.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;

use support::Folder;
use support::shop::events;

const BOOKS: usize = 60;
const READERS: usize = 20;

const LIBRARY: &str = r#"
use std.layers.RGCN

param data : path = "march"

graph library {
    node book from data / "books.csv" {
        key     id
        feature pages    = pages |> fill(mean) |> standardize
        feature height   = bucket(height, quantiles: 4)
        feature language = one_hot(language)
        label   genre : class = genre
        label   stars : float = stars
        split   genre = random(train: 60%, valid: 20%, test: 20%)
        split   stars = column(fold)
    }
    node reader from edges
    edge reader -borrowed-> book from data / "loans.csv" (reader, book)
}

experiment genres on library {
    encode book   = features |> linear(8)
    encode reader = embedding(8)
    gnn           = RGCN(8, act: relu)
    predict book.genre
    predict book.stars
    epochs = 3
    write predictions of book, embeddings of reader to data / "out" as csv
}
"#;

const GENRES: [&str; 3] = ["crime", "poetry", "travel"];

/// A row of `books.csv`.
#[derive(Clone)]
struct Book {
    id: String,
    pages: String,
    height: usize,
    language: &'static str,
    genre: &'static str,
    stars: usize,
}

fn book(number: usize) -> Book {
    let pages = if number % 11 == 5 { String::new() } else { (80 + number * number % 353).to_string() };
    Book {
        id: format!("b{number:03}"),
        pages,
        height: 15 + number * 7 % 23,
        language: ["de", "en", "fi"][number % 5 % 3],
        genre: GENRES[(number + number / 7) % 3],
        stars: 1 + number * 3 % 5,
    }
}

fn books_csv(books: &[Book]) -> String {
    let mut text = String::from("id,pages,height,language,genre,stars,fold\n");
    for (row, book) in books.iter().enumerate() {
        let Book { id, pages, height, language, genre, stars } = book;
        let fold = ["train", "train", "valid", "test"][row % 4];
        let _ = writeln!(text, "{id},{pages},{height},{language},{genre},{stars},{fold}");
    }
    text
}

/// The readers of a book, by its number.
fn readers(number: usize) -> impl Iterator<Item = String> {
    (0..3).map(move |i| format!("r{:02}", (number * 5 + i * 7) % READERS))
}

fn loans_csv(numbers: impl Iterator<Item = usize>) -> String {
    let loans = numbers.flat_map(|number| readers(number).map(move |reader| (reader, book(number).id)));
    loans.fold(String::from("reader,book\n"), |text, (reader, book)| text + &format!("{reader},{book}\n"))
}

/// A folder in which the experiment has been trained on the tables in `march`.
fn trained() -> Folder {
    let folder = Folder::new();
    let books: Vec<Book> = (0..BOOKS).map(book).collect();
    folder
        .write("march/books.csv", books_csv(&books))
        .write("march/loans.csv", loans_csv(0..BOOKS))
        .write("library.gsl", LIBRARY);
    folder.gsc(&["run", "library.gsl"]).ok();
    folder
}

const INFER_APRIL: [&str; 4] = ["infer", "library.gsl", "--set", "data=april"];

/// Rows of a CSV file by the first of their cells, which has no quotes.
fn rows(text: &str) -> BTreeMap<String, String> {
    let cut = |line: &str| line.split_once(',').map(|(key, rest)| (key.to_owned(), rest.to_owned()));
    text.lines().skip(1).filter_map(cut).collect()
}

/// What is predicted of each book: all cells but the key and the part.
fn predictions(folder: &Folder, tables: &str, label: &str) -> BTreeMap<String, String> {
    let found = rows(&folder.read(&format!("{tables}/out/book.{label}.csv"))).into_iter();
    found.map(|(id, rest)| (id, rest.split_once(',').expect("a part").1.to_owned())).collect()
}

fn embedding(cell: &str) -> Vec<f32> {
    serde_json::from_str(cell.trim_matches('"')).expect("a list of numbers")
}

fn warnings(folder: &Folder) -> String {
    let found = events(&folder.read("out/genres/new-tables/events.jsonl"), "warning");
    found.iter().map(|event| event["message"].as_str().expect("a message").to_owned() + "\n").collect()
}

#[test]
fn the_tables_of_the_training_give_what_the_run_gave() {
    let folder = trained();
    for name in ["books.csv", "loans.csv"] {
        folder.write(&format!("april/{name}"), folder.read(&format!("march/{name}")));
    }
    let report = folder.read("out/genres/events.jsonl");
    folder.gsc(&INFER_APRIL).ok();
    for name in ["book.genre.csv", "reader.embeddings.csv"] {
        assert_eq!(folder.read(&format!("march/out/{name}")), folder.read(&format!("april/out/{name}")));
    }
    assert_eq!(predictions(&folder, "march", "stars"), predictions(&folder, "april", "stars"));
    assert_eq!(report, folder.read("out/genres/events.jsonl"), "the run keeps its own report");
    let tested = |text: &str| events(text, "tested")[0]["metrics"].clone();
    assert_eq!(tested(&report), tested(&folder.read("out/genres/new-tables/events.jsonl")));
    let reused = |events_file: &str| {
        events(&folder.read(events_file), "stage_finished")[0]["reused"].as_bool().expect("a bool")
    };
    folder.gsc(&INFER_APRIL).ok();
    assert!(reused("out/genres/new-tables/events.jsonl"), "the graph of the new tables is built once");
}

#[test]
fn other_rows_are_treated_by_the_old_statistics() {
    let folder = trained();
    let large = |number: &usize| book(*number).height > 25 && book(*number).language != "de";
    let mut numbers: Vec<usize> = (0..BOOKS).filter(large).collect();
    numbers.reverse();
    let books: Vec<Book> = numbers.iter().map(|&number| book(number)).collect();
    folder
        .write("april/books.csv", books_csv(&books))
        .write("april/loans.csv", loans_csv(numbers.iter().copied()));
    folder.gsc(&INFER_APRIL).ok();
    for label in ["genre", "stars"] {
        let (before, now) = (predictions(&folder, "march", label), predictions(&folder, "april", label));
        assert_eq!(now.len(), numbers.len());
        for (id, predicted) in now {
            assert_eq!(before[&id], predicted, "{label} of {id}");
        }
    }
}

#[test]
fn nodes_that_were_never_seen_are_predicted() {
    let folder = trained();
    let mut new: Vec<Book> = (0..8).map(book).collect();
    for (row, book) in new.iter_mut().enumerate() {
        // As a book that was trained, but for its name.
        book.id = format!("{}", 500 + row);
    }
    let loans = |number: usize| readers(number).map(move |reader| format!("{reader},{}\n", 500 + number));
    let mut text: String = (0..8).flat_map(loans).collect();
    text += "stranger,507\nr00,507\n";
    folder.write("april/books.csv", books_csv(&new)).write("april/loans.csv", format!("reader,book\n{text}"));
    folder.gsc(&INFER_APRIL).ok();
    let (before, now) = (predictions(&folder, "march", "genre"), predictions(&folder, "april", "genre"));
    assert_eq!(now.len(), 8);
    for number in 0..7 {
        assert_eq!(before[&format!("b{number:03}")], now[&format!("{}", 500 + number)]);
    }
    let (before, now) = (
        rows(&folder.read("march/out/reader.embeddings.csv")),
        rows(&folder.read("april/out/reader.embeddings.csv")),
    );
    assert_eq!(before["r00"], now["r00"], "a reader that is known keeps its row");
    let all: Vec<Vec<f32>> = before.values().map(|cell| embedding(cell)).collect();
    for (column, x) in embedding(&now["stranger"]).into_iter().enumerate() {
        let mean = all.iter().map(|row| f64::from(row[column])).sum::<f64>() / all.len() as f64;
        assert!((f64::from(x) - mean).abs() < 1e-6, "the mean of all rows is {mean}, not {x}");
    }
    let known = now.len() - 1;
    assert!(
        warnings(&folder).contains(&format!("1 of {} nodes of `reader` were not trained", known + 1)),
        "{}",
        warnings(&folder)
    );
    let tested = &events(&folder.read("out/genres/new-tables/events.jsonl"), "run_finished");
    assert_eq!(tested.len(), 1);
}

#[test]
fn classes_are_those_of_the_training_whatever_the_new_rows_have() {
    let folder = trained();
    let with = |genre: fn(usize) -> &'static str| -> String {
        let one = |number: usize| Book { id: format!("n{number}"), genre: genre(number), ..book(number) };
        books_csv(&(0..12).map(one).collect::<Vec<_>>())
    };
    folder.write("april/loans.csv", "reader,book\nr01,n1\n");
    folder.write("april/books.csv", with(|number| ["travel", "atlas", ""][number % 3]));
    folder.gsc(&INFER_APRIL).ok();
    let some = predictions(&folder, "april", "genre");
    let log = folder.read("out/genres/new-tables/events.jsonl");
    let tested = &events(&log, "tested")[0];
    assert_eq!(tested["classes"], serde_json::json!(GENRES));
    let told = events(&log, "graph_built")[0]["report"]["nodes"][0]["labels"][0].clone();
    assert_eq!((&told["unknown"], &told["unknown_classes"]), (&4.into(), &serde_json::json!(["atlas"])));
    assert_eq!(told["parts"], serde_json::json!([0, 0, 0, 4]), "labelled rows that never taught test");
    assert!(
        warnings(&folder).contains("4 rows have classes that were never trained"),
        "{}",
        warnings(&folder)
    );

    // The column and the one that splits are gone altogether.
    let cut = |line: &str| line.split(',').take(4).collect::<Vec<_>>().join(",") + "\n";
    folder.write("april/books.csv", with(|_| "").lines().map(cut).collect::<String>());
    folder.gsc(&INFER_APRIL).ok();
    assert_eq!(some, predictions(&folder, "april", "genre"), "labels play no part in what is predicted");
    let log = folder.read("out/genres/new-tables/events.jsonl");
    assert!(events(&log, "tested").is_empty());
}

#[test]
fn what_is_guessed_of_few_cells_does_not_matter() {
    let folder = trained();
    folder
        .write("april/books.csv", "id,pages,height,language\n1,,20,7\n2,,30,8\n")
        .write("april/loans.csv", "reader,book\n3,1\n4,2\n");
    folder.gsc(&INFER_APRIL).ok();
    assert_eq!(predictions(&folder, "april", "genre").keys().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let folder = trained();
    let refused = |folder: &Folder, wanted: &[&str]| {
        let ran = folder.gsc(&INFER_APRIL);
        assert_eq!(ran.code, 1, "{}", ran.out);
        for text in wanted {
            assert!(ran.err.contains(text), "{text} is not in\n{}", ran.err);
        }
    };
    refused(&folder, &["there is no `april/books.csv`"]);
    folder.write("april/loans.csv", "reader,book\nr01,b001\n");
    folder.write("april/books.csv", "id,page,height,language\nb001,3,4,de\n");
    refused(&folder, &["`books.csv` has no column `pages`", "did you mean `page`"]);
    folder.write("april/books.csv", "id,pages,height,language\nb001,many,4,de\n");
    refused(&folder, &["many", "row 1"]);
    folder.write("april/books.csv", "id,pages,height,language\nb001,3,4,de\n");
    folder.write("library.gsl", LIBRARY.replace("fill(mean)", "fill(0)"));
    refused(&folder, &["the run was trained on another graph", "feature `pages` of `book` was otherwise"]);
    folder.write("library.gsl", LIBRARY.replace("linear(8)", "linear(9) |> linear(8)"));
    refused(&folder, &["belongs to another experiment"]);
    folder.write("library.gsl", LIBRARY);
    folder.gsc(&INFER_APRIL).ok();
    std::fs::remove_dir_all(folder.at(".gsl")).expect("the built graphs");
    refused(
        &folder,
        &["the graph that was built of those is not at", "build it again from them with gsc build"],
    );
    folder.gsc(&["infer", "library.gsl"]).ok();
}

#[test]
fn rows_of_nodes_without_a_key_are_not_taken_for_others() {
    let folder = trained();
    let file = LIBRARY
        .replace("        key     id\n", "")
        .replace("features |> linear(8)", "concat(features, embedding(2)) |> linear(8)")
        .replace("(reader, book)", "(reader, row)");
    let loans = |numbers: std::ops::Range<usize>| {
        let loans =
            numbers.flat_map(|number| readers(number).map(move |reader| format!("{reader},{number}\n")));
        loans.fold(String::from("reader,row\n"), |text, loan| text + &loan)
    };
    folder.write("rows.gsl", file).write("march/loans.csv", loans(0..BOOKS));
    folder.write("april/loans.csv", loans(0..4));
    folder.write("april/books.csv", books_csv(&(0..4).map(book).collect::<Vec<_>>()));
    folder.gsc(&["run", "rows.gsl"]).ok();
    let ran = folder.gsc(&["infer", "rows.gsl", "--set", "data=april"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("has a row for each `book`, which has no key"), "{}", ran.err);
    assert!(ran.err.contains("`key COLUMN`"), "{}", ran.err);
}

const EDGES: &str = r#"
param data : path = "march"

graph shop {
    node user from data / "users.csv" { key id; feature age = standardize(age) }
    node item from data / "items.csv" { key id; feature size = min_max(size) }
    edge user -rates-> item from data / "rates.csv" (user, item) {
        reverse rated_by
        feature hour = standardize(hour)
        label liked : class = liked
        split liked = random(train: 60%, valid: 20%, test: 20%)
    }
    edge item -[kind]-> item from data / "near.csv" (a, b) { missing = POLICY }
}

experiment likes on shop {
    predict (user -rates-> item).liked
    predict link item -[kind]-> item { evaluate = mrr against uniform(10) }
    epochs = 2
    write predictions of (user -rates-> item).liked to data / "out" as csv
    write links(2) of (item -[kind]-> item), embeddings of item to data / "out" as csv
}
"#;

/// Ratings of these users, and which items are near.
fn shop_tables(folder: &Folder, tables: &str, users: std::ops::Range<usize>, kinds: &[&str]) {
    let (mut people, mut items) = (String::from("id,age\n"), String::from("id,size\n"));
    let (mut rates, mut near) = (String::from("user,item,hour,liked\n"), String::from("a,b,kind\n"));
    for user in users {
        let _ = writeln!(people, "{user},{}", 20 + user * 7 % 31);
        for item in (0..10).filter(|item| (user * 5 + item * 7) % 4 < 2) {
            let liked = if (user + item) % 3 == 0 { "yes" } else { "no" };
            let _ = writeln!(rates, "{user},{item},{},{liked}", (user * 3 + item) % 24);
        }
    }
    for item in 0..10 {
        let _ = writeln!(items, "{item},{}", item * item % 13);
        for (at, kind) in kinds.iter().enumerate() {
            let _ = writeln!(near, "{item},{},{kind}", (item * 3 + at + 1) % 10);
        }
    }
    let write = |name: &str, text: String| {
        folder.write(&format!("{tables}/{name}.csv"), text);
    };
    [("users", people), ("items", items), ("rates", rates), ("near", near)]
        .into_iter()
        .for_each(|(name, text)| write(name, text));
}

#[test]
fn edges_and_links_of_new_tables_are_predicted() {
    let folder = Folder::new();
    shop_tables(&folder, "march", 0..12, &["like", "same"]);
    shop_tables(&folder, "copy", 0..12, &["like", "same"]);
    let file = |policy: &str| EDGES.replace("POLICY", policy);
    folder.write("shop.gsl", file("error")).gsc(&["run", "shop.gsl"]).ok();
    let infer = |tables: &str| folder.gsc(&["infer", "shop.gsl", "--set", &format!("data={tables}")]);
    infer("copy").ok();
    for name in ["user-rates-item.liked.csv", "item-kind-item.links.csv", "item.embeddings.csv"] {
        assert_eq!(
            folder.read(&format!("march/out/{name}")),
            folder.read(&format!("copy/out/{name}")),
            "{name}"
        );
    }

    // Other users, a relation less, no labels.
    shop_tables(&folder, "april", 9..15, &["same"]);
    let unlabelled = |line: &str| line.rsplit_once(',').expect("a label").0.to_owned() + "\n";
    let rates: String = folder.read("april/rates.csv").lines().map(unlabelled).collect();
    folder.write("april/rates.csv", &rates);
    infer("april").ok();
    let predicted = folder.read("april/out/user-rates-item.liked.csv");
    assert_eq!(predicted.lines().count(), rates.lines().count());
    assert!(predicted.lines().skip(1).all(|line| line.contains(",none,no,") || line.contains(",none,yes,")));
    let links = folder.read("april/out/item-kind-item.links.csv");
    for kind in ["like", "same"] {
        assert!(links.lines().any(|line| line.split(',').nth(2) == Some(kind)), "{links}");
    }
    let log = folder.read("out/likes/new-tables/events.jsonl");
    let tested = events(&log, "tested");
    assert_eq!(tested.len(), 1, "links are judged, labels are not there");
    assert_eq!(tested[0]["predict"], "link item -[kind]-> item");

    // A relation that was never trained.
    shop_tables(&folder, "april", 9..15, &["same", "odd"]);
    let ran = infer("april");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("10 rows have a relation in column `kind` that was never trained: `odd`"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("missing = drop"), "{}", ran.err);
    folder.write("shop.gsl", file("drop"));
    infer("april").ok();
    let log = folder.read("out/likes/new-tables/events.jsonl");
    let dropped = &events(&log, "graph_built")[0]["report"]["relations"][1]["dropped_relation"];
    assert_eq!(dropped, &serde_json::json!(10));
}

/// Fewer nodes than candidates are drawn.
#[test]
fn few_new_nodes_are_all_ranked() {
    let folder = Folder::new();
    shop_tables(&folder, "march", 0..12, &["like", "same"]);
    let half = "{ split = random(train: 50%, test: 50%)\n evaluate";
    let file = EDGES.replace("POLICY", "error").replace("{ evaluate", half);
    folder.write("shop.gsl", file).gsc(&["run", "shop.gsl"]).ok();
    for (name, items) in [("users", vec![]), ("items", vec![0]), ("rates", vec![1]), ("near", vec![0, 1])] {
        let text = folder.read(&format!("march/{name}.csv"));
        let is_few = |cell: &str| !["7", "8", "9"].contains(&cell);
        let has_few = |line: &&str| items.iter().all(|at| line.split(',').nth(*at).is_some_and(is_few));
        let kept: String = text.lines().filter(has_few).map(|line| format!("{line}\n")).collect();
        folder.write(&format!("may/{name}.csv"), kept);
    }
    folder.gsc(&["infer", "shop.gsl", "--set", "data=may"]).ok();
    let log = folder.read("out/likes/new-tables/events.jsonl");
    let said: String = events(&log, "warning").iter().map(|event| event["message"].to_string()).collect();
    assert!(said.contains("is ranked against all 7 nodes: there are not the 10 candidates"), "{said}");
    let tested = events(&log, "tested");
    let mrr = tested.iter().find_map(|event| event["metrics"]["mrr"].as_f64()).expect("links are judged");
    assert!(mrr >= 1.0 / 7.0, "none is worse than the last place: {mrr}");
}

#[test]
fn a_relation_may_have_no_edge_yet() {
    let folder = Folder::new();
    let books: Vec<Book> = (0..BOOKS).map(book).collect();
    let all = (0..READERS).fold(String::from("reader\n"), |text, reader| text + &format!("r{reader:02}\n"));
    for tables in ["march", "april"] {
        folder
            .write(&format!("{tables}/books.csv"), books_csv(&books))
            .write(&format!("{tables}/readers.csv"), &all);
    }
    let own_table = "node reader from data / \"readers.csv\" { key reader }";
    folder
        .write("march/loans.csv", loans_csv(0..BOOKS))
        .write("april/loans.csv", "reader,book\n")
        .write("library.gsl", LIBRARY.replace("node reader from edges", own_table));
    folder.gsc(&["run", "library.gsl"]).ok();
    folder.gsc(&INFER_APRIL).ok();
    assert_eq!(predictions(&folder, "april", "genre").len(), BOOKS);
    assert!(warnings(&folder).contains("relation `borrowed` has no edges"), "{}", warnings(&folder));
    let ran = folder.gsc(&["check", "library.gsl", "--set", "data=april"]);
    assert_eq!(ran.code, 1, "there is nothing to train on");
    assert!(ran.err.contains("fill the table, or leave out what is made of it"), "{}", ran.err);
}

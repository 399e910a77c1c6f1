//! What columns of text are taken for, what is said where that is not what a file needs, and how a file states it.
//! Transcripts are in tests/transcripts/kinds.*.txt.

mod support;

use support::{Folder, compare};

/// One node type with one table, and what stands in its braces.
fn one(source: &str, body: &str) -> String {
    format!("graph g {{\n    node item from {source} {{\n        key id\n        {body}\n    }}\n}}\n")
}

fn two(nodes: &str, edges: &str) -> String {
    format!(
        "graph g {{\n    node a from {nodes} {{ key id }}\n    edge a -to-> a from {edges} (src, dst)\n}}\n"
    )
}

/// What `gsc check` says of each file, all tables in one folder.
fn checks(name: &str, folder: &Folder, files: &[(&str, String)]) {
    let mut said = String::new();
    for (about, text) in files {
        folder.write("g.gsl", text);
        let ran = folder.gsc(&["check", "g.gsl"]);
        assert_eq!(ran.code, 1, "{about} is refused");
        said += &format!("== {about}\n{}\n", ran.transcript());
    }
    compare(&format!("kinds.{name}"), &said);
}

/// What `gsc build` says of a file that is refused once its tables are read.
fn builds(name: &str, folder: &Folder, files: &[(&str, String)]) {
    let mut said = String::new();
    for (about, text) in files {
        folder.write("g.gsl", text);
        folder.gsc(&["check", "g.gsl"]).ok();
        let ran = folder.gsc(&["build", "g.gsl"]);
        assert_eq!(ran.code, 1, "{about} is refused");
        said += &format!("== {about}\n{}\n", ran.transcript());
    }
    compare(&format!("kinds.{name}"), &said);
}

#[test]
fn the_cell_that_makes_a_column_text_is_named() {
    let folder = Folder::new();
    folder
        .write("p/part-1.csv", "id,x,day\n1,1,2020-01-01\n2,2,2020-01-02\n")
        .write("p/part-2.csv", "id,x,day\n3,3,2020-01-03\n4,hello,2020-31-01\n")
        .write("dash.csv", "id,x,day\n1,-,01/13/2021\n2,5,01/14/2021\n")
        .write("objects.jsonl", "{\"id\": 1, \"x\": 1.5}\n{\"id\": 2, \"x\": \"many\"}\n");
    let cases = [
        ("standardize", one("\"p\"", "feature x = standardize(x)")),
        ("arithmetic", one("\"dash.csv\"", "feature x = x + 1")),
        ("bare", one("\"dash.csv\"", "feature x")),
        ("label", one("\"objects.jsonl\"", "label x : float = x")),
        ("date", one("\"p\"", "feature year = year(day)")),
        ("other dates", one("\"dash.csv\"", "feature year = year(day)")),
        ("time", one("\"dash.csv\"", "time day")),
    ];
    checks("odd_cell", &folder, &cases);
}

#[test]
fn kinds_are_stated() {
    let folder = Folder::new();
    let late: String = (0..1500).map(|i| format!("{i},\n")).chain(["A7,2.5\n".into()]).collect();
    folder.write("late.csv", format!("id,x\n{late}"));
    let feature = "feature x = fill(x, 0)";
    builds("late", &folder, &[("a key", one("\"late.csv\"", ""))]);
    checks(
        "stated_wrong",
        &folder,
        &[
            ("a column of gaps", one("\"late.csv\"", feature)),
            ("an unknown column", one("csv(\"late.csv\", text: [ids])", "")),
            ("twice", one("csv(\"late.csv\", text: [id], int: [id])", "")),
            ("of a format with types", one("parquet(\"late.csv\", text: [id])", "")),
        ],
    );
    folder.write("g.gsl", one("csv(\"late.csv\", text: [id], float: [x])", feature));
    folder.gsc(&["build", "g.gsl"]).ok();
    folder.write("dash.csv", "id,x\n1,-\n2,5\n");
    folder.write("g.gsl", one("csv(\"dash.csv\", missing: [\"-\"])", feature));
    folder.gsc(&["build", "g.gsl"]).ok();
}

#[test]
fn a_key_of_objects_that_comes_late_is_stated() {
    let folder = Folder::new();
    let mut json: String = (0..21_000).map(|i| format!("{{\"id\": {i}}}\n")).collect();
    json.push_str("{\"id\": 21000, \"x\": 2.5}\n");
    folder.write("n.jsonl", json);
    checks("late_key", &folder, &[("unseen", one("\"n.jsonl\"", "feature x = fill(x, 0)"))]);
    folder.write("g.gsl", one("json(\"n.jsonl\", float: [x])", "feature x = fill(x, 0)"));
    folder.gsc(&["build", "g.gsl"]).ok();
}

#[test]
fn missing_words_are_no_classes_of_numbers() {
    let folder = Folder::new();
    let label = "label c : class = c\n        split c = random(train: 100%, valid: 0%, test: 0%)";
    for (name, words) in
        [("ints.csv", ["0", "1"]), ("floats.csv", ["0.0", "1.0"]), ("bools.csv", ["false", "true"])]
    {
        let cell = |row: usize| [words[0], words[1], "NA", "null", "NaN", "\"\""][row % 6];
        let rows: String = (0..12).map(|row| format!("{row},{}\n", cell(row))).collect();
        folder.write(name, format!("id,c\n{rows}"));
        folder.write("g.gsl", one(&format!("\"{name}\""), label));
        folder.gsc(&["build", "g.gsl"]).ok();
        let ran = folder.gsc(&["inspect", "g.gsl"]);
        let classes = ran.out.split("label item.c").nth(1).and_then(|said| said.split("\n\n").next());
        let classes = classes.expect("inspect tells of labels");
        assert!(classes.contains("unlabelled 8"), "{name}: {classes}");
        assert_eq!(classes.lines().count(), 5, "{name} has two classes: {classes}");
    }
}

#[test]
fn whole_floats_are_identifiers_and_classes() {
    let folder = Folder::new();
    folder
        .write("nodes.csv", "id,c\n1,0.0\n2,1.0\n3,\n")
        .write("edges.csv", "src,dst\n1.0,2.0\n3.0,1.0\n")
        .write("half.csv", "src,dst\n1.0,2.0\n2.5,1.0\n")
        .write("halves.csv", "id,c\n1,0.0\n2,0.5\n");
    folder.write("g.gsl", two("\"nodes.csv\"", "\"edges.csv\""));
    folder.gsc(&["build", "g.gsl"]).ok();
    let cases = [
        ("an end", two("\"nodes.csv\"", "\"half.csv\"")),
        ("a class", one("\"halves.csv\"", "label c : class")),
    ];
    builds("fraction", &folder, &cases);
}

#[test]
fn integers_and_their_digits_are_one_identifier() {
    let folder = Folder::new();
    let objects = |keys: [&str; 2]| {
        format!("{{\"src\": \"{0}\", \"dst\": \"{1}\", \"id\": \"{0}\"}}\n", keys[0], keys[1])
    };
    folder
        .write("ints.csv", "id,src,dst\n7,7,8\n8,8,7\n")
        .write("texts.jsonl", objects(["7", "8"]) + &objects(["8", "7"]))
        .write("padded.jsonl", objects(["7", "8"]) + &objects(["007", "7"]))
        .write("letters.jsonl", objects(["A7", "8"]));
    for (nodes, edges) in [("ints.csv", "texts.jsonl"), ("texts.jsonl", "ints.csv")] {
        folder.write("g.gsl", two(&format!("\"{nodes}\""), &format!("\"{edges}\"")));
        folder.gsc(&["build", "g.gsl"]).ok();
    }
    builds("padded", &folder, &[("padded", two("\"ints.csv\"", "\"padded.jsonl\""))]);
    checks("letters", &folder, &[("letters", two("\"ints.csv\"", "\"letters.jsonl\""))]);
}

#[test]
fn what_a_file_is_not() {
    let folder = Folder::new();
    folder
        .write("semicolons.csv", "id;x;c\n1;2;a\n")
        .write("tabs.csv", "id\tx\n1\t2\n")
        .write("not.h5", "id,x\n1,2\n")
        .write("folder/readme.md", "no table\n")
        .write("latin.csv", b"id,x\n1,caf\xe9\n".as_slice());
    let cases = [
        ("semicolons", one("\"semicolons.csv\"", "")),
        ("tabs", one("\"tabs.csv\"", "")),
        ("no HDF5", one("\"not.h5\"", "")),
        ("a folder without a table", one("\"folder\"", "")),
        ("not UTF-8", one("\"latin.csv\"", "")),
        ("no table, and what depends on it", one("\"gone.csv\"", "feature x : int8[3] = log1p(x)")),
    ];
    checks("no_table", &folder, &cases);
}

//! What the cells of text say of their columns, and what the user says of them.

use std::fs;
use std::path::Path;

use gsl_tables::{Column, ColumnKind, Problem, Source, Stated, TableError, Values, Want};

fn put(folder: &Path, name: &str, content: &str) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::write(folder.join(name), content).unwrap();
}

fn open(name: &str, content: &str, stated: Stated) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), name, content);
    let source = Source::open(&[name], folder.path()).unwrap().stating(stated);
    (folder, source)
}

fn kind(name: &str, content: &str, column: &str) -> ColumnKind {
    let (_folder, source) = open(name, content, Stated::default());
    source.header().unwrap().column(column).unwrap().kind.clone()
}

fn read(name: &str, content: &str, column: (&str, Want), stated: Stated) -> Result<Column, TableError> {
    let (_folder, source) = open(name, content, stated);
    Ok(source.read(&[column])?.columns.remove(0))
}

fn texts(column: &Column) -> Vec<Option<&str>> {
    let Values::Text(text) = &column.values else { panic!("{:?}", column.values.kind()) };
    (0..column.len()).map(|row| text.get(row)).collect()
}

fn kinds(kinds: &[(&str, ColumnKind)]) -> Stated {
    let kinds = kinds.iter().map(|(name, kind)| (name.to_string(), kind.clone())).collect();
    Stated { kinds, missing: Vec::new() }
}

#[test]
fn words_for_missing_are_missing_in_columns_of_numbers_as_whatever_they_are_read() {
    for cells in ["0\n1\nNA\nnull\nNaN", "true\nfalse\nNA\n\\N\nnan", "0\n1\n\"NA\"\n\"\"\nN/A"] {
        let csv =
            format!("id,c\n{}\n", cells.lines().map(|c| format!("1,{c}")).collect::<Vec<_>>().join("\n"));
        assert_ne!(kind("t.csv", &csv, "c"), ColumnKind::Text, "{cells}");
        for want in [Want::Text, Want::Class, Want::Auto] {
            let column = read("t.csv", &csv, ("c", want), Stated::default()).unwrap();
            assert_eq!(column.n_missing(), 3, "{cells} as {want:?}");
        }
    }
    let json = "{\"c\": 1}\n{\"c\": \"NA\"}\n{\"c\": \"\"}\n{\"c\": null}\n";
    let column = read("t.jsonl", json, ("c", Want::Class), Stated::default()).unwrap();
    assert_eq!(texts(&column), [Some("1"), None, None, None]);
}

#[test]
fn words_for_missing_are_words_in_columns_of_text() {
    let csv = "c,d\nNA,1\nparis,2\n\"\",3\n,4\n";
    let column = read("t.csv", csv, ("c", Want::Class), Stated::default()).unwrap();
    assert_eq!(texts(&column), [Some("NA"), Some("paris"), Some(""), None]);
}

#[test]
fn a_column_of_gaps_that_says_nan_holds_numbers() {
    assert_eq!(kind("t.csv", "x,y\nnan,1\nNaN,2\n", "x"), ColumnKind::Float);
}

#[test]
fn whole_floats_are_integers_where_those_are_wanted() {
    let csv = "a,b\n3.0,1\n4.0,1\n,1\n";
    let column = read("t.csv", csv, ("a", Want::Int), Stated::default()).unwrap();
    assert_eq!((&column.values, column.n_missing()), (&Values::Int(vec![3, 4, 0]), 1));
    let column = read("t.csv", csv, ("a", Want::Class), Stated::default()).unwrap();
    assert_eq!(texts(&column), [Some("3"), Some("4"), None]);
    for want in [Want::Int, Want::Class] {
        for bad in ["3.5", "1e300", "9007199254740993.0"] {
            let error =
                read("t.csv", &format!("a\n1.0\n{bad}\n"), ("a", want), Stated::default()).unwrap_err();
            assert_eq!((error.row, error.line), (Some(2), Some(3)), "{bad} as {want:?}: {error}");
        }
    }
}

#[test]
fn an_integer_has_no_leading_zeros() {
    let error = read("t.csv", "a\n007\n", ("a", Want::Int), Stated::default()).unwrap_err();
    assert!(error.to_string().contains("without leading zeros"), "{error}");
    let column = read("t.csv", "a\n-12\n+3\n0\n", ("a", Want::Int), Stated::default()).unwrap();
    assert_eq!(column.values, Values::Int(vec![-12, 3, 0]));
}

#[test]
fn what_makes_a_column_text_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "p/part-1.csv", "x,d\n1,2020-01-01\n2,2020-01-02\n");
    put(folder.path(), "p/part-2.csv", "x,d\n3,2020-01-03\nhello,7\n5,2020-01-04\n");
    let header = Source::open(&["p"], folder.path()).unwrap().header().unwrap();
    let why = |name: &str| header.column(name).unwrap().evidence.as_ref().unwrap().why_text(folder.path());
    assert_eq!(
        why("x").as_deref(),
        Some("row 2 (line 3) of `p/part-2.csv` has `hello`; 4 of 5 cells are of kind int")
    );
    assert_eq!(
        why("d").as_deref(),
        Some("row 2 (line 3) of `p/part-2.csv` has `7`; 4 of 5 cells are of kind date")
    );
    let mixed = "{\"x\": 1}\n{\"x\": \"many\"}\n{\"x\": 2.5}\n";
    let (folder, source) = open("t.jsonl", mixed, Stated::default());
    let header = source.header().unwrap();
    let why = header.column("x").unwrap().evidence.as_ref().unwrap().why_text(folder.path());
    assert_eq!(
        why.as_deref(),
        Some("row 2 (line 2) of `t.jsonl` has `many`; 2 of 3 cells are of kind float")
    );
}

#[test]
fn a_stated_kind_wins_over_what_the_cells_look_like() {
    let stated = kinds(&[("id", ColumnKind::Text), ("x", ColumnKind::Float)]);
    let csv = "id,x\n1,\n2,\n007,\n";
    let (_folder, source) = open("t.csv", csv, stated.clone());
    let header = source.header().unwrap();
    assert_eq!(header.column("id").unwrap().kind, ColumnKind::Text);
    assert_eq!(header.column("x").unwrap().kind, ColumnKind::Float);
    let json = "{\"id\": 7}\n{\"id\": \"A7\"}\n";
    let (_folder, source) = open("t.jsonl", json, stated);
    let table = source.read(&[("id", Want::Auto), ("x", Want::Auto)]).unwrap();
    assert_eq!(texts(&table.columns[0]), [Some("7"), Some("A7")]);
    assert_eq!((table.columns[1].values.kind(), table.columns[1].n_missing()), (ColumnKind::Float, 2));
    let error =
        read("t.csv", "id,x\na,b\n", ("x", Want::Auto), kinds(&[("x", ColumnKind::Int)])).unwrap_err();
    assert_eq!((error.row, error.code()), (Some(1), "not_parsed"));
}

#[test]
fn a_stated_column_that_is_not_there_is_refused() {
    let (_folder, source) = open("t.csv", "id,zip\n1,2\n", kinds(&[("zipp", ColumnKind::Text)]));
    let error = source.header().unwrap_err();
    assert!(matches!(&*error.problem, Problem::NoSuchColumn { suggestion: Some(name), .. } if name == "zip"));
}

#[test]
fn stated_words_are_missing_in_columns_of_any_kind() {
    let stated = Stated { kinds: Vec::new(), missing: vec!["-".into(), "n/a".into(), "-1".into()] };
    let csv = "x,name\n1,ann\n-,n/a\n 3 , - \n-1,NA\n";
    let x = read("t.csv", csv, ("x", Want::Auto), stated.clone()).unwrap();
    assert_eq!((&x.values, x.n_missing()), (&Values::Int(vec![1, 0, 3, 0]), 2));
    let name = read("t.csv", csv, ("name", Want::Auto), stated.clone()).unwrap();
    assert_eq!(texts(&name), [Some("ann"), None, None, Some("NA")]);
    let json =
        "{\"x\": 1, \"name\": \"ann\"}\n{\"x\": -1, \"name\": \"n/a\"}\n{\"x\": \"-\", \"name\": \"bo\"}\n";
    let x = read("t.jsonl", json, ("x", Want::Auto), stated.clone()).unwrap();
    assert_eq!((&x.values, x.n_missing()), (&Values::Int(vec![1, 0, 0]), 2));
    let name = read("t.jsonl", json, ("name", Want::Auto), stated).unwrap();
    assert_eq!(texts(&name), [Some("ann"), None, Some("bo")]);
}

#[test]
fn keys_of_objects_are_looked_for_far_down() {
    let mut json: String = (0..5000).map(|i| format!("{{\"id\": {i}}}\n")).collect();
    json.push_str("{\"id\": 5000, \"x\": 1.5}\n");
    assert_eq!(kind("t.jsonl", &json, "x"), ColumnKind::Float);
}

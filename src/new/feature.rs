//! From a column to the line of its feature, or to the reason why it has none.

use std::collections::{BTreeMap, BTreeSet};

use gsl_tables::ColumnKind;

use super::names::{can_be_written, counted, is_kind, is_split, is_time, quoted, snake};
use super::profile::Profile;

/// Distinct values of a column that becomes one column each.
const ONE_HOT: u64 = 100;
/// Words that cells with several of them may have in all.
const WORDS: usize = 5000;
/// Columns of a bag of more words than that.
const BAG: usize = 1024;
/// Skewness above which the logarithm is taken.
const SKEWED: f64 = 2.0;

/// A feature, or none; and why.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Feature { expr: String, why: String },
    Skipped { why: String },
}

/// `gaps`: rows without a value, among them nodes that a joined table has no row for.
pub fn line(column: &Profile, gaps: u64) -> Line {
    let (distinct, name) = (column.sketch.distinct(), column.name.as_str());
    if !can_be_written(name) {
        return skipped("its name cannot be written here: rename it");
    }
    if column.present() == 0 {
        return skipped("it has no values");
    }
    if is_split(name) {
        return skipped("it looks like a split");
    }
    match &column.kind {
        ColumnKind::FloatList(_) => vector(column, gaps),
        ColumnKind::Date | ColumnKind::Time => date(column, gaps),
        ColumnKind::TextList => texts(column, gaps),
        ColumnKind::Other(kind) => skipped(&format!("values of type {kind} cannot be used")),
        _ if distinct == 1 && gaps == 0 => skipped("the same in every row"),
        ColumnKind::Bool => flag(column, gaps),
        ColumnKind::Text => text(column, gaps),
        ColumnKind::Int | ColumnKind::Float => number(column, gaps),
    }
}

fn skipped(why: &str) -> Line {
    Line::Skipped { why: why.to_string() }
}

fn feature(expr: String, why: String) -> Line {
    Line::Feature { expr, why }
}

fn vector(column: &Profile, gaps: u64) -> Line {
    match column.width {
        _ if column.infinite => skipped("it holds values that are not finite"),
        _ if gaps > 0 => skipped(&format!("{} without a list", counted(gaps, "row"))),
        None => skipped("its lists are not all of one length"),
        Some(width) => feature(format!("vector({})", quoted(&column.name)), counted(width as u64, "number")),
    }
}

fn texts(column: &Profile, gaps: u64) -> Line {
    let distinct = column.sketch.distinct();
    match distinct {
        0 => skipped("all its lists are empty"),
        n if n > WORDS as u64 => skipped(&format!("{} are too many for multi_hot", counted(n, "text"))),
        n => feature(
            format!("multi_hot({}) |> normalize_rows", quoted(&column.name)),
            missing_note(&format!("lists of {}", counted(n, "text")), gaps),
        ),
    }
}

fn date(column: &Profile, gaps: u64) -> Line {
    let name = quoted(&column.name);
    let fill = if gaps > 0 { " |> fill(median)" } else { "" };
    let part = |part: &str, then: &str| format!("{part}({name}){fill} |> {then}");
    let parts = [part("year", "standardize"), part("month", "cyclic(12)"), part("weekday", "cyclic(7)")];
    let why = missing_note(&format!("a {}", column.kind), gaps);
    feature(format!("concat({})", parts.join(", ")), why)
}

fn flag(column: &Profile, gaps: u64) -> Line {
    let name = quoted(&column.name);
    let expr = if gaps > 0 { format!("one_hot({name})") } else { name };
    feature(expr, missing_note("true or false", gaps))
}

fn number(column: &Profile, gaps: u64) -> Line {
    let (name, distinct) = (quoted(&column.name), column.sketch.distinct());
    let is_int = column.kind == ColumnKind::Int;
    if column.infinite {
        return skipped("it holds values that are not finite");
    }
    if is_int && is_identifier(column) {
        return skipped("it looks like an identifier of nothing here");
    }
    if is_int && is_time(&column.name) && column.max > 1e8 {
        return skipped("it looks like a time in seconds");
    }
    if is_int && is_kind(&column.name) && distinct <= ONE_HOT {
        return feature(format!("one_hot({name})"), missing_note(&counted(distinct, "kind"), gaps));
    }
    let skewed = column.min >= 0.0 && column.max > 10.0 && skewness(column) > SKEWED;
    let mut expr = if skewed { format!("log1p({name})") } else { name };
    if gaps > 0 {
        expr += " |> fill(median)";
    }
    let range = range(column);
    let why = if skewed { format!("{range}, skewed") } else { range };
    feature(expr + " |> standardize", missing_note(&why, gaps))
}

/// An integer column named like an identifier of which almost every row has its own.
fn is_identifier(column: &Profile) -> bool {
    let last = super::names::words(&column.name).pop().unwrap_or_default();
    let named = ["id", "key", "no", "number", "idx", "index"].contains(&last.as_str());
    let unique = column.sketch.distinct() as f64 > 0.9 * column.present() as f64;
    (named && unique) || (column.is_unique() && column.is_dense() && column.rows > 20)
}

fn text(column: &Profile, gaps: u64) -> Line {
    let (name, distinct) = (quoted(&column.name), column.sketch.distinct());
    if column.sketch.texts().all(|(text, _)| is_number_with_commas(text)) {
        return skipped(
            "its numbers have commas, which makes them texts: write 2.5 for 2,5 and 1000 for 1,000",
        );
    }
    if let Some(list) = word_list(column) {
        let expr = match list.words {
            ..=WORDS => format!("multi_hot({name}, separator: \"{}\")", list.separator),
            _ => format!("{name} |> bag_of_words({BAG})"),
        };
        let words = counted(list.words as u64, "word");
        let why = missing_note(&format!("{words}, up to {} in a cell", list.most), gaps);
        return feature(expr + " |> normalize_rows", why);
    }
    if mean_words(column) >= 4.0 {
        return feature(format!("{name} |> tfidf(1000)"), missing_note("text of several words", gaps));
    }
    if distinct as f64 > 0.5 * column.present() as f64 && distinct > 10 {
        return skipped("almost every row has its own value");
    }
    match distinct {
        ..=ONE_HOT => feature(format!("one_hot({name})"), missing_note(&counted(distinct, "value"), gaps)),
        many => skipped(&format!("{} are too many for one_hot", counted(many, "value"))),
    }
}

fn missing_note(text: &str, gaps: u64) -> String {
    match gaps {
        0 => text.to_string(),
        n => format!("{text}; {} without", counted(n, "row")),
    }
}

/// `78 … 433`
pub fn range(column: &Profile) -> String {
    format!("{} … {}", short(column.min), short(column.max))
}

/// Sample skewness, third moment over deviation cubed, of the values that the sketch keeps.
fn skewness(column: &Profile) -> f64 {
    let values: Vec<(f64, f64)> = column.sketch.numbers().map(|(x, n)| (x, n as f64)).collect();
    let total: f64 = values.iter().map(|(_, n)| n).sum();
    let mean = values.iter().map(|(x, n)| x * n).sum::<f64>() / total;
    let moment = |p: i32| values.iter().map(|(x, n)| (x - mean).powi(p) * n).sum::<f64>() / total;
    let deviation = moment(2).sqrt();
    if deviation > 0.0 { moment(3) / deviation.powi(3) } else { 0.0 }
}

/// `2,5`, `1,000`, `1.000,5`, and whole numbers among them.
fn is_number_with_commas(text: &str) -> bool {
    let body = text.trim().trim_start_matches(['-', '+']);
    body.starts_with(|c: char| c.is_ascii_digit())
        && body.chars().all(|c| c.is_ascii_digit() || ",.".contains(c))
}

fn mean_words(column: &Profile) -> f64 {
    let (mut words, mut texts) = (0, 0);
    for (text, count) in column.sketch.texts() {
        words += text.split_whitespace().count() as u64 * count;
        texts += count;
    }
    words as f64 / texts.max(1) as f64
}

/// Cells that hold sets of words.
struct WordList {
    separator: char,
    /// Words in all, as far as the sketch tells, and in a cell at most.
    words: usize,
    most: usize,
}

/// A set has no word twice, and words come again in other cells. Between blanks, a word is told from part of a name in that it also
/// stands alone, or that there are many of them in a cell.
fn word_list(column: &Profile) -> Option<WordList> {
    ['|', ';', ',', ' '].into_iter().find_map(|separator| {
        let (mut counts, mut alone): (BTreeMap<&str, u64>, usize) = (BTreeMap::new(), 0);
        let (mut cells, mut most) = (0, 0);
        for (text, _) in column.sketch.texts() {
            let words: Vec<&str> =
                text.split(separator).map(str::trim).filter(|word| !word.is_empty()).collect();
            let set: BTreeSet<&str> = words.iter().copied().collect();
            if set.len() < words.len() || words.iter().any(|word| separator != ' ' && word.len() > 40) {
                return None;
            }
            words.iter().for_each(|word| *counts.entry(word).or_default() += 1);
            (cells, most, alone) = (cells + 1, most.max(words.len()), alone + usize::from(words.len() == 1));
        }
        let all: u64 = counts.values().sum();
        let (several, again) =
            (all as f64 / f64::from(cells.max(1)), all as f64 / counts.len().max(1) as f64);
        let fits = match separator {
            ' ' if 2 * alone >= counts.len() => several >= 1.2 && again >= 2.0,
            ' ' => several >= 4.0 && again >= 5.0 && counts.len() <= WORDS,
            _ => several >= 1.2 && again >= 1.5,
        };
        fits.then_some(WordList { separator, words: counts.len(), most })
    })
}

/// The name of the feature of a column.
pub fn name(column: &str) -> String {
    snake(column)
}

fn short(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x}") } else { format!("{x:.3}") }
}

#[cfg(test)]
mod tests {
    use super::super::profile::profiles;
    use super::*;

    fn lines(table: &str) -> Vec<Line> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("t.csv"), table).expect("a table");
        let source = gsl_tables::Source::open(&["t.csv"], folder.path()).expect("a source");
        profiles(&source).expect("columns").iter().map(|column| line(column, column.missing)).collect()
    }

    fn expr(line: &Line) -> &str {
        match line {
            Line::Feature { expr, .. } => expr,
            Line::Skipped { why } => why,
        }
    }

    #[test]
    fn each_kind_of_column_has_its_line() {
        let mut table = String::from("pages,price,ok,language,same,day,code\n");
        for i in 0..40 {
            let pages = if i == 3 { String::new() } else { format!("{}", i * 7 % 40) };
            let price = if i == 5 { 90_000 } else { i % 9 };
            table += &format!(
                "{pages},{price},{},{},x,2020-01-{:02},c{i}\n",
                i % 2 == 0,
                ["en", "de"][i % 2],
                i % 28 + 1
            );
        }
        let lines = lines(&table);
        let expected = [
            "pages |> fill(median) |> standardize",
            "log1p(price) |> standardize",
            "ok",
            "one_hot(language)",
            "the same in every row",
            "concat(year(day) |> standardize, month(day) |> cyclic(12), weekday(day) |> cyclic(7))",
            "almost every row has its own value",
        ];
        assert_eq!(lines.iter().map(expr).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn sets_of_words_are_told_from_sentences() {
        let mut table = String::from("tags,note\n");
        let (tags, notes) = (
            ["red|big", "red", "big|old", "old|red"],
            ["it was a dark night", "the dog and the cat sat", "an old man went by"],
        );
        (0..12).for_each(|i| table += &format!("{},{}\n", tags[i % 4], notes[i % 3]));
        let lines = lines(&table);
        assert_eq!(expr(&lines[0]), "multi_hot(tags, separator: \"|\") |> normalize_rows");
        assert_eq!(expr(&lines[1]), "note |> tfidf(1000)");
    }

    #[test]
    fn words_between_blanks_are_told_from_names() {
        let mut table = String::from("likes,city,tags,none\n");
        let likes = ["film", "music film", "diy", "film diy", "music", "diy music"];
        let cities = ["New York", "New Orleans", "Los Angeles", "Oslo"];
        let lists = ["[\"\"a\"\",\"\"b\"\"]", "[\"\"b\"\"]"];
        for i in 0..24 {
            table += &format!("{},{},\"{}\",x{i}|y{i}\n", likes[i % 6], cities[i % 4], lists[i % 2]);
        }
        let lines = lines(&table);
        let expected = [
            "multi_hot(likes, separator: \" \") |> normalize_rows",
            "one_hot(city)",
            "multi_hot(tags) |> normalize_rows",
            "almost every row has its own value",
        ];
        assert_eq!(lines.iter().map(expr).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn numbers_with_commas_are_no_words() {
        let table: String = (0..12).map(|i| format!("\"{i},5\",x\n")).collect();
        assert!(expr(&lines(&format!("a,b\n{table}"))[0]).starts_with("its numbers have commas"));
    }

    #[test]
    fn many_words_share_columns() {
        let mut table = String::from("words,other\n");
        (0..9000).for_each(|i| table += &format!("w{i}|w{}|w{},1\n", (i + 1) % 9000, (i + 2) % 9000));
        assert_eq!(expr(&lines(&table)[0]), "words |> bag_of_words(1024) |> normalize_rows");
    }
}

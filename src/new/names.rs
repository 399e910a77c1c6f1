//! What names say: words, singulars, keys, ends of edges; and names that are safe to write.

use gsl_runtime::report::html::group;

/// Pairs of columns that are the ends of edges, whatever their values.
const PAIRS: [(&str, &str); 14] = [
    ("src", "dst"),
    ("source", "target"),
    ("source", "destination"),
    ("from", "to"),
    ("head", "tail"),
    ("subject", "object"),
    ("sender", "receiver"),
    ("follower", "followee"),
    ("citing", "cited"),
    ("parent", "child"),
    ("u", "v"),
    ("start", "end"),
    ("left", "right"),
    ("a", "b"),
];

const RELATIONS: [&str; 7] =
    ["rel", "relation", "predicate", "property", "edge_type", "rel_type", "relationship"];
const SPLITS: [&str; 8] = ["split", "fold", "folds", "part", "partition", "subset", "set", "mask"];
const LABELS: [&str; 9] = ["label", "class", "target", "category", "y", "topic", "genre", "section", "type"];
const KINDS: [&str; 16] = [
    "type", "kind", "tag", "category", "class", "code", "group", "status", "color", "colour", "gender",
    "sex", "region", "language", "country", "state",
];
const TIMES: [&str; 7] = ["time", "timestamp", "ts", "date", "datetime", "created", "updated"];
const KEYS: [&str; 12] =
    ["uuid", "guid", "iri", "uri", "url", "code", "number", "no", "email", "login", "slug", "isbn"];
const PARTS: [&str; 10] = ["", "part", "data", "chunk", "file", "shard", "batch", "block", "piece", "output"];
const EDGE_TABLES: [&str; 8] =
    ["edges", "edge", "links", "link", "graph", "relations", "edgelist", "adjacency"];

/// Lower-case words: `nodes/userProfile_2` → nodes, user, profile, 2.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let new = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if new && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name that needs no backticks: `Home Team` → `home_team`.
pub fn snake(text: &str) -> String {
    let name = words(text).join("_");
    match name.chars().next() {
        None => "unnamed".to_string(),
        Some(c) if c.is_ascii_digit() => format!("n{name}"),
        Some(_) => name,
    }
}

/// A column as it is written in a file: in backticks if it is not a plain name.
pub fn quoted(column: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && column.chars().all(plain) { column.to_string() } else { format!("`{column}`") }
}

/// Whether a column can be written at all.
pub fn can_be_written(column: &str) -> bool {
    !column.is_empty() && !column.contains(['`', '\n'])
}

/// English, roughly: books → book, categories → category, boxes → box.
pub fn singular(word: &str) -> String {
    let cut = |n: usize| word[..word.len() - n].to_string();
    match word {
        w if w.len() > 4 && w.ends_with("ies") => cut(3) + "y",
        w if ["sses", "xes", "ches", "shes", "zes"].iter().any(|end| w.ends_with(end)) => cut(2),
        w if w.len() > 3 && w.ends_with('s') && !["ss", "us", "is"].iter().any(|end| w.ends_with(end)) => {
            cut(1)
        }
        w => w.to_string(),
    }
}

/// The name of a node type for a table: `user_profiles` → `user_profile`.
pub fn type_name(stem: &str) -> String {
    let name = snake(stem);
    match name.rsplit_once('_') {
        Some((head, last)) => format!("{head}_{}", singular(last)),
        None => singular(&name),
    }
}

/// Whether the name of a file says nothing of what it holds.
pub fn says_nothing(stem: &str) -> bool {
    PARTS.contains(&stem.to_lowercase().as_str())
}

/// The name of a relation for a table of edges: `paper__cites__paper` → `cites`.
pub fn relation_name(stem: &str) -> String {
    let parts: Vec<&str> = stem.split("__").collect();
    if let [_, middle, _] = parts.as_slice() {
        return snake(middle);
    }
    let name = snake(stem);
    if EDGE_TABLES.contains(&name.as_str()) { "linked".to_string() } else { name }
}

/// A column without what says that it is an identifier: `publisher_id` → publisher. Empty if nothing is left.
pub fn base(column: &str) -> String {
    let mut words = words(column);
    while words
        .last()
        .is_some_and(|w| ["id", "key", "ids", "no", "idx", "index", "number"].contains(&w.as_str()))
    {
        words.pop();
    }
    words.join("_")
}

/// Whether the name of a column speaks of a node type: `home_team_id` of `team`.
pub fn speaks_of(column: &str, ty: &str) -> bool {
    let base = base(column);
    let last = |name: &str| name.rsplit('_').next().map(singular).unwrap_or_default();
    !base.is_empty() && (singular(&base) == ty || last(&base) == ty || base.ends_with(&format!("_{ty}")))
}

/// Whether a column's name says that it is an identifier of something.
pub fn is_reference(column: &str) -> bool {
    let words = words(column);
    words.len() > 1 && words.last().is_some_and(|word| ["id", "key", "idx"].contains(&word.as_str()))
}

/// How much a column's name speaks for its being the key of a table: 100 at most, 50 and more if it does at all.
pub fn key_score(column: &str, stem: &str) -> u32 {
    let name = words(column).join("_");
    let of_table = [type_name(stem), snake(stem)];
    match name.as_str() {
        "id" | "key" => 100,
        _ if of_table.contains(&name) || of_table.contains(&base(column)) => 95,
        "name" => 60,
        name if KEYS.contains(&name) => 55,
        _ if is_reference(column) => 50,
        _ => 0,
    }
}

/// The columns of a table that are a pair of ends by their names.
pub fn pair(columns: &[&str]) -> Option<(usize, usize)> {
    let bare: Vec<String> = columns.iter().map(|column| base(column)).collect();
    let find = |name: &str| bare.iter().position(|column| column == name);
    PAIRS.iter().find_map(|(a, b)| Some((find(a)?, find(b)?)))
}

/// Whether a column is named like one end of a pair, and so names no type.
pub fn is_end(column: &str) -> bool {
    let base = base(column);
    PAIRS.iter().any(|(a, b)| base == *a || base == *b)
}

/// `1 row`, `1,234 rows`
pub fn counted(n: u64, noun: &str) -> String {
    let end = if n == 1 {
        ""
    } else if noun.ends_with("ss") {
        "es"
    } else {
        "s"
    };
    format!("{} {noun}{end}", group(n))
}

fn has_word(name: &str, list: &[&str]) -> bool {
    words(name).iter().any(|word| list.contains(&word.as_str()))
}

pub fn is_relation(column: &str) -> bool {
    RELATIONS.contains(&snake(column).as_str())
}

pub fn is_split(column: &str) -> bool {
    SPLITS.contains(&snake(column).as_str()) || has_word(column, &["split", "fold", "folds"])
}

/// Whether a column is named like numbered parts for cross-validation.
pub fn is_fold(column: &str) -> bool {
    has_word(column, &["fold", "folds"])
}

pub fn is_kind(column: &str) -> bool {
    has_word(column, &KINDS)
}

pub fn is_time(column: &str) -> bool {
    has_word(column, &TIMES)
}

/// The place of a name among those that labels have; smaller is likelier.
pub fn label_rank(column: &str) -> Option<usize> {
    LABELS.iter().position(|label| snake(column) == *label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names() {
        assert_eq!(words("nodes/userProfile_2"), ["nodes", "user", "profile", "2"]);
        assert_eq!([snake("Home Team"), snake("2nd"), snake("--")], ["home_team", "n2nd", "unnamed"]);
        assert_eq!([quoted("a_1"), quoted("list price")], ["a_1", "`list price`"]);
        let singulars = ["books", "categories", "boxes", "class", "status", "bus", "people"].map(singular);
        assert_eq!(singulars, ["book", "category", "box", "class", "status", "bus", "people"]);
        assert_eq!([type_name("user_profiles"), type_name("Users")], ["user_profile", "user"]);
        assert_eq!([relation_name("paper__cites__paper"), relation_name("edges")], ["cites", "linked"]);
    }

    #[test]
    fn one_is_not_many() {
        let texts = [counted(1, "row"), counted(7, "class"), counted(1234, "row")];
        assert_eq!(texts, ["1 row", "7 classes", "1,234 rows"]);
    }

    #[test]
    fn columns_speak_of_types() {
        assert!(
            speaks_of("home_team_id", "team")
                && speaks_of("authors", "author")
                && speaks_of("bookId", "book")
        );
        assert!(!speaks_of("id", "id") && !speaks_of("tag", "graph") && !speaks_of("steam", "team"));
    }

    #[test]
    fn keys_are_known_by_their_names() {
        let scores = ["id", "book_id", "book", "name", "author_id", "pages"].map(|c| key_score(c, "books"));
        assert_eq!(scores, [100, 95, 95, 60, 50, 0]);
    }

    #[test]
    fn ends_come_in_pairs() {
        assert_eq!(pair(&["time", "dst", "src"]), Some((2, 1)));
        assert_eq!(pair(&["source_id", "target_id"]), Some((0, 1)));
        assert_eq!(pair(&["source", "size"]), None);
    }
}

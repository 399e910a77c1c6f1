//! What the reader of an imported file has to know: what was left out, what means something else, what is not needed.

use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Left out; the text says why and what comes nearest.
    Lost,
    /// Carried over; the text says in what it differs.
    Changed,
    /// Left out because nothing depends on it here.
    Needless,
}

/// One remark on one or more places of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    kind: Kind,
    paths: Vec<String>,
    text: String,
}

#[derive(Debug, Default)]
pub struct Notes(Vec<Note>);

const WIDTH: usize = 116;
/// Places that one remark names; more are counted.
const PLACES: usize = 8;

impl Notes {
    pub fn lost(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(Kind::Lost, path.into(), text.into());
    }

    pub fn changed(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(Kind::Changed, path.into(), text.into());
    }

    pub fn needless(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(Kind::Needless, path.into(), text.into());
    }

    pub fn unknown(&mut self, path: String, near: Option<&str>) {
        let help = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.lost(path, format!("GraphStorm has no such key{help}"));
    }

    fn add(&mut self, kind: Kind, path: String, text: String) {
        let same = self.0.iter_mut().find(|note| note.kind == kind && note.text == text);
        match same {
            Some(note) if note.paths.contains(&path) => {}
            Some(note) => note.paths.push(path),
            None => self.0.push(Note { kind, paths: vec![path], text }),
        }
    }

    /// The remarks in three groups, wrapped, each line after `prefix`.
    pub fn show(&self, prefix: &str) -> String {
        let groups = [
            (Kind::Lost, "Not carried over:"),
            (Kind::Changed, "Carried over with a difference:"),
            (Kind::Needless, "Not needed here:"),
        ];
        let mut text = String::new();
        for (kind, title) in groups {
            let mut notes = self.0.iter().filter(|note| note.kind == kind).peekable();
            if notes.peek().is_none() {
                continue;
            }
            let _ = writeln!(text, "{prefix}{title}");
            for note in notes {
                let sentence = format!("{}: {}", places(&note.paths), note.text);
                for (i, line) in wrap(&sentence, WIDTH - prefix.len() - 4).iter().enumerate() {
                    let _ = writeln!(text, "{prefix}{}{line}", if i == 0 { "- " } else { "  " });
                }
            }
        }
        text
    }
}

fn places(paths: &[String]) -> String {
    match paths.len().checked_sub(PLACES) {
        Some(more) if more > 0 => format!("{} and {more} more", paths[..PLACES].join(", ")),
        _ => paths.join(", "),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("one line at least");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_with_one_text_are_one() {
        let mut notes = Notes::default();
        notes.lost("a", "gone");
        notes.needless("b", "speed only");
        notes.lost("c", "gone");
        notes.lost("a", "gone");
        assert_eq!(
            notes.show("// "),
            "// Not carried over:\n// - a, c: gone\n// Not needed here:\n// - b: speed only\n"
        );
    }

    #[test]
    fn remarks_of_many_words_are_wrapped() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
    }
}

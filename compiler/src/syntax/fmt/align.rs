//! What stands below one another: keywords' names, `:`, `=` and comments, each in runs of lines that follow one another.

use super::super::parse::Class;
use super::lines::Line;

/// Aligns the signs of runs of statements: first the names behind the keywords of a graph, then `:`, then `=`.
pub(super) fn signs(lines: &mut [Line]) {
    let keyword = |line: &Line| matches!(line.class, Some(Class::Keyword(_)));
    for run in runs(lines, |a, b| keyword(a) && keyword(b)) {
        pad(lines, &run, |_| Some(1));
    }
    for run in runs(lines, |a, b| same_kind(a, b) && a.colon.is_some() && b.colon.is_some()) {
        pad(lines, &run, |line| line.colon);
    }
    for run in runs(lines, |a, b| same_kind(a, b) && a.equals.is_some() && b.equals.is_some()) {
        pad(lines, &run, |line| line.equals);
    }
}

fn same_kind(a: &Line, b: &Line) -> bool {
    a.class == b.class && !matches!(a.class, None | Some(Class::Other))
}

/// The runs of lines of which each goes with the next. Comments and the further lines of a statement do not end a run; a
/// blank line does.
fn runs(lines: &[Line], together: impl Fn(&Line, &Line) -> bool) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut blank = false;
    for (at, line) in lines.iter().enumerate() {
        blank |= line.blank_before;
        if line.class.is_none() && !ends_run(line) {
            continue;
        }
        let last = runs.last().and_then(|run| run.last()).copied();
        match last {
            Some(last) if !blank && line.class.is_some() && together(&lines[last], line) => {
                runs.last_mut().into_iter().for_each(|run| run.push(at));
            }
            _ => runs.push(vec![at]),
        }
        blank = false;
    }
    runs.retain(|run| run.len() > 1);
    runs
}

/// A closing brace ends the statements before it.
fn ends_run(line: &Line) -> bool {
    line.pieces.first().is_some_and(|p| p.text == "}")
}

/// Widens the gap before one piece of each line so that they start in the same column.
fn pad(lines: &mut [Line], run: &[usize], piece: impl Fn(&Line) -> Option<usize>) {
    let at = |line: &Line| piece(line).filter(|p| *p < line.pieces.len());
    let column = run.iter().filter_map(|i| at(&lines[*i]).map(|p| lines[*i].width(p))).max().unwrap_or(0);
    for i in run {
        if let Some(p) = at(&lines[*i]) {
            let missing = column - lines[*i].width(p);
            lines[*i].pieces[p].gap += missing;
        }
    }
}

/// Aligns the comments at the end of lines that follow one another with the same indentation, two spaces behind the longest.
pub(super) fn comments(lines: &mut [Line]) {
    let mut from = 0;
    while from < lines.len() {
        let mut to = from + 1;
        if is_trailing(&lines[from]) {
            while to < lines.len() && is_trailing(&lines[to]) && follows(&lines[from], &lines[to]) {
                to += 1;
            }
            let width = |line: &Line| line.width(line.pieces.len());
            let column = lines[from..to].iter().map(width).max().unwrap_or(0) + 2;
            for line in &mut lines[from..to] {
                let gap = column - width(line);
                line.comment.iter_mut().for_each(|(before, _)| *before = gap);
            }
        }
        from = to;
    }
}

fn is_trailing(line: &Line) -> bool {
    line.comment.is_some() && !line.pieces.is_empty()
}

fn follows(first: &Line, next: &Line) -> bool {
    !next.blank_before && first.indent == next.indent
}

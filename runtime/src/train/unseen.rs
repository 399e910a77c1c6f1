//! Classes and relations that a model is asked for and never shown.

use super::batches::label_of;
use crate::pairs::Edges;
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};

/// A message for each `predict` some of whose classes, or relations, are in `valid` or `test` and in no training row.
pub fn unseen(plan: &Plan, view: &dyn GraphView) -> Vec<String> {
    let classes = |predict: &Predict| {
        let names: Vec<&str> = predict.task.classes().iter().map(String::as_str).collect();
        message(predict, "classes", &names, &counts(predict, view))
    };
    let relations = |predict: &Predict| {
        let of = &predict.pairs.as_ref()?.relations;
        let names: Vec<&str> = of.iter().map(|r| plan.facts.relations[*r as usize].name.as_str()).collect();
        message(predict, "relations", &names, &counts_of_relations(&Edges::of(view, predict)?, of.len()))
    };
    plan.predicts.iter().flat_map(|predict| [classes(predict), relations(predict)]).flatten().collect()
}

const PARTS: [Part; 3] = [Part::Train, Part::Valid, Part::Test];

/// By class, rows in train, valid and test.
fn counts(predict: &Predict, view: &dyn GraphView) -> Vec<[u64; 3]> {
    let mut counts = vec![[0; 3]; predict.task.classes().len()];
    if counts.is_empty() {
        return counts;
    }
    match Edges::of(view, predict) {
        Some(edges) => {
            for (part, name) in PARTS.into_iter().enumerate() {
                let found = edges.find(&edges.part(name));
                found.iter().for_each(|edge| count(predict, edges.label(edge), part, &mut counts));
            }
        }
        None => {
            for (v, &code) in view.parts(predict.ty, predict.label).iter().enumerate() {
                if let Some(part) = PARTS.iter().position(|part| *part as u8 == code) {
                    count(predict, label_of(view, predict, v as u32), part, &mut counts);
                }
            }
        }
    }
    counts
}

/// By relation, edges in train, valid and test.
fn counts_of_relations(edges: &Edges, relations: usize) -> Vec<[u64; 3]> {
    let mut counts = vec![[0; 3]; relations];
    for (part, name) in PARTS.into_iter().enumerate() {
        edges.kinds(&edges.part(name)).into_iter().for_each(|kind| counts[kind as usize][part] += 1);
    }
    counts
}

fn count(predict: &Predict, label: &[f32], part: usize, counts: &mut [[u64; 3]]) {
    match predict.task {
        Task::Classification { .. } if label[0] >= 0.0 => counts[label[0] as usize][part] += 1,
        Task::MultiLabel { .. } => {
            let has = label.iter().enumerate().filter(|(_, y)| **y > 0.5);
            has.for_each(|(class, _)| counts[class][part] += 1);
        }
        _ => {}
    }
}

fn message(predict: &Predict, what: &str, names: &[&str], counts: &[[u64; 3]]) -> Option<String> {
    const SHOWN: usize = 5;
    let unseen = |(_, [train, valid, test]): &(&&str, &[u64; 3])| *train == 0 && valid + test > 0;
    let found: Vec<(&&str, &[u64; 3])> = names.iter().zip(counts).filter(unseen).collect();
    let one =
        |(name, [_, valid, test]): &(&&str, &[u64; 3])| format!("`{name}` ({valid} valid, {test} test)");
    let mut shown: Vec<String> = found.iter().take(SHOWN).map(one).collect();
    if found.len() > SHOWN {
        shown.push(format!("and {} more", found.len() - SHOWN));
    }
    (!found.is_empty()).then(|| {
        format!(
            "of `{}`, {what} without a training row cannot be learned: {}",
            predict.name,
            shown.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toys::predict;

    #[test]
    fn classes_outside_the_training_rows_are_counted() {
        let classes: Vec<String> = ["a", "b", "c"].map(String::from).into();
        let of_one = predict(Task::Classification { classes: classes.clone() });
        assert_eq!(
            message(&of_one, "classes", &["a", "b", "c"], &[[3, 1, 0], [0, 2, 1], [0, 0, 0]]).as_deref(),
            Some("of `item.kind`, classes without a training row cannot be learned: `b` (2 valid, 1 test)")
        );
        let mut view = crate::view::MemoryGraph::new(&[2]);
        view.add_label(0, vec![1.0, 0.0, 0.0, 1.0, f32::NAN, 1.0], vec![Part::Train as u8, Part::Test as u8]);
        let of_several = predict(Task::MultiLabel { classes });
        assert_eq!(counts(&of_several, &view), [[1, 0, 1], [0, 0, 0], [0, 0, 1]]);
    }
}

//! The pages of the codes of layers: the first example fails with exactly that code, the second is clean.

use gsl_compiler::diag::codes;

use super::world::all_mistakes;

/// The examples of a page: the texts of its fences marked `gsl` and this word.
fn examples<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let fence = format!("```gsl {mark}\n");
    let parts = page.split(fence.as_str()).skip(1);
    parts.map(|rest| rest.split_once("```").map_or(rest, |(example, _)| example)).collect()
}

#[test]
fn every_code_has_a_page_that_tells_the_truth() {
    let mut wrong = Vec::new();
    for code in codes::ALL.iter().filter(|c| c.area() == "layer" && **c != codes::LAYER_LOWERING) {
        let Some(page) = code.page() else {
            wrong.push(format!("{code} has no page"));
            continue;
        };
        let (fails, works) = (examples(page, "fails"), examples(page, "works"));
        let ([bad], [good]) = (&fails[..], &works[..]) else {
            wrong.push(format!("{code} needs an example that fails and one that works"));
            continue;
        };
        let found = all_mistakes(bad);
        if found.len() != 1 || found[0].code != *code {
            let said: Vec<_> = found.iter().map(|d| (d.code, &d.message)).collect();
            wrong.push(format!("the first example of {code} gives {said:?}"));
        }
        let found = all_mistakes(good);
        if !found.is_empty() {
            wrong.push(format!("the second example of {code} gives {:?}", found[0]));
        }
        for example in [bad, good] {
            if gsl_compiler::syntax::format(example).ok().as_deref() != Some(*example) {
                wrong.push(format!("an example of {code} is not laid out as `gsc fmt` does"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

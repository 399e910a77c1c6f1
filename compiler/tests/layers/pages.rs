//! The pages of the codes of layers: the first example fails with exactly that code, the second is clean.

use gsl_compiler::diag::codes;

use super::world::all_mistakes;

/// The fenced `gsl` examples of a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```gsl").skip(1).filter_map(|rest| rest.split_once('\n')?.1.split("```").next()).collect()
}

#[test]
fn every_code_has_a_page_that_tells_the_truth() {
    let mut wrong = Vec::new();
    for code in codes::ALL.iter().filter(|c| c.area() == "layer" && **c != codes::LAYER_LOWERING) {
        let Some(page) = code.page() else {
            wrong.push(format!("{code} has no page"));
            continue;
        };
        let [bad, good] = examples(page)[..] else {
            wrong.push(format!("{code} needs an example that fails and one that works"));
            continue;
        };
        let found = all_mistakes(bad);
        if found.is_empty() || found.iter().any(|d| d.code != *code) {
            let said: Vec<_> = found.iter().map(|d| (d.code, &d.message)).collect();
            wrong.push(format!("the first example of {code} gives {said:?}"));
        }
        let found = all_mistakes(good);
        if !found.is_empty() {
            wrong.push(format!("the second example of {code} gives {:?}", found[0]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

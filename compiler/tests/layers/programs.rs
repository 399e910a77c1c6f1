//! The programs that small layers become: `programs/NAME.gsl` and, beside it, the program of its last call.

use gsl_compiler::layers::Mode;

use super::support::{compare, folder, gsl_files, read};
use super::world::{AUTHOR, PAPER, facts, lowered};

#[test]
fn programs_are_as_recorded() {
    let mut differing = Vec::new();
    for path in gsl_files(&folder("layers/programs")) {
        let (outcome, _) =
            lowered(&read(&path), Mode::Train).unwrap_or_else(|d| panic!("{}: {d:?}", path.display()));
        let params: Vec<String> =
            outcome.params.iter().map(|p| format!("{} {:?} {:?}\n", p.name, p.shape, p.init)).collect();
        let text = format!("{}\n{}", params.concat(), outcome.program);
        differing.extend(compare(&path.with_extension("gsl.program"), &text));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

#[test]
fn a_layer_says_what_it_reads() {
    use gsl_compiler::layers::{Declared, Scope, inputs_needed, needs};
    use gsl_compiler::syntax::parse;
    let cases = [
        ("h'[v] = h[v]", false, vec![AUTHOR]),
        ("h'[v] = sum[u -> v] h[u]", true, vec![PAPER]),
        ("z[v] = h[v] * 2\nh'[v] = sum[u -> v] z[u]", true, vec![PAPER]),
        ("z[v] = h[v] * 2\nh'[v] = z[v] + sum[u -> v] z[u]", true, vec![PAPER, AUTHOR]),
        ("e[u -> v] = h[u] + h[v]\nh'[v] = max[u -> v] e", true, vec![PAPER, AUTHOR]),
    ];
    for (body, looks, reads) in cases {
        let parsed = parse(&format!("layer L() {{\n{body}\n}}"));
        let decl = super::world::layers_of(&parsed.file).next().expect("a layer");
        let layer = Declared { decl, file: None };
        assert_eq!(needs(&layer, &Scope::default()), looks, "{body}");
        assert_eq!(inputs_needed(&facts(), &layer, &Scope::default(), &[AUTHOR]), reads, "{body}");
    }
}

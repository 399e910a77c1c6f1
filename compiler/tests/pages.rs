//! Every diagnostic has a page whose failing example fails with exactly that code and whose working example is clean.

use gsl_compiler::diag::codes::{ALL, PAGES};
use gsl_compiler::diag::{Code, Diagnostic};
use gsl_compiler::syntax::{format, parse};

/// Codes whose failing example would not fit on a page; each has a test of its own.
const WITHOUT_EXAMPLE: [&str; 1] = ["gsl::syntax::too_large"];

/// What the compiler says of an example of this area.
fn front_end(code: Code, source: &str) -> Option<Vec<Diagnostic>> {
    (code.area() == "syntax").then(|| parse(source).diagnostics)
}

/// The examples of a page: the texts of its fences marked `gsl` and this word.
fn examples<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let fence = format!("```gsl {mark}\n");
    let parts = page.split(fence.as_str()).skip(1);
    parts.map(|rest| rest.split_once("```").map_or(rest, |(example, _)| example)).collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let without: Vec<&str> = ALL.iter().filter(|c| c.page().is_none()).map(|c| c.as_str()).collect();
    assert!(without.is_empty(), "no page under docs/errors for {without:?}");
    for (code, page) in PAGES {
        let found =
            Code::find(code).unwrap_or_else(|| panic!("docs/errors has a page for {code}, which is no code"));
        assert_eq!(page.lines().next(), Some(format!("# {found}").as_str()), "the title of the page");
    }
}

#[test]
fn every_page_shows_what_fails_and_what_works() {
    for code in ALL {
        let page = code.page().unwrap_or("");
        let fails = examples(page, "fails").len();
        let exempt = WITHOUT_EXAMPLE.contains(&code.as_str());
        assert!(fails == usize::from(!exempt) || code.area() != "syntax", "failing examples of {code}");
        assert!(!examples(page, "works").is_empty() || code.area() != "syntax", "working examples of {code}");
    }
}

#[test]
fn failing_examples_fail_with_their_code_and_working_ones_do_not() {
    for code in ALL {
        let page = code.page().unwrap_or("");
        for example in examples(page, "fails") {
            let Some(found) = front_end(*code, example) else { continue };
            let codes: Vec<Code> = found.iter().map(|d| d.code).collect();
            assert_eq!(codes, [*code], "the failing example of {code}");
        }
        for example in examples(page, "works") {
            let Some(found) = front_end(*code, example) else { continue };
            assert!(found.is_empty(), "the working example of {code}: {found:?}");
            let laid_out = format(example).unwrap_or_default();
            assert_eq!(laid_out, example, "the working example of {code} is laid out as `gsc fmt` does");
        }
    }
}

#[test]
fn codes_are_found_by_their_names() {
    for code in ALL {
        assert_eq!(Code::find(code.as_str()), Some(*code));
        assert_eq!(Code::find(code.as_str().trim_start_matches("gsl::")), Some(*code));
    }
    assert_eq!(Code::find("gsl::nothing::such"), None);
}

//! The one table of diagnostics. A line here and a page in `docs/errors/<area>/<name>.md` declare a new one:
//! `CONSTANT = severity area name "what is wrong, in one line";` gives the code `gsl::area::name`.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Severity;

codes! {
    // What is written.
    SYNTAX_UNEXPECTED     = Error syntax unexpected       "text that cannot stand here";
    SYNTAX_EXPECTED       = Error syntax expected         "something is missing";
    SYNTAX_UNCLOSED       = Error syntax unclosed         "a bracket, brace or string that is never closed";
    SYNTAX_UNOPENED       = Error syntax unopened         "a closing bracket or brace without its opening one";
    SYNTAX_EQUALS         = Error syntax equals           "a setting without its `=`";
    SYNTAX_COLON          = Error syntax colon            "an argument named with `=` instead of `:`";
    SYNTAX_TRAILING_COMMA = Error syntax trailing_comma   "a comma at the end of a setting";
    SYNTAX_ARROW          = Error syntax arrow            "a relation that is not written `a -r-> b`";
    SYNTAX_KEYWORD        = Error syntax keyword          "a word that starts no item or statement";
    SYNTAX_NUMBER         = Error syntax number           "a number that cannot be read";
    SYNTAX_STRING         = Error syntax string           "a string that cannot be read";
    SYNTAX_TOO_DEEP       = Error syntax too_deep         "expressions or blocks nested too deeply";
    SYNTAX_TOO_LARGE      = Error syntax too_large        "a source file of 16 MiB or more";

    // Layers and modules: bodies, and the calls of them.
    LAYER_UNKNOWN_NAME     = Error layer unknown_name     "a name that nothing in the layer declares";
    LAYER_UNKNOWN_FUNCTION = Error layer unknown_function "a function that does not exist";
    LAYER_DIMENSIONS       = Error layer dimensions       "rows of different shapes brought together";
    LAYER_EDGE_ON_NODE     = Error layer edge_on_node     "a value on edges where a value on nodes is meant";
    LAYER_UNBOUND_INDEX    = Error layer unbound_index    "an index that nothing around it binds";
    LAYER_WRONG_INDEX      = Error layer wrong_index      "a weight or a value indexed by the wrong thing";
    LAYER_NOT_FREE         = Error layer not_free         "a reduction over something that its body does not depend on";
    LAYER_TWO_HOPS         = Error layer two_hops         "a neighbour's neighbours within one layer";
    LAYER_NO_OUTPUT        = Error layer no_output        "a layer that never says what it gives";
    LAYER_WRONG_OUTPUT     = Error layer wrong_output     "an output of another width than declared";
    LAYER_USED_BEFORE      = Error layer used_before      "a value used before its equation";
    LAYER_DEFINED_TWICE    = Error layer defined_twice    "one name for two things";
    LAYER_NOT_A_WEIGHT     = Error layer not_a_weight     "a product `@` whose right side is not a weight";
    LAYER_WRONG_KIND       = Error layer wrong_kind       "something that is not the kind of value wanted here";
    LAYER_WEIGHT_OPTION    = Error layer weight_option    "an option or a start of a weight that does not exist";
    LAYER_PARAMETER_TYPE   = Error layer parameter_type   "a parameter whose type cannot be told";
    LAYER_UNUSED           = Warning layer unused         "a weight or an equation that nothing uses";
    LAYER_NOT_WHOLE        = Error layer not_whole        "a width that does not come out whole";
    LAYER_NO_EDGE_FEATURE  = Error layer no_edge_feature  "an edge feature that a relation does not have";
    LAYER_WIDTHS           = Error layer widths           "node types that come into a layer with different widths";
    LAYER_UNKNOWN_ARGUMENT = Error layer unknown_argument "an argument that the layer does not take";
    LAYER_MISSING_ARGUMENT = Error layer missing_argument "an argument that the layer cannot do without";
    LAYER_ARGUMENT_TYPE    = Error layer argument_type    "an argument of the wrong type";
    LAYER_LOWERING         = Error layer lowering         "a fault of the compiler in lowering a layer";
}

/// The name of a mistake, such as `gsl::schema::no_such_column`.
#[derive(Clone, Copy)]
pub struct Code(&'static CodeInfo);

struct CodeInfo {
    text: &'static str,
    summary: &'static str,
    severity: Severity,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        self.0.text
    }

    /// `schema` of `gsl::schema::no_such_column`.
    pub fn area(self) -> &'static str {
        self.0.text.split("::").nth(1).unwrap_or("")
    }

    pub fn summary(self) -> &'static str {
        self.0.summary
    }

    pub fn severity(self) -> Severity {
        self.0.severity
    }

    /// The long explanation, in Markdown.
    pub fn page(self) -> Option<&'static str> {
        PAGES.iter().find(|(code, _)| *code == self.0.text).map(|(_, page)| *page)
    }

    /// Reads `gsl::schema::no_such_column` or `schema::no_such_column`.
    pub fn find(text: &str) -> Option<Code> {
        let text = text.strip_prefix("gsl::").unwrap_or(text);
        ALL.iter().copied().find(|code| code.as_str().strip_prefix("gsl::") == Some(text))
    }
}

/// (code, page), from the files under `docs/errors`.
pub const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

macro_rules! codes {
    ($($name:ident = $severity:ident $area:ident $short:ident $summary:literal;)*) => {
        $(
            #[doc = $summary]
            pub const $name: Code = Code(&CodeInfo {
                text: concat!("gsl::", stringify!($area), "::", stringify!($short)),
                summary: $summary,
                severity: Severity::$severity,
            });
        )*
        /// Every code, in the order of the table.
        pub const ALL: &[Code] = &[$($name),*];
    };
}
use codes;

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Code {}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text)
    }
}

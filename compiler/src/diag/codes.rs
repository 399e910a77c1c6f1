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
    SYNTAX_SETTING_EQUALS = Error syntax setting_equals   "a setting without its `=`";
    SYNTAX_TRAILING_COMMA = Error syntax trailing_comma   "a comma at the end of a setting";
    SYNTAX_ARROW          = Error syntax arrow            "a relation that is not written `a -r-> b`";
    SYNTAX_KEYWORD        = Error syntax keyword          "a word that starts no item or statement";
    SYNTAX_NUMBER         = Error syntax number           "a number that cannot be read";
    SYNTAX_STRING         = Error syntax string           "a string that cannot be read";
    SYNTAX_TOO_DEEP       = Error syntax too_deep         "expressions or blocks nested too deeply";
    SYNTAX_TOO_LARGE      = Error syntax too_large        "a source file of 16 MiB or more";
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

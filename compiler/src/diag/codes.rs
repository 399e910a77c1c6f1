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
    LAYER_RECURSION        = Error layer recursion        "a module that calls itself";
    LAYER_DECODER_REDUCES  = Error layer decoder_reduces  "a decoder that looks at neighbours";
    LAYER_LOWERING         = Error layer lowering         "a fault of the compiler in lowering a layer";

    // What names refer to.
    NAMES_DUPLICATE      = Error names duplicate      "one name declared twice";
    NAMES_CYCLE          = Error names cycle          "something that is made of itself";
    NAMES_IMPORT         = Error names import         "a `use` of something that is not there";
    NAMES_UNUSED_USE     = Warning names unused_use   "an import that nothing refers to";
    NAMES_CONSTANT       = Error names constant       "a constant that does not exist";
    NAMES_TYPE           = Error names type           "a type that does not exist";
    NAMES_GRAPH          = Error names graph          "a graph that does not exist";
    NAMES_NODE           = Error names node           "a node type that does not exist";
    NAMES_TYPE_REF       = Error names type_ref       "a part of a graph that does not exist";
    NAMES_FEATURE        = Error names feature        "a feature that does not exist";
    NAMES_LABEL          = Error names label          "a label that does not exist";
    NAMES_CANDIDATES     = Error names candidates     "candidates that an edge does not have";
    NAMES_TRANSFORM      = Error names transform      "a transform that does not exist";
    NAMES_FORMAT         = Error names format         "a table format that does not exist";
    NAMES_LAYER          = Error names layer          "a layer or module that does not exist";
    NAMES_FUNCTION       = Error names function       "a loss, metric, sampler or optimizer that does not exist";
    NAMES_RUST           = Error names rust           "a module, loss, metric or sampler that the program has not registered";
    NAMES_SETTING        = Error names setting        "a setting that does not exist";
    NAMES_EXPERIMENT     = Error names experiment     "an experiment that does not exist";

    // Arguments and constants.
    ARGS_UNKNOWN         = Error args unknown         "an argument that the function does not take";
    ARGS_MISSING         = Error args missing         "an argument that the function cannot do without";
    ARGS_TOO_MANY        = Error args too_many        "more arguments than the function takes";
    ARGS_TWICE           = Error args twice           "an argument given twice";
    ARGS_TYPE            = Error args type            "a value of the wrong type";
    ARGS_VALUE           = Error args value           "a value out of its range";
    ARGS_CONSTANT        = Error args constant        "something that is not a constant where one is needed";
    PARAM_NO_VALUE       = Error param no_value       "a param without a value";
    PARAM_OVERRIDE       = Error param override       "a `--set` that does not fit the file";

    // Graphs and their tables.
    SCHEMA_NO_SUCH_FILE    = Error schema no_such_file    "a table that is not there";
    SCHEMA_UNREADABLE      = Error schema unreadable      "a table that cannot be read";
    SCHEMA_NO_SUCH_COLUMN  = Error schema no_such_column  "a column that the table does not have";
    SCHEMA_NO_SOURCE       = Error schema no_source       "a type without the table it needs";
    SCHEMA_NO_NODES        = Error schema no_nodes        "a graph without nodes";
    SCHEMA_KEY_KIND        = Error schema key_kind        "identifiers of kinds that cannot match";
    SCHEMA_JOIN            = Error schema join            "a join without a column to join on";
    SCHEMA_EDGE            = Error schema edge            "an edge that lacks its relation or its columns";
    SCHEMA_RELATION_CLASH  = Error schema relation_clash  "two relations of one name";
    SCHEMA_WRONG_KIND      = Error schema wrong_kind      "a value of a kind that the operation cannot take";
    SCHEMA_FEATURE         = Error schema feature         "something that is no feature expression";
    SCHEMA_LABEL           = Error schema label           "a label that does not fit its column";
    SCHEMA_SPLIT           = Error schema split           "a split rule that cannot be understood";
    SCHEMA_SPLIT_FRACTIONS = Error schema split_fractions "fractions that do not make a split";
    SCHEMA_POLICY          = Error schema policy          "a policy that does not exist";
    SCHEMA_ALLOW           = Error schema allow           "an `allow` of something that cannot be allowed";
    SCHEMA_PARALLEL        = Error schema parallel        "a column that merged edges do not have";
    SCHEMA_LOOPS           = Error schema loops           "loops where there can be none";
    SCHEMA_TIME            = Error schema time            "a time that is none, or of another kind than the others";
    SCHEMA_STRUCTURE       = Error schema structure       "a structural feature that does not fit where it stands";
    SCHEMA_CANDIDATES      = Error schema candidates      "candidates that are no keys of nodes";
    SCHEMA_MANY            = Error schema many            "small graphs that no table of nodes names";
    SCHEMA_MISPLACED       = Error schema misplaced       "a statement that has no meaning where it stands";

    // Answers among the inputs.
    LEAK_LABEL_AS_FEATURE = Error leak label_as_feature "a label used as a feature";
    LEAK_RECONSTRUCTED     = Error leak reconstructed     "a feature that is reconstructed, given as an input";
    LEAK_SAME_EDGES       = Warning leak same_edges     "a relation that has the edges whose links are predicted";
    LEAK_TWO_SPLITS       = Warning leak two_splits     "one column with two splits, predicted twice";
    LEAK_STOP_ON_TEST     = Error leak stop_on_test     "a choice made on the test part";

    // Models.
    MODEL_EXPRESSION   = Error model expression   "something that is no model";
    MODEL_NEEDS_GRAPH  = Error model needs_graph  "a layer where there are no neighbours";
    MODEL_NEEDS_PAIRS  = Error model needs_pairs  "a decoder of pairs where there are none";
    MODEL_READOUT      = Error model readout      "a readout that does not make the row of a graph from its nodes";
    MODEL_NO_NEIGHBORS = Error model no_neighbors "layers on a node type that no edge reaches";
    MODEL_NO_FEATURES  = Error model no_features  "features of a type that has none";
    MODEL_WIDTHS       = Error model widths       "rows of different widths where one is needed";

    // Experiments.
    EXPERIMENT_NO_PREDICT  = Error experiment no_predict  "an experiment that predicts nothing";
    EXPERIMENT_NO_SPLIT    = Error experiment no_split    "a prediction of a label that is not split";
    EXPERIMENT_LOSS_TASK   = Error experiment loss_task   "a loss that does not fit its label";
    EXPERIMENT_CLASS_WEIGHTS = Error experiment class_weights "class weights of another number than the classes";
    EXPERIMENT_METRIC_TASK = Error experiment metric_task "a metric that does not fit its label";
    EXPERIMENT_FANOUTS     = Error experiment fanouts     "fanouts and layers of different number";
    EXPERIMENT_MONITOR     = Error experiment monitor     "something that cannot be watched during training";
    EXPERIMENT_DIRECTION   = Error experiment direction   "a formula of metrics that pull in two directions";
    EXPERIMENT_PART        = Error experiment part        "a part of the model that is not there, or cannot be trained so";
    EXPERIMENT_START       = Error experiment start       "a start from another run that does not stand at the end of a whole part";
    EXPERIMENT_SWEEP_PARAM = Error experiment sweep_param "a sweep over something that is no param";
    EXPERIMENT_SWEEP_VALUES = Error experiment sweep_values "a sweep without values, or with values that make no range";
    EXPERIMENT_VALUE       = Error experiment value       "a setting without a value of its kind";
    EXPERIMENT_WRITE       = Error experiment write       "results that cannot be written";
    EXPERIMENT_MISPLACED   = Error experiment misplaced   "a statement that has no meaning where it stands";
    EXPERIMENT_DATA        = Error experiment data        "data that do not let the experiment run";

    // What the language can say and this version cannot run.
    NOT_YET_TIME              = Error not_yet time              "temporal graphs";
    NOT_YET_TEXT              = Error not_yet text              "training of language models";
    NOT_YET_NEIGHBOR_FEATURES = Error not_yet neighbor_features "features built from neighbours";
    NOT_YET_EDGE_ENCODER      = Error not_yet edge_encoder      "encoders of edge features";
    NOT_YET_COMPOSITE_KEY     = Error not_yet composite_key     "keys of several columns";
    NOT_YET_JOIN              = Error not_yet join              "joins on another column than the key";
    NOT_YET_GLEM              = Error not_yet glem              "training with a language model in turns";
    NOT_YET_DISTILL           = Error not_yet distill           "distillation";
    NOT_YET_SAMPLED_VALIDATION = Error not_yet sampled_validation "validation on a sample of neighbours";
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

//! What the grammar would have taken at a place, in words.

use super::Rule;

/// `a, b or c`
pub(super) fn either(wanted: &[&str]) -> String {
    match wanted {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What the rules that would have matched are called; operators only where nothing else would do.
pub(super) fn words(rules: &[Rule]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for word in rules.iter().filter_map(|r| word(*r)) {
        let of_expression = word == "`from`" && follows_value(rules)
            || matches!(word, "a path in quotes" | "`by`") && rules.contains(&Rule::list);
        if !found.contains(&word) && !of_expression {
            found.push(word);
        }
    }
    found.sort_by_key(|word| match word.as_bytes().first() {
        Some(b'a') => 0,
        Some(b'`') => 1,
        _ => 2,
    });
    found
}

fn word(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::ident
        | Rule::indexed
        | Rule::name
        | Rule::path
        | Rule::import
        | Rule::write_item
        | Rule::written => "a name",
        Rule::expr | Rule::arg | Rule::arg_list | Rule::number | Rule::chain | Rule::dims | Rule::files => {
            "a value"
        }
        Rule::neg | Rule::list | Rule::paren | Rule::by => "a value",
        Rule::type_expr => "a type",
        Rule::type_ref => "a node type or relation",
        Rule::string => "a path in quotes",
        Rule::target => "what to predict, such as `paper.year` or `link a -r-> b`",
        Rule::edge_path | Rule::edge_index => "an edge type such as `a -r-> b`",
        Rule::arrow | Rule::rel | Rule::rel_column => "`-relation->`",
        Rule::schema_block | Rule::layer_block | Rule::exp_block | Rule::sweep_block => "`{`",
        Rule::params => "`(`",
        Rule::columns => "`(source column, target column)`",
        Rule::equals | Rule::derived_graph | Rule::derived_experiment => "`=`",
        Rule::colon => "`:`",
        Rule::comma => "`,`",
        Rule::close_paren => "`)`",
        Rule::close_bracket => "`]`",
        Rule::source | Rule::FROM => "`from`",
        Rule::ON => "`on`",
        Rule::OF => "`of`",
        Rule::TO => "`to`",
        Rule::BY => "`by`",
        Rule::IN | Rule::axis => "`in`",
        Rule::INTO => "`into`",
        Rule::WITH => "`with`",
        Rule::junk | Rule::EOI => "the end of the statement",
        _ => return None,
    })
}

/// Whether an expression could have gone on with an operator here.
pub(super) fn follows_value(positives: &[Rule]) -> bool {
    positives.iter().any(|r| matches!(r, Rule::pipe | Rule::add | Rule::mul | Rule::compose))
}

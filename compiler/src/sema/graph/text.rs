//! Transforms of texts: lengths, pools and the folders of language models.

use gsl_plan::graph::{Pool, TextTransform, Transform};

use super::feature::{FeatureCx, Kind};
use super::table;
use crate::diag::codes;
use crate::sema::call::Args;
use crate::syntax::ast::*;
use crate::world::TextModel;

/// The name of [`TextTransform::Embed`] where it is written like a layer: `Bert("models/minilm")(abstract)`.
pub const AS_LAYER: &str = "Bert";

/// Tokens that a tokenizer may be asked for; what it can do is known when it is opened.
const LONGEST: i64 = 1 << 16;

impl FeatureCx<'_, '_> {
    /// What a transform of texts with these arguments is, and what its rows are.
    pub(super) fn text(&mut self, name: &str, args: &Args, call: Span) -> Option<(Transform, Kind)> {
        let (text, width) = match name {
            "tokens" => self.tokens(args, call)?,
            "embed" => self.embed(args, call)?,
            "bag_of_words" => {
                let columns = usize::try_from(args.int("columns")?).ok()?;
                (TextTransform::BagOfWords { columns }, Some(columns))
            }
            _ => {
                let words = usize::try_from(args.int("words")?).ok()?;
                (TextTransform::Tfidf { words }, None)
            }
        };
        Some((Transform::Text(text), Kind::Wide(width)))
    }

    fn tokens(&mut self, args: &Args, call: Span) -> Option<(TextTransform, Option<usize>)> {
        let model = args.word("model")?.to_owned();
        let found = self.model(&model, call);
        let length = self.length(args, None, call);
        found?;
        let length = length?;
        Some((TextTransform::Tokens { model, length }, Some(length)))
    }

    fn embed(&mut self, args: &Args, call: Span) -> Option<(TextTransform, Option<usize>)> {
        let model = args.word("model")?.to_owned();
        let pool = match args.word("pool")? {
            "cls" => Pool::Cls,
            "pooler" => Pool::Pooler,
            _ => Pool::Mean,
        };
        let Some(found) = self.model(&model, call)? else {
            let message = format!("`{model}` has a tokenizer and no encoder");
            let help =
                "`embed` reads `config.json` and `model.safetensors` beside it; `tokens` needs neither";
            self.cx.error_help(codes::SCHEMA_NO_SUCH_FILE, message, call, "no encoder", help);
            return None;
        };
        let length = self.length(args, Some(found.positions), call)?;
        if pool == Pool::Pooler && !found.pooler {
            let message = format!("`{model}` has no pooler");
            let help = "write `pool: mean` or `pool: cls`";
            self.cx.error_help(codes::ARGS_VALUE, message, call, "no pooler", help);
            return None;
        }
        let width = found.width;
        Some((TextTransform::Embed { model, length, pool, width }, Some(width)))
    }

    /// What the world says of the folder; a mistake is reported.
    fn model(&mut self, folder: &str, call: Span) -> Option<Option<TextModel>> {
        match self.cx.world.text_model(folder) {
            Ok(found) => Some(found),
            Err(error) => {
                table::report(self.cx, error, call);
                None
            }
        }
    }

    fn length(&mut self, args: &Args, positions: Option<usize>, call: Span) -> Option<usize> {
        let length = args.int("length")?;
        match positions {
            _ if !(3..=LONGEST).contains(&length) => {
                let message = format!("a text of {length} tokens: `length` is from 3 to {LONGEST}");
                self.cx.error(codes::ARGS_VALUE, message, call, "");
            }
            Some(positions) if length > positions as i64 => {
                let message = format!("the model reads at most {positions} tokens of a text, not {length}");
                let help = format!("write `length: {positions}` or less");
                self.cx.error_help(codes::ARGS_VALUE, message, call, "too long", help);
            }
            _ => return usize::try_from(length).ok(),
        }
        None
    }
}

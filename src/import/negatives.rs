//! Negatives that links are trained against: GraphStorm's samplers in the words of GSL.

use super::fields::At;
use super::model::Cx;
use super::notes::Notes;
use super::schema::Feature;
use super::settings::TaskSettings;
use super::text;
use crate::source::Failure;

const SAMPLERS: [&str; 11] = [
    "uniform",
    "joint",
    "inbatch_joint",
    "localuniform",
    "localjoint",
    "all_etype_uniform",
    "all_etype_joint",
    "fast_uniform",
    "fast_joint",
    "fast_localuniform",
    "fast_localjoint",
];

/// Links of a group whose ends are each other's negatives, at most: as many scores for each link.
const GROUP: i64 = 1024;

impl<'a> Cx<'_, 'a> {
    /// `hard(similar, 4), joint(28), in_batch(share: 512)`
    pub fn negatives(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        let count = own.get("num_negative_edges", self.settings).map_or(Ok(16), |at| at.count())?;
        let said = own.get("train_negative_sampler", self.settings);
        let word = said.as_ref().map_or(Ok("uniform"), |at| at.word(&SAMPLERS))?;
        let hard = self.hard(own, relation, count, notes)?;
        let mut all: Vec<String> = hard.iter().map(|(name, n)| format!("hard({name}, {n})")).collect();
        let drawn = count - hard.map_or(0, |(_, n)| n);
        if drawn > 0 {
            all.push(format!("{}({drawn})", drawn_by(word)));
        }
        if word == "inbatch_joint" {
            all.push(format!("in_batch(share: {})", self.group(own, said.as_ref(), notes)?));
        }
        if word.starts_with("all_etype") {
            all.push("every_relation".to_owned());
        }
        if let Some(at) = said {
            remark(word, &at, drawn, notes);
        }
        Ok(all.join(", "))
    }

    /// Links whose ends are each other's negatives: those of a batch.
    fn group(&self, own: &TaskSettings<'a>, said: Option<&At>, notes: &mut Notes) -> Result<i64, Failure> {
        let batch = own.get("batch_size", self.settings).map_or(Ok(GROUP), |at| at.count())?;
        if batch > GROUP
            && let Some(at) = said
        {
            let text =
                format!("links share their ends in groups of {GROUP}, not in whole batches of {batch}");
            notes.changed(&at.path, text);
        }
        Ok(batch.clamp(2, GROUP))
    }

    /// The feature with the hard negatives of a relation, and how many of them stand in the place of drawn ones.
    fn hard(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        count: i64,
        notes: &mut Notes,
    ) -> Result<Option<(String, i64)>, Failure> {
        let named = own.get("train_etypes_negative_dstnode", self.settings);
        let many = own.get("num_train_hard_negatives", self.settings);
        let Some(at) = named else {
            if let Some(at) = many {
                notes.needless(at.path, "no feature of hard negatives is named");
            }
            return Ok(None);
        };
        let Some(name) = self.candidates(&at, relation)? else { return Ok(None) };
        let said = many.as_ref().map(|at| self.said_of_relation(at, relation)).transpose()?.flatten();
        let said = match (&said, &many) {
            (Some(text), Some(at)) => {
                let number = text.trim().parse::<i64>().ok().filter(|n| *n > 0);
                number.ok_or_else(|| at.wrong("a whole number from 1, or one for each relation"))?
            }
            _ => count,
        };
        notes.changed(
            at.path,
            "an edge with fewer hard negatives than `hard` asks for has fewer negatives; GraphStorm draws others for them",
        );
        Ok(Some((name, said.min(count))))
    }

    /// The candidates of a relation that a setting names; none where it says nothing of the relation.
    pub fn candidates(&self, at: &At, relation: usize) -> Result<Option<String>, Failure> {
        let found =
            self.feature_of_relation(at, relation, "feature of hard negatives", Feature::is_candidates)?;
        found.map(|name| text::name(&name)).transpose()
    }
}

/// The sampler of GSL that draws.
fn drawn_by(word: &str) -> &'static str {
    if word.ends_with("joint") { "joint" } else { "uniform" }
}

fn remark(word: &str, at: &At, drawn: i64, notes: &mut Notes) {
    if word.contains("local") {
        notes.changed(
            &at.path,
            format!(
                "negatives come from the whole type; `{}({drawn}, partitions: N)` draws them locally, N being the \
                 number of partitions, which the configuration does not say",
                drawn_by(word)
            ),
        );
    }
    if word.starts_with("fast") {
        notes.needless(&at.path, "that edges of other parts are left out of a sample costs no time here");
    }
    if word.starts_with("all_etype") {
        notes.changed(
            &at.path,
            "`every_relation` spreads the relations of a family over the batches; relations that are predicted one by one \
             have their share in every batch anyway",
        );
    }
}

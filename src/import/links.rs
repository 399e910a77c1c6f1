//! Predictions of links: scores, losses, negatives and ranking, as the language has them.

use super::model::Cx;
use super::notes::Notes;
use super::settings::TaskSettings;
use super::tables::Paths;
use super::text;
use crate::source::Failure;

impl Cx<'_, '_> {
    /// What stands in `predict link a -r-> b { … }`.
    pub fn link_settings(
        &self,
        own: &TaskSettings,
        relation: usize,
        paths: &Paths,
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        match self.graph.edges[relation].link() {
            Some(label) => body.extend(label.split.rule(paths).map(|rule| format!("split = {rule}"))),
            None => notes.changed(&own.path, "a relation without a split of its own trains on all its edges"),
        }
        body.push(format!("decode = {}", self.link_decoder(own)?));
        body.push(format!("loss = {}", self.link_loss(own, notes)?));
        body.push(format!("negatives = {}", self.negatives(own, notes)?));
        body.push(format!("evaluate = {}", self.ranking(own, notes)?));
        if let Some(at) = own.get("exclude_training_targets", self.settings)
            && !at.flag()?
        {
            notes.lost(
                at.path,
                "an edge never takes part in its own prediction, unless `allow leak(…)` says so",
            );
        }
        Ok(())
    }

    fn link_decoder(&self, own: &TaskSettings) -> Result<String, Failure> {
        const WORDS: [&str; 5] = ["dot_product", "distmult", "rotate", "transe_l1", "transe_l2"];
        let word = own.get("lp_decoder_type", self.settings).map_or(Ok("distmult"), |at| at.word(&WORDS))?;
        let gamma = own.get("gamma", self.settings).map_or(Ok(12.0), |at| at.number())?;
        let gamma = format!("gamma: {}", text::number(gamma));
        Ok(match word {
            "dot_product" => "dot".to_owned(),
            "rotate" => format!("rotate({gamma})"),
            "transe_l1" => format!("transe(p: 1, {gamma})"),
            "transe_l2" => format!("transe(p: 2, {gamma})"),
            word => word.to_owned(),
        })
    }

    fn link_loss(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        const WORDS: [&str; 3] = ["cross_entropy", "contrastive", "bpr"];
        let word =
            own.get("lp_loss_func", self.settings).map_or(Ok("cross_entropy"), |at| at.word(&WORDS))?;
        if let Some(at) = own.get("adversarial_temperature", self.settings) {
            notes.lost(at.path, "negatives that weigh by their own score are not in the language yet");
        }
        let temperature = own.get("contrastive_loss_temperature", self.settings);
        let temperature = temperature.map_or(Ok(1.0), |at| at.number())?;
        Ok(match word {
            "contrastive" => format!("contrastive(temperature: {})", text::number(temperature)),
            word => word.to_owned(),
        })
    }

    fn negatives(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        const WORDS: [&str; 11] = [
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
        let count = own.get("num_negative_edges", self.settings).map_or(Ok(16), |at| at.count())?;
        let Some(at) = own.get("train_negative_sampler", self.settings) else {
            return Ok(format!("uniform({count})"));
        };
        let word = at.word(&WORDS)?;
        if word.contains("local") {
            notes.changed(
                &at.path,
                "negatives come from the whole type, so that no result depends on partitions",
            );
        }
        if word.starts_with("fast") {
            notes.needless(&at.path, "that edges of other parts are left out of a sample costs no time here");
        }
        if word.starts_with("all_etype") {
            notes.lost(&at.path, "batches are drawn from all positive edges, not so many of each relation");
        }
        Ok(match word {
            "inbatch_joint" => format!("in_batch(joint: {count})"),
            word if word.ends_with("joint") => format!("joint({count})"),
            _ => format!("uniform({count})"),
        })
    }

    /// `mrr, hits(1, 10) against joint(1000)`
    fn ranking(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        let (mut metrics, mut hits) = (Vec::new(), Vec::new());
        let said = own.get("eval_metric", self.settings).map(|at| at.list_or_one()).unwrap_or_default();
        for at in &said {
            let word = at.text()?.to_lowercase();
            match (word.as_str(), word.strip_prefix("hit_at_").and_then(|k| k.parse::<u32>().ok())) {
                ("mrr", _) => metrics.push("mrr".to_owned()),
                (_, Some(k)) => hits.push(k.to_string()),
                ("amri", _) => notes.lost(&at.path, "there is no AMRI: `mrr` is the nearest"),
                _ => return Err(at.wrong("`mrr`, `hit_at_K` or `amri`")),
            }
        }
        if !hits.is_empty() {
            metrics.push(format!("hits({})", hits.join(", ")));
        }
        if metrics.is_empty() {
            metrics.push("mrr".to_owned());
        }
        let count = own.get("num_negative_edges_eval", self.settings).map_or(Ok(1000), |at| at.count())?;
        let sampler = own.get("eval_negative_sampler", self.settings);
        let word = sampler.as_ref().map_or(Ok("joint"), |at| {
            at.word(&["joint", "uniform", "localuniform", "localjoint", "fixed"])
        })?;
        if word == "fixed" {
            let path = sampler.map(|at| at.path).unwrap_or_default();
            notes.lost(path, "candidates of the table are not in the language yet: `joint` is written");
        }
        let against = if word.ends_with("uniform") { "uniform" } else { "joint" };
        Ok(format!("{} against {against}({count})", metrics.join(", ")))
    }
}

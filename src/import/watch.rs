//! What is watched on the validation part: when training stops, and which models are kept.

use super::graph::Owner;
use super::model::Cx;
use super::notes::Notes;
use super::predict::watched;
use super::schema::Split;
use super::tasks::{Target, Task};
use super::text;
use crate::source::Failure;

impl Cx<'_, '_> {
    /// `stop` and `best`.
    pub fn stopping(&self, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let keep = self.settings.get("topk_model_to_save");
        let keys = ["early_stop_rounds", "early_stop_burnin_rounds", "early_stop_strategy"];
        let [rounds, burnin, strategy] = keys.map(|key| self.settings.get(key));
        let wants_stop = self.settings.flag("use_early_stop", false)?;
        let none = self.settings.get("no_validation").map_or(Ok(false), |at| at.flag())?;
        let several = self.settings.has_several_tasks();
        let watched = if none || several { None } else { self.watched()? };
        let Some(watched) = watched else {
            let why = if several {
                "GraphStorm neither stops early nor chooses a model among several tasks; a formula \
                                    over their metrics can: `best = valid.a.accuracy + valid.b.r2`"
            } else {
                "nothing is validated, or has one number to watch"
            };
            for at in
                [rounds, burnin, strategy, keep, self.settings.get("use_early_stop")].into_iter().flatten()
            {
                notes.needless(at.path, why);
            }
            // Without a task the defaults hold for what is predicted in its place.
            let is_said = !self.tasks.is_empty();
            let said = ["stop = none", "best = last"].into_iter().filter(|_| is_said);
            return Ok(said.map(str::to_owned).collect());
        };
        let stop = if wants_stop {
            let mut stop = format!("patience({}, on: {watched}", rounds.map_or(Ok(3), |at| at.count())?);
            if let Some(at) = burnin {
                stop += &format!(", min_epochs: {}", at.whole()?);
                notes.changed(at.path, "rounds are evaluations, `min_epochs` are epochs");
            }
            let path = strategy.map_or_else(|| "gsf".to_owned(), |at| at.path);
            notes.changed(path, "`patience` stops after so many evaluations without a gain over the best");
            stop + ")"
        } else {
            for at in [rounds, burnin, strategy].into_iter().flatten() {
                notes.needless(at.path, "`use_early_stop` is not set");
            }
            "none".to_owned()
        };
        let keep = keep.map(|at| at.count()).transpose()?.filter(|n| *n > 1);
        let keep = keep.map_or_else(String::new, |n| format!(", keep: {n}"));
        Ok(vec![format!("stop = {stop}"), format!("best = {watched}{keep}")])
    }

    /// `valid.accuracy`: the first metric of the task that is evaluated; of several relations the sum, which orders models as
    /// their mean does.
    fn watched(&self) -> Result<Option<String>, Failure> {
        let judge =
            self.settings.get("eval_target_ntype").map(|at| at.text().map(str::to_owned)).transpose()?;
        let is_judge = |task: &&Task| match (&judge, &task.target) {
            (Some(judge), Target::Label(Owner::Node(at), _)) => self.graph.nodes[*at].name == *judge,
            _ => task.is_judged,
        };
        let mut terms = Vec::new();
        for task in self.tasks.iter().filter(is_judge) {
            let Some(metric) = self.first_metric(task)? else { continue };
            let name = self.handle(task)?;
            terms.push(match self.tasks.len() {
                1 => format!("valid.{metric}"),
                _ => format!("valid.{name}.{metric}"),
            });
            if !matches!(task.target, Target::Link(_)) {
                break;
            }
        }
        Ok(Some(terms.join(" + ")).filter(|terms| !terms.is_empty()))
    }

    /// What a prediction is called among others: the shortest name that no other has.
    fn handle(&self, task: &Task) -> Result<String, Failure> {
        let own = self.names(task);
        let alone = self.tasks.iter().filter(|other| self.names(other).1 == own.1).count() == 1;
        let (owner, name) = (text::name(&own.0)?, text::name(&own.1)?);
        Ok(if alone { name } else { format!("{owner}.{name}") })
    }

    fn names(&self, task: &Task) -> (String, String) {
        let owner = |owner: Owner| match owner {
            Owner::Node(at) => self.graph.nodes[at].name.clone(),
            Owner::Edge(at) => self.graph.edges[at].name.clone(),
        };
        match &task.target {
            Target::Label(at, label) => (owner(*at), self.graph.labels(*at)[*label].name.clone()),
            Target::Reconstruct(at, feature) => (owner(*at), feature.clone()),
            Target::Link(at) => ("link".to_owned(), self.graph.edges[*at].name.clone()),
        }
    }

    /// The first metric of a task that has rows to validate on.
    fn first_metric(&self, task: &Task) -> Result<Option<String>, Failure> {
        let (own, mut unheard) = (self.settings_of(task), Notes::default());
        if !self.split_of(task)?.is_some_and(Split::has_valid) {
            return Ok(None);
        }
        Ok(match &task.target {
            Target::Link(_) => Some(self.ranking(own, None, &mut unheard)?.first),
            Target::Label(owner, label) => {
                let several = self.graph.labels(*owner)[*label].is_multi;
                watched(&self.metrics(own, several, &mut unheard)?)
            }
            Target::Reconstruct(..) => watched(&self.metrics(own, false, &mut unheard)?),
        })
    }

    fn split_of(&self, task: &Task) -> Result<Option<&Split>, Failure> {
        let own = self.settings_of(task);
        Ok(match &task.target {
            Target::Label(owner, label) => Some(&self.graph.labels(*owner)[*label].split),
            Target::Link(relation) => self.link_split(own, *relation)?,
            Target::Reconstruct(owner, feature) => {
                self.graph.reconstruction(*owner, feature, own.masks(self.settings)?.as_ref())
            }
        })
    }
}

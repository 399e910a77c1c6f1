//! How an experiment is trained: samples, batches, optimizer, epochs.

use super::fields::At;
use super::model::Cx;
use super::notes::Notes;
use super::text;
use crate::source::Failure;

impl Cx<'_, '_> {
    pub fn training(&self, lr: Option<&str>, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        all.extend(self.sample(notes)?.map(|sample| format!("sample = {sample}")));
        match self.settings.get("batch_size") {
            Some(at) => all.push(format!("batch = {}", at.count()?)),
            None => notes.changed("gsf", "`batch_size` is not set: GSL's own is 1024"),
        }
        all.push(format!("optimizer = {}", self.optimizer(lr, notes)?));
        match self.settings.get("num_epochs") {
            Some(at) if at.whole()? > 0 => all.push(format!("epochs = {}", at.whole()?)),
            Some(at) => notes.lost(at.path, "there is at least one epoch: the default holds"),
            None => {
                notes.changed("gsf", "`num_epochs` is not set: GraphStorm trains nothing then, GSL 20 epochs")
            }
        }
        if let Some(at) = self.settings.get("eval_frequency") {
            all.push(format!("evaluate_every = {} batches", at.count()?));
            notes.changed(at.path, "GraphStorm evaluates at the end of each epoch too");
        }
        all.extend(self.stopping(notes)?);
        Ok(all)
    }

    /// Fanouts, nearest the seeds first: GraphStorm writes them the other way round.
    fn sample(&self, notes: &mut Notes) -> Result<Option<String>, Failure> {
        if let Some(at) = self.settings.get("eval_fanout") {
            let full = at.written().split(',').all(|f| f.trim() == "-1");
            let text = "evaluation looks at all neighbours";
            if full { notes.needless(at.path, text) } else { notes.lost(at.path, text) }
        }
        let Some(at) = self.settings.get("fanout") else { return Ok(None) };
        if !self.looks_at_neighbours()? {
            notes.needless(at.path, "the model looks at no neighbours");
            return Ok(None);
        }
        let mut fanouts = Vec::new();
        for layer in at.written().split(',').map(str::trim) {
            fanouts.push(self.fanout(layer, &at, notes)?);
        }
        let layers = self.settings.get("num_layers").map(|at| at.whole()).transpose()?;
        if layers.is_some_and(|layers| usize::try_from(layers) != Ok(fanouts.len())) {
            return Err(at.wrong("a number for each of the layers of `num_layers`"));
        }
        fanouts.reverse();
        Ok(Some(format!("neighbors({})", fanouts.join(", "))))
    }

    /// One layer: a number, or `source/relation/destination:5@…`, of which the largest is taken.
    fn fanout(&self, layer: &str, at: &At, notes: &mut Notes) -> Result<String, Failure> {
        let wrong = || at.wrong("numbers, or SOURCE/RELATION/DESTINATION:NUMBER with @ between them");
        let mut numbers = Vec::new();
        for part in layer.split('@') {
            let number = part.rsplit_once(':').map_or(part, |(_, number)| number);
            numbers.push(number.trim().parse::<i64>().map_err(|_| wrong())?);
        }
        if layer.contains(':') {
            notes.lost(&at.path, "a fanout holds for all relations: the largest of each layer is taken");
        }
        if numbers.contains(&-1) {
            return Ok("all".to_owned());
        }
        let largest = numbers.into_iter().max().filter(|n| *n > 0);
        largest.map(|n| n.to_string()).ok_or_else(wrong)
    }

    fn optimizer(&self, lr: Option<&str>, notes: &mut Notes) -> Result<String, Failure> {
        let mut arguments: Vec<String> = lr.map(|lr| format!("lr: {lr}")).into_iter().collect();
        let (decay, penalty) = (self.settings.number("wd_l2norm", 0.0)?, self.settings.get("alpha_l2norm"));
        let penalty = match penalty {
            Some(at) if at.number()? > 0.0 => {
                let text =
                    "alpha times the sum of squares in the loss is weight decay of twice alpha in `adam`";
                notes.changed(&at.path, text);
                2.0 * at.number()?
            }
            _ => 0.0,
        };
        if decay + penalty > 0.0 {
            arguments.push(format!("weight_decay: {}", text::number(decay + penalty)));
        }
        if let Some(at) = self.settings.get("max_grad_norm") {
            notes.changed(&at.path, "gradients are clipped before the step; GraphStorm's clipping comes after it, and has no effect");
            arguments.push(format!("clip: {}", text::number(at.number()?)));
        }
        if let Some(at) = self.settings.get("grad_norm_type")
            && at.number().is_ok_and(|p| p.total_cmp(&2.0).is_ne())
        {
            notes.lost(at.path, "gradients are clipped by their Euclidean norm");
        }
        let sparse = match self.settings.get("sparse_optimizer_lr") {
            Some(at) => Some(text::number(at.number()?)),
            None => lr.map(str::to_owned),
        };
        let call = |name: &str, arguments: &[String]| match arguments {
            [] => name.to_owned(),
            all => format!("{name}({})", all.join(", ")),
        };
        let sparse: Vec<String> = sparse.map(|lr| format!("lr: {lr}")).into_iter().collect();
        Ok(format!("{}, embeddings: {}", call("adam", &arguments), call("sparse_adam", &sparse)))
    }
}

//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere.

use super::event::{Event, Reader};
use crate::metrics::Ordered;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes to standard error. Lines that matter are kept above the bar.
pub struct Progress {
    terminal: bool,
    quiet: bool,
    bar: Option<ProgressBar>,
    last_plain: Instant,
    stage: Option<(String, Instant)>,
}

impl Progress {
    pub fn new(terminal: bool, quiet: bool) -> Self {
        Progress { terminal, quiet, bar: None, last_plain: Instant::now(), stage: None }
    }

    fn line(&self, text: String) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Also where no progress is wanted.
    fn say(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody may be reading any more: the run goes on.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    fn start(&mut self, stage: &str, total: Option<u64>, unit: &str) {
        self.stage = Some((stage.to_string(), Instant::now()));
        self.last_plain = Instant::now();
        if !self.terminal || self.quiet {
            return;
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let form = match total {
            Some(_) => "{prefix:<11} {bar:28} {pos}/{len} {unit} · {elapsed} · {eta} left · {msg}",
            None => "{prefix:<11} {spinner} {elapsed} {msg}",
        };
        let form = form.replace("{unit}", unit);
        bar.set_style(ProgressStyle::with_template(&form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(stage.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn progress(&mut self, stage: &str, done: u64, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(detail.to_string());
        } else if self.last_plain.elapsed() > Duration::from_secs(10) {
            self.last_plain = Instant::now();
            self.line(format!("{stage}: {done} · {detail}"));
        }
    }

    fn finish(&mut self, stage: &str, seconds: f64, reused: bool) {
        if self.stage.as_ref().is_some_and(|(name, _)| name == stage) {
            self.stage = None;
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
        }
        let how = if reused { "reused".to_string() } else { format!("{seconds:.1} s") };
        self.line(format!("{stage:<11} {how}"));
    }
}

impl Reader for Progress {
    fn read(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage, total, unit } => self.start(stage, *total, unit),
            Event::StageProgress { stage, done, detail } => self.progress(stage, *done, detail),
            Event::StageFinished { stage, seconds, reused, .. } => self.finish(stage, *seconds, *reused),
            Event::Epoch { epoch, loss, seconds, .. } => {
                self.line(format!("epoch {epoch:>4}  loss {}  {seconds:.1} s", short(*loss)));
            }
            Event::Evaluated { at, part, predict, metrics, .. } => {
                let at = format!("{:.2}", at).trim_end_matches('0').trim_end_matches('.').to_string();
                self.line(format!("epoch {at:>4}  {part} {predict}: {}", show(metrics)));
            }
            Event::TrainStage { name, epochs, parameters } => {
                self.line(format!("stage       {name}: {epochs} epochs, {parameters} parameters"));
            }
            Event::Best { .. } | Event::Step { .. } | Event::Profile { .. } => {}
            Event::GraphBuilt { .. } | Event::GraphInspected { .. } => {}
            Event::Stopped { epoch, reason } => self.line(format!("stopped after epoch {epoch}: {reason}")),
            Event::Tested { .. } => {}
            Event::Written { path, rows } => self.line(format!("wrote       {path} ({rows} rows)")),
            Event::Warning { message } => self.say(format!("warning: {message}")),
            Event::RunStarted { experiment, parameters, ranks, threads, resumed_at, .. } => {
                let resumed = resumed_at
                    .map(|p| format!(", resumed at epoch {} batch {}", p.epoch, p.batch))
                    .unwrap_or_default();
                self.line(format!(
                    "experiment  {experiment}: {parameters} parameters, {ranks} rank(s) × {threads} thread(s){resumed}"
                ));
            }
            Event::Failed { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            Event::RunFinished { seconds, peak_memory } => {
                let gib = *peak_memory as f64 / f64::from(1 << 30);
                self.line(format!("finished    {seconds:.1} s, at most {gib:.2} GiB of memory"));
            }
        }
    }
}

/// Four digits behind the point; of huge numbers, the power of ten.
pub fn short(x: f64) -> String {
    if x.abs() < 1e7 { format!("{x:.4}") } else { format!("{x:.3e}") }
}

/// `accuracy 0.8312, f1_macro 0.6120`
pub fn show(metrics: &Ordered<f64>) -> String {
    metrics.iter().map(|(k, v)| format!("{k} {v:.4}")).collect::<Vec<_>>().join(", ")
}

/// `accuracy 0.8312 [0.8130, 0.8480]`
pub fn show_with_intervals(metrics: &Ordered<f64>, intervals: &Ordered<[f64; 2]>) -> String {
    let one = |(name, value): (&str, &f64)| match intervals.get(name) {
        Some([low, high]) => format!("{name} {value:.4} [{low:.4}, {high:.4}]"),
        None => format!("{name} {value:.4}"),
    };
    metrics.iter().map(one).collect::<Vec<_>>().join(", ")
}

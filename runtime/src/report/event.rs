//! The events of a run.

use crate::inspect::Inspection;
use crate::metrics::{Ordered, RelationScore, Sums};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// One thing that happened. Numbers are in seconds and bytes unless they say otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        experiment: String,
        file: String,
        version: String,
        plan: String,
        ranks: usize,
        threads: usize,
        seed: u64,
        parameters: u64,
        resumed_at: Option<Position>,
    },
    StageStarted {
        stage: String,
        total: Option<u64>,
        unit: String,
    },
    StageProgress {
        stage: String,
        done: u64,
        detail: String,
    },
    StageFinished {
        stage: String,
        seconds: f64,
        /// The result was there already.
        reused: bool,
        peak_memory: u64,
    },
    /// What construction counted, as the graph file stores it.
    GraphBuilt {
        report: serde_json::Value,
    },
    /// The graph, as `gsc inspect` tells it.
    GraphInspected {
        inspection: Box<Inspection>,
    },
    /// A stage of the training begins, or is gone on with.
    TrainStage {
        name: String,
        epochs: u32,
        /// Numbers that it trains.
        parameters: u64,
    },
    Step {
        epoch: u32,
        batch: u32,
        loss: f64,
    },
    Epoch {
        epoch: u32,
        loss: f64,
        seconds: f64,
        seeds: u64,
    },
    Evaluated {
        epoch: u32,
        /// Epochs done, with the fraction of the one at hand.
        at: f64,
        part: String,
        predict: String,
        metrics: Ordered<f64>,
        rows: u64,
    },
    Best {
        epoch: u32,
        metric: String,
        value: f64,
    },
    Stopped {
        epoch: u32,
        reason: String,
    },
    /// The test part, by the model that was kept.
    Tested {
        predict: String,
        classes: Vec<String>,
        metrics: Ordered<f64>,
        /// 95% intervals of the metrics.
        #[serde(default)]
        intervals: Ordered<[f64; 2]>,
        /// Metrics that are one number for each class.
        #[serde(default)]
        by_class: Ordered<Vec<Option<f64>>>,
        /// Of links of several relations: each relation by name.
        #[serde(default)]
        by_relation: BTreeMap<String, RelationScore>,
        sums: Sums,
    },
    /// Time by step of the schedule, in the order of the steps.
    Profile {
        steps: Vec<StepTime>,
    },
    Written {
        path: String,
        rows: u64,
    },
    Warning {
        message: String,
    },
    Failed {
        message: String,
    },
    RunFinished {
        seconds: f64,
        peak_memory: u64,
    },
}

/// How far training has come: `batch` steps of `epoch` are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub epoch: u32,
    pub batch: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    pub name: String,
    pub runs: u64,
    pub seconds: f64,
}

/// Takes events as they come. Called from one thread at a time.
pub trait Reader: Send {
    fn read(&mut self, event: &Event);
}

/// The stream: hands every event to every reader.
#[derive(Default)]
pub struct Events {
    readers: Mutex<Vec<Box<dyn Reader>>>,
}

impl Events {
    pub fn new(readers: Vec<Box<dyn Reader>>) -> Self {
        Events { readers: Mutex::new(readers) }
    }

    pub fn send(&self, event: Event) {
        let mut readers = self.readers.lock().unwrap_or_else(|e| e.into_inner());
        readers.iter_mut().for_each(|r| r.read(&event));
    }

    /// Sends a warning for each message.
    pub fn warn(&self, messages: impl IntoIterator<Item = String>) {
        messages.into_iter().for_each(|message| self.send(Event::Warning { message }));
    }

    /// Runs `work` as a named stage and sends its start and end.
    pub fn stage<T, E>(&self, stage: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let started = std::time::Instant::now();
        self.send(Event::StageStarted { stage: stage.into(), total: None, unit: String::new() });
        let result = work();
        if result.is_ok() {
            self.send(Event::StageFinished {
                stage: stage.into(),
                seconds: started.elapsed().as_secs_f64(),
                reused: false,
                peak_memory: peak_memory(),
            });
        }
        result
    }
}

/// The most memory this process has held so far, in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|s| parse_peak(&s)).unwrap_or(0)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}

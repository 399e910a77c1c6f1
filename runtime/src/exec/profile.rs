//! Times and bytes by step.

use gsl_plan::schedule::Schedule;
use std::time::{Duration, Instant};

/// What the steps took since measuring began.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    on: bool,
    /// In the order of the schedule.
    pub steps: Vec<StepTime>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepTime {
    pub name: String,
    pub calls: u64,
    pub time: Duration,
    /// Bytes read and written: each operand once per row or edge.
    pub bytes: u64,
}

impl Profile {
    pub fn new(schedule: &Schedule) -> Self {
        let step =
            |step: &gsl_plan::schedule::Step| StepTime { name: step.name.clone(), ..StepTime::default() };
        Profile { on: false, steps: schedule.steps.iter().map(step).collect() }
    }

    /// Time of all steps.
    pub fn total(&self) -> Duration {
        self.steps.iter().map(|step| step.time).sum()
    }

    pub(super) fn set(&mut self, on: bool) {
        self.on = on;
        if on {
            for step in &mut self.steps {
                *step = StepTime { name: std::mem::take(&mut step.name), ..StepTime::default() };
            }
        }
    }

    pub(super) fn clock(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }

    pub(super) fn add(&mut self, at: usize, time: Duration, bytes: u64) {
        let step = &mut self.steps[at];
        step.calls += 1;
        step.time += time;
        step.bytes += bytes;
    }
}

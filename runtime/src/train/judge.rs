//! Who looks over a training's shoulder and may pause it: a sweep that compares it with others.

use gsl_plan::plan::Monitor;

/// Asked by rank 0 after each evaluation at the end of an epoch.
pub trait Judge: Sync {
    /// What it wants to know.
    fn monitor(&self) -> &Monitor;

    /// Told the value after so many epochs; whether the training goes on. One that does not is paused: it has a checkpoint from
    /// which it can be resumed.
    fn goes_on(&self, epochs: u32, value: f64) -> bool;
}

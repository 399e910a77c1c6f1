//! Pieces of plans for tests.

use gsl_plan::plan::{Predict, Task};

/// `item.kind`, the first label of the first node type, with nothing that its task does not say.
pub fn predict(task: Task) -> Predict {
    Predict {
        name: "item.kind".into(),
        ty: 0,
        label: 0,
        parts: [0; 4],
        pairs: None,
        task,
        class_weights: Vec::new(),
        positive_weights: Vec::new(),
        mean_over_classes: true,
        metrics: Vec::new(),
        loss: String::new(),
        weight: 1.0,
    }
}

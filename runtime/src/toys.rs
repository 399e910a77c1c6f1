//! Pieces of plans for tests.

use gsl_plan::pairs::{Against, Kinds, Links, Negatives, Pairs, Protocol, Side};
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

/// Links of the first relation, among nodes of the first type, with both ends corrupted.
pub fn links(negatives: Negatives) -> Predict {
    let sides = vec![Side::Source, Side::Destination];
    let protocol = Protocol { against: Against::All, filtered: false, sides: sides.clone() };
    let pairs = Pairs {
        ty: 1,
        relations: vec![0],
        src: 0,
        dst: 0,
        label: 0,
        from: 1,
        to: 2,
        kinds: Kinds { ty: 2, rel: 3 },
        links: Some(Links { ends: [4, 5], sides, negatives, protocol }),
    };
    Predict { pairs: Some(pairs), ..predict(Task::Links) }
}

/// Drawn by chance alone.
pub fn negatives(group: u32, drawn: u32, partitions: u32) -> Negatives {
    Negatives {
        group,
        drawn,
        partitions,
        rust: None,
        in_batch: false,
        hard: None,
        filtered: false,
        every_relation: false,
    }
}

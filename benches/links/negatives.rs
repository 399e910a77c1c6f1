//! Kinds and numbers of negatives in turns.

use crate::follow::{self, HEADING, Pace};
use crate::ours::Ours;
use crate::{Negatives, Result};

pub fn run(arguments: &Negatives) -> Result<()> {
    let common = &arguments.common;
    let data = common.data.canonicalize().map_err(|e| format!("{}: {e}", common.data.display()))?;
    for &threads in &common.threads {
        let of = |experiment, negatives| Ours { file: &arguments.file, experiment, negatives, threads };
        let rows: Vec<Ours> = arguments
            .count
            .iter()
            .flat_map(|&count| arguments.experiments.iter().map(move |experiment| of(experiment, count)))
            .collect();
        rows.iter().take(1).try_for_each(|ours| ours.build(common, &data))?;
        let mut paces: Vec<Vec<Pace>> = vec![Vec::new(); rows.len()];
        for _ in 0..common.rounds {
            for (ours, paces) in rows.iter().zip(&mut paces) {
                paces.push(ours.pace(common, &data)?);
            }
        }
        println!("{threads} threads\n{HEADING}");
        for (ours, paces) in rows.iter().zip(&paces) {
            follow::tell(&format!("{} {}", ours.experiment, ours.negatives), paces);
        }
    }
    Ok(())
}

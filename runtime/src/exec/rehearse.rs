//! The functions from outside that a plan calls, tried once on zeros of the shapes that they will meet: what does not fit is known
//! before anything is trained.

use super::ExecError;
use super::external::{PIECE, guarded};
use crate::extend::Extensions;
use gsl_plan::external::{Argument, Call};
use gsl_plan::plan::Plan;
use gsl_plan::schedule::{ExternalCall, StepKind};

/// Calls each function of the training program forward and backward.
///
/// # Errors
/// If one is not registered, panics, or gives another shape than its equation says.
pub fn rehearse(plan: &Plan, extensions: &Extensions) -> Result<(), ExecError> {
    for step in &plan.train.schedule.steps {
        if let StepKind::External { call, .. } = &step.kind {
            try_one(call, extensions)?;
        }
    }
    Ok(())
}

fn try_one(call: &ExternalCall, extensions: &Extensions) -> Result<(), ExecError> {
    let name = || call.name.clone();
    let function = extensions.function(&call.name).ok_or_else(|| ExecError::Unregistered { name: name() })?;
    let data: Vec<Vec<f32>> = call
        .arguments
        .iter()
        .map(|argument| vec![0.0; argument.width() * if argument.shared { 1 } else { PIECE }])
        .collect();
    let arguments: Vec<Argument> = call
        .arguments
        .iter()
        .zip(&data)
        .map(|(argument, data)| Argument { data, shape: &argument.shape, shared: argument.shared })
        .collect();
    let given = Call { rows: PIECE, arguments: &arguments, shape: &call.shape };
    let mut out = vec![0.0; PIECE * given.width()];
    let all: Vec<usize> = (0..arguments.len()).collect();
    let ended = guarded(|| {
        function.forward(&given, &mut out)?;
        function.backward(&given, &out, &all)
    });
    let fits = ended.and_then(|found| {
        let right = found.len() == data.len() && found.iter().zip(&data).all(|(g, x)| g.len() == x.len());
        if right { Ok(()) } else { Err("its gradients have other shapes than its operands".to_owned()) }
    });
    fits.map_err(|why| ExecError::Function {
        name: name(),
        why: format!("{why}; it was given {}", shapes(call)),
    })
}

/// `rows of 8, a weight of 8 x 4`
fn shapes(call: &ExternalCall) -> String {
    let dims = |shape: &[usize]| match shape {
        [] => "1".to_owned(),
        _ => shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x "),
    };
    let of = |argument: &gsl_plan::schedule::ExternalArgument| {
        let what = if argument.shared { "a weight of" } else { "rows of" };
        format!("{what} {}", dims(&argument.shape))
    };
    call.arguments.iter().map(of).collect::<Vec<_>>().join(", ")
}

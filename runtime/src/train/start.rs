//! Starting with the values of another run's parts.

use super::checkpoint::Tensor;
use crate::store::Params;
use gsl_plan::plan::Start;

/// Why a part cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The run has no parameter of this name.
    Missing { run: String, name: String, known: Vec<String> },
    /// It has one of another shape.
    Shape { run: String, name: String, found: Vec<usize>, wanted: Vec<usize> },
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { run, name, .. } => write!(f, "the run of `{run}` has no parameter `{name}`"),
            Self::Shape { run, name, found, wanted } => {
                write!(f, "`{name}` is {} in the run of `{run}`, and {} here", show(found), show(wanted))
            }
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    pub fn help(&self) -> String {
        match self {
            Self::Missing { known, .. } if known.is_empty() => {
                "name a part that the run has: gsc explain FILE --experiment RUN lists its parameters".into()
            }
            Self::Missing { known, .. } => format!("the part has {}", known.join(", ")),
            Self::Shape { .. } => "give both experiments the same widths and the same graph".into(),
        }
    }
}

fn show(shape: &[usize]) -> String {
    match shape {
        [] => "one number".into(),
        dims => dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "),
    }
}

/// Gives the parameters of the part `start.to` the values of those of `start.from`, name by name, moments left as they are.
/// `tensors` are those of the other run, by the names of its parameters.
///
/// # Errors
/// If one of them is not there, or has another shape.
pub fn take_over(params: &mut Params, start: &Start, tensors: &[Tensor]) -> Result<(), StartError> {
    let of_part = |name: &str, part: &str| {
        let rest = name.strip_prefix(part)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| rest.to_owned())
    };
    for param in 0..params.len() as u32 {
        let Some(rest) = of_part(params.name(param), &start.to) else { continue };
        let (run, name) = (start.run.clone(), format!("{}{rest}", start.from));
        let Some(tensor) = tensors.iter().find(|tensor| tensor.name == name) else {
            let known = tensors.iter().filter(|t| of_part(&t.name, &start.from).is_some());
            return Err(StartError::Missing { run, name, known: known.map(|t| t.name.clone()).collect() });
        };
        if tensor.shape != params.shape(param) {
            let (found, wanted) = (tensor.shape.clone(), params.shape(param).to_vec());
            return Err(StartError::Shape { run, name, found, wanted });
        }
        params.set(param, &tensor.data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_plan::plan::{Init, Param, ParamKind};

    fn params() -> Params {
        let param = |name: &str, shape: &[usize]| Param {
            name: name.into(),
            shape: shape.to_vec(),
            init: Init::Zeros,
            kind: ParamKind::Dense,
        };
        Params::new(
            &[param("gnn.1.W[near]", &[2, 2]), param("gnn.10.b", &[1]), param("predict.a.b.W", &[1])],
            0,
        )
    }

    fn start(from: &str, to: &str) -> Start {
        Start { run: "pretrain".into(), from: from.into(), to: to.into(), content: String::new() }
    }

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let data = vec![1.5; shape.iter().product()];
        Tensor { name: name.into(), shape: shape.to_vec(), data }
    }

    #[test]
    fn a_part_is_taken_over_and_the_rest_stays() {
        let mut params = params();
        take_over(&mut params, &start("gnn.2", "gnn.1"), &[tensor("gnn.2.W[near]", &[2, 2])]).unwrap();
        assert_eq!(
            (params.values(0), params.values(1), params.values(2)),
            (&[1.5; 4][..], &[0.0][..], &[0.0][..])
        );
    }

    #[test]
    fn what_is_not_there_or_does_not_fit_is_named() {
        let mut params = params();
        let missing = take_over(&mut params, &start("gnn", "gnn"), &[tensor("gnn.1.S", &[2])]).unwrap_err();
        assert_eq!(missing.to_string(), "the run of `pretrain` has no parameter `gnn.1.W[near]`");
        assert_eq!(missing.help(), "the part has gnn.1.S");
        let other = [tensor("gnn.1.W[near]", &[3, 2])];
        let shape = take_over(&mut params, &start("gnn", "gnn"), &other).unwrap_err();
        assert_eq!(shape.to_string(), "`gnn.1.W[near]` is 3 × 2 in the run of `pretrain`, and 2 × 2 here");
    }
}

//! What the passes share: rebuilding a program value by value, counting uses, dropping what nobody needs.
//!
//! Decided here: that a rewritten value keeps domain and shape, so that its users never notice. Not decided here: any
//! rewrite.

use gsl_plan::build::{Builder, Built};
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

/// A program being rebuilt: the old one, the new one, and where each old value went.
pub(super) struct Rewriter<'a> {
    pub old: &'a Program,
    pub out: Builder,
    map: Vec<ValueId>,
    /// How many operands and outputs of the old program name each old value.
    pub uses: Vec<u32>,
}

/// Rebuilds `program`, asking `rule` for the new form of each value; `None` keeps it with its new operands.
pub(super) fn rewrite(
    program: &Program,
    signature: &Signature,
    mut rule: impl FnMut(&mut Rewriter, &Value, &[ValueId]) -> Result<Option<ValueId>, VerifyError>,
) -> Result<Program, VerifyError> {
    let mut rw = Rewriter::new(program, signature);
    for (i, value) in program.values.iter().enumerate() {
        let args: Vec<ValueId> = value.args.iter().map(|a| rw.map[a.index()]).collect();
        rw.out.at(value.name.clone(), value.span);
        let new = match rule(&mut rw, value, &args)? {
            Some(new) => rw.fit(new, value)?,
            None => rw.keep(value, &args)?,
        };
        debug_assert_eq!(rw.map.len(), i);
        rw.map.push(new);
    }
    Ok(rw.finish())
}

impl<'a> Rewriter<'a> {
    fn new(old: &'a Program, signature: &Signature) -> Self {
        let mut out = Builder::new(signature.clone());
        out.program.values.reserve(old.values.len());
        Rewriter { old, out, map: Vec::with_capacity(old.values.len()), uses: uses(old) }
    }

    /// The value as it was, over its new operands.
    pub fn keep(&mut self, value: &Value, args: &[ValueId]) -> Built {
        self.out.push(value.op.clone(), args, value.domain, &value.shape)
    }

    fn fit(&mut self, new: ValueId, value: &Value) -> Built {
        if self.out.domain(new) != value.domain {
            return Err(VerifyError::new(format!(
                "a rewrite moved {:?} from {} to {}",
                value.op,
                value.domain,
                self.out.domain(new)
            )));
        }
        self.out.reshape(new, &value.shape)
    }

    fn finish(self) -> Program {
        let mut program = self.out.program;
        let map = self.map;
        program.outputs = self
            .old
            .outputs
            .iter()
            .map(|o| Output { role: o.role.clone(), value: map[o.value.index()] })
            .collect();
        sweep(program)
    }
}

/// How many operands and outputs name each value.
pub(super) fn uses(program: &Program) -> Vec<u32> {
    let mut uses = vec![0; program.values.len()];
    let args = program.values.iter().flat_map(|v| &v.args);
    for id in args.chain(program.outputs.iter().map(|o| &o.value)) {
        uses[id.index()] += 1;
    }
    uses
}

/// Drops the values that no output needs.
pub(super) fn sweep(program: Program) -> Program {
    let live = live(&program);
    if live.iter().all(|l| *l) {
        return program;
    }
    let mut map = vec![ValueId(0); live.len()];
    let mut values = Vec::with_capacity(live.len());
    for (i, mut value) in program.values.into_iter().enumerate() {
        if live[i] {
            value.args.iter_mut().for_each(|a| *a = map[a.index()]);
            map[i] = ValueId(values.len() as u32);
            values.push(value);
        }
    }
    let outputs =
        program.outputs.into_iter().map(|o| Output { role: o.role, value: map[o.value.index()] }).collect();
    Program { values, outputs }
}

fn live(program: &Program) -> Vec<bool> {
    let mut live = vec![false; program.values.len()];
    program.outputs.iter().for_each(|o| live[o.value.index()] = true);
    for i in (0..live.len()).rev() {
        if live[i] {
            program.values[i].args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    live
}

/// How a row read through `inner`, whose result is read through `outer`, is read at once; none if no single broadcast does it.
pub(super) fn compose(inner: Broadcast, outer: Broadcast) -> Option<Broadcast> {
    use Broadcast::*;
    match (inner, outer) {
        (Full, b) | (b, Full) => Some(b),
        (Scalar, _) | (_, Scalar) => Some(Scalar),
        (Outer { inner: a }, Outer { inner: b }) => Some(Outer { inner: a * b }),
        (Inner { len }, Inner { .. }) => Some(Inner { len }),
        _ => None,
    }
}

/// Whether the value is a leaf of the program.
pub(super) fn is_leaf(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Feature { .. }
            | Embedding { .. }
            | Hidden
            | Param { .. }
            | Const(_)
            | Degree
            | RecipCount { .. }
            | Label { .. }
            | SeedWeight { .. }
            | LossScale { .. }
    )
}

/// Whether each row of the result depends on the same row of the operands alone.
pub(super) fn is_rowwise(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Unary(_)
            | Binary { .. }
            | Expand(_)
            | Reshape
            | SumInner { .. }
            | MaxInner { .. }
            | SumOuter { .. }
            | Slice { .. }
            | Concat
            | Dropout { .. }
            | StopGradient
            | Linear { .. }
            | LinearT { .. }
    )
}

//! The verifier of the `circuit` stage.

use super::verify_combine::combine;
use super::{Circuit, CircuitNode, CircuitOp, LayoutId, Matrix, Port, VectorId};
pub use crate::fault::Fault;
use crate::graph::NodeId;
use crate::layout::Layout;
use crate::scale::{MAX_SCALE_BITS, Scale};
use crate::security::log2_product;
use crate::value::{Range, element_count};
use std::collections::BTreeSet;

/// All faults of a circuit, weak parameters included.
pub fn verify(circuit: &Circuit) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(error) = circuit.params.check() {
        faults.push(Fault::general(format!("parameters: {error}")));
    }
    faults.extend(verify_structure(circuit));
    faults
}

/// All faults of a circuit but for the security of its parameters; for tests with small rings.
pub fn verify_structure(circuit: &Circuit) -> Vec<Fault> {
    if let Err(error) = circuit.params.check_structure() {
        // Slots and levels mean nothing without sound parameters.
        return vec![Fault::general(format!("parameters: {error}"))];
    }
    let mut faults = Vec::new();
    if let Err(cycle) = circuit.graph.topological() {
        let nodes: Vec<String> = cycle.iter().take(8).map(|n| n.to_string()).collect();
        faults.push(Fault::general(format!(
            "the graph has a cycle at or before {}",
            nodes.join(", ")
        )));
    }
    let mut general = |place: String, messages: Vec<String>| {
        faults.extend(
            messages
                .into_iter()
                .map(|m| Fault::general(format!("{place}: {m}"))),
        );
    };
    for (i, layout) in circuit.layouts.iter().enumerate() {
        general(
            format!("layout {}", LayoutId(i as u32)),
            layout.faults(circuit.params.slots()),
        );
    }
    let mut names = BTreeSet::new();
    for m in &circuit.matrices {
        general(format!("matrix @{}", m.name), matrix_faults(m));
        if !names.insert(&m.name) {
            general(
                format!("matrix @{}", m.name),
                vec!["the name occurs twice".into()],
            );
        }
    }
    for v in &circuit.vectors {
        if v.tensor.data().iter().any(|x| !x.is_finite()) {
            general(
                format!("vector @{}", v.name),
                vec!["a value is not finite".into()],
            );
        }
        if !names.insert(&v.name) {
            general(
                format!("vector @{}", v.name),
                vec!["the name occurs twice".into()],
            );
        }
    }
    general("inputs".into(), ports(circuit, &circuit.inputs, true));
    general("outputs".into(), ports(circuit, &circuit.outputs, false));
    for id in circuit.graph.ids() {
        let Some(node) = circuit.graph.get(id) else {
            continue;
        };
        let messages = values(circuit, node)
            .into_iter()
            .chain(operation(circuit, id, node));
        faults.extend(messages.map(|m| Fault::at(id, &node.origin, m)));
    }
    faults
}

/// Faults of a matrix: rows that do not divide its entries, columns out of order or range, values that are not finite.
pub(crate) fn matrix_faults(m: &Matrix) -> Vec<String> {
    let mut faults = Vec::new();
    let starts_fit = m.rows.checked_add(1) == Some(m.row_starts.len())
        && m.row_starts.first() == Some(&0)
        && m.row_starts.last() == Some(&m.values.len())
        && m.row_starts.windows(2).all(|w| w[0] <= w[1])
        && m.columns.len() == m.values.len();
    if !starts_fit {
        faults.push("the rows do not divide the entries".into());
        return faults;
    }
    for span in m.row_starts.windows(2) {
        let columns = m.columns.get(span[0]..span[1]).unwrap_or_default();
        if columns.windows(2).any(|w| w[0] >= w[1])
            || columns.last().is_some_and(|c| *c as usize >= m.cols)
        {
            faults.push(format!("a row's columns do not ascend below {}", m.cols));
            break;
        }
    }
    if m.values.iter().any(|v| !v.is_finite()) {
        faults.push("an entry is not finite".into());
    }
    faults
}

fn ports(circuit: &Circuit, ports: &[Port], are_inputs: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut names, mut nodes) = (BTreeSet::new(), BTreeSet::new());
    if ports.is_empty() {
        faults.push("there are none".into());
    }
    for port in ports {
        let name = &port.name;
        if !names.insert(name) {
            faults.push(format!("the name {name:?} occurs twice"));
        }
        if Range::new(port.range.lo, port.range.hi).is_none() {
            faults.push(format!("the range of {name:?} is empty or not finite"));
        }
        let Some(node) = circuit.graph.get(port.node) else {
            faults.push(format!("{name:?} names the missing node {}", port.node));
            continue;
        };
        // An output may reshape the value that it shows: the order of the elements is the same.
        let same_elements = |layout: &Layout| {
            layout.shape == port.shape
                || !are_inputs && element_count(&port.shape) == Some(layout.len())
        };
        if let Some(layout) = layout(circuit, node.layout)
            && !same_elements(layout)
        {
            faults.push(format!(
                "{name:?} has shape {:?}, but its layout {:?}",
                port.shape, layout.shape
            ));
        }
        if are_inputs {
            if node.op != (CircuitOp::Input { name: name.clone() }) {
                faults.push(format!(
                    "{name:?} names {}, which is no such input",
                    port.node
                ));
            }
            if !nodes.insert(port.node) {
                faults.push(format!("{} is registered as two inputs", port.node));
            }
            faults.extend(fits(circuit, port.range.max_abs(), &node.scale, node.level));
        }
    }
    if are_inputs {
        for id in circuit.graph.ids() {
            if circuit
                .graph
                .get(id)
                .is_some_and(|n| matches!(n.op, CircuitOp::Input { .. }))
                && !nodes.contains(&id)
            {
                faults.push(format!("{id} is an input that is not listed"));
            }
        }
    }
    faults
}

fn layout(circuit: &Circuit, id: LayoutId) -> Option<&Layout> {
    circuit.layouts.get(id.0 as usize)
}

/// Values up to `largest` must lie within half the modulus on either side of zero.
fn fits(circuit: &Circuit, largest: f64, scale: &Scale, level: usize) -> Option<String> {
    let log_q = log2_product(
        circuit
            .params
            .q
            .iter()
            .copied()
            .take(level.saturating_add(1)),
    );
    let bits = libm::log2(largest) + scale.log2();
    (bits >= log_q - 1.0).then(|| {
        format!(
            "values up to {largest:e} at scale 2^{:.2} exceed a modulus of {log_q:.2} bits",
            scale.log2()
        )
    })
}

/// Faults of what a node states of its value.
fn values(circuit: &Circuit, node: &CircuitNode) -> Vec<String> {
    let mut faults = Vec::new();
    if node.level > circuit.params.max_level() {
        faults.push(format!("level {} is above the chain", node.level));
    }
    if layout(circuit, node.layout).is_none() {
        faults.push(format!("layout {} does not exist", node.layout));
    }
    if Range::new(node.range.lo, node.range.hi).is_none() {
        faults.push("the range is empty or not finite".into());
    }
    let mut scales = node.op.plain_scales();
    scales.push(&node.scale);
    if !scales.iter().all(|scale| scale.is_storable()) {
        faults.push(format!("a scale has more than {MAX_SCALE_BITS} bits"));
    }
    for (name, value) in [
        ("mean square", node.mean_square),
        ("predicted noise", node.noise),
        ("error of approximations", node.approximation.unwrap_or(0.0)),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            faults.push(format!("the {name} is negative or not finite"));
        }
    }
    faults.extend(fits(circuit, node.range.max_abs(), &node.scale, node.level));
    faults
}

/// Faults of a node against its operands: the scheme's rules for levels, scales and layouts.
fn operation(circuit: &Circuit, id: NodeId, node: &CircuitNode) -> Vec<String> {
    let operands: Vec<&CircuitNode> = circuit
        .graph
        .operands(id)
        .iter()
        .filter_map(|o| circuit.graph.get(*o))
        .collect();
    if operands.len() != node.op.arity() {
        return vec![format!(
            "{} takes {} operands, not {}",
            node.op.name(),
            node.op.arity(),
            operands.len()
        )];
    }
    if let CircuitOp::Combine { .. } = node.op {
        return combine(node, &operands);
    }
    let mut faults = Vec::new();
    let Some(a) = operands.first() else {
        return faults;
    };
    let (mut level, mut scale) = (a.level, a.scale.clone());
    let same_layout = !matches!(
        node.op,
        CircuitOp::MatVec { .. } | CircuitOp::Fold | CircuitOp::View { .. }
    );
    let vector_fits = |vector: VectorId| match circuit.vectors.get(vector.0 as usize) {
        None => Some(format!("vector {} does not exist", vector.0)),
        Some(v) if layout(circuit, a.layout).is_some_and(|l| l.len() != v.tensor.len()) => {
            Some(format!("vector @{} has {} values", v.name, v.tensor.len()))
        }
        Some(_) => None,
    };
    match &node.op {
        CircuitOp::Input { .. } => {}
        CircuitOp::MatVec {
            matrix,
            plain_scale,
            shape,
        } => {
            scale = scale.mul(plain_scale);
            match circuit.matrices.get(matrix.0 as usize) {
                None => faults.push(format!("matrix {} does not exist", matrix.0)),
                Some(m) => {
                    let sizes = layout(circuit, a.layout).zip(layout(circuit, node.layout));
                    if sizes.is_some_and(|(from, to)| (to.len(), from.len()) != (m.rows, m.cols)) {
                        faults.push(format!(
                            "matrix @{} of {} x {} does not fit the layouts",
                            m.name, m.rows, m.cols
                        ));
                    }
                }
            }
            let slots = circuit.params.slots();
            let period = layout(circuit, node.layout).map_or(1, |l| l.period);
            if !shape.block_height.is_power_of_two()
                || shape.block_height > slots
                || shape.block_height < period
            {
                faults.push(format!(
                    "block height {} for a period of {period}",
                    shape.block_height
                ));
            }
            if !shape.baby_step.is_power_of_two() || shape.baby_step > slots || shape.diagonals == 0
            {
                faults.push(format!(
                    "baby step {} for {} diagonals",
                    shape.baby_step, shape.diagonals
                ));
            }
        }
        CircuitOp::Rescale => match (a.level.checked_sub(1), circuit.params.q.get(a.level)) {
            (Some(lower), Some(prime)) => (level, scale) = (lower, scale.div_prime(*prime)),
            _ => faults.push(format!("a value at level {} cannot be rescaled", a.level)),
        },
        CircuitOp::AddVector { vector } => faults.extend(vector_fits(*vector)),
        CircuitOp::MulVector {
            vector,
            plain_scale,
        } => {
            faults.extend(vector_fits(*vector));
            scale = scale.mul(plain_scale);
        }
        CircuitOp::MulScalar { value, plain_scale } => {
            if !value.is_finite() {
                faults.push("the factor is not finite".into());
            }
            scale = scale.mul(plain_scale);
        }
        CircuitOp::Add | CircuitOp::Sub | CircuitOp::Mul => {
            if let Some(b) = operands.get(1) {
                if b.level != a.level {
                    faults.push(format!(
                        "the operands have levels {} and {}",
                        a.level, b.level
                    ));
                }
                if b.layout != a.layout {
                    faults.push(format!(
                        "the operands have layouts {} and {}",
                        a.layout, b.layout
                    ));
                }
                if node.op == CircuitOp::Mul {
                    scale = scale.mul(&b.scale);
                } else if b.scale != a.scale {
                    faults.push(format!(
                        "the operands have scales {:?} and {:?}",
                        a.scale, b.scale
                    ));
                }
            }
        }
        CircuitOp::Square => scale = scale.mul(&a.scale),
        CircuitOp::DropLevel => {
            if node.level >= a.level {
                faults.push(format!("level {} is not below {}", node.level, a.level));
            }
            level = node.level;
        }
        CircuitOp::Fold => {
            let sizes = layout(circuit, a.layout).zip(layout(circuit, node.layout));
            if sizes.is_some_and(|(from, to)| !from.folds_onto(to)) {
                faults.push(format!(
                    "a value in layout {} does not fold onto layout {}",
                    a.layout, node.layout
                ));
            }
        }
        CircuitOp::Gain { factor } => match Scale::from_f64(factor.abs()) {
            Some(magnitude) => scale = scale.div(&magnitude),
            None => faults.push(format!("a gain of {factor}")),
        },
        CircuitOp::View { elements } => {
            let sizes = layout(circuit, a.layout).zip(layout(circuit, node.layout));
            if let Some((from, to)) = sizes
                && from.view(elements, to.shape.clone()).as_ref() != Some(to)
            {
                faults.push(format!(
                    "layout {} is not what the elements are in layout {}",
                    node.layout, a.layout
                ));
            }
        }
        CircuitOp::Combine { .. } => {}
    }
    if level != node.level {
        faults.push(format!("the result's level is {level}, not {}", node.level));
    }
    if scale != node.scale {
        faults.push(format!(
            "the result's scale is {scale:?}, not {:?}",
            node.scale
        ));
    }
    if same_layout && a.layout != node.layout {
        faults.push(format!(
            "the result's layout is {}, not {}",
            a.layout, node.layout
        ));
    }
    faults
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;

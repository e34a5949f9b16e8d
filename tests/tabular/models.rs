//! Models of tables as exporters write them.

// The benches take a part of this.
#![allow(dead_code)]

use crate::build::{A, Model, node};
use crate::tables::Table;
use crate::trees::{Lists, Set, Tree};
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::{AttributeProto, GraphProto, NodeProto, ValueInfoProto};

/// Sets, their arrays, and the numbers of trees and of their levels.
pub(crate) const FORESTS: [(&str, &str, u64, usize); 3] = [
    ("breast-cancer", "x_raw", 1, 5),
    ("iris", "x_raw", 1, 5),
    ("wine", "x_raw", 5, 4),
];

/// Sets, how many neighbours vote, and among how many rows.
pub(crate) const NEIGHBOURS: [(&str, i64, usize); 4] = [
    ("iris", 1, 24),
    ("iris", 3, 24),
    ("wine", 1, 30),
    ("breast-cancer", 3, 30),
];

/// A forest of scikit-learn's form, trained on a table.
pub(crate) fn forest(table: &Table, trees: u64, depth: usize) -> Model {
    let set = Set {
        rows: &table.rows,
        classes: &table.classes,
        count: table.count(),
    };
    let members: Vec<usize> = (0..table.rows.len()).collect();
    let trained: Vec<Tree> = (0..trees)
        .map(|seed| Tree::train(&set, &members, depth, seed))
        .collect();
    Lists::of(&trained).model(table.rows[0].len(), table.count(), false, &[])
}

/// How the distances are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Sub, Mul, ReduceSum over the rows side by side.
    Plain,
    /// MatMul and Add, without what all distances have in common.
    Scores,
    /// As skl2onnx: a loop of Scan, and the roots.
    Scan,
    /// As skl2onnx with its option `cdist`.
    CDist,
}

fn float(rows: &[Vec<f64>]) -> Vec<f32> {
    rows.iter().flatten().map(|v| *v as f32).collect()
}

/// The loop over the rows.
fn scan() -> NodeProto {
    let named = |name: &str| ValueInfoProto {
        name: name.to_owned(),
        ..Default::default()
    };
    let squares = [("axes", A::Is(vec![1])), ("keepdims", A::I(0))];
    let body = GraphProto {
        name: "body".into(),
        node: vec![
            node("Identity", "next_in", "next_out", &[]),
            node("Sub", "next_in next", "difference", &[]),
            node("ReduceSumSquare", "difference", "scan_out", &squares),
        ],
        input: ["next_in", "next"].map(named).to_vec(),
        output: ["next_out", "scan_out"].map(named).to_vec(),
        ..Default::default()
    };
    let mut scan = node(
        "Scan",
        "x rows",
        "last stacked",
        &[("num_scan_inputs", A::I(1))],
    );
    scan.attribute.push(AttributeProto {
        name: "body".into(),
        g: Some(body).into(),
        type_: AttributeType::GRAPH.into(),
        ..Default::default()
    });
    scan
}

/// A classifier by the `k` nearest rows of a table, which yields the label.
pub(crate) fn neighbours(table: &Table, k: i64, form: Form) -> Model {
    let (count, width) = (table.rows.len() as i64, table.rows[0].len() as i64);
    let mut model = Model::of(15, node("Identity", "x", "y", &[]), &[1, width], vec![]);
    let sizes = || {
        table
            .rows
            .iter()
            .map(|r| r.iter().map(|v| v * v).sum::<f64>() as f32)
    };
    model.constants = vec![("rows", vec![count, width], float(&table.rows))];
    model.nodes = match form {
        Form::Plain => {
            model.whole_constants.push(("last", vec![1], vec![2]));
            model
                .whole_constants
                .push(("side", vec![3], vec![1, 1, width]));
            vec![
                node("Reshape", "x side", "one", &[]),
                node("Sub", "one rows", "apart", &[]),
                node("Mul", "apart apart", "squares", &[]),
                node("ReduceSum", "squares last", "d", &[("keepdims", A::I(0))]),
            ]
        }
        Form::Scores => {
            let turned = (0..width as usize).flat_map(|c| table.rows.iter().map(move |r| r[c]));
            let turned = turned.map(|v| -2.0 * v as f32).collect();
            model.constants = vec![
                ("turned", vec![width, count], turned),
                ("sizes", vec![count], sizes().collect()),
            ];
            vec![
                node("MatMul", "x turned", "p", &[]),
                node("Add", "p sizes", "d", &[]),
            ]
        }
        Form::Scan => vec![
            scan(),
            node(
                "Transpose",
                "stacked",
                "turned",
                &[("perm", A::Is(vec![1, 0]))],
            ),
            node("Sqrt", "turned", "d", &[]),
        ],
        Form::CDist => vec![node(
            "com.microsoft:CDist",
            "x rows",
            "d",
            &[("metric", A::S("euclidean"))],
        )],
    };
    let labels: Vec<i64> = table.classes.iter().map(|c| *c as i64).collect();
    model.whole_constants.push(("labels", vec![count], labels));
    model.constants.push(("minus", vec![1], vec![-1.0]));
    model.whole_constants.push(("k", vec![1], vec![k]));
    model.nodes.extend([
        node("Mul", "d minus", "near", &[]),
        node("TopK", "near k", "values i", &[("axis", A::I(1))]),
        node("Reshape", "i flat", "flattened", &[]),
        node(
            "ai.onnx.ml:ArrayFeatureExtractor",
            "labels flattened",
            "found",
            &[],
        ),
    ]);
    model.whole_constants.push(("flat", vec![1], vec![-1]));
    if k == 1 {
        model.nodes.push(node("Reshape", "found flat", "y", &[]));
        return model;
    }
    // A vote.
    const NAMES: [[&str; 4]; 3] = [
        ["c0", "is0", "one0", "sum0"],
        ["c1", "is1", "one1", "sum1"],
        ["c2", "is2", "one2", "sum2"],
    ];
    let mut votes = vec![];
    for (class, [constant, is, one, sum]) in NAMES.into_iter().enumerate().take(table.count()) {
        model
            .whole_constants
            .push((constant, vec![1], vec![class as i64]));
        model.nodes.extend([
            node("Equal", &format!("found {constant}"), is, &[]),
            node("Cast", is, one, &[("to", A::I(1))]),
            node("ReduceSum", &format!("{one} across"), sum, &[]),
        ]);
        votes.push(sum);
    }
    model.whole_constants.push(("across", vec![1], vec![1]));
    model.nodes.extend([
        node("Concat", &votes.join(" "), "votes", &[("axis", A::I(1))]),
        node(
            "ArgMax",
            "votes",
            "y",
            &[("axis", A::I(1)), ("keepdims", A::I(0))],
        ),
    ]);
    model
}

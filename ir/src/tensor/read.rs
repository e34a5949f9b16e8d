//! Reading the text form of the `tensor` stage.

use super::{
    Comparison, ConstId, Constant, Conv, Function, Input, MaxPool, Module, Node, Op, Output, Pool,
    Reduction,
};
use crate::graph::{Dag, NodeId};
use crate::text::{self, Args, Cursor, Kind, Line, ParseError};
use crate::value::{DType, Range, Tensor, element_count};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads the text of a module. Constants that the text names but does not spell out are taken from `pool`, by name,
/// if their hash fits.
///
/// # Errors
/// The first fault, with line and column. What reads well may still be faulty: see [`super::verify`].
pub fn parse(text: &str, pool: &[Constant]) -> Result<Module, ParseError> {
    let lines = text::lines(text)?;
    let Some((head, rest)) = lines.split_first() else {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: "the text is empty".into(),
        });
    };
    let (name, source) = read_head(head, "tensor")?;
    let mut module = Module {
        name,
        source,
        ..Module::default()
    };
    let constants = read_constants(rest, pool, &mut module)?;
    let mut exact: BTreeMap<NodeId, Range> = BTreeMap::new();
    let mut nodes = Vec::new();
    for line in rest {
        let mut cursor = Cursor::new(line);
        if line.columns.is_some() {
            nodes.push(read_node(line, cursor, &constants)?);
            continue;
        }
        match cursor.word()? {
            "input" => {
                let name = cursor.text()?;
                cursor.equals()?;
                let (node, dtype) = (cursor.node()?, read_dtype(&mut cursor)?);
                module.inputs.push(Input {
                    name,
                    node,
                    dtype,
                    batched: cursor.accept("batched"),
                    clear: cursor.accept("clear"),
                });
            }
            "output" => {
                let name = cursor.text()?;
                cursor.equals()?;
                let node = cursor.node()?;
                let dtype = DType::ALL.into_iter().find(|d| cursor.accept(d.name()));
                module.outputs.push(Output {
                    name,
                    node,
                    dtype: dtype.unwrap_or(DType::F32),
                    batched: cursor.accept("batched"),
                });
            }
            "exact" => {
                exact.insert(cursor.node()?, cursor.range()?);
            }
            // Constants were read before, since rows name them.
            "const" => continue,
            word => return Err(cursor.error(format!("{word:?} starts no line of this stage"))),
        }
        cursor.end()?;
    }
    for (id, node, _) in &mut nodes {
        if let Some(range) = exact.remove(id) {
            node.range = Some(range);
        }
    }
    module.graph = Dag::from_numbered(nodes).ok_or_else(|| {
        head.error("a value is defined twice, used but not defined, or numbered too high")
    })?;
    Ok(module)
}

/// The first line: name and source.
pub(crate) fn read_head(line: &Line<'_>, stage: &str) -> Result<(String, String), ParseError> {
    let mut cursor = Cursor::new(line);
    cursor.expect("module")?;
    let name = cursor.text()?;
    cursor.expect("from")?;
    let source = cursor.text()?;
    cursor.expect("stage")?;
    cursor.expect(stage)?;
    cursor.end()?;
    Ok((name, source))
}

fn read_constants(
    lines: &[Line<'_>],
    pool: &[Constant],
    module: &mut Module,
) -> Result<BTreeMap<String, ConstId>, ParseError> {
    let pool: BTreeMap<&str, &Arc<Tensor>> =
        pool.iter().map(|c| (c.name.as_str(), &c.tensor)).collect();
    let mut ids = BTreeMap::new();
    for line in lines {
        let mut cursor = Cursor::new(line);
        if line.columns.is_some() || !cursor.accept("const") {
            continue;
        }
        let name = cursor.name()?;
        if ids
            .insert(name.clone(), ConstId(module.constants.len() as u32))
            .is_some()
        {
            return Err(cursor.error(format!("@{name} is given twice")));
        }
        let tensor = read_tensor(&mut cursor, &name, |name| {
            pool.get(name).map(|t| Arc::clone(t))
        })?;
        cursor.end()?;
        module.constants.push(Constant { name, tensor });
    }
    Ok(ids)
}

fn read_node(
    line: &Line<'_>,
    mut cursor: Cursor<'_, '_>,
    constants: &BTreeMap<String, ConstId>,
) -> Result<(NodeId, Node, Vec<NodeId>), ParseError> {
    let id = cursor.node()?;
    cursor.equals()?;
    let word = cursor.word()?;
    let args = Args::read(cursor)?;
    let operands = args.nodes.clone();
    let op = read_op(word, args, constants)?;
    let columns = line.columns.as_deref().unwrap_or_default();
    let bad = |what: &str| line.error(format!("the {what} column is not understood"));
    let list = |index: usize| match columns.get(index).map(|t| &t.kind) {
        Some(Kind::List(items)) => Some(items),
        _ => None,
    };
    let dims = list(0).ok_or_else(|| bad("shape"))?;
    let shape = dims
        .iter()
        .map(|d| d.parse().map_err(|_| bad("shape")))
        .collect::<Result<_, _>>()?;
    let range = match columns.get(1).map(|t| &t.kind) {
        Some(Kind::Word("-")) => None,
        _ => match list(1).map(Vec::as_slice) {
            Some([lo, hi]) => {
                let end = |text: &str| text.parse().map_err(|_| bad("range"));
                Some(Range {
                    lo: end(lo)?,
                    hi: end(hi)?,
                })
            }
            _ => return Err(bad("range")),
        },
    };
    if columns.len() > 2 {
        return Err(line.error("there are more columns than shape and range"));
    }
    Ok((
        id,
        Node {
            op,
            shape,
            range,
            origin: line.origin()?,
        },
        operands,
    ))
}

fn read_op(
    word: &str,
    mut args: Args<'_, '_>,
    constants: &BTreeMap<String, ConstId>,
) -> Result<Op, ParseError> {
    let ids: Vec<ConstId> = args
        .names
        .iter()
        .map(|n| {
            constants
                .get(n)
                .copied()
                .ok_or_else(|| args.error(format!("there is no constant @{n}")))
        })
        .collect::<Result<_, _>>()?;
    let first = || {
        ids.first()
            .copied()
            .ok_or_else(|| args.error("the operation needs a constant"))
    };
    let (mut names, mut texts) = (0, 0);
    let op = match word {
        "input" => {
            texts = 1;
            Op::Input {
                name: args.texts.first().cloned().unwrap_or_default(),
            }
        }
        "conv" => {
            let weight = first()?;
            names = ids.len().min(2);
            Op::Conv(Conv {
                weight,
                bias: ids.get(1).copied(),
                strides: args.array("strides", Some([1, 1]))?,
                dilations: args.array("dilations", Some([1, 1]))?,
                pads: args.array("pads", Some([0; 4]))?,
                group: args.number("group", Some(1))?,
            })
        }
        "gemm" => {
            names = ids.len().min(2);
            Op::Gemm {
                weight: first()?,
                bias: ids.get(1).copied(),
            }
        }
        "const_matmul" | "add_const" | "mul_const" => {
            names = 1;
            let value = first()?;
            match word {
                "const_matmul" => Op::ConstMatMul { weight: value },
                "add_const" => Op::AddConst { value },
                _ => Op::MulConst { value },
            }
        }
        "affine" => {
            names = 2;
            let scale = first()?;
            Op::Affine {
                scale,
                shift: ids.get(1).copied().unwrap_or(scale),
            }
        }
        "matmul" => Op::MatMul,
        "average_pool" => Op::AveragePool(Pool {
            kernel: args.array("kernel", None)?,
            strides: args.array("strides", Some([1, 1]))?,
            pads: args.array("pads", Some([0; 4]))?,
            count_include_pad: args.flag("count_include_pad"),
            ceil_mode: args.flag("ceil"),
        }),
        "pad" => Op::Pad {
            before: args.list("before")?.unwrap_or_default(),
            after: args.list("after")?.unwrap_or_default(),
            value: args.number("value", Some(0.0))?,
        },
        "reshape" => Op::Reshape,
        "transpose" => Op::Transpose {
            perm: args.list("perm")?.unwrap_or_default(),
        },
        "add" => Op::Add,
        "sub" => Op::Sub,
        "mul" => Op::Mul,
        "power" => Op::Power {
            exponent: args.number("exponent", None)?,
        },
        "polynomial" => Op::Polynomial {
            coefficients: args.list("coefficients")?.unwrap_or_default(),
        },
        "approximation" => {
            texts = 1;
            let name = args.texts.first().cloned().unwrap_or_default();
            // A word before the text is a flag.
            args.flag("of");
            let parameters = args.list("parameters")?.unwrap_or_default();
            let function = Function::new(&name, &parameters).ok_or_else(|| {
                args.error(format!(
                    "there is no function {name:?} of {} parameters",
                    parameters.len()
                ))
            })?;
            let [lo, hi] = args.list("domain")?.unwrap_or_default()[..] else {
                return Err(args.error("\"domain\" needs a list of 2 numbers"));
            };
            Op::Approximation {
                function,
                domain: Range { lo, hi },
                coefficients: args.list("coefficients")?.unwrap_or_default(),
            }
        }
        "softmax" => Op::Softmax {
            axis: args.number("axis", None)?,
        },
        "log_softmax" => Op::LogSoftmax {
            axis: args.number("axis", None)?,
        },
        "concat" => Op::Concat {
            axis: args.number("axis", None)?,
        },
        "take" => {
            names = 1;
            Op::Take { index: first()? }
        }
        "lookup" => {
            names = 1;
            Op::Lookup { table: first()? }
        }
        "div" => Op::Div,
        "max" => Op::Max,
        "min" => Op::Min,
        "greater" => Op::Compare(Comparison::Greater),
        "greater_or_equal" => Op::Compare(Comparison::GreaterOrEqual),
        "equal" => Op::Compare(Comparison::Equal),
        "where" => Op::Where,
        "max_pool" => Op::MaxPool(MaxPool {
            kernel: args.array("kernel", None)?,
            strides: args.array("strides", Some([1, 1]))?,
            dilations: args.array("dilations", Some([1, 1]))?,
            pads: args.array("pads", Some([0; 4]))?,
            ceil_mode: args.flag("ceil"),
        }),
        "arg_max" | "arg_min" => Op::ArgMax {
            axis: args.number("axis", None)?,
            smallest: word == "arg_min",
            last: args.flag("last"),
        },
        "top_k" => Op::TopK {
            axis: args.number("axis", None)?,
            k: args.number("k", None)?,
            smallest: args.flag("smallest"),
            values: args.flag("values"),
        },
        _ => match (reduction(word), Function::parameter_names(word)) {
            (Some(kind), _) => Op::Reduce {
                kind,
                axes: args.list("axes")?.unwrap_or_default(),
            },
            (None, Some(names)) => {
                let parameters: Vec<f64> = names
                    .iter()
                    .map(|name| args.number(name, None))
                    .collect::<Result<_, _>>()?;
                Function::new(word, &parameters)
                    .map(Op::Function)
                    .ok_or_else(|| args.error(format!("{word:?} has other parameters")))?
            }
            (None, None) => {
                return Err(args.error(format!("{word:?} is no operation of this stage")));
            }
        },
    };
    args.end(names, texts)?;
    Ok(op)
}

/// The reduction of a keyword.
pub(crate) fn reduction(word: &str) -> Option<Reduction> {
    Reduction::ALL.into_iter().find(|kind| {
        Op::Reduce {
            kind: *kind,
            axes: vec![],
        }
        .name()
            == word
    })
}

/// Reads the name of an element type.
pub(crate) fn read_dtype(cursor: &mut Cursor<'_, '_>) -> Result<DType, ParseError> {
    let word = cursor.word()?;
    DType::ALL
        .into_iter()
        .find(|d| d.name() == word)
        .ok_or_else(|| cursor.error("this is no element type, such as f32"))
}

/// Reads what [`super::text::spell_tensor`] wrote; `pool` finds a tensor of that name.
pub(crate) fn read_tensor(
    cursor: &mut Cursor<'_, '_>,
    name: &str,
    pool: impl FnOnce(&str) -> Option<Arc<Tensor>>,
) -> Result<Arc<Tensor>, ParseError> {
    let shape: Vec<usize> = cursor.list()?;
    if cursor.accept("blake3") {
        let hash = cursor.text()?;
        let found = pool(name).ok_or_else(|| {
            cursor.error(format!("@{name} is not spelled out, and not in the pool"))
        })?;
        if found.shape() != shape || text::hash_values(&[found.shape()], found.data()) != hash {
            return Err(cursor.error(format!(
                "the pool's @{name} has another shape or other values"
            )));
        }
        return Ok(found);
    }
    cursor.equals()?;
    let values = cursor.list()?;
    let fits = element_count(&shape) == Some(values.len());
    let tensor = Tensor::new(shape, values).filter(|_| fits);
    tensor
        .map(Arc::new)
        .ok_or_else(|| cursor.error("the values do not fill the shape"))
}

//! Data movement: indices, slices, and anything else that a table of element positions describes.

use super::super::ast::{Expr, Position, Span};
use super::{Constant, Lowering, Stop, Value};
use crate::broadcast::broadcast_steps;
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::{ConstId, Op};
use cipherloom_ir::value::strides;

impl Lowering<'_> {
    /// The elements of a value at given positions, row by row; -1 stands for 0.
    pub(in crate::loom) fn take(
        &mut self,
        value: &Value,
        shape: &[usize],
        index: Vec<i64>,
        span: Span,
    ) -> Result<Value, Stop> {
        self.bounded(span, shape)?;
        if let Value::Constant(constant) = value {
            let from = constant.tensor.data();
            let at = |i: &i64| usize::try_from(*i).ok().and_then(|i| from.get(i).copied());
            let data = index.iter().map(|i| at(i).unwrap_or(0.0)).collect();
            let tensor = Tensor::new(shape.to_vec(), data);
            let tensor = tensor.ok_or_else(|| self.fail(span, "the shape is lost"))?;
            return self.new_constant(span, tensor);
        }
        let same = self
            .shape(value)
            .is_some_and(|s| s.iter().product::<usize>() == index.len());
        if same && index.iter().enumerate().all(|(i, at)| *at == i as i64) {
            return self.reshaped(value, shape, span);
        }
        let index = Tensor::new(
            shape.to_vec(),
            index.into_iter().map(|i| i as f64).collect(),
        );
        let index = index.ok_or_else(|| self.fail(span, "the shape is lost"))?;
        let Value::Constant(index) = self.new_constant(span, index)? else {
            return Err(Stop);
        };
        let index = Constant {
            name: Some("index".into()),
            ..index
        };
        let op = Op::Take { index: ConstId(0) };
        self.apply(span, std::slice::from_ref(value), op, &[index], &[])
    }

    /// Positions along each axis, combined: the value and its new shape, whose axes are those with `kept`.
    pub(in crate::loom) fn select(
        &mut self,
        value: &Value,
        axes: &[(Vec<usize>, bool)],
        span: Span,
    ) -> Result<Value, Stop> {
        let shape = self.shape(value).unwrap_or_default();
        let full: Vec<usize> = axes.iter().map(|(at, _)| at.len()).collect();
        let kept = axes.iter().filter(|(_, kept)| *kept);
        let result: Vec<usize> = kept.map(|(at, _)| at.len()).collect();
        let count = self.bounded(span, &full)?;
        let (from, to) = (strides(&shape), strides(&full));
        let index = (0..count).map(|i| {
            let along = |axis: usize| axes[axis].0[i / to[axis] % full[axis]] * from[axis];
            (0..axes.len()).map(along).sum::<usize>() as i64
        });
        let index = index.collect();
        self.take(value, &result, index, span)
    }

    /// The element, matrix, ... at a position along the first axis.
    pub(super) fn element(&mut self, value: &Value, at: usize, span: Span) -> Result<Value, Stop> {
        let shape = self.shape(value).unwrap_or_default();
        // The first axis may be long, and a loop asks for each of its elements.
        let rest = shape.iter().skip(1).map(|n| ((0..*n).collect(), true));
        let axes: Vec<(Vec<usize>, bool)> =
            std::iter::once((vec![at], false)).chain(rest).collect();
        self.select(value, &axes, span)
    }

    /// `value[i, j:k]`, by NumPy's rules for whole numbers and slices.
    pub(super) fn index(
        &mut self,
        value: &Value,
        positions: &[Position],
        span: Span,
    ) -> Result<Value, Stop> {
        let Some(shape) = self.shape(value) else {
            let text = format!("{} cannot be indexed", self.describe(value));
            return Err(self.fail(span, text));
        };
        if positions.len() > shape.len() {
            let text = format!(
                "{} positions for a value of rank {}",
                positions.len(),
                shape.len()
            );
            return Err(self.fail(span, text));
        }
        let mut axes = Vec::new();
        for (axis, size) in shape.iter().enumerate() {
            axes.push(match positions.get(axis) {
                None => ((0..*size).collect(), true),
                Some(Position::At(at)) => (vec![self.position(at, axis, *size)?], false),
                Some(Position::Slice(start, end, step)) => {
                    let ends = [start.as_ref(), end.as_ref(), step.as_ref()];
                    (self.slice_positions(ends, *size, span)?, true)
                }
            });
        }
        self.select(value, &axes, span)
    }

    fn position(&mut self, at: &Expr, axis: usize, size: usize) -> Result<usize, Stop> {
        let value = self.expr(at)?;
        let whole = self.whole(&value, at.span)?;
        let counted = if whole < 0 {
            whole + size as i64
        } else {
            whole
        };
        match usize::try_from(counted) {
            Ok(i) if i < size => Ok(i),
            _ => {
                let text = format!("position {whole} of axis {axis}, which has {size} elements");
                Err(self.fail(at.span, text))
            }
        }
    }

    fn slice_positions(
        &mut self,
        [start, end, step]: [Option<&Expr>; 3],
        size: usize,
        span: Span,
    ) -> Result<Vec<usize>, Stop> {
        let mut numbers = [None; 3];
        for (number, expr) in numbers.iter_mut().zip([start, end, step]) {
            if let Some(expr) = expr {
                let value = self.expr(expr)?;
                *number = Some(self.whole(&value, expr.span)?);
            }
        }
        let [start, end, step] = numbers;
        match slice(start, end, step.unwrap_or(1), size) {
            Ok(found) => Ok(found),
            Err(text) => Err(self.fail(span, text)),
        }
    }

    /// The value repeated to a shape that it broadcasts to.
    pub(in crate::loom) fn spread(
        &mut self,
        value: &Value,
        shape: &[usize],
        span: Span,
    ) -> Result<Value, Stop> {
        let from = self.shape(value).unwrap_or_default();
        if from == shape {
            return Ok(value.clone());
        }
        let count = self.bounded(span, shape)?;
        let (steps, to) = (broadcast_steps(&from, shape), strides(shape));
        let at = |i: usize| {
            let along = |axis: usize| i / to[axis] % shape[axis] * steps[axis];
            (0..shape.len()).map(along).sum::<usize>() as i64
        };
        let index = (0..count).map(at).collect();
        self.take(value, shape, index, span)
    }

    /// Values one after the other along an axis; constants among encrypted ones are added to zeros.
    pub(in crate::loom) fn concat(
        &mut self,
        values: &[(Value, Span)],
        axis: usize,
        span: Span,
    ) -> Result<Value, Stop> {
        let mut joined: Option<Vec<usize>> = None;
        let mut starts = Vec::new();
        for (value, at) in values {
            let shape = self.shape(value).unwrap_or_default();
            let Some(result) = &mut joined else {
                if axis >= shape.len() {
                    let text = format!("axis {axis} of {} axes", shape.len());
                    return Err(self.fail(span, text));
                }
                starts.push(0);
                joined = Some(shape);
                continue;
            };
            let fits = shape.len() == result.len()
                && (0..shape.len()).all(|i| i == axis || shape[i] == result[i]);
            if !fits {
                let text =
                    format!("shape {shape:?} does not continue {result:?} along axis {axis}");
                return Err(self.fail(*at, text));
            }
            starts.push(result[axis]);
            result[axis] = result[axis].saturating_add(shape[axis]);
        }
        let shape = joined.unwrap_or_default();
        let count = self.bounded(span, &shape)?;
        if values.iter().all(|(v, _)| matches!(v, Value::Encrypted(_))) {
            let operands: Vec<Value> = values.iter().map(|(v, _)| v.clone()).collect();
            return self.apply(span, &operands, Op::Concat { axis }, &[], &[]);
        }
        let to = strides(&shape);
        let mut sum: Option<Value> = None;
        for ((value, at), start) in values.iter().zip(starts) {
            let from = self.shape(value).unwrap_or_default();
            let own = strides(&from);
            let index = (0..count).map(|i| {
                let mut source = 0;
                for d in 0..shape.len() {
                    let place = i / to[d] % shape[d];
                    let place = if d == axis {
                        place.checked_sub(start)
                    } else {
                        Some(place)
                    };
                    match place.filter(|p| *p < from[d]) {
                        Some(place) => source += place * own[d],
                        None => return -1,
                    }
                }
                source as i64
            });
            let index = index.collect();
            let placed = self.take(value, &shape, index, *at)?;
            sum = Some(match sum {
                None => placed,
                Some(sum) => self.plus(&sum, &placed, span)?,
            });
        }
        sum.ok_or_else(|| self.fail(span, "nothing to join"))
    }
}

/// The positions of `start:end:step` of an axis, by NumPy's rules.
pub(in crate::loom) fn slice(
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    size: usize,
) -> Result<Vec<usize>, String> {
    if step == 0 {
        return Err("the step of a slice is 0".into());
    }
    let n = size as i64;
    let clamp = |at: i64, lo: i64, hi: i64| (if at < 0 { at + n } else { at }).clamp(lo, hi);
    let mut found = Vec::new();
    if step > 0 {
        let end = end.map_or(n, |e| clamp(e, 0, n));
        let mut at = start.map_or(0, |s| clamp(s, 0, n));
        while at < end {
            found.push(at as usize);
            at = at.saturating_add(step);
        }
    } else {
        let end = end.map_or(-1, |e| clamp(e, -1, n - 1));
        let mut at = start.map_or(n - 1, |s| clamp(s, -1, n - 1));
        while at > end {
            found.push(at as usize);
            at = at.saturating_add(step);
        }
    }
    if found.is_empty() {
        return Err(format!("the slice is empty: the axis has {size} elements"));
    }
    Ok(found)
}

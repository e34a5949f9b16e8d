//! From integer rows to a plan.

use super::coding::{Budget, Coding};
use super::layers::{Layer, Layers, Reader};
use super::network::{Kind, Network};
use super::rows::{Maker, Row, Rows};
use super::scalar::Scalar;
use super::statistics::Statistics;
use super::{Evidence, LayerReport};
use cipherloom_ir::Origin;
use cipherloom_ir::integer::{
    AnalyseError, IntegerBuilder, IntegerPlan, Matrix, Quantisation, StepOp, Table,
};
use cipherloom_ir::plan::{Fault, Register};
use cipherloom_ir::tensor::Module;
use cipherloom_ir::value::Range;
use std::collections::BTreeMap;

/// What a plan is made from.
pub(super) struct Parts<'a> {
    pub(super) network: &'a Network,
    pub(super) layers: &'a Layers<'a>,
    pub(super) codings: &'a [Coding],
    pub(super) evidence: &'a Evidence,
    pub(super) statistics: &'a Statistics,
    pub(super) budget: &'a Budget,
    pub(super) margin: f64,
}

pub(super) struct Emitter<'a> {
    parts: &'a Parts<'a>,
    builder: IntegerBuilder,
    registers: BTreeMap<usize, Placed>,
    reports: Vec<LayerReport>,
}

/// Where a value is: registers, how many elements they have, and for each element of the value its place among these.
struct Placed {
    registers: Vec<Register>,
    length: u32,
    places: Vec<u32>,
}

impl Placed {
    fn whole(register: Register, length: usize) -> Self {
        Self {
            registers: vec![register],
            length: length as u32,
            places: (0..length as u32).collect(),
        }
    }

    /// So many places further on.
    fn further(&self, by: u32) -> Self {
        Self {
            registers: self.registers.clone(),
            length: self.length,
            places: self.places.iter().map(|place| place + by).collect(),
        }
    }
}

/// Registers, how many elements they have, and the place of each column.
#[derive(Default)]
struct Columns {
    registers: Vec<Register>,
    count: u32,
    places: Vec<u32>,
}

/// A plan and what is known of its layers.
pub(super) fn emit(parts: &Parts<'_>) -> Result<(IntegerPlan, Vec<LayerReport>), AnalyseError> {
    let clear = &parts.evidence.clear;
    let mut emitter = Emitter {
        parts,
        builder: IntegerBuilder::new(&clear.name, &clear.source, parts.budget.set),
        registers: BTreeMap::new(),
        reports: vec![],
    };
    let plan = emitter.builder.plan_mut();
    (plan.clear, plan.tail) = (clear.clone(), parts.evidence.tail.clone());
    (plan.log2_failure, plan.margin) = (parts.budget.log2_failure, parts.margin);
    for (v, value) in parts.network.values.iter().enumerate() {
        if let Kind::Input(name) = &value.kind {
            emitter.input(v, name)?;
        }
    }
    let maker = Maker {
        codings: parts.codings,
        statistics: parts.statistics,
        bootstraps: &parts.layers.bootstraps,
        budget: parts.budget,
    };
    for layer in parts.layers.iter() {
        let origin = match layer.reader {
            Reader::Lookup(v, _) => &parts.network.values[v].origin,
            Reader::Output(i) => &parts.network.outputs[i].origin,
        };
        let rows = maker.rows(layer);
        let rows = rows.ok_or_else(|| fault(origin, "copies of a sum have the same weights"))?;
        match layer.reader {
            // It was computed where the first of its functions was.
            Reader::Lookup(..) if layer.is_guest() => {}
            Reader::Lookup(v, function) => {
                let placed = emitter.lookups(layer, &rows, (v, function), origin)?;
                let others = layer.joint.iter().flat_map(|j| j.values.iter().skip(1));
                for (number, other) in (1..).zip(others) {
                    let further = placed.further(number * rows.rows.len() as u32);
                    emitter.registers.insert(*other, further);
                }
                emitter.registers.insert(v, placed);
            }
            Reader::Output(i) => {
                let all: Vec<&Row> = rows.rows.iter().collect();
                let sums = emitter.linear(layer, &rows, &all, origin)?;
                let exact = layer.exact.is_some();
                emitter.output(i, &rows, sums, (exact, &layer.centres));
            }
        }
        emitter.report(layer, &rows, origin);
    }
    emitter.finish()
}

pub(super) fn fault(place: &Origin, message: &str) -> AnalyseError {
    AnalyseError(vec![Fault {
        place: place.to_string(),
        message: message.to_owned(),
    }])
}

/// The range of a node of the clear network.
fn range_of(module: &Module, node: cipherloom_ir::NodeId) -> Range {
    let found = module.graph.get(node).and_then(|n| n.range);
    found.unwrap_or(Range { lo: 0.0, hi: 0.0 })
}

impl<'a> Emitter<'a> {
    fn input(&mut self, v: usize, name: &str) -> Result<(), AnalyseError> {
        let clear = &self.parts.evidence.clear;
        let value = &self.parts.network.values[v];
        let input = clear.inputs.iter().find(|i| i.name == name);
        let node = input.and_then(|i| Some((i, clear.graph.get(i.node)?)));
        let (input, node) = node.ok_or_else(|| fault(&value.origin, "the input is missing"))?;
        let coding = &self.parts.codings[v];
        let (scale, zero_point) = coding.quantisation();
        let (lo, hi) = coding.ends(0);
        let quantisation = Quantisation {
            scale,
            zero_point,
            lo,
            hi,
        };
        let range = range_of(clear, input.node).widened(self.parts.margin);
        let register = self
            .builder
            .input(name, &node.shape, range, coding.log_delta, quantisation);
        if let Some(port) = self.builder.plan_mut().inputs.last_mut() {
            (port.dtype, port.batched) = (input.dtype, input.batched);
        }
        let placed = Placed::whole(register, value.len);
        self.registers.insert(v, placed);
        Ok(())
    }

    /// Where the columns of rows are, which count values one after the other.
    fn columns(&self, rows: &Rows) -> Option<Columns> {
        let mut found = Columns::default();
        let mut starts = BTreeMap::new();
        for v in &rows.operands {
            let placed = self.registers.get(v)?;
            // Values of the same bootstraps are in the same registers.
            let start = *starts.entry(&placed.registers).or_insert_with(|| {
                found.registers.extend(&placed.registers);
                found.count += placed.length;
                found.count - placed.length
            });
            let places = placed.places.iter().map(|place| start + place);
            found.places.extend(places);
        }
        Some(found)
    }

    fn linear(
        &mut self,
        layer: &Layer<'_>,
        rows: &Rows,
        some: &[&Row],
        origin: &Origin,
    ) -> Result<Register, AnalyseError> {
        let found = self.columns(rows);
        let columns = found.ok_or_else(|| fault(origin, "an operand is missing"))?;
        let placed =
            |(column, weight): &(u32, i64)| Some((*columns.places.get(*column as usize)?, *weight));
        let list = some.iter().map(|r| {
            let weights: Vec<(u32, i64)> = r.weights.iter().filter_map(placed).collect();
            (weights, r.bias)
        });
        let name = match layer.pending.name.as_str() {
            "" => "sum",
            name => name,
        };
        let matrix = Matrix::from_rows(name, columns.count, list);
        let matrix = matrix.ok_or_else(|| fault(origin, "the weights are too large"))?;
        let matrix = self.builder.matrix(matrix);
        let origin = origin.to_string();
        Ok(self
            .builder
            .linear(&columns.registers, matrix, rows.log_delta, &origin))
    }

    /// A lookup for each list of places that rows are read at; all of them run side by side.
    fn lookups(
        &mut self,
        layer: &Layer<'_>,
        rows: &Rows,
        made: (usize, &Scalar),
        origin: &Origin,
    ) -> Result<Placed, AnalyseError> {
        let mut alike: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
        for (number, row) in rows.rows.iter().enumerate() {
            alike.entry(&row.reads).or_default().push(number);
        }
        let mut sums = vec![];
        for numbers in alike.into_values() {
            let some: Vec<&Row> = numbers.iter().map(|n| &rows.rows[*n]).collect();
            sums.push((self.linear(layer, rows, &some, origin)?, numbers));
        }
        let mut placed = Placed {
            registers: vec![],
            length: 0,
            places: vec![0; self.parts.network.values[made.0].len],
        };
        let mut start = 0;
        for (sums, numbers) in sums {
            let some: Vec<&Row> = numbers.iter().map(|n| &rows.rows[*n]).collect();
            let register = self.lookup(layer, (rows, &some), made, sums, origin);
            placed.registers.push(register);
            for (i, number) in numbers.iter().enumerate() {
                let served = match &layer.shared {
                    Some(groups) => groups[*number].as_slice(),
                    None => &[rows.rows[*number].element],
                };
                for (read, element) in served.iter().enumerate() {
                    placed.places[*element] = start + (read * numbers.len() + i) as u32;
                }
            }
            start += some.iter().map(|row| row.reads.len() as u32).sum::<u32>();
        }
        placed.length = start;
        Ok(placed)
    }

    fn lookup(
        &mut self,
        layer: &Layer<'_>,
        (rows, some): (&Rows, &[&Row]),
        (value, function): (usize, &Scalar),
        sums: Register,
        origin: &Origin,
    ) -> Register {
        let coding = &self.parts.codings[value];
        let size = 1_i64 << rows.bits;
        let functions = self.functions(layer, (value, function));
        let names: Vec<String> = functions.iter().map(|(_, f)| f.name()).collect();
        let name = names.join(", ");
        let part = size / i64::from(layer.parts());
        let step = layer.is_step();
        let mut tables = vec![];
        for row in some {
            let entry = |i: i64| {
                // Of three functions, the last part is never read.
                let Some((coding, function)) = functions.get((i / part) as usize) else {
                    return 0;
                };
                let i = i % part;
                if step {
                    // Below 0 the table is read negated.
                    return coding.ends(row.element).1;
                }
                // Of a folded table, the second half is the part below the middle, which is read negated.
                let below = layer.fold.is_some() && i >= size / 2;
                let at = if below { i - size } else { i };
                let phase = (at << (63 - rows.bits)) as f64;
                let found = coding.encode(row.element, function.eval(row.decode(phase)));
                if below { -found } else { found }
            };
            let entries = (0..size).map(entry).collect();
            let name = name.clone();
            tables.push(self.builder.table(Table { name, entries }));
        }
        if tables.windows(2).all(|w| w[0] == w[1]) {
            tables.truncate(1);
        }
        let op = StepOp::Lookup {
            src: sums,
            tables,
            reads: some.first().map_or(vec![0], |row| row.reads.clone()),
            slack: rows.slack,
            negacyclic: layer.is_negacyclic(),
        };
        self.builder.push(op, coding.log_delta, &origin.to_string())
    }

    /// What each part of a layer's tables holds: functions, and the codings of their results.
    fn functions<'b>(
        &self,
        layer: &Layer<'_>,
        (value, function): (usize, &'b Scalar),
    ) -> Vec<(&'b Coding, &'b Scalar)>
    where
        'a: 'b,
    {
        let parts = self.parts;
        let of = |v: &usize| match &parts.network.values.get(*v)?.kind {
            Kind::Lookup { function, .. } => Some((parts.codings.get(*v)?, function)),
            Kind::Input(_) => None,
        };
        match &layer.joint {
            Some(joint) => joint.values.iter().filter_map(of).collect(),
            None => vec![(&parts.codings[value], function)],
        }
    }

    fn output(
        &mut self,
        number: usize,
        rows: &Rows,
        sums: Register,
        (exact, centres): (bool, &[f64]),
    ) {
        let clear = &self.parts.evidence.clear;
        let Some(output) = clear.outputs.get(number) else {
            return;
        };
        let shape = clear.graph.get(output.node).map(|n| n.shape.clone());
        let unit = libm::exp2(f64::from(rows.log_delta));
        let of = |row: &Row| {
            let scale = row.decode(unit) - row.decode(0.0);
            // Of results that are not exact, the phase 0 stands for the centre up to rounding.
            let centre = centres.get(row.element).copied().unwrap_or(0.0);
            let middle = if exact { row.decode(0.0) } else { centre };
            (scale, libm::round(-middle / scale) as i64)
        };
        let (mut scale, mut zero_point): (Vec<f64>, Vec<i64>) = rows.rows.iter().map(of).unzip();
        // All rows of an output that is not exact have one gain.
        if !exact || scale.windows(2).all(|w| w[0] == w[1]) {
            scale.truncate(1);
        }
        if zero_point.windows(2).all(|w| w[0] == w[1]) {
            zero_point.truncate(1);
        }
        let quantisation = Quantisation {
            scale,
            zero_point,
            lo: 0,
            hi: 0,
        };
        let range = range_of(clear, output.node);
        self.builder.output(
            &output.name,
            &shape.unwrap_or_default(),
            range,
            sums,
            quantisation,
        );
        if let Some(port) = self.builder.plan_mut().outputs.last_mut() {
            (port.dtype, port.batched) = (output.dtype, output.batched);
            port.slack = rows.slack;
        }
    }

    /// The plan, and the reports with its failure probabilities.
    fn finish(self) -> Result<(IntegerPlan, Vec<LayerReport>), AnalyseError> {
        let mut reports = self.reports;
        let plan = self.builder.finish()?;
        for (layer, report) in self.parts.layers.iter().zip(&mut reports) {
            let found = match layer.reader {
                Reader::Lookup(v, _) => {
                    let placed = self.registers.get(&v);
                    let own = |r: &Register| placed.is_some_and(|p| p.registers.contains(r));
                    let steps = plan.steps.iter().filter(|s| own(&s.dst));
                    steps.map(|s| s.log2_failure).reduce(f64::max)
                }
                Reader::Output(i) => plan.outputs.get(i).map(|o| o.log2_failure),
            };
            report.log2_failure = found.unwrap_or(0.0);
        }
        Ok((plan, reports))
    }

    /// The range of a layer's results.
    fn range(&self, layer: &Layer<'_>) -> Range {
        match layer.reader {
            Reader::Lookup(v, _) => self.parts.codings[v].range(),
            Reader::Output(i) => {
                let clear = &self.parts.evidence.clear;
                let output = clear.outputs.get(i);
                output.map_or(Range { lo: 0.0, hi: 0.0 }, |o| range_of(clear, o.node))
            }
        }
    }

    fn report(&mut self, layer: &Layer<'_>, rows: &Rows, origin: &Origin) {
        let weights = rows.rows.iter().flat_map(|r| &r.weights);
        let most = weights.map(|(_, w)| w.unsigned_abs()).max().unwrap_or(0);
        let lookup = match layer.reader {
            Reader::Lookup(v, function) => Some((v, function)),
            Reader::Output(_) => None,
        };
        self.reports.push(LayerReport {
            origin: origin.to_string(),
            function: lookup.map(|(_, f)| f.name()),
            lookups: match layer.is_guest() {
                true => 0,
                false => lookup.map_or(0, |_| rows.rows.len()),
            },
            copies: layer.copies,
            weight_bits: u64::BITS - most.leading_zeros() + 1,
            table_bits: lookup.map_or(0, |_| rows.bits),
            slack: rows.slack,
            result_bits: lookup.map_or(0, |(v, _)| self.parts.codings[v].bits()),
            range: self.range(layer),
            log2_failure: 0.0,
        });
    }
}

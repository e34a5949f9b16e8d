//! The report as text.

use super::{ApproximationReport, Fact, PortReport, Report, TailReport, human_bytes};
use std::fmt::Write;

/// The report as text for a terminal; fixed columns stand on the left.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, &mut out);
    out
}

/// All that is said of a plan as a whole.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("model", format!("{} · from {}", report.name, report.source)),
        Fact::new("plan", &report.plan_id),
    ];
    facts.extend(report.choice.as_ref().map(|c| Fact::new("backend", c)));
    facts.extend(parameters(report));
    facts.extend(costs(report));
    for port in &report.inputs {
        let kind = if port.clear { "clear input" } else { "input" };
        facts.push(Fact::new(kind, described(port, "accepts")));
    }
    for port in &report.outputs {
        facts.push(Fact::new("output", described(port, "expects")));
    }
    facts.extend(tail(&report.tail));
    if !report.tail.is_empty() {
        let result = |r: &super::ResultReport| format!("{:?} {:?} of {}", r.name, r.shape, r.dtype);
        let results = report.results.iter().map(result);
        facts.extend(results.map(|r| Fact::new("result", r)));
    }
    let approximations = report.approximations.iter().map(approximation);
    facts.extend(approximations.map(|a| Fact::new("polynomial", a)));
    facts
}

fn parameters(report: &Report) -> [Fact; 2] {
    let (p, s) = (&report.parameters, &report.security);
    let limit = s.limit.map_or_else(|| "none".into(), |l| l.to_string());
    [
        Fact::new(
            "security",
            format!(
                "{} bits: log2(QP) = {:.2}, limit {limit} at N = 2^{}; the table also grants {} classical, {} quantum",
                s.target, s.log_qp, p.log_n, s.met[0], s.met[1]
            ),
        ),
        Fact::new(
            "parameters",
            format!(
                "{}, {} slots, {} levels, primes {} and special {} (bits), {} per digit",
                p.scheme,
                p.slots,
                p.levels,
                list(&p.log_q),
                list(&p.log_p),
                p.digit_size
            ),
        ),
    ]
}

fn costs(report: &Report) -> Vec<Fact> {
    let c = &report.cost;
    let several = c.latency_by_threads.iter();
    let several: String = several
        .map(|l| format!(", {:.1} on {}", 1e3 * l.latency_s, l.threads))
        .collect();
    let mut facts = vec![Fact::new(
        "latency",
        format!(
            "{:.1} ms expected on one thread{several} ({} NTTs, {} multiply-accumulates of one limb)",
            1e3 * c.latency_s,
            c.ntts,
            c.limb_macs
        ),
    )];
    if c.samples > 1 {
        facts.push(Fact::new(
            "batch",
            format!(
                "{} samples a run, {:.1} samples a second expected on one thread; for each {} go in and {} come back",
                c.samples,
                c.samples_per_s,
                human_bytes(c.input_bytes_per_sample),
                human_bytes(c.output_bytes_per_sample)
            ),
        ));
    }
    facts.push(Fact::new(
        "sizes",
        format!(
            "evaluation keys {} ({} rotations), plan {}, inputs {}, outputs {}",
            human_bytes(c.eval_key_bytes),
            c.rotation_keys,
            human_bytes(c.plan_bytes),
            human_bytes(c.input_bytes),
            human_bytes(c.output_bytes)
        ),
    ));
    facts.push(Fact::new(
        "memory",
        format!(
            "{} at the peak of a run, {} at least (`--max-memory`), where matrices are expanded at use",
            human_bytes(c.run_bytes),
            human_bytes(c.least_run_bytes)
        ),
    ));
    facts
}

fn approximation(a: &ApproximationReport) -> String {
    let rms = a
        .rms_error
        .map_or_else(String::new, |e| format!(", {e:.1e} (rms) on the samples"));
    let undecided = a.dead_zone.map_or_else(String::new, |zone| {
        format!(" from a distance of {zone:.2e} to 0 on, undecided below")
    });
    format!(
        "{}: {}, degree {} on [{:.4}, {:.4}], errs by at most {:.1e}{rms}{undecided}",
        a.layer, a.function, a.degree, a.domain[0], a.domain[1], a.sup_error
    )
}

/// What the client computes after decryption.
pub(super) fn tail(steps: &[TailReport]) -> impl Iterator<Item = Fact> {
    steps.iter().map(|step| {
        Fact::new(
            "client",
            format!(
                "computes {} {:?} in clear after decryption: {}",
                step.op, step.shape, step.layer
            ),
        )
    })
}

fn described(port: &PortReport, verb: &str) -> String {
    let precision = port
        .precision_bits
        .map_or_else(String::new, |b| format!(", {b:.1} bits of precision"));
    format!(
        "{:?} {:?} in {} ciphertext(s) of period {}, level {}, scale 2^{:.2}; {verb} [{:.4}, {:.4}]{precision}",
        port.name,
        port.shape,
        port.ciphertexts,
        port.period,
        port.level,
        port.log_scale,
        port.range[0],
        port.range[1]
    )
}

fn list(bits: &[f64]) -> String {
    bits.iter()
        .map(|b| format!("{b:.1}"))
        .collect::<Vec<_>>()
        .join(" + ")
}

/// Writes facts one a line. The first one, of the model, has no label.
pub(super) fn write_facts(facts: &[Fact], out: &mut String) -> std::fmt::Result {
    for Fact { label, value } in facts {
        match *label {
            "model" => writeln!(out, "{value}")?,
            "plan" => writeln!(out, "{label} {value}")?,
            _ => writeln!(out, "{label:<11} {value}")?,
        }
    }
    Ok(())
}

fn render(report: &Report, out: &mut String) -> std::fmt::Result {
    write_facts(&facts(report), out)?;
    writeln!(
        out,
        "\n lvl  scale   noise  approx  rot        ms | range                 | operation"
    )?;
    for layer in &report.layers {
        writeln!(
            out,
            "                                {:>10.3} |                       | {}",
            1e3 * layer.latency_s,
            layer.layer
        )?;
        for step in &layer.steps {
            let bits = |b: Option<f64>| b.map_or_else(|| "-".into(), |b| format!("{b:.1}"));
            let (noise, approximation) = (bits(step.noise_bits), bits(step.approximation_bits));
            let range = format!("[{:.4}, {:.4}]", step.range[0], step.range[1]);
            writeln!(
                out,
                " {:>3}  {:>5.2}  {:>6}  {:>6}  {:>3}  {:>8.3} | {:<21} |   {}{}{}",
                step.level,
                step.log_scale,
                noise,
                approximation,
                step.rotations,
                1e3 * step.latency_s,
                range,
                step.op,
                if step.detail.is_empty() { "" } else { " " },
                step.detail
            )?;
        }
    }
    Ok(())
}

//! The report as text.

use super::{PortReport, Report, TailReport, human_bytes};
use std::fmt::Write;

/// The report as text for a terminal; fixed columns stand on the left.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = render(report, &mut out);
    out
}

fn render(report: &Report, out: &mut String) -> std::fmt::Result {
    let (p, s, c) = (&report.parameters, &report.security, &report.cost);
    writeln!(out, "{} · from {}", report.name, report.source)?;
    writeln!(out, "plan {}", report.plan_id)?;
    if let Some(choice) = &report.choice {
        writeln!(out, "backend     {choice}")?;
    }
    let limit = s.limit.map_or_else(|| "none".into(), |l| l.to_string());
    writeln!(
        out,
        "security    {} bits: log2(QP) = {:.2}, limit {limit} at N = 2^{}; the table also grants {} classical, {} quantum",
        s.target, s.log_qp, p.log_n, s.met[0], s.met[1]
    )?;
    writeln!(
        out,
        "parameters  {}, {} slots, {} levels, primes {} and special {} (bits), {} per digit",
        p.scheme,
        p.slots,
        p.levels,
        list(&p.log_q),
        list(&p.log_p),
        p.digit_size
    )?;
    writeln!(
        out,
        "latency     {:.1} ms expected on one thread{} ({} NTTs, {} multiply-accumulates of one limb)",
        1e3 * c.latency_s,
        c.latency_by_threads
            .iter()
            .map(|l| format!(", {:.1} on {}", 1e3 * l.latency_s, l.threads))
            .collect::<String>(),
        c.ntts,
        c.limb_macs
    )?;
    if c.samples > 1 {
        writeln!(
            out,
            "batch       {} samples a run, {:.1} samples a second expected on one thread; for each {} go in and {} come back",
            c.samples,
            c.samples_per_s,
            human_bytes(c.input_bytes_per_sample),
            human_bytes(c.output_bytes_per_sample)
        )?;
    }
    writeln!(
        out,
        "sizes       evaluation keys {} ({} rotations), plan {}, inputs {}, outputs {}",
        human_bytes(c.eval_key_bytes),
        c.rotation_keys,
        human_bytes(c.plan_bytes),
        human_bytes(c.input_bytes),
        human_bytes(c.output_bytes)
    )?;
    writeln!(
        out,
        "memory      {} at the peak of a run, {} at least (`--max-memory`), where matrices are expanded at use",
        human_bytes(c.run_bytes),
        human_bytes(c.least_run_bytes)
    )?;
    for port in &report.inputs {
        let kind = if port.clear { "clear input" } else { "input" };
        line(out, kind, "accepts", port)?;
    }
    for port in &report.outputs {
        line(out, "output", "expects", port)?;
    }
    tail(out, &report.tail)?;
    if !report.tail.is_empty() {
        for result in &report.results {
            writeln!(
                out,
                "result      {:?} {:?} of {}",
                result.name, result.shape, result.dtype
            )?;
        }
    }
    for a in &report.approximations {
        let rms = a
            .rms_error
            .map_or_else(String::new, |e| format!(", {e:.1e} (rms) on the samples"));
        let undecided = a.dead_zone.map_or_else(String::new, |zone| {
            format!(" from a distance of {zone:.2e} to 0 on, undecided below")
        });
        writeln!(
            out,
            "polynomial  {}: {}, degree {} on [{:.4}, {:.4}], errs by at most {:.1e}{rms}{undecided}",
            a.layer, a.function, a.degree, a.domain[0], a.domain[1], a.sup_error
        )?;
    }
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

/// What the client computes after decryption.
pub(super) fn tail(out: &mut String, steps: &[TailReport]) -> std::fmt::Result {
    for step in steps {
        writeln!(
            out,
            "client      computes {} {:?} in clear after decryption: {}",
            step.op, step.shape, step.layer
        )?;
    }
    Ok(())
}

fn line(out: &mut String, kind: &str, verb: &str, port: &PortReport) -> std::fmt::Result {
    let precision = port
        .precision_bits
        .map_or_else(String::new, |b| format!(", {b:.1} bits of precision"));
    writeln!(
        out,
        "{kind:<11} {:?} {:?} in {} ciphertext(s) of period {}, level {}, scale 2^{:.2}; {verb} [{:.4}, {:.4}]{precision}",
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

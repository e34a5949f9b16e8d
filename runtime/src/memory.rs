//! The memory that this machine has, this process used, and a plan will need.

use cipherloom_ir::plan::{Plan, Residency, run_bytes};
use std::fs;

/// Bytes that a new allocation may still take without swapping; `None` where the system does not tell.
pub fn available() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The largest resident set that this process has had (VmHWM), mapped pages included; `None` where the system does
/// not tell.
pub fn peak_rss() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The bytes that a line such as `VmHWM:  1234 kB` states.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Bytes that executing a plan takes at its peak where there is room for all, as [`run_bytes`] counts them.
pub fn predicted(plan: &Plan) -> u64 {
    run_bytes(plan)
}

/// What a run holds of a plan's transforms within `max_memory` bytes; without that, within what the machine has left, less
/// an eighth for everything else.
pub fn residency(plan: &Plan, max_memory: Option<u64>) -> Residency {
    let spare = available().map(|bytes| bytes - bytes / 8);
    let limit = [spare, max_memory].into_iter().flatten().min();
    cipherloom_ir::plan::residency(plan, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let text = "MemTotal:  9 kB\nMemAvailable:   20515 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable:"), Some(20515 * 1024));
        assert_eq!(kilobytes(text, "VmHWM:"), None);
        assert_eq!(kilobytes("VmHWM: x kB", "VmHWM:"), None);
    }
}

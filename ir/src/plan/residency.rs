//! Which expanded diagonals a run holds within a limit of memory.
//!
//! A diagonal takes 2n words for each limb of its transform. A limb that there is no room for is expanded each time
//! the transform is applied, from integers of which there is one set for all limbs: as many transforms of 2n words as
//! there are diagonals. The work that a byte costs is nearly the same everywhere, so the largest transforms give up
//! their limbs first, which leaves the fewest sets of integers.

use super::memory::{THREADS, primes, run_bytes, word_bytes};
use super::{Plan, Transform};

/// How much of its transforms a run holds expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    /// For each transform: the number of its limbs (`q_0 ..`, then the special primes) that are held expanded, the
    /// first ones. The others are expanded at use.
    pub limbs: Vec<usize>,
    /// The predicted peak of the resident memory, in bytes.
    pub bytes: u64,
}

/// The most that fits into `limit` bytes; everything without a limit. Where nothing fits, the least that a run needs,
/// which is more than the limit.
pub fn residency(plan: &Plan, limit: Option<u64>) -> Residency {
    let sizes: Vec<Size> = plan.transforms.iter().map(|t| Size::new(plan, t)).collect();
    let mut result = Residency {
        limbs: sizes.iter().map(|s| s.limbs.len()).collect(),
        bytes: run_bytes(plan),
    };
    let Some(limit) = limit else {
        return result;
    };
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|t| (std::cmp::Reverse(sizes[*t].expanded()), *t));
    // Only one transform is applied at a time.
    let mut scratch = 0;
    for t in order {
        let size = &sizes[t];
        if result.bytes <= limit {
            break;
        }
        let more = size.scratch.saturating_sub(scratch);
        if size.integers + more >= size.expanded() {
            continue;
        }
        result.bytes += size.integers + more;
        scratch += more;
        for bytes in size.limbs.iter().rev() {
            if result.bytes <= limit {
                break;
            }
            result.bytes = result.bytes.saturating_sub(*bytes);
            result.limbs[t] -= 1;
        }
    }
    result
}

/// What the diagonals of a transform take.
struct Size {
    /// Expanded, by limb.
    limbs: Vec<u64>,
    /// As integers.
    integers: u64,
    /// What the threads expand at a time: the diagonals of one giant step.
    scratch: u64,
}

impl Size {
    fn new(plan: &Plan, t: &Transform) -> Self {
        let width = 2 * (t.period * t.samples) as u64;
        let diagonals = || t.blocks.iter().flat_map(|b| &b.diagonals);
        let words = width * diagonals().count() as u64;
        let largest = diagonals()
            .flat_map(|d| &d.values)
            .fold(0.0_f64, |largest, v| largest.max(v.abs()));
        // A coefficient is a mean of the scaled values, each times a root of unity.
        let small = largest * t.plain_scale.to_f64() < f64::from(i32::MAX);
        let group = t
            .blocks
            .iter()
            .map(|b| b.diagonals.len().min(t.baby_step))
            .sum::<usize>() as u64;
        Self {
            limbs: primes(&plan.params, t.level)
                .map(|p| words * word_bytes(p))
                .collect(),
            integers: words * if small { 4 } else { 8 },
            scratch: THREADS * (group + 1) * width * 8,
        }
    }

    fn expanded(&self) -> u64 {
        self.limbs.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_plans::plan;
    use super::*;
    use crate::plan::Diagonal;

    /// The small plan with a transform that is worth expanding at use.
    fn large() -> Plan {
        let mut plan = plan();
        let t = &mut plan.transforms[0];
        (t.period, t.baby_step) = (1024, 16);
        let diagonal = |rotation| Diagonal {
            rotation,
            values: vec![0.25; 1024],
        };
        t.blocks.truncate(1);
        t.blocks[0].diagonals = (0..512).map(diagonal).collect();
        plan
    }

    #[test]
    fn without_need_everything_is_held() {
        let plan = large();
        let all = residency(&plan, None);
        assert_eq!((&all.limbs[..], all.bytes), (&[6][..], run_bytes(&plan)));
        assert_eq!(residency(&plan, Some(all.bytes)), all);
    }

    #[test]
    fn limbs_are_given_up_one_by_one() {
        let plan = large();
        let all = run_bytes(&plan);
        // 512 diagonals of 2048 words, one wide limb and five narrow ones; coefficients of four bytes.
        let words = 512 * 2048_u64;
        let scratch = 4 * 17 * 2048 * 8;
        let mut last = 6;
        for less in [1, 5 * words, 8 * words, 9 * words, 17 * words] {
            let found = residency(&plan, Some(all - less));
            assert!(found.limbs[0] <= last && found.limbs[0] < 6, "{found:?}");
            last = found.limbs[0];
            let given_up = 8 + 4 * (5 - last as u64);
            assert_eq!(found.bytes, all + 4 * words + scratch - given_up * words);
            assert!(found.bytes <= all - less);
        }
        let least = residency(&plan, Some(0));
        assert_eq!(least.limbs, [0]);
        assert_eq!(least.bytes, all + 4 * words + scratch - 28 * words);
    }

    #[test]
    fn what_saves_nothing_is_held() {
        // Three diagonals of eight values: the threads' space would take more.
        assert_eq!(residency(&plan(), Some(0)).limbs, [6]);
    }
}

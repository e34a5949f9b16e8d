//! The layouts that are tried for images.

use cipherloom_ir::layout::Layout;

/// A rule that gives a value a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Row-major.
    Dense,
    /// Blocks of one phase of one channel, for a total stride; `pitch` and `block` in slots.
    Phases {
        stride: usize,
        pitch: usize,
        block: usize,
        phase_major: bool,
    },
}

impl Rule {
    /// The layout, or `None` where the rule does not apply.
    pub(super) fn layout(self, shape: &[usize], stride: usize, slots: usize) -> Option<Layout> {
        let Rule::Phases {
            stride: total,
            pitch,
            block,
            phase_major,
        } = self
        else {
            return Some(Layout::dense(shape.to_vec(), slots));
        };
        let &[n, channels, height, width] = shape else {
            return None;
        };
        let split = phases(total, stride)?;
        let (rows, columns) = (height.div_ceil(split), width.div_ceil(split));
        if columns > pitch || rows * pitch > block {
            return None;
        }
        let blocks = n * channels * split * split;
        let length = blocks.checked_mul(block)?;
        let period = length.next_power_of_two().min(slots);
        let mut positions = Vec::with_capacity(n * channels * height * width);
        for image_channel in 0..n * channels {
            for y in 0..height {
                for x in 0..width {
                    let phase = y % split * split + x % split;
                    let index = if phase_major {
                        phase * n * channels + image_channel
                    } else {
                        image_channel * split * split + phase
                    };
                    positions.push((index * block + y / split * pitch + x / split) as u32);
                }
            }
        }
        Some(Layout {
            shape: shape.to_vec(),
            period,
            ciphertexts: length.div_ceil(period),
            samples: 1,
            positions,
        })
    }
}

/// The number of phases along an axis of a value at `stride` when the total stride is `total`.
fn phases(total: usize, stride: usize) -> Option<usize> {
    (stride > 0 && total.is_multiple_of(stride)).then(|| total / stride)
}

/// All rules worth trying for values of the given shapes and strides.
pub(super) fn rules<'s>(
    shapes: impl Iterator<Item = &'s (Vec<usize>, usize)> + Clone,
) -> Vec<Rule> {
    let images = shapes.filter_map(|(s, stride)| match s.as_slice() {
        &[_, _, h, w] if h * w > 1 => Some((h, w, *stride)),
        _ => None,
    });
    let mut totals: Vec<usize> = images.clone().map(|(_, _, stride)| stride).collect();
    totals.sort_unstable();
    totals.dedup();
    let mut rules = vec![Rule::Dense];
    for total in totals {
        let split = images
            .clone()
            .filter_map(|(h, w, stride)| Some((h, w, phases(total, stride)?)));
        let height = split
            .clone()
            .map(|(h, _, s)| h.div_ceil(s))
            .max()
            .unwrap_or(1);
        let width = split.map(|(_, w, s)| w.div_ceil(s)).max().unwrap_or(1);
        for pitch in [width, width.next_power_of_two()] {
            let exact = height * pitch;
            for block in [exact, exact.next_power_of_two()] {
                for phase_major in [false, true] {
                    let rule = Rule::Phases {
                        stride: total,
                        pitch,
                        block,
                        phase_major,
                    };
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
    }
    rules
}

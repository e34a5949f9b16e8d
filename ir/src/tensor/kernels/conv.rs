//! Convolution, blocked so that sums stay in registers.

use super::Plane;
use crate::value::Tensor;

/// Output channels that are summed at once.
const CHANNELS: usize = 4;
/// Neighbouring output columns that are summed at once.
const COLUMNS: usize = 4;

/// Convolution of `[N, C, H, W]` with `[M, C/group, KH, KW]`. Every output is the bias plus the products in the order
/// of the weight's elements.
pub(in super::super) fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    group: usize,
    planes: [Plane; 2],
    shape: &[usize],
) -> Vec<f64> {
    let (&[n, c, h, w], &[m, per_group, kh, kw], &[_, _, oh, ow]) =
        (x.shape(), weight.shape(), shape)
    else {
        return vec![];
    };
    let mut out = vec![0.0; n * m * oh * ow];
    let per_output = m / group.max(1);
    if out.is_empty() || per_output == 0 {
        return out;
    }
    // Windows lie inside of the padded image, that of the last block of columns too.
    let columns = ow.div_ceil(COLUMNS) * COLUMNS;
    let reach = |plane: &Plane, taps: usize, count: usize| {
        (count - 1) * plane.stride + taps.saturating_sub(1) * plane.dilation + 1
    };
    let image = Image {
        height: reach(&planes[0], kh, oh).max(h + planes[0].before),
        width: reach(&planes[1], kw, columns).max(w + planes[1].before),
        planes,
        taps: [kh, kw],
    };
    let mut padded = vec![0.0; per_group * image.height * image.width];
    for sample in 0..n {
        for g in 0..group {
            for k in 0..per_group {
                let source = &x.data()[(sample * c + g * per_group + k) * h * w..][..h * w];
                let target = &mut padded[k * image.height * image.width..];
                for (y, row) in source.chunks(w.max(1)).enumerate() {
                    let at = (y + image.planes[0].before) * image.width + image.planes[1].before;
                    target[at..at + w].copy_from_slice(row);
                }
            }
            for first in (0..per_output).step_by(CHANNELS) {
                let used = CHANNELS.min(per_output - first);
                let channel = g * per_output + first;
                let weights = interleaved(weight, channel, used, per_group * kh * kw);
                let mut start = [0.0; CHANNELS];
                if let Some(bias) = bias {
                    start[..used].copy_from_slice(&bias.data()[channel..][..used]);
                }
                let target = &mut out[(sample * m + channel) * oh * ow..][..used * oh * ow];
                for oy in 0..oh {
                    for ox in (0..ow).step_by(COLUMNS) {
                        let sums = image.block(&padded, &weights, start, [oy, ox]);
                        for (plane, sums) in target.chunks_mut(oh * ow).zip(sums) {
                            let row = &mut plane[oy * ow + ox..(oy + 1) * ow];
                            row.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum);
                        }
                    }
                }
            }
        }
    }
    out
}

/// The weights of a few output channels, tap by tap; channels that are not used are 0.
fn interleaved(weight: &Tensor, channel: usize, used: usize, taps: usize) -> Vec<[f64; CHANNELS]> {
    let mut all = vec![[0.0; CHANNELS]; taps];
    for lane in 0..used {
        let own = &weight.data()[(channel + lane) * taps..][..taps];
        all.iter_mut()
            .zip(own)
            .for_each(|(all, own)| all[lane] = *own);
    }
    all
}

/// How windows lie in a padded image.
struct Image {
    height: usize,
    width: usize,
    planes: [Plane; 2],
    taps: [usize; 2],
}

impl Image {
    /// The sums of a block: channels by columns from a position on.
    #[inline]
    fn block(
        &self,
        padded: &[f64],
        weights: &[[f64; CHANNELS]],
        start: [f64; CHANNELS],
        [oy, ox]: [usize; 2],
    ) -> [[f64; COLUMNS]; CHANNELS] {
        let mut sums = start.map(|value| [value; COLUMNS]);
        let (stride, dilation, taps) =
            (self.planes[1].stride, self.planes[1].dilation, self.taps[1]);
        let corner = oy * self.planes[0].stride * self.width + ox * stride;
        let length = (COLUMNS - 1) * stride + taps.saturating_sub(1) * dilation + 1;
        let mut rows = weights.chunks_exact(taps.max(1));
        for plane in padded.chunks_exact(self.height * self.width) {
            for ky in 0..self.taps[0] {
                let row = corner + ky * self.planes[0].dilation * self.width;
                let (Some(weights), Some(row)) = (rows.next(), plane.get(row..row + length)) else {
                    return sums;
                };
                if stride == 1 && dilation == 1 {
                    for (factors, values) in weights.iter().zip(row.windows(COLUMNS)) {
                        if let Some(values) = values.first_chunk() {
                            add(&mut sums, factors, values);
                        }
                    }
                } else {
                    for (kx, factors) in weights.iter().enumerate() {
                        let mut values = [0.0; COLUMNS];
                        let read = row[kx * dilation..].iter().step_by(stride);
                        values.iter_mut().zip(read).for_each(|(v, r)| *v = *r);
                        add(&mut sums, factors, &values);
                    }
                }
            }
        }
        sums
    }
}

/// Adds the products of a tap's weights and the values that it reads.
#[inline(always)]
fn add(sums: &mut [[f64; COLUMNS]; CHANNELS], factors: &[f64; CHANNELS], values: &[f64; COLUMNS]) {
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
}

//! Where resizing samples an axis, and with what weights (ONNX's specification of Resize).

/// An axis that is resized. Places are computed in 32-bit arithmetic, as the reference implementations do: between
/// two elements, the last bit decides which of them is nearer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// Elements before.
    pub(super) from: usize,
    /// Elements after.
    pub(super) to: usize,
    /// The scale, of which `to` is rounded.
    pub(super) scale: f32,
}

/// Which place of the axis an element of the result samples.
#[derive(Clone, Copy, Debug)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNn,
}

/// Which element is nearest to a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

impl Axis {
    /// An axis that stays.
    pub(super) fn same(size: usize) -> Self {
        Self {
            from: size,
            to: size,
            scale: 1.0,
        }
    }

    pub(super) fn is_same(&self) -> bool {
        self.from == self.to && self.scale == 1.0
    }

    /// The place that element `i` of the result samples.
    fn place(&self, i: usize, coordinates: Coordinates) -> f32 {
        let (i, from, to, scale) = (i as f32, self.from as f32, self.to as f32, self.scale);
        match coordinates {
            Coordinates::HalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjusted = to / (scale * from);
                let offset = from / 2.0 * (1.0 - adjusted);
                offset + (i + 0.5) / scale - 0.5
            }
            Coordinates::PytorchHalfPixel if self.to <= 1 => 0.0,
            Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if self.to <= 1 => 0.0,
            Coordinates::AlignCorners => i * (from - 1.0) / (to - 1.0),
            Coordinates::Asymmetric => i / scale,
            Coordinates::TfHalfPixelForNn => (i + 0.5) / scale,
        }
    }

    fn clamped(&self, position: i64) -> usize {
        position.clamp(0, self.from as i64 - 1).max(0) as usize
    }

    /// The nearest element for each of the result.
    pub(super) fn nearest(&self, coordinates: Coordinates, mode: Nearest) -> Vec<i64> {
        let pick = |i: usize| {
            let place = self.place(i, coordinates);
            let rounded = match mode {
                Nearest::RoundPreferFloor => (place - 0.5).ceil(),
                Nearest::RoundPreferCeil => (place + 0.5).floor(),
                Nearest::Floor => place.floor(),
                Nearest::Ceil => place.ceil(),
            };
            self.clamped(rounded as i64) as i64
        };
        (0..self.to).map(pick).collect()
    }

    /// The matrix `[to, from]` whose rows are the weights of the elements around each place, given from `least` on.
    fn matrix(
        &self,
        coordinates: Coordinates,
        weights: impl Fn(f64) -> Vec<f64>,
        least: i64,
        exclude_outside: bool,
    ) -> Vec<f64> {
        let mut matrix = vec![0.0; self.to * self.from];
        for (i, row) in matrix.chunks_exact_mut(self.from.max(1)).enumerate() {
            let place = f64::from(self.place(i, coordinates));
            let floor = place.floor();
            let mut weights = weights(place - floor);
            let position = |k: usize| floor as i64 + least + k as i64;
            if exclude_outside {
                for (k, weight) in weights.iter_mut().enumerate() {
                    if !(0..self.from as i64).contains(&position(k)) {
                        *weight = 0.0;
                    }
                }
                let sum: f64 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
            }
            for (k, weight) in weights.iter().enumerate() {
                row[self.clamped(position(k))] += weight;
            }
        }
        matrix
    }

    /// The matrix of linear interpolation.
    pub(super) fn linear(&self, coordinates: Coordinates) -> Vec<f64> {
        self.matrix(coordinates, |t| vec![1.0 - t, t], 0, false)
    }

    /// The matrix of cubic interpolation with Keys' kernel (Keys, Cubic convolution interpolation, 1981, eq. 4), `a`
    /// its slope at 1.
    pub(super) fn cubic(
        &self,
        coordinates: Coordinates,
        a: f64,
        exclude_outside: bool,
    ) -> Vec<f64> {
        let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
        let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
        let weights = |t: f64| vec![far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        self.matrix(coordinates, weights, -1, exclude_outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(from: usize, to: usize) -> Axis {
        Axis {
            from,
            to,
            scale: to as f32 / from as f32,
        }
    }

    #[test]
    fn nearest_elements() {
        let twice = axis(2, 4);
        let by = |c, n| twice.nearest(c, n);
        assert_eq!(by(Coordinates::Asymmetric, Nearest::Floor), [0, 0, 1, 1]);
        assert_eq!(
            by(Coordinates::HalfPixel, Nearest::RoundPreferFloor),
            [0, 0, 1, 1]
        );
        assert_eq!(by(Coordinates::Asymmetric, Nearest::Ceil), [0, 1, 1, 1]);
        assert_eq!(
            by(Coordinates::Asymmetric, Nearest::RoundPreferFloor),
            [0, 0, 1, 1]
        );
        assert_eq!(
            by(Coordinates::Asymmetric, Nearest::RoundPreferCeil),
            [0, 1, 1, 1]
        );
        assert_eq!(
            axis(4, 2).nearest(Coordinates::TfHalfPixelForNn, Nearest::Floor),
            [1, 3]
        );
    }

    #[test]
    fn linear_weights() {
        // onnx: test_resize_upsample_scales_linear, one axis: 1, 2 becomes 1, 1.25, 1.75, 2.
        let values = |m: Vec<f64>, x: &[f64]| -> Vec<f64> {
            m.chunks(x.len())
                .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
                .collect()
        };
        let x = [1.0, 2.0];
        let y = values(axis(2, 4).linear(Coordinates::HalfPixel), &x);
        assert_eq!(y, [1.0, 1.25, 1.75, 2.0]);
        let y = values(axis(2, 3).linear(Coordinates::AlignCorners), &x);
        assert_eq!(y, [1.0, 1.5, 2.0]);
        let y = values(axis(2, 1).linear(Coordinates::PytorchHalfPixel), &x);
        assert_eq!(y, [1.0]);
    }

    #[test]
    fn cubic_weights() {
        // A kernel with a = -1/2 gives back quadratic polynomials away from the border (Keys 1981).
        let axis = axis(8, 16);
        let matrix = axis.cubic(Coordinates::Asymmetric, -0.5, false);
        let square: f64 = (0..8).map(|j| matrix[7 * 8 + j] * (j * j) as f64).sum();
        assert!((square - 3.5 * 3.5).abs() < 1e-12, "{square}");
        // Without what lies outside, the weights still sum to 1.
        let matrix = axis.cubic(Coordinates::HalfPixel, -0.75, true);
        for row in matrix.chunks(8) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

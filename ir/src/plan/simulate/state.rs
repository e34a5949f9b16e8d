//! The registers of a simulation, and the noise that is added to them.

use super::super::Register;
use super::{SimulateError, malformed};
use crate::scale::Scale;

pub(super) struct State {
    pub(super) registers: Vec<Option<Vec<f64>>>,
    pub(super) noise: Option<Noise>,
}

impl State {
    pub(super) fn get(&self, register: Register) -> Result<&[f64], SimulateError> {
        let found = self
            .registers
            .get(register.0 as usize)
            .and_then(|r| r.as_deref());
        found
            .filter(|v| !v.is_empty())
            .ok_or_else(|| malformed("a register is read that holds nothing"))
    }

    pub(super) fn set(
        &mut self,
        register: Register,
        values: Vec<f64>,
    ) -> Result<(), SimulateError> {
        let slot = self.registers.get_mut(register.0 as usize);
        *slot.ok_or_else(|| malformed("a register is out of range"))? = Some(values);
        Ok(())
    }

    /// What a number becomes as an integer over its scale: an error of its own, the same in every run. Without noise,
    /// the number itself.
    pub(super) fn encoded(&self, value: f64, scale: &Scale) -> f64 {
        let scale = scale.to_f64();
        let rounded = libm::round(value * scale) / scale;
        if self.noise.is_some() && rounded.is_finite() {
            rounded
        } else {
            value
        }
    }

    pub(super) fn add_noise(&mut self, values: &mut [f64], variance: f64) {
        if let Some(noise) = &mut self.noise
            && variance > 0.0
        {
            let deviation = libm::sqrt(variance);
            values
                .iter_mut()
                .for_each(|v| *v += deviation * noise.normal());
        }
    }
}

/// Normal values from SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) by
/// the Box-Muller transform.
pub(crate) struct Noise {
    state: u64,
    spare: Option<f64>,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            spare: None,
        }
    }

    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // The first uniform value lies in (0, 1], so that its logarithm is finite.
        let unit = libm::exp2(-53.0);
        let u = ((self.word() >> 11) as f64 + 1.0) * unit;
        let angle = 2.0 * std::f64::consts::PI * (self.word() >> 11) as f64 * unit;
        let radius = libm::sqrt(-2.0 * libm::log(u));
        let (sin, cos) = libm::sincos(angle);
        self.spare = Some(radius * sin);
        radius * cos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_moments_of_a_normal_distribution() {
        let mut noise = Noise::new(1);
        let n = 200_000;
        let values: Vec<f64> = (0..n).map(|_| noise.normal()).collect();
        let moment = |k: i32| values.iter().map(|v| v.powi(k)).sum::<f64>() / f64::from(n);
        assert!(moment(1).abs() < 0.01, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.1, "{}", moment(4));
        let mut again = Noise::new(1);
        assert!(values.iter().take(100).all(|v| *v == again.normal()));
    }
}

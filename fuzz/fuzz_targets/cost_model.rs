//! Bytes as a cost model: an error, or a model that is written and read back the same and whose rates are finite.
#![no_main]

use cipherloom::CostModel;
use cipherloom_compiler::cost::Limbs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limbs = Limbs {
        q: 20,
        p: 3,
        digit_size: 3,
    };
    match CostModel::from_text(&String::from_utf8_lossy(bytes)) {
        Ok(model) => {
            for log_n in 10..=17 {
                let ring = model.ring(log_n);
                let seconds = ring.rates(0.5).seconds(limbs.key_switch(true)) / ring.speedup(3);
                assert!(seconds.is_finite() && seconds >= 0.0);
            }
            let again = CostModel::from_text(&model.to_text());
            assert_eq!(again.as_ref(), Ok(&model));
        }
        Err(error) => drop(error.to_string()),
    }
});

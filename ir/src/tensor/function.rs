//! Functions of one number that are applied elementwise, and their values in clear.
//!
//! The formulas are those of the ONNX operators of the same names. Each is computed in a form that neither overflows
//! nor cancels, from `libm`, so that values are the same on every machine.

mod bounds;

/// A function of one number, applied elementwise. None of them is a polynomial: under encryption each needs an
/// approximation.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `x`, or `alpha x` below 0.
    LeakyRelu {
        /// The slope below 0.
        alpha: f64,
    },
    /// `min(max(x, lo), hi)`; the ends may be infinite.
    Clip {
        /// The lower end.
        lo: f64,
        /// The upper end.
        hi: f64,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `max(0, min(1, alpha x + beta))`.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `tanh(x)`.
    Tanh,
    /// `x / (1 + exp(-x))`, also called Swish.
    Silu,
    /// `x max(0, min(1, x / 6 + 1 / 2))`.
    HardSwish,
    /// `x (1 + erf(x / sqrt(2))) / 2`.
    Gelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluTanh,
    /// `x`, or `alpha (exp(x) - 1)` below 0.
    Elu {
        /// The factor below 0.
        alpha: f64,
    },
    /// `gamma x`, or `gamma alpha (exp(x) - 1)` below 0.
    Selu {
        /// The factor below 0.
        alpha: f64,
        /// The factor of all.
        gamma: f64,
    },
    /// `x`, or `alpha (exp(x / alpha) - 1)` below 0.
    Celu {
        /// The scale below 0; not 0.
        alpha: f64,
    },
    /// `x tanh(log(1 + exp(x)))`.
    Mish,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x`, or 0 up to `alpha`.
    ThresholdedRelu {
        /// The threshold.
        alpha: f64,
    },
    /// `-log(1 + exp(-x))`.
    LogSigmoid,
    /// The error function.
    Erf,
    /// `exp(x)`.
    Exp,
    /// The natural logarithm.
    Log,
    /// `sqrt(x)`.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// `x^exponent`; defined below 0 for a whole exponent alone.
    Pow {
        /// The exponent.
        exponent: f64,
    },
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `sin(x)`, x in radians.
    Sin,
    /// `cos(x)`, x in radians.
    Cos,
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
    /// The nearest whole number, the even one of two.
    Round,
    /// The next whole number towards 0.
    Trunc,
    /// 1 above 0, else 0.
    Step,
}

/// A symmetry of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// `f(-x) = f(x)`.
    Even,
    /// `f(-x) = -f(x)`.
    Odd,
}

/// Where a function has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pole {
    /// Below 0.
    Negative,
    /// At 0 and below.
    NonPositive,
    /// At 0.
    Zero,
}

impl Function {
    /// The function of a name with parameters in the order of [`Function::parameter_names`]; `None` for an unknown
    /// name or another number of parameters.
    pub fn new(name: &str, parameters: &[f64]) -> Option<Self> {
        Some(match (name, parameters) {
            ("relu", []) => Function::Relu,
            ("leaky_relu", &[alpha]) => Function::LeakyRelu { alpha },
            ("clip", &[lo, hi]) => Function::Clip { lo, hi },
            ("sigmoid", []) => Function::Sigmoid,
            ("hard_sigmoid", &[alpha, beta]) => Function::HardSigmoid { alpha, beta },
            ("tanh", []) => Function::Tanh,
            ("silu", []) => Function::Silu,
            ("hard_swish", []) => Function::HardSwish,
            ("gelu", []) => Function::Gelu,
            ("gelu_tanh", []) => Function::GeluTanh,
            ("elu", &[alpha]) => Function::Elu { alpha },
            ("selu", &[alpha, gamma]) => Function::Selu { alpha, gamma },
            ("celu", &[alpha]) => Function::Celu { alpha },
            ("mish", []) => Function::Mish,
            ("softplus", []) => Function::Softplus,
            ("softsign", []) => Function::Softsign,
            ("thresholded_relu", &[alpha]) => Function::ThresholdedRelu { alpha },
            ("log_sigmoid", []) => Function::LogSigmoid,
            ("erf", []) => Function::Erf,
            ("exp", []) => Function::Exp,
            ("log", []) => Function::Log,
            ("sqrt", []) => Function::Sqrt,
            ("reciprocal", []) => Function::Reciprocal,
            ("pow", &[exponent]) => Function::Pow { exponent },
            ("abs", []) => Function::Abs,
            ("sign", []) => Function::Sign,
            ("sin", []) => Function::Sin,
            ("cos", []) => Function::Cos,
            ("floor", []) => Function::Floor,
            ("ceil", []) => Function::Ceil,
            ("round", []) => Function::Round,
            ("trunc", []) => Function::Trunc,
            ("step", []) => Function::Step,
            _ => return None,
        })
    }

    /// The keyword of the text form.
    pub fn name(&self) -> &'static str {
        self.words().0
    }

    /// The function as a formula, for people.
    pub fn formula(&self) -> &'static str {
        self.words().1
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Function::Relu => ("relu", "max(x, 0)"),
            Function::LeakyRelu { .. } => ("leaky_relu", "max(x, 0) + alpha min(x, 0)"),
            Function::Clip { .. } => ("clip", "min(max(x, lo), hi)"),
            Function::Sigmoid => ("sigmoid", "1 / (1 + exp(-x))"),
            Function::HardSigmoid { .. } => ("hard_sigmoid", "max(0, min(1, alpha x + beta))"),
            Function::Tanh => ("tanh", "tanh(x)"),
            Function::Silu => ("silu", "x / (1 + exp(-x))"),
            Function::HardSwish => ("hard_swish", "x max(0, min(1, x/6 + 1/2))"),
            Function::Gelu => ("gelu", "x (1 + erf(x / sqrt(2))) / 2"),
            Function::GeluTanh => (
                "gelu_tanh",
                "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2",
            ),
            Function::Elu { .. } => ("elu", "max(x, 0) + alpha (exp(min(x, 0)) - 1)"),
            Function::Selu { .. } => ("selu", "gamma (max(x, 0) + alpha (exp(min(x, 0)) - 1))"),
            Function::Celu { .. } => ("celu", "max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1)"),
            Function::Mish => ("mish", "x tanh(log(1 + exp(x)))"),
            Function::Softplus => ("softplus", "log(1 + exp(x))"),
            Function::Softsign => ("softsign", "x / (1 + |x|)"),
            Function::ThresholdedRelu { .. } => ("thresholded_relu", "x where x > alpha, else 0"),
            Function::LogSigmoid => ("log_sigmoid", "-log(1 + exp(-x))"),
            Function::Erf => ("erf", "erf(x)"),
            Function::Exp => ("exp", "exp(x)"),
            Function::Log => ("log", "log(x)"),
            Function::Sqrt => ("sqrt", "sqrt(x)"),
            Function::Reciprocal => ("reciprocal", "1 / x"),
            Function::Pow { .. } => ("pow", "x^exponent"),
            Function::Abs => ("abs", "|x|"),
            Function::Sign => ("sign", "sign(x)"),
            Function::Sin => ("sin", "sin(x)"),
            Function::Cos => ("cos", "cos(x)"),
            Function::Floor => ("floor", "floor(x)"),
            Function::Ceil => ("ceil", "ceil(x)"),
            Function::Round => ("round", "round(x)"),
            Function::Trunc => ("trunc", "trunc(x)"),
            Function::Step => ("step", "1 where x > 0, else 0"),
        }
    }

    /// The names of the parameters of the function of a name; `None` for an unknown name.
    pub fn parameter_names(name: &str) -> Option<&'static [&'static str]> {
        Some(match name {
            "leaky_relu" | "elu" | "celu" | "thresholded_relu" => &["alpha"],
            "clip" => &["lo", "hi"],
            "hard_sigmoid" => &["alpha", "beta"],
            "selu" => &["alpha", "gamma"],
            "pow" => &["exponent"],
            _ => {
                Self::new(name, &[])?;
                &[]
            }
        })
    }

    /// The parameters, in the order of [`Function::parameter_names`].
    pub fn parameters(&self) -> Vec<f64> {
        match *self {
            Function::LeakyRelu { alpha }
            | Function::Elu { alpha }
            | Function::Celu { alpha }
            | Function::ThresholdedRelu { alpha } => vec![alpha],
            Function::Clip { lo, hi } => vec![lo, hi],
            Function::HardSigmoid { alpha, beta } => vec![alpha, beta],
            Function::Selu { alpha, gamma } => vec![alpha, gamma],
            Function::Pow { exponent } => vec![exponent],
            _ => vec![],
        }
    }

    /// Whether the parameters give a function.
    ///
    /// # Errors
    /// A sentence: a parameter that is not finite (the ends of a clip may be infinite), a clip whose ends are
    /// crossed, a `celu` whose scale is 0.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Function::Clip { lo, hi }
                if !(lo <= hi && lo < f64::INFINITY && hi > f64::NEG_INFINITY) =>
            {
                Err(format!("clip from {lo} to {hi} leaves no value"))
            }
            Function::Clip { .. } => Ok(()),
            Function::Celu { alpha: 0.0 } => Err("celu with an alpha of 0 divides by it".into()),
            _ if self.parameters().iter().any(|p| !p.is_finite()) => {
                Err(format!("a parameter of {} is not finite", self.name()))
            }
            _ => Ok(()),
        }
    }

    /// The function's value; NaN or infinite where it has none.
    pub fn eval(&self, x: f64) -> f64 {
        let below = |negative: f64| if x < 0.0 { negative } else { x };
        match *self {
            Function::Relu => below(0.0),
            Function::LeakyRelu { alpha } => below(alpha * x),
            Function::Clip { lo, hi } => {
                if x < lo {
                    lo
                } else if x > hi {
                    hi
                } else {
                    x
                }
            }
            Function::Sigmoid => sigmoid(x),
            Function::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Function::Tanh => libm::tanh(x),
            Function::Silu => x * sigmoid(x),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            // erfc keeps the small values of the left tail, where 1 + erf would cancel.
            Function::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
            Function::GeluTanh => {
                let root = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
                x * sigmoid(2.0 * root * (x + 0.044715 * x * x * x))
            }
            Function::Elu { alpha } => below(alpha * libm::expm1(x)),
            Function::Selu { alpha, gamma } => gamma * below(alpha * libm::expm1(x)),
            Function::Celu { alpha } => below(alpha * libm::expm1(x / alpha)),
            Function::Mish => mish(x),
            Function::Softplus => softplus(x),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::ThresholdedRelu { alpha } => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Function::LogSigmoid => -softplus(-x),
            Function::Erf => libm::erf(x),
            Function::Exp => libm::exp(x),
            Function::Log => libm::log(x),
            Function::Sqrt => libm::sqrt(x),
            Function::Reciprocal => 1.0 / x,
            Function::Pow { exponent } => libm::pow(x, exponent),
            Function::Abs => x.abs(),
            Function::Sign if x == 0.0 || x.is_nan() => x,
            Function::Sign => 1.0_f64.copysign(x),
            Function::Sin => libm::sin(x),
            Function::Cos => libm::cos(x),
            Function::Floor => x.floor(),
            Function::Ceil => x.ceil(),
            Function::Round => x.round_ties_even(),
            Function::Trunc => x.trunc(),
            Function::Step => f64::from(u8::from(x > 0.0)),
        }
    }

    /// Whether the function is constant but for jumps, so that no polynomial comes near it everywhere.
    pub fn is_step(&self) -> bool {
        matches!(
            self,
            Function::Floor
                | Function::Ceil
                | Function::Round
                | Function::Trunc
                | Function::Sign
                | Function::Step
        )
    }

    /// The function's symmetry, if it has one.
    pub fn parity(&self) -> Option<Parity> {
        match *self {
            Function::Abs | Function::Cos => Some(Parity::Even),
            Function::Tanh
            | Function::Softsign
            | Function::Erf
            | Function::Reciprocal
            | Function::Sign
            | Function::Sin
            | Function::Round
            | Function::Trunc => Some(Parity::Odd),
            Function::Clip { lo, hi } if lo == -hi => Some(Parity::Odd),
            Function::LeakyRelu { alpha: 1.0 } => Some(Parity::Odd),
            Function::LeakyRelu { alpha: -1.0 } => Some(Parity::Even),
            Function::Pow { exponent } if exponent % 2.0 == 0.0 => Some(Parity::Even),
            Function::Pow { exponent } if exponent % 2.0 == 1.0 || exponent % 2.0 == -1.0 => {
                Some(Parity::Odd)
            }
            _ => None,
        }
    }

    /// Where the function has no value, if anywhere.
    pub fn pole(&self) -> Option<Pole> {
        match *self {
            Function::Log => Some(Pole::NonPositive),
            Function::Sqrt => Some(Pole::Negative),
            Function::Reciprocal => Some(Pole::Zero),
            Function::Pow { exponent } if exponent.fract() == 0.0 => {
                (exponent < 0.0).then_some(Pole::Zero)
            }
            Function::Pow { exponent } if exponent < 0.0 => Some(Pole::NonPositive),
            Function::Pow { .. } => Some(Pole::Negative),
            _ => None,
        }
    }
}

/// `1 / (1 + exp(-x))`, with small values to full precision.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        return 1.0 / (1.0 + libm::exp(-x));
    }
    let e = libm::exp(x);
    e / (1.0 + e)
}

/// `log(1 + exp(x))`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// `x tanh(log(1 + e))` for `e = exp(x)` is `x (e^2 + 2 e) / (e^2 + 2 e + 2)`; for a large `e` both are divided by its
/// square.
fn mish(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 {
        let numerator = e * (e + 2.0);
        return x * numerator / (numerator + 2.0);
    }
    let numerator = 1.0 + 2.0 * e;
    x * numerator / (numerator + 2.0 * e * e)
}

#[cfg(test)]
#[path = "function_tests.rs"]
pub(crate) mod tests;

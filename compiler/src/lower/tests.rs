//! Lowering against the clear interpreter.

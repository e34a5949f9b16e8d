//! Samples that passes measure on.

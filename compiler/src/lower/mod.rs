//! From the `tensor` stage to the `circuit` and `plan` stages.

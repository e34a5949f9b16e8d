//! The pass driver and the passes over the `tensor` stage.

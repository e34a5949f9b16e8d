//! ONNX models as modules of the `tensor` stage.

"""Eight bits for weights and activations, computed by TensorFlow's integer kernels."""

"""Training workloads: `torch_like` for PyTorch and autodiff, `jax_like` for JAX, `numpy_like` by hand where given."""

"""The pipeline: one module per step, in the order in which a file passes through them."""

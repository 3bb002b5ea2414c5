"""Training of a stack: optimizers, the one loop, validation, checkpoints, trackers."""

"""Training: data, the loop, the tasks (one per network), export."""

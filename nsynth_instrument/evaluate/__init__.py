"""How good a model is, in figures: the paper's table, the voice's own bars, and what lies between two sounds."""

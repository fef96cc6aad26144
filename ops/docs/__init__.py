"""Documentation and expected plans, generated from the code."""

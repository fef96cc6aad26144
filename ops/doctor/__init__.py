"""`make doctor`: what a deployed stack shows of questions that the documentation leaves open."""

"""The offline plan: runs the program of a stack on a mock engine, and evaluates the rules."""

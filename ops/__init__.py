"""Commands of a platform engineer: those around the Pulumi CLI, and those for every day."""

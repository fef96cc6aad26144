"""Commands of a platform engineer, around the Pulumi CLI: up, down, preview."""

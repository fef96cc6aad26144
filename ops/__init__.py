"""Commands for platform engineers: deployment with the Pulumi CLI, and day-two operations."""

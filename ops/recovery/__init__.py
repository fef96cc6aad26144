"""Recovery from interrupted commands: docs/adr/0005-recovery-after-a-killed-command.md."""

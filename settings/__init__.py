"""What a stack file may contain. `load` is the only reader of Pulumi's configuration."""

from settings.loading import load, parse
from settings.secrets import Secrets, load_logins, load_secrets
from settings.stack import Settings

__all__ = ["Secrets", "Settings", "load", "load_logins", "load_secrets", "parse"]

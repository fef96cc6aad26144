"""Images of the throw-away cluster: floating tags, so that it pulls an image only once."""

from settings.versions import POSTGRES_IMAGE, REDIS_IMAGE

REDIS = "redis:7.2-bookworm"
POSTGRES = "postgres:16"
# In place of the exact version that a stack runs.
INSTEAD_OF = {REDIS_IMAGE: REDIS, POSTGRES_IMAGE: POSTGRES}

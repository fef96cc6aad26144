"""Section `redis`: the broker of the Celery workers."""

import re

from pydantic import Field, model_validator

from settings import versions
from settings.images import pinned
from settings.types import Digest, Section, TaggedImage


class RedisSettings(Section):
    """Broker of the Celery workers"""

    storage_gb: int = Field(default=2, ge=1, le=100, description="Volume of Redis")
    memory_mb: int = Field(
        default=256, ge=64, le=16384, description="Memory limit of the data (`maxmemory`)"
    )
    image: TaggedImage = Field(
        default=versions.REDIS_IMAGE,
        description="Image, with its tag: Redis 7 or later, or Valkey 8, such as "
        "`valkey/valkey:8.1.9-bookworm`",
    )
    digest: Digest | None = Field(
        default=None, description="Digest of the image; takes precedence over the tag"
    )
    protect: bool = Field(default=False, description="Refuse to delete the Redis volume")

    @model_validator(mode="after")
    def _volume_holds_the_log(self) -> "RedisSettings":
        # While Redis rewrites its append-only file, the volume holds the old file and the new one.
        if self.storage_gb * 1024 < 3 * self.memory_mb:
            raise ValueError(
                f"storage_gb {self.storage_gb} must be at least three times memory_mb {self.memory_mb}: it "
                "holds the append-only file and its rewrite"
            )
        return self

    @model_validator(mode="after")
    def _image_has_access_rules(self) -> "RedisSettings":
        version = re.fullmatch(r"(?:.*/)?redis:(\d+).*", self.image)
        if version and int(version[1]) < 7:
            raise ValueError(
                f"image {self.image} is older than Redis 7, which lacks the access rules of the program; "
                f"use {versions.REDIS_IMAGE}"
            )
        return self

    @property
    def image_reference(self) -> str:
        return pinned(self.image, self.digest)

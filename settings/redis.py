"""Section `redis`: the broker of the Celery workers."""

from pydantic import Field, model_validator

from settings.types import Section


class RedisSettings(Section):
    storage_gb: int = Field(default=2, ge=1, le=100, description="Volume of Redis, in GiB")
    memory_mb: int = Field(
        default=256, ge=64, le=16384, description="Data that Redis may hold, in MiB (`maxmemory`)"
    )
    protect: bool = Field(default=False, description="Refuse to delete the volume")

    @model_validator(mode="after")
    def _volume_holds_the_log(self) -> "RedisSettings":
        # While Redis rewrites its append-only file, the old and the new one stand side by side.
        if self.storage_gb * 1024 < 3 * self.memory_mb:
            raise ValueError(
                "storage_gb must hold three times memory_mb: the append-only file and its rewrite"
            )
        return self

"""Section `rotation`: one number per generated secret."""

from pydantic import Field

from settings.types import Rotation, Section


class RotationSettings(Section):
    """Raise a number by one to replace the secret; only the pods that use it restart"""

    fernet: Rotation = Field(
        default=1, description="Fernet key: encrypts connections and variables"
    )
    api: Rotation = Field(default=1, description="Key that signs log requests and sessions")
    jwt: Rotation = Field(default=1, description="Key that signs API tokens")
    admin: Rotation = Field(default=1, description="Password of the user `admin`")
    database: Rotation = Field(default=1, description="Password of the database")
    redis: Rotation = Field(default=1, description="Password of Redis")
    keda: Rotation = Field(default=1, description="Password of the KEDA role in the database")
    webhook: Rotation = Field(
        default=1, description="Secret with which the Git host signs webhook calls"
    )

"""Tags of the stack, for what EKS Auto Mode creates outside of Pulumi's AWS provider."""

import pulumi


def default_tags() -> dict[str, str]:
    """The tags of `aws:defaultTags`, which the AWS provider sets on its own resources."""
    return (pulumi.Config("aws").get_object("defaultTags") or {}).get("tags", {})

"""The committed stacks, and how tests name their resources."""

import pytest

STACKS = ("dev", "local", "prod", "staging")
AWS_STACKS = ("dev", "prod", "staging")

every_stack = pytest.mark.parametrize("name", STACKS)
every_aws_stack = pytest.mark.parametrize("name", AWS_STACKS)


def find(snapshot, label):
    """A resource as the plan prints it, `Instance database-instance`, or the only `Instance`."""
    kind, _, name = label.partition(" ")
    found = [
        resource
        for resource in snapshot.resources.values()
        if resource.type.rpartition(":")[2] == kind and name in ("", resource.name)
    ]
    assert len(found) == 1, f"{len(found)} resources are `{label}`"
    return found[0]


def names(snapshot):
    return {resource.name for resource in snapshot.resources.values()}

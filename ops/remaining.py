"""What a deletion left in the state, by the reason that Pulumi, AWS or Kubernetes gave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Resource = Mapping[str, Any]
PROTECTED = "protected"
NEEDED = "needed by a protected resource"
FAILED = "refused, or not deleted in time"
BLOCKED = "needed by a resource that is left"
SKIPPED = "not attempted; the next `make down` continues here"
HEADINGS = (PROTECTED, NEEDED, FAILED, BLOCKED, SKIPPED)
HOW_TO_UNPROTECT = "To delete them, set `protect` to false, run `make up`, then `make down`."


def needs(resource: Resource) -> set[str]:
    """URNs of the resources that must outlive it."""
    direct = [
        *resource.get("dependencies", []),
        *(urn for urns in resource.get("propertyDependencies", {}).values() for urn in urns or []),
        resource.get("parent"),
        resource.get("deletedWith"),
        # The reference of a provider ends with its ID.
        resource.get("provider", "").rpartition("::")[0],
    ]
    return {urn for urn in direct if urn}


def kept(resources: Sequence[Resource]) -> dict[str, str]:
    """Protected resources and what they need, by URN, with the URN of the protected resource."""
    by_urn = {resource["urn"]: resource for resource in resources}
    found: dict[str, str] = {}
    for protected in (r["urn"] for r in resources if r.get("protect")):
        waiting = [protected]
        while waiting:
            urn = waiting.pop()
            if urn in by_urn and found.setdefault(urn, protected) == protected:
                waiting += [u for u in needs(by_urn[urn]) if u not in found]
    return found | {r["urn"]: r["urn"] for r in resources if r.get("protect")}


def real(resources: Sequence[Resource]) -> list[Resource]:
    """Resources of providers: without components, the stack and the providers themselves."""
    return [r for r in resources if r.get("custom") and not r["type"].startswith("pulumi:")]


def name(urn: str) -> str:
    return urn.rpartition("::")[2]


def report(resources: Sequence[Resource], errors: Mapping[str, str]) -> list[str]:
    """Lines about the resources that are left, by reason and type. `errors` are by URN."""
    left, by_protected = real(resources), kept(resources)
    dependents = _dependents(left, resources)
    # By heading: rows of a type, the names of its resources, and a reason of their own.
    groups: dict[str, dict[tuple[str, str], list[str]]] = {heading: {} for heading in HEADINGS}
    for resource in sorted(left, key=lambda r: (r["type"], name(r["urn"]))):
        urn = resource["urn"]
        if resource.get("protect"):
            heading, reason = PROTECTED, ""
        elif urn in by_protected:
            heading, reason = NEEDED, name(by_protected[urn])
        elif urn in errors:
            heading, reason = FAILED, errors[urn]
        elif urn in dependents:
            heading, reason = BLOCKED, name(dependents[urn])
        else:
            heading, reason = SKIPPED, ""
        groups[heading].setdefault((resource["type"], reason), []).append(name(urn))
    return list(_lines(groups))


def _lines(groups: Mapping[str, Mapping[tuple[str, str], Sequence[str]]]) -> Iterator[str]:
    for heading, rows in groups.items():
        if rows:
            yield f"  {heading}:"
        for (kind, reason), names in rows.items():
            yield f"    {kind} {', '.join(names)}{f': {reason}' if reason else ''}"


def _dependents(left: Sequence[Resource], resources: Sequence[Resource]) -> dict[str, str]:
    """By URN, a resource that is left and needs it, also through components."""
    by_urn = {resource["urn"]: resource for resource in resources}
    found: dict[str, str] = {}
    for resource in left:
        waiting, seen = list(needs(resource)), {resource["urn"]}
        while waiting:
            urn = waiting.pop()
            if urn in seen or urn not in by_urn:
                continue
            seen.add(urn)
            found.setdefault(urn, resource["urn"])
            waiting += needs(by_urn[urn])
    return found

"""Prints a plan as text or JSON."""

from collections.abc import Iterator
from typing import Any

from ops.plan.mock_engine import StackSnapshot
from ops.plan.report import Report, shown_inputs


def text(report: Report) -> Iterator[str]:
    """The plan as lines of text."""
    tree = report.snapshot
    yield f"{report.stack}: {len(tree.resources)} resources"
    roots = sorted({r.parent for r in tree.resources.values()} - tree.resources.keys())
    for root in roots:
        yield from _branch(tree, root, depth=1)
    yield ""
    yield "Chart values"
    for path, value in report.chart_values.items():
        yield f"  {path}: {_inline(value)}"
    yield ""
    yield "Queues"
    for queue in report.queues:
        yield f"  {queue}"
    yield ""
    yield "Limits"
    for limit in report.limits:
        yield f"  {limit}"
    yield ""
    yield "Versions"
    for name, support in report.versions.items():
        yield f"  {name}: {support}"
    yield ""
    yield f"Exports: {_inline(tree.exports)}"
    yield from _listed("Policy exceptions", report.policy_report.excused)
    yield from _listed("Warnings", report.warnings)
    yield from _listed("Broken rules", report.policy_report.broken)


def as_json(report: Report) -> dict[str, Any]:
    """The plan for programs. Secrets are printed as `[secret]`."""
    return {
        "stack": report.stack,
        "resources": [
            {
                "urn": r.urn,
                "type": r.type,
                "name": r.name,
                "parent": r.parent,
                "protect": r.protect,
                "inputs": r.inputs,
                "depends_on": sorted(r.depends_on),
            }
            for r in sorted(report.snapshot.resources.values(), key=lambda r: r.urn)
        ],
        "chart_values": report.chart_values,
        "queues": [
            {
                "name": queue.name,
                **queue.settings.model_dump(),
                "slots": queue.slots,
                "connections": queue.connections,
            }
            for queue in report.queues
        ],
        "limits": [vars(limit) for limit in report.limits],
        "versions": report.versions,
        "exports": report.snapshot.exports,
        "broken_rules": report.policy_report.broken,
        "warnings": report.warnings,
        "excused": report.policy_report.excused,
    }


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}: {len(lines) or 'none'}"
    for line in lines:
        yield f"  {line}"


def _branch(tree: StackSnapshot, parent: str, depth: int) -> Iterator[str]:
    for resource in tree.children(parent):
        kind = resource.type.rpartition(":")[2]
        marks = " [protected]" if resource.protect else ""
        inputs = ", ".join(
            f"{key} {_inline(value)}" for key, value in shown_inputs(resource).items()
        )
        yield f"{'  ' * depth}{kind} {resource.name}{marks}{'  ' + inputs if inputs else ''}"
        yield from _branch(tree, resource.urn, depth + 1)


def _inline(value: Any) -> str:
    """A value in one line, without quotes."""
    if isinstance(value, dict):
        entries = (f"{key}: {_inline(inner)}" for key, inner in sorted(value.items()))
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

"""The Pulumi policy pack: `pulumi preview --policy-pack policies` runs the rules inside the engine.

The engine hands the configuration of the stack to a pack (in PULUMI_CONFIG), so level and exceptions come
from where the program has them: `settings.policies` of Pulumi.<stack>.yaml. It hands over values without
their secret marks, and properties as the cloud completed them: the rules that need more stay with
`make plan`, and so does the complaint about an exception that excuses nothing.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Python looks for modules beside this file; they are the package `policies` of the folder above.
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p or ".").resolve() != HERE)]

import pulumi  # noqa: E402 - the path had to be right
from pulumi_policy import (  # noqa: E402
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError  # noqa: E402

from policies.rule import Rule  # noqa: E402
from policies.rules import RULES, in_force  # noqa: E402
from policies.view import UNKNOWN, Resource, Stack  # noqa: E402
from settings.policies import PolicySettings  # noqa: E402


def plain(value: Any) -> Any:
    """Properties as the rules know them: unknown values marked, assets as maps, whole numbers whole."""
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value, index) for index in range(len(value))]
    if isinstance(value, pulumi.FileAsset):
        return {"path": str(value.path)}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _known(values: Any, key: Any) -> Any:
    try:
        return plain(values[key])
    except UnknownValueError:
        return UNKNOWN


def _resource(given: PolicyResource) -> Resource:
    return Resource(
        urn=given.urn,
        type=given.resource_type,
        name=given.name,
        parent=given.parent.urn if given.parent else "",
        inputs=plain(given.props),
        protect=given.opts.protect,
        provider=given.provider.urn if given.provider else "",
        depends_on=frozenset(other.urn for other in given.dependencies),
    )


def _stack(args: StackValidationArgs) -> Stack:
    tags = pulumi.Config("aws").get_object("defaultTags") or {}
    return Stack(
        name=pulumi.get_stack().rpartition("/")[2],
        resources=tuple(_resource(each) for each in args.resources),
        default_tags=tags.get("tags", {}),
        today=date.today(),
    )


def _settings() -> PolicySettings:
    settings = pulumi.Config().get_object("settings") or {}
    return PolicySettings.model_validate(settings.get("policies", {}))


def _breaches(rule: Rule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        settings = _settings()
        if rule in in_force(settings.level) and rule.name not in settings.exceptions:
            for finding in rule.check(_stack(args)):
                if not finding.warning:
                    report(rule.explain(finding), finding.urn or None)

    return validate


def _warnings(args: StackValidationArgs, report: ReportViolation) -> None:
    settings = _settings()
    stack = _stack(args)
    for rule in SEEN_HERE:
        if rule in in_force(settings.level) and rule.name not in settings.exceptions:
            for finding in rule.check(stack):
                if finding.warning:
                    report(rule.explain(finding), finding.urn or None)


SEEN_HERE = [rule for rule in RULES if rule.seen_by == "plan and pack"]

if __name__ == "__main__":
    PolicyPack(
        name="airflow-platform",
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=[
            *(StackValidationPolicy(rule.name, rule.reason, _breaches(rule)) for rule in SEEN_HERE),
            StackValidationPolicy(
                "soon-broken",
                "Rules that time will break",
                _warnings,
                enforcement_level=EnforcementLevel.ADVISORY,
            ),
        ],
    )

"""The Pulumi policy pack: `pulumi preview --policy-pack policies` checks the rules in the engine.

The engine passes the stack configuration to the pack (PULUMI_CONFIG), so level and exceptions come
from `settings.policies` of Pulumi.<stack>.yaml, as in the program. It passes values without their
secret marks, and with defaults that the cloud filled in. Therefore only `make plan` checks the
rules that are `seen_by="plan"`, and only `make plan` reports unused and renamed exceptions.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Python adds this folder to sys.path; the modules are the package `policies` of the parent folder.
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p or ".").resolve() != HERE)]

import pulumi  # noqa: E402 - after the change of sys.path
from pulumi_policy import (  # noqa: E402
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError  # noqa: E402

from policies.rule import Finding, Rule  # noqa: E402
from policies.rules import RULES  # noqa: E402
from policies.view import UNKNOWN, Resource, Stack  # noqa: E402
from settings.policies import PolicySettings  # noqa: E402


def plain(value: Any) -> Any:
    """Properties as in the offline plan: UNKNOWN, maps for assets, int for whole numbers."""
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


def _findings(rule: Rule, stack: Stack, settings: PolicySettings) -> Iterator[Finding]:
    if rule.exception_key(settings.exceptions) is None:
        yield from rule.findings(stack, settings.level)


def _breaches(rule: Rule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for finding in _findings(rule, _stack(args), _settings()):
            if not finding.warning:
                report(rule.explain(finding), finding.urn or None)

    return validate


def _warnings(args: StackValidationArgs, report: ReportViolation) -> None:
    stack, settings = _stack(args), _settings()
    for rule in PACK_RULES:
        for finding in _findings(rule, stack, settings):
            if finding.warning:
                report(rule.explain(finding), finding.urn or None)


PACK_RULES = [rule for rule in RULES if rule.seen_by == "plan and pack"]

if __name__ == "__main__":
    PolicyPack(
        name="airflow-platform",
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=[
            *(
                StackValidationPolicy(rule.name, rule.reason, _breaches(rule))
                for rule in PACK_RULES
            ),
            StackValidationPolicy(
                "warnings",
                "Findings that do not fail the update yet, such as the end of support of a version",
                _warnings,
                enforcement_level=EnforcementLevel.ADVISORY,
            ),
        ],
    )

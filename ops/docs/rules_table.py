"""The rules of policies/ as a Markdown page."""

from ops.docs.settings_table import table
from policies.rule import Rule
from policies.rules import RULES

PAGE = """\
# Policy rules

Rules that every stack must follow. `make plan` checks them offline, and `make up` does not start
while a rule is broken. The engine checks them with `pulumi preview --policy-pack policies`; run
`make policy-pack` first to create the environment of the policy pack.

`policies.level` in `Pulumi.<stack>.yaml` selects whether the production rules apply. To excuse a
stack from a rule that allows an exception, add the rule and a reason to `policies.exceptions`. An
unused exception is a breach, too. The former name of a rule is accepted for one release, with a
warning.

Rules with the name of an advisory come from `policies/advisories.py`, which lists the source and
the fixed versions: [ADR 28](adr/0028-a-rule-for-each-advisory.md). *production, else a warning*:
outside of production, a finding does not fail the stack.

*plan*: only `make plan` checks the rule, because the engine passes values to a policy pack without
their secret marks, or with defaults that the cloud filled in. *preview*: the rule needs a
comparison with the deployed resources.

"""


def page() -> str:
    """Every rule, in the order of policies/rules.py."""
    lines = (
        (_name(rule), rule.reason, rule.level, "yes" if rule.excusable else "no", rule.seen_by)
        for rule in RULES
    )
    return PAGE + table(("Rule", "Reason", "Applies to", "Exception", "Checked by"), lines) + "\n"


def _name(rule: Rule) -> str:
    return f"`{rule.name}`" + (f" (was `{rule.former_name}`)" if rule.former_name else "")

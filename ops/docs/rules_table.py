"""The rules of policies/ as a Markdown page."""

from ops.docs.settings_table import table
from policies.rules import RULES

PAGE = """\
# Rules

What no stack may declare. `make plan` applies them offline, and `make up` refuses to start when one is
broken. `pulumi preview --policy-pack policies` applies them in the engine; `make policy-pack` makes its
environment first.

`policies.level` of `Pulumi.<stack>.yaml` says whether the rules for production hold, too. Where an exception
is legitimate, `policies.exceptions` takes the name of the rule and a reason; one that excuses nothing any
more is itself a breach.

*plan*: the engine hands values over without their secret marks, or completed by the cloud, so only
`make plan` can see it. *preview*: only a comparison with what is there shows it.

"""


def page() -> str:
    """Every rule, in the order of policies/rules.py."""
    lines = (
        (
            f"`{rule.name}`",
            rule.reason,
            rule.level,
            "yes" if rule.excusable else "no",
            rule.seen_by,
        )
        for rule in RULES
    )
    return PAGE + table(("Rule", "Because", "Holds for", "Exception", "Seen by"), lines) + "\n"

"""`make doctor`: runs the checks on a deployed stack and prints their table."""

import re
import signal
from collections.abc import Sequence

from ops import session
from ops.doctor.checks import CHECKS, Check, Observation, Patient, not_checked
from ops.shell import OperationError

# A report is published: account numbers, addresses and host names do not belong into it.
PRIVATE = (
    (re.compile(r"\b\d{12}\b"), "<account>"),
    (re.compile(r"\b(\d{1,3}\.){3}\d{1,3}\b"), "<address>"),
    (re.compile(r"[\w.-]+\.(amazonaws\.com(\.cn)?|internal)\b"), "<host>"),
)
COLUMNS = ("item", "AWS documents", "observed", "verdict")


def doctor(name: str) -> int:
    """Settle what AWS's documentation leaves open, and print a table for a report."""
    # SIGTERM has the effect of Ctrl-C: the namespace of the probe is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = session.open_running(name)
    patient = Patient(
        name=name,
        settings=running.settings,
        cluster=running.cluster,
        account=session.aws_account(name),
    )
    hidden = [ingress.host] if (ingress := running.settings.airflow.ingress) else []
    rows: list[tuple[Check, Observation]] = []
    for check in CHECKS:
        print(f"checking: {check.item}")
        rows.append((check, _observe(check, patient)))
    print("\n".join(["", *table(rows, hidden)]))
    return 0


def _observe(check: Check, patient: Patient) -> Observation:
    try:
        return check.observe(patient)
    except OperationError as error:
        return not_checked(str(error).strip().splitlines()[-1])


def table(rows: Sequence[tuple[Check, Observation]], hidden: Sequence[str]) -> list[str]:
    """A Markdown table without account numbers, addresses and host names."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---|"]
    for check, seen in rows:
        documented = f"[{check.documented}]({check.source})"
        observed = public(seen.observed, hidden).replace("|", "/")
        lines.append(f"| {check.item} | {documented} | {observed} | {seen.verdict} |")
    return lines


def public(text: str, hidden: Sequence[str]) -> str:
    for pattern, replacement in PRIVATE:
        text = pattern.sub(replacement, text)
    for word in hidden:
        text = text.replace(word, "<host>")
    return text

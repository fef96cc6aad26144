"""The Lease of the database in a fake cluster."""

import json
from subprocess import CompletedProcess

OTHER = "`make upgrade` on laptop, process 7"
SINCE = "2026-11-29T09:15:00.000000Z"
REFUSAL = (
    f"{OTHER}, has used the database since 2026-11-29 09:15 UTC. Nothing was changed: run the command "
    "again when that one has ended"
)


class FakeLease:
    """`present`: the object in the cluster. `on_read` is called before each read."""

    def __init__(self):
        self.present, self.version = None, 0
        self.holders, self.renewals = [], 0
        self.on_read = lambda: None
        self.outage = False

    def hold(self, holder=OTHER):
        """Another command has the Lease, and does not renew it."""
        self._write({"spec": {"holderIdentity": holder, "acquireTime": SINCE}})

    def hold_and_renew(self):
        self.hold()
        self.on_read = self.hold

    def kubectl(self, command, *, seconds, stdin=None):
        verb = next(v for v in ("get", "create", "replace", "patch", "delete") if v in command)
        return getattr(self, f"_{verb}")(command, json.loads(stdin) if stdin else None)

    def _write(self, lease):
        self.version += 1
        self.present = {**lease, "metadata": {"resourceVersion": str(self.version)}}
        return CompletedProcess([], 0, json.dumps(self.present), "")

    def _get(self, command, _):
        self.on_read()
        return CompletedProcess([], 0, json.dumps(self.present) if self.present else "", "")

    def _create(self, _, lease):
        if self.present:
            return self._error("AlreadyExists")
        self.holders.append(lease["spec"]["holderIdentity"])
        return self._write(lease)

    def _replace(self, _, lease):
        if self._differs(lease):
            return self._error("Conflict")
        self.holders.append(lease["spec"]["holderIdentity"])
        return self._write(lease)

    def _patch(self, command, _):
        change = json.loads(command[-1].removeprefix("--patch="))
        if self.outage:
            return self._error("connection refused")
        if self._differs(change):
            return self._error("Conflict")
        self.renewals += 1
        return self._write({**self.present, "spec": {**self.present["spec"], **change["spec"]}})

    def _delete(self, *_):
        self.present = None
        return CompletedProcess([], 0, "", "")

    def _differs(self, given):
        version = given["metadata"]["resourceVersion"]
        return self.present is None or version != self.present["metadata"]["resourceVersion"]

    def _error(self, reason):
        return CompletedProcess([], 1, "", f"Error from server ({reason}): no")

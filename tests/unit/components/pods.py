"""The pod of the only StatefulSet in a snapshot."""

SERVER = "kubernetes:apps/v1:StatefulSet"


def template(snapshot):
    return snapshot.one(SERVER).inputs["spec"]["template"]


def container(snapshot, name=None):
    """The container `name`, or the only one."""
    containers = template(snapshot)["spec"]["containers"]
    (found,) = [c for c in containers if name in (None, c["name"])]
    return found


def environment(snapshot, name=None):
    env = container(snapshot, name)["env"]
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in env}


def mounted(snapshot, name=None):
    """Volume sources by mount path."""
    volumes = {v["name"]: v for v in template(snapshot)["spec"]["volumes"]}
    return {m["mountPath"]: volumes[m["name"]] for m in container(snapshot, name)["volumeMounts"]}

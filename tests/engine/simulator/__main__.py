"""python -m tests.engine.simulator --folder DIR --context kind-airflow"""

import argparse
import json
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

from tests.engine.simulator import control, identity, provider
from tests.engine.simulator.backends.auto_mode import AutoMode
from tests.engine.simulator.backends.certificates import Authority
from tests.engine.simulator.backends.endpoint import Machine
from tests.engine.simulator.backends.kubectl import Kubectl
from tests.engine.simulator.backends.kubernetes import Kubernetes
from tests.engine.simulator.backends.load_balancers import LoadBalancers
from tests.engine.simulator.backends.pods import Pods
from tests.engine.simulator.backends.postgres import Postgres
from tests.engine.simulator.backends.resolver import Resolver
from tests.engine.simulator.cloud import Cloud
from tests.engine.simulator.faults import Faults
from tests.engine.simulator.moto_patches import quotas

ENVIRONMENT = "environment.json"
CA = "rds-ca.pem"
BIN = Path(__file__).with_name("bin")


class Simulator:
    """An AWS account in memory; its EKS is the cluster of a kubeconfig context."""

    def __init__(self, folder: Path, context: str, zone_seed: int = 0) -> None:
        self.folder = folder
        kubectl = Kubectl(context=context)
        authority = Authority()
        host = _reachable_address(kubectl)
        self.faults = Faults()
        self.machine = Machine()
        self.cloud = Cloud(
            host=host,
            zone_seed=zone_seed,
            objects=lambda kind: self.kubernetes.objects(kind),
            on_cluster=lambda name: self._create_cluster(name),
            on_cluster_deleted=lambda name: self._delete_cluster(name),
            on_instance=lambda *instance: self.postgres.create(*instance),
            on_instance_changed=self._change_instance,
            on_instance_deleted=lambda identifier: self.postgres.delete(identifier),
            on_snapshot=lambda *names: self.postgres.snapshot(*names),
            on_restored=lambda *names: self.postgres.restore(*names),
            on_copied=lambda *names: self.postgres.copy(*names),
        )
        names: dict[str, str] = {}
        self.resolver = Resolver(kubectl, host, names)
        self.postgres = Postgres(self.cloud, kubectl, authority, names)
        auto_mode = AutoMode(self.cloud, kubectl)
        self.pods = Pods(self.cloud, kubectl, authority, host, auto_mode.wanted)
        self.kubernetes = Kubernetes(self.cloud, kubectl, self.pods, auto_mode, self.machine)
        self.load_balancers = LoadBalancers(self.cloud, kubectl)
        # Delete the orphaned resources of a killed simulator.
        self.kubernetes.remove()
        self.resolver.start()
        self.server, self.port = provider.start(provider.Provider(self.cloud, self.faults))
        self.control = control.serve(
            {
                ("POST", "/token"): lambda cluster: {"token": self.kubernetes.token(cluster)},
                ("POST", "/login"): identity.log_in,
                ("GET", "/inventory"): lambda _: self.cloud.inventory(),
                ("GET", "/faults"): lambda _: self.faults.report(),
                ("POST", "/faults"): lambda fault: self.faults.add(**fault),
                ("POST", "/faults/clear"): lambda _: self._recover(),
                ("POST", "/down"): lambda _: self._go_down(),
                ("POST", "/lost-region"): lambda _: self._lose_region(),
                ("POST", "/reset"): lambda _: self._reset(),
                ("POST", "/machine"): lambda where: vars(self.machine).update(where),
                ("POST", "/zones"): self.cloud.set_zones,
                ("POST", "/late-logs"): lambda _: self.cloud.late_logs.enable(),
                ("POST", "/quotas"): _set_quotas,
            }
        )
        (folder / CA).write_text(authority.pem)

    def environment(self) -> dict[str, str]:
        """Environment variables that point commands at this account only."""
        passphrase = self.folder / "passphrase"
        if not passphrase.exists():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_urlsafe(32))
        return {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{self.port}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "SIMULATED_AWS_URL": f"http://127.0.0.1:{self.control.server_port}",
            "SIMULATED_AWS_PYTHON": sys.executable,
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_ACCESS_KEY_ID": identity.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_REGION": self.cloud.region,
            "AWS_DEFAULT_REGION": self.cloud.region,
            # Ignore the profiles and credentials of the user.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _create_cluster(self, name: str) -> tuple[str, str]:
        self.load_balancers.start()
        return self.kubernetes.create(name)

    def _delete_cluster(self, name: str) -> None:
        self.load_balancers.stop()
        self.kubernetes.delete(name)

    def _go_down(self) -> None:
        self.cloud.down = True
        self.faults.clear()

    def _lose_region(self) -> None:
        self.load_balancers.stop()
        self.kubernetes.delete_all()
        self.postgres.lose_region()
        self.cloud.lose_region()

    def _reset(self) -> None:
        self.load_balancers.stop()
        self.kubernetes.delete_all()
        self.postgres.delete_all()
        self.cloud.reset()
        self.faults.clear()

    def _recover(self) -> None:
        self.cloud.down = False
        self.cloud.late_logs.enabled = False
        self.faults.clear()

    def stop(self) -> None:
        self.server.stop(grace=1)
        self.load_balancers.stop()
        self.control.shutdown()
        self.kubernetes.remove()
        self.resolver.stop()
        self.pods.stop()
        self.cloud.stop()

    def _change_instance(self, identifier: str, password: str) -> None:
        instance = self.postgres.describe(identifier)
        self.postgres.change(identifier, instance["MasterUsername"], password)


def _set_quotas(values: dict[str, float]) -> None:
    quotas.changed.clear()
    quotas.changed.update(values)


def _reachable_address(kubectl: Kubectl) -> str:
    """The address of this machine on the route to the first node."""
    (node, *_) = kubectl.get("nodes")["items"]
    (address,) = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        # UDP: the kernel only selects the route and sends nothing.
        route.connect((address, 9))
        return route.getsockname()[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine.simulator",
        description="Simulate an AWS account for Pulumi until SIGTERM. Its environment variables are in "
        "DIR/environment.json.",
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="directory for state and settings"
    )
    parser.add_argument(
        "--context", default="kind-airflow", help="kubeconfig context that serves as EKS"
    )
    parser.add_argument(
        "--zone-seed", type=int, default=0, help="accounts with other seeds have other zone letters"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        simulator = Simulator(arguments.folder.resolve(), arguments.context, arguments.zone_seed)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1]
        print(f"context {arguments.context!r}: {reason}", file=sys.stderr)
        return 1
    try:
        (arguments.folder / ENVIRONMENT).write_text(json.dumps(simulator.environment(), indent=2))
        print("ready", flush=True)
        stopped.wait()
    finally:
        simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

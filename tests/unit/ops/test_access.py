"""Access to the Kubernetes API endpoint, with a fake EKS and a fake Pulumi state."""

import copy
import itertools
import socket
from dataclasses import dataclass, field

import pytest

from ops import access, endpoint
from ops.access import reachable
from ops.kubernetes import Kubernetes
from ops.recovery.aws import Aws
from ops.session import Session
from ops.shell import OperationError
from ops.stack import Stack
from settings.cluster import EksSettings
from settings.network import ExistingNetworkSettings

URN = "urn:pulumi:prod::p::airflow:aws:Cluster$eks:index:Cluster$aws:eks/cluster:Cluster::eks"
CALLER = "203.0.113.7"
TIMEOUT = "Unable to connect to the server: net/http: TLS handshake timeout"
UNAUTHORIZED = "error: You must be logged in to the server (Unauthorized)"


def public(*networks):
    return {"endpointPublicAccess": True, "publicAccessCidrs": list(networks)}


PRIVATE = {"endpointPublicAccess": False}


@dataclass
class Platform:
    """EKS, Pulumi and kubectl: `answers(platform)` says why the API server does not answer."""

    config: dict | None = None
    recorded: dict | None = None
    pending: dict | None = None
    config_later: dict | None = None
    status: str = "ACTIVE"
    region: str = "eu-west-1"
    answers: object = staticmethod(lambda platform: None)
    updates: list = field(default_factory=list)
    runs: list = field(default_factory=list)
    files: list = field(default_factory=list)
    waited: list = field(default_factory=list)
    exit_code: int = 0
    result: str = "Successful"
    vpc: tuple = ()

    # AWS

    update_cluster = Aws.update_cluster

    def call_or_none(self, *words):
        assert words == ("eks", "describe-cluster", "--name", "airflow")
        return None if self.config is None else self.call(*words)

    def call(self, service, operation, *words, **_):
        if operation == "describe-vpcs":
            return {"Vpcs": [{"CidrBlockAssociationSet": [{"CidrBlock": b} for b in self.vpc]}]}
        if operation == "describe-update":
            return {"update": {"id": "1", "status": self.result, "errors": ["no capacity"]}}
        if operation == "update-cluster-config":
            assert self.status == "ACTIVE"
            self.config = endpoint.json.loads(words[-1])
            self.updates.append(endpoint.public_networks(self.config))
            return {"update": {"id": "1", "status": "InProgress"}}
        return {
            "cluster": {
                "name": "airflow",
                "status": self.status,
                "resourcesVpcConfig": self.config,
                "endpoint": "https://eks",
                "certificateAuthority": {"data": "Q0E="},
            }
        }

    def wait(self, *words):
        self.waited.append(words)
        self.status = "ACTIVE"
        self.config = self.config_later or self.config

    # Pulumi

    def state(self):
        def cluster(config):
            inputs = {"name": "airflow", "vpcConfig": config}
            resource = {"type": endpoint.CLUSTER, "urn": URN, "inputs": inputs}
            return {**resource, "outputs": inputs}

        state = {}
        if self.recorded is not None:
            state["resources"] = [{"type": "aws:ec2/vpc:Vpc"}, cluster(self.recorded)]
        if self.pending is not None:
            state["pending_operations"] = [{"type": "creating", "resource": cluster(self.pending)}]
        return state

    def run(self, stack, verb, *words):
        self.runs.append(f"{verb} {' '.join(words)}")
        self.files.append(stack.file.name)
        if verb == "refresh":
            self.recorded = copy.deepcopy(self.config)
        return self.exit_code


@pytest.fixture
def platform(monkeypatch, tmp_path):
    fake = Platform()
    monkeypatch.setattr(access, "STATE", tmp_path)
    monkeypatch.setattr(Stack, "state", lambda _: fake.state())
    monkeypatch.setattr(Stack, "run", lambda stack, *words: fake.run(stack, *words))
    monkeypatch.setattr(Stack, "_set_all", lambda *_: None)
    monkeypatch.setattr(
        Session, "cluster", lambda _: Kubernetes(name="prod", namespace="airflow", arguments=[])
    )
    monkeypatch.setattr(Kubernetes, "no_answer", lambda _: fake.answers(fake))
    seconds = itertools.count(0, 10)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    return fake


@pytest.fixture
def session(stack, platform, tmp_path):
    """Open prod with other settings of the cluster."""

    def opened(name="prod", **cluster):
        settings = stack(name)[1]
        file = tmp_path / f"Pulumi.{name}.yaml"
        file.touch()
        changed = settings.cluster.model_copy(update=cluster)
        return Session(
            settings=settings.model_copy(update={"cluster": changed}),
            stack=Stack(name=name, file=file, env={}),
            account=platform if isinstance(changed, EksSettings) else None,
        )

    return opened


def refused(session, caller=None, **how):
    with pytest.raises(OperationError) as error, reachable(session, caller, **how):
        pytest.fail("the command must not start")
    return str(error.value)


def only_from(*networks):
    """The endpoint answers a machine whose network is open."""
    return lambda platform: (
        None if set(networks) & set(endpoint.public_networks(platform.config)) else TIMEOUT
    )


def test_a_first_up_with_a_private_endpoint_needs_from(session, platform):
    message = refused(session(), creates=True)

    assert "make up STACK=prod FROM=<your public address>" in message
    assert "curl https://checkip.amazonaws.com" in message
    assert "Nothing was changed" in message
    assert (platform.updates, platform.runs) == ([], [])


def test_other_first_commands_need_no_endpoint(session):
    with reachable(session(), None):
        pass
    with reachable(session("dev"), None, creates=True):
        pass
    with reachable(session("local"), None, creates=True):
        pass


def test_a_first_up_with_from_runs_with_an_open_copy(session, platform, tmp_path):
    opened = session()

    with reachable(opened, CALLER, creates=True) as copied:
        assert copied.stack.file.read_text() == opened.stack.file.read_text()
        assert copied.stack.file == tmp_path / "Pulumi.prod.open.yaml"
        assert copied.settings is opened.settings, "the rules judge the committed stack file"
        platform.config = platform.recorded = public("203.0.113.7/32")

    assert platform.updates == [()]
    assert platform.runs == [f"refresh --yes --skip-preview --target {URN}"]
    assert platform.files == ["Pulumi.prod.yaml"]
    assert not copied.stack.file.exists()


def test_a_closed_endpoint_is_open_for_one_command(session, platform, capsys):
    platform.config = platform.recorded = PRIVATE
    platform.answers = only_from("203.0.113.7/32")

    with reachable(session(), CALLER):
        assert endpoint.public_networks(platform.config) == ("203.0.113.7/32",)
        assert platform.recorded == platform.config, "`up` must not request the change again"

    assert platform.updates == [("203.0.113.7/32",), ()]
    assert endpoint.public_networks(platform.recorded) == ()
    output = capsys.readouterr().out
    assert "open to 203.0.113.7/32 until this command ends" in output
    assert output.endswith("the Kubernetes API endpoint is private again\n")


@pytest.mark.parametrize("error", [OperationError("no"), KeyboardInterrupt()])
def test_the_endpoint_closes_after_a_failed_command(session, platform, error):
    platform.config = platform.recorded = PRIVATE

    with pytest.raises(type(error)) as raised, reachable(session(), CALLER):
        raise error
    assert raised.value is error
    assert platform.updates[-1] == ()


def test_nothing_is_closed_after_the_cluster_is_gone(session, platform):
    platform.config = platform.recorded = PRIVATE

    with reachable(session(), CALLER):
        platform.config = platform.recorded = None
    assert platform.updates == [("203.0.113.7/32",)]


def test_an_endpoint_that_stays_open_is_an_error(session, platform, capsys):
    platform.config = platform.recorded = PRIVATE

    with (
        pytest.raises(OperationError, match=r"may still be open to .*/32: `make up STACK=prod`"),
        reachable(session(), CALLER),
    ):
        platform.result = "Failed"
    assert endpoint.public_networks(platform.recorded)

    platform.config, platform.result = copy.deepcopy(platform.recorded), "Successful"

    def answer(fake):
        # The command has opened the endpoint, and fails.
        fake.result = "Failed"
        raise OperationError("the database failed")

    platform.answers = answer
    assert refused(session(), CALLER) == "the database failed"
    assert "may still be open" in capsys.readouterr().err


def test_the_command_after_a_killed_one_closes_the_endpoint(session, platform, capsys):
    platform.config, platform.recorded = public("203.0.113.7/32"), PRIVATE
    platform.answers = only_from("203.0.113.7/32")

    message = refused(session(), creates=True)

    assert platform.updates == [()]
    assert "the endpoint is open to 203.0.113.7/32" not in message
    assert "is open to 203.0.113.7/32: closing it" in capsys.readouterr().out


def test_a_closed_endpoint_that_the_state_calls_open_is_recorded(session, platform):
    platform.config, platform.recorded = PRIVATE, public("203.0.113.7/32")

    with reachable(session(), None):
        pass
    assert platform.updates == [], "EKS refuses an update without a change"
    assert endpoint.public_networks(platform.recorded) == ()


def test_a_cluster_that_the_state_lacks_is_closed(session, platform):
    platform.config = platform.pending = public("203.0.113.7/32")
    platform.status = "CREATING"

    with reachable(session(), None, creates=True):
        pass
    assert platform.waited == [("eks", "cluster-active", "--name", "airflow")]
    assert (platform.updates, platform.runs) == ([()], [])


def test_an_update_of_a_killed_command_is_waited_for(session, platform):
    platform.config = platform.recorded = PRIVATE
    platform.status, platform.config_later = "UPDATING", public("203.0.113.7/32")

    with reachable(session(), None):
        pass
    assert platform.updates == [()], "EKS answers with the former endpoint until the update ends"


@pytest.mark.parametrize("status", ["DELETING", "FAILED"])
def test_a_cluster_without_endpoint_can_be_deleted(session, platform, status):
    platform.config = platform.recorded = PRIVATE
    platform.status, platform.answers = status, lambda _: TIMEOUT

    with reachable(session(), None):
        assert (platform.updates, platform.runs) == ([], [])


def test_a_private_endpoint_without_an_answer_names_both_ways(session, platform):
    platform.config = platform.recorded = PRIVATE
    platform.answers = lambda _: TIMEOUT

    message = refused(session(private_access_cidrs=("10.8.0.0/16",)))

    assert TIMEOUT in message
    assert "cluster.private_access_cidrs (10.8.0.0/16)" in message
    assert "FROM=<your public address>" in message
    assert (platform.updates, platform.runs) == ([], [])


def test_a_public_endpoint_without_an_answer_names_its_networks(session, platform):
    platform.config = platform.recorded = public("203.0.113.0/24")
    platform.answers = lambda _: TIMEOUT

    message = refused(session("dev"))
    assert "cluster.public_access_cidrs in Pulumi.dev.yaml: 203.0.113.0/24" in message


def test_a_new_public_network_is_opened_before_anything_else(session, platform):
    platform.config = platform.recorded = public("198.51.100.0/24")
    platform.answers = only_from("203.0.113.0/24")

    with reachable(session("dev"), None):
        assert platform.updates == [("203.0.113.0/24",)]


def test_the_order_of_public_networks_is_no_change(session, platform):
    platform.config = platform.recorded = public("203.0.113.0/24", "198.51.100.0/24")

    changed = session("dev", public_access_cidrs=("203.0.113.0/24", "198.51.100.0/24"))
    with reachable(changed, None):
        assert (platform.updates, platform.runs) == ([], [])


def test_a_caller_without_access_entry_gets_one(session, platform):
    platform.config = platform.recorded = PRIVATE
    platform.answers = lambda fake: None if fake.runs else UNAUTHORIZED

    with reachable(session(), None):
        (run,) = platform.runs
    assert run.startswith("up --yes --skip-preview --suppress-outputs --target ")
    for type_ in ("accessEntry:AccessEntry", "accessPolicyAssociation:AccessPolicyAssociation"):
        assert f"--target **airflow:aws:Cluster$**aws:eks/{type_}::**" in run


def test_a_cluster_that_the_state_lacks_has_no_entries_yet(session, platform):
    platform.config, platform.pending = PRIVATE, PRIVATE
    platform.answers = lambda _: UNAUTHORIZED

    with reachable(session(), None, creates=True):
        assert platform.runs == [], "an entry needs the cluster in the state"


def test_a_caller_without_access_entry_does_not_wait(session, platform):
    platform.config = platform.recorded = PRIVATE
    asked = []

    def answer(fake):
        asked.append(len(fake.runs))
        return None if len(fake.runs) == 2 else UNAUTHORIZED

    platform.answers = answer
    with reachable(session(), CALLER):
        pass
    assert asked == [1, 2], "one question after the refresh, one after the entries"


def test_a_caller_who_stays_unknown_is_told(session, platform):
    platform.config = platform.recorded = PRIVATE
    platform.answers = lambda _: UNAUTHORIZED

    assert "cluster.admin_role_arns" in refused(session())
    platform.exit_code = 1
    assert "could not add the access entry" in refused(session())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("dev", "FROM needs cluster.private_endpoint: true in Pulumi.dev.yaml"),
        ("local", "Pulumi.local.yaml has cluster.kind: existing: run the command without FROM"),
    ],
)
def test_from_is_for_private_endpoints(session, name, advice):
    assert advice in refused(session(name), CALLER)


@pytest.mark.parametrize(
    ("address", "accepted"),
    [("10.7.0.4", True), ("10.8.0.4", True), ("192.168.1.2", False), (None, False)],
)
def test_an_existing_vpc_admits_its_own_addresses(
    monkeypatch, session, platform, address, accepted
):
    opened = session(private_access_cidrs=("10.8.0.0/16",))
    network = ExistingNetworkSettings.model_construct(vpc_id="vpc-1")
    platform.vpc = ("10.7.0.0/16",)
    monkeypatch.setattr(access, "_source_address", lambda block: address)
    opened = Session(
        settings=opened.settings.model_copy(update={"network": network}),
        stack=opened.stack,
        account=opened.account,
    )

    if accepted:
        with reachable(opened, None, creates=True):
            pass
    else:
        message = refused(opened, creates=True)
        assert f"the address {address} of this machine is neither in vpc-1 nor in" in message
        assert "make up STACK=prod FROM=<your public address>" in message


def test_the_source_address_is_the_one_of_the_route():
    assert access._source_address("127.0.0.0/8") == "127.0.0.1"


def test_no_route_is_no_address(monkeypatch):
    def unreachable(*_):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert access._source_address("10.0.0.0/16") is None

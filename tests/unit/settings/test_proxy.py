import json

import pytest

import settings
from settings.proxy import ProxySettings
from tests.unit.settings.stacks import EKS, KEY, LOCAL, SSH_KEY, changed

URL = "http://proxy.example.com:3128"
POD_NETWORK = "10.244.0.0/16"
BEHIND = changed(LOCAL, "proxy", {"http": URL, "https": URL, "no_proxy": [POD_NETWORK]})


def test_without_a_proxy_there_are_no_variables(load):
    assert load(LOCAL).proxy.variables(["10.0.0.0/16"]) == {}


def test_upper_and_lower_case_have_the_same_value():
    variables = ProxySettings(https=URL, no_proxy=["a.example.com"]).variables(["10.0.0.0/16"])

    assert variables["HTTPS_PROXY"] == variables["https_proxy"] == URL
    assert (
        variables["NO_PROXY"]
        == variables["no_proxy"]
        == (
            "localhost,127.0.0.1,.svc,.cluster.local,airflow-api-server,$(KUBERNETES_SERVICE_HOST),"
            "10.0.0.0/16,a.example.com"
        )
    )
    assert "HTTP_PROXY" not in variables


@pytest.mark.parametrize(
    "url",
    [
        "proxy.example.com:3128",
        "http://proxy.example.com",
        "socks5://p:1080",
        f"{URL}/",
        f"{URL}\n",
    ],
)
def test_another_form_of_a_proxy_is_refused(mistakes, url):
    assert mistakes(changed(BEHIND, "proxy.https", url)) == [
        "proxy.https: should be a URL of scheme, host and port, such as "
        f"http://proxy.example.com:3128, got {url!r}"
    ]


def test_credentials_in_the_url_are_refused_and_not_printed(mistakes):
    (line,) = mistakes(changed(BEHIND, "proxy.https", "http://me:secret@proxy.example.com:3128"))

    assert line == (
        "proxy.https: must not contain credentials: everyone who may read a pod could read them; admit "
        "the pods at the proxy by their network, or name a proxy that logs in to this one, got "
        "'http://***@proxy.example.com:3128'"
    )


@pytest.mark.parametrize("entry", ["*.example.com", "https://a.example.com", "a,b", "a b", ""])
def test_another_form_of_an_exception_is_refused(mistakes, entry):
    (line,) = mistakes(changed(BEHIND, "proxy.no_proxy", [POD_NETWORK, entry]))

    assert line.startswith("proxy.no_proxy.1: should be a host, a domain such as .example.com, ")


def test_exceptions_without_a_proxy_are_refused(mistakes):
    assert mistakes(changed(LOCAL, "proxy.no_proxy", ["a"])) == [
        "proxy: no_proxy needs http or https"
    ]


def test_an_existing_cluster_names_its_pod_network(mistakes):
    assert mistakes(BEHIND) == []
    (line,) = mistakes(changed(BEHIND, "proxy.no_proxy", ["a.example.com"]))
    assert line == (
        "proxy.no_proxy: should list the pod network of the cluster, such as 10.244.0.0/16: with "
        "proxy.http, the API server would request the log of a running task from the address of its "
        "worker through the proxy"
    )
    assert mistakes(changed(LOCAL, "proxy", {"https": URL})) == []
    assert mistakes(changed(EKS, "proxy", {"http": URL})) == [], "its pods are in the VPC"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "no_proxy"])
@pytest.mark.parametrize("section", ["airflow", "workers"])
def test_a_variable_of_the_proxy_is_set_once(mistakes, section, name):
    given = changed(BEHIND, f"{section}.env.{name}", "http://other:1")

    assert mistakes(given) == [f"{section}.env.{name}: is set by the section proxy; remove it here"]
    assert mistakes({key: each for key, each in given.items() if key != "proxy"}) == []


def test_a_repository_over_ssh_is_a_warning(deploy):
    ssh = {"repo": "git@github.com:example/dags.git", "auth": SSH_KEY}
    https = {"repo": "https://github.com/example/other.git"}
    given = {**BEHIND, "dags": {**https, "repositories": {"sales": ssh}}, "git_server": None}

    assert _warnings(deploy, given) == [
        "dags.repositories.sales.repo: is fetched over SSH, which does not use the section proxy: the "
        "pod dag-relay must reach the Git host directly; otherwise use its https:// URL"
    ]
    assert _warnings(deploy, {**given, "proxy": {}}) == []


def _warnings(deploy, given):
    found = deploy(lambda: settings.load() and None, stack="prod", config={KEY: json.dumps(given)})
    return [line.partition(f"{KEY}.")[2] for line in found.warnings if "proxy" in line]

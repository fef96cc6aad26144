import pytest

from tests.unit.settings.stacks import LOCAL

SCALED_BY_KEDA = {**LOCAL, "workers": {"scaling": "queue"}}


@pytest.mark.parametrize(
    ("keda", "installs", "namespace"),
    [
        ({}, True, "keda"),
        ({"existing": True}, False, "keda"),
        ({"existing": True, "namespace": "keda-system"}, False, "keda-system"),
    ],
)
def test_an_existing_keda_is_used_in_its_namespace(load, keda, installs, namespace):
    given = load({**SCALED_BY_KEDA, "keda": keda})

    assert (given.needs_keda, given.installs_keda) == (True, installs)
    assert given.keda.namespace == namespace


def test_keda_is_not_installed_if_no_queue_needs_it(load):
    assert load(LOCAL).installs_keda is False


@pytest.mark.parametrize("keda", [{"namespace": "keda"}, {"existing": False, "namespace": "keda"}])
def test_a_namespace_needs_an_existing_keda(mistakes, keda):
    assert mistakes({**LOCAL, "keda": keda}) == [
        "keda: namespace keda needs existing: true; the stack installs its own KEDA into the "
        "namespace keda"
    ]


def test_an_invalid_namespace_is_refused(mistakes):
    (line,) = mistakes({**LOCAL, "keda": {"existing": True, "namespace": "Keda"}})

    assert line.startswith("keda.namespace: ")


def test_only_the_stack_that_installs_keda_serves_others(load, mistakes):
    assert load({**LOCAL, "keda": {"all_namespaces": True}}).keda.all_namespaces
    assert mistakes({**LOCAL, "keda": {"all_namespaces": True, "existing": True}}) == [
        "keda: all_namespaces needs existing: false; set it in the stack that installs KEDA"
    ]

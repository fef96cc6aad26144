import pytest

from components.support.charts import chart_reference
from settings.versions import Chart

CHART = Chart(name="keda", version="1.2.3", repository="https://kedacore.github.io/charts")


def reference(source):
    found = chart_reference(CHART, source)
    options = found.pop("repository_opts", None)
    return {**found, "repo": options and options.repo}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            None,
            {
                "chart": "keda",
                "version": "1.2.3",
                "repo": "https://kedacore.github.io/charts",
            },
        ),
        (
            "https://mirror.example/helm",
            {"chart": "keda", "version": "1.2.3", "repo": "https://mirror.example/helm"},
        ),
        (
            "oci://registry.example/charts/",
            {"chart": "oci://registry.example/charts/keda", "version": "1.2.3", "repo": None},
        ),
        ("charts", {"chart": "charts/keda-1.2.3.tgz", "repo": None}),
        ("/srv/charts/", {"chart": "/srv/charts/keda-1.2.3.tgz", "repo": None}),
    ],
    ids=["upstream", "mirror", "registry", "directory", "directory with a slash"],
)
def test_the_chart_comes_from_its_source_at_the_pinned_version(source, wanted):
    assert reference(source) == wanted

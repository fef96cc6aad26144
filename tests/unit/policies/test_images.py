import pytest

from tests.unit.policies.resources import (
    RELEASE,
    airflow,
    assert_complies,
    breaches,
    container,
    resource,
    server,
)

DIGEST = f"sha256:{'0' * 64}"
INSPECT = "`docker buildx imagetools inspect` prints the digest"


def keda(**image):
    return resource(RELEASE, "keda", values={"image": {"keda": image}})


@pytest.mark.parametrize(
    "image", ["redis", "host:5000/redis", "redis:latest", "host:5000/redis:latest"]
)
def test_a_container_image_without_a_version_is_a_breach(image):
    assert breaches("image-tag-pinned", server(container(image=image))) == [
        ("redis", f'main: image is "{image}"', "Specify a version tag")
    ]


def test_an_airflow_image_without_a_version_is_a_breach():
    assert breaches("image-tag-pinned", airflow(defaultAirflowRepository="a/b")) == [
        ("airflow-release", 'Airflow image is "a/b"', "Specify a version tag")
    ]


def test_a_chart_image_without_a_version_is_a_breach():
    release = keda(repository="kedacore/keda", tag="latest")
    assert breaches("image-tag-pinned", release) == [
        ("keda", 'image.keda is "kedacore/keda:latest"', "Specify a version tag")
    ]


@pytest.mark.parametrize(
    "image",
    [
        server(container(image=f"redis@{DIGEST}")),
        server(container(image="host:5000/redis:7.2")),
        airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3.2.2"),
    ],
)
def test_an_image_with_a_version_complies(image):
    assert_complies("image-tag-pinned", image)


def test_a_container_image_without_a_digest_is_a_breach():
    assert breaches("image-digest-pinned", server()) == [
        ("redis", 'main: image is "redis:7.2"', f"{INSPECT}: append @sha256:...")
    ]


def test_an_airflow_image_without_a_digest_is_a_breach():
    release = airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3")
    assert breaches("image-digest-pinned", release) == [
        ("airflow-release", 'Airflow image is "a/b:3"', f"{INSPECT}: set airflow.digest")
    ]


def test_a_chart_image_without_a_digest_is_a_breach():
    assert breaches("image-digest-pinned", keda(repository="k", tag="1")) == [
        ("keda", 'image.keda is "k:1"', f"{INSPECT}: append @sha256:...")
    ]


@pytest.mark.parametrize(
    "image",
    [
        server(container(image=f"redis:7@{DIGEST}")),
        airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3", defaultAirflowDigest=DIGEST),
        keda(repository="k", digest=DIGEST),
    ],
)
def test_an_image_with_a_digest_complies(image):
    assert_complies("image-digest-pinned", image)

from tests.unit.policies.resources import RELEASE, airflow, container, resource, server

DIGEST = f"sha256:{'0' * 64}"
INSPECT = "`docker buildx imagetools inspect` prints the digest"


def keda(**image):
    return resource(RELEASE, "keda", values={"image": {"keda": image}})


def image(name):
    return server(container(image=name))


BREACHES = {
    "image-tag-pinned": {
        "Specify a version tag": [
            *(
                (f'main: image is "{name}"', image(name))
                for name in ("redis", "host:5000/redis", "redis:latest", "host:5000/redis:latest")
            ),
            ('Airflow image is "a/b"', airflow(defaultAirflowRepository="a/b")),
            (
                'image.keda is "kedacore/keda:latest"',
                keda(repository="kedacore/keda", tag="latest"),
            ),
        ],
    },
    "image-digest-pinned": {
        f"{INSPECT}: append @sha256:...": [
            ('main: image is "redis:7.2"', server()),
            ('image.keda is "k:1"', keda(repository="k", tag="1")),
        ],
        **{
            f"{INSPECT}: set {setting}": [
                (f'{name}: image is "i:1"', server(container(image="i:1", name=name)))
            ]
            for name, setting in (("redis", "redis.digest"), ("database", "database.digest"))
        },
        f"{INSPECT}: set dags.git_sync_digest": [
            ('git-sync: image is "i:1"', server(container(image="i:1", name="git-sync"))),
            (
                'images.gitSync is "i:1"',
                airflow(
                    defaultAirflowRepository="a/b",
                    defaultAirflowDigest=DIGEST,
                    images={"gitSync": {"repository": "i", "tag": "1"}},
                ),
            ),
        ],
        f"{INSPECT}: set airflow.digest": [
            (
                'Airflow image is "a/b:3"',
                airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3"),
            ),
        ],
    },
}

COMPLIANT = {
    "image-tag-pinned": {
        "digest": image(f"redis@{DIGEST}"),
        "tag": image("host:5000/redis:7.2"),
        "Airflow": airflow(defaultAirflowRepository="a/b", defaultAirflowTag="3.3.2"),
    },
    "image-digest-pinned": {
        "container": image(f"redis:7@{DIGEST}"),
        "Airflow": airflow(
            defaultAirflowRepository="a/b", defaultAirflowTag="3", defaultAirflowDigest=DIGEST
        ),
        "KEDA": keda(repository="k", digest=DIGEST),
    },
}

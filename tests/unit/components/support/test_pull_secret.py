import pulumi

from components.support.pull_secret import pull_secret, references

SECRET = "kubernetes:core/v1:Secret"
CREDENTIALS = '{"auths": {"registry.example.com": {"username": "robot", "password": "x"}}}'


def declare(deploy, credentials=None):
    def program():
        secret = None if credentials is None else pulumi.Output.secret(credentials)
        opts = pulumi.ResourceOptions()
        found = pull_secret("p", name="login", namespace="flow", credentials=secret, opts=opts)
        pulumi.export("name", found)

    return deploy(program)


def test_credentials_create_the_secret(deploy):
    snapshot = declare(deploy, CREDENTIALS)

    secret = snapshot.one(SECRET).inputs
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"] == {"name": "login", "namespace": "flow"}
    assert secret["stringData"][".dockerconfigjson"].value == CREDENTIALS
    assert snapshot.exports["name"] == "login"


def test_without_credentials_the_secret_exists_already(deploy):
    snapshot = declare(deploy)

    assert not snapshot.all(SECRET)
    assert snapshot.exports["name"] == "login"


def test_without_a_name_pods_have_no_pull_secret():
    assert references(None) is None

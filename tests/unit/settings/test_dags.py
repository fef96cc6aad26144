import pytest

from tests.unit.settings.stacks import EKS, GITHUB_APP, REPO, SSH_KEY, TOKEN, changed

SSH = "ssh://git@github.com/example/dags.git"
SCP = "git@github.com:example/dags.git"
GIT = "git://git-server/dags.git"
NEEDS_SSH_AUTH = ["dags: an ssh repository needs auth.kind: ssh"]
NEEDS_SSH_REPOSITORY = ["dags: auth.kind: ssh needs an ssh repository"]
NEEDS_HTTPS = (
    "dags: auth.kind: {} needs an https:// repository: git:// would send the token unencrypted"
)


@pytest.mark.parametrize(
    "refs",
    [
        {"branch": "main", "tag": "v1"},
        {"branch": "main", "commit": "a" * 40},
        {"tag": "v1", "commit": "a" * 40},
    ],
    ids=lambda refs: " and ".join(refs),
)
def test_only_one_of_branch_tag_and_commit_is_accepted(mistakes, refs):
    assert mistakes({**EKS, "dags": {"repo": REPO, **refs}}) == [
        "dags: set only one of branch, tag and commit"
    ]


@pytest.mark.parametrize("commit", ["", "abc1234", "A" * 40, "g" * 40])
def test_a_commit_is_a_full_sha(mistakes, commit):
    (line,) = mistakes(changed(EKS, "dags.commit", commit))

    assert line.startswith("dags.commit: ")


@pytest.mark.parametrize(
    ("repo", "auth", "lines"),
    [
        (REPO, {"kind": "none"}, []),
        (REPO, TOKEN, []),
        (REPO, GITHUB_APP, []),
        (REPO, SSH_KEY, NEEDS_SSH_REPOSITORY),
        (SSH, SSH_KEY, []),
        (SSH, {"kind": "none"}, NEEDS_SSH_AUTH),
        (SCP, SSH_KEY, []),
        (SCP, {"kind": "none"}, NEEDS_SSH_AUTH),
        (SCP, TOKEN, NEEDS_SSH_AUTH),
        (GIT, SSH_KEY, NEEDS_SSH_REPOSITORY),
        (GIT, TOKEN, [NEEDS_HTTPS.format("token")]),
        (GIT, GITHUB_APP, [NEEDS_HTTPS.format("github_app")]),
    ],
)
def test_authentication_matches_the_repository_url(mistakes, repo, auth, lines):
    assert mistakes({**EKS, "git_server": {}, "dags": {"repo": repo, "auth": auth}}) == lines


@pytest.mark.parametrize("known_hosts", ["github.com", "", "ssh-ed25519 AAAA"])
def test_an_ssh_repository_needs_its_host_key(mistakes, known_hosts):
    auth = {"kind": "ssh", "known_hosts": known_hosts}
    (line,) = mistakes({**EKS, "dags": {"repo": SCP, "auth": auth}})

    assert line.startswith("dags.auth.known_hosts: ")
    assert line.endswith(f", got {known_hosts!r}")


def test_the_volume_holds_two_checkouts_and_the_history(mistakes):
    dags = {"repo": REPO, "storage_gb": 1}

    assert mistakes({**EKS, "dags": {**dags, "max_mb": 256}}) == []
    assert mistakes({**EKS, "dags": {**dags, "max_mb": 257}}) == [
        "dags: storage_gb 1 must be at least four times max_mb 257: it holds the history and two "
        "checkouts"
    ]


@pytest.mark.parametrize(
    "sub_path",
    ["..", "../dags", "/dags", "dags/", "dags//daily", "dags/..", "dags/../..", "a/../../etc"],
)
def test_sub_path_cannot_leave_the_repository(mistakes, sub_path):
    (line,) = mistakes(changed(EKS, "dags.sub_path", sub_path))

    assert line.startswith("dags.sub_path: should be a folder in the repository")
    assert line.endswith(f", got {sub_path!r}")


@pytest.mark.parametrize("sub_path", ["", "dags", "teams/sales/dags", "dags..old", "v1.2/dags"])
def test_sub_path_is_any_folder_of_the_repository(load, sub_path):
    assert load(changed(EKS, "dags.sub_path", sub_path)).dags.sub_path == sub_path


OTHER = {"repo": REPO, "branch": "live"}


def test_more_repositories_have_the_keys_of_the_first(mistakes):
    more = {"sales": {**OTHER, "auth": TOKEN}, "data-science": {"repo": SCP, "auth": SSH_KEY}}

    assert mistakes({**EKS, "dags": {"repo": REPO, "repositories": more}}) == []


@pytest.mark.parametrize(
    ("name", "repository", "line"),
    [
        ("sales", {}, "dags.repositories.sales.repo: is required"),
        (
            "sales",
            {**OTHER, "mode": "bundle"},
            "dags.repositories.sales.mode: is not a known setting",
        ),
        ("sales", {**OTHER, "tag": "v1"}, "dags.repositories.sales: set only one of branch, tag"),
        ("sales", {"repo": SCP}, "dags.repositories.sales: an ssh repository needs auth.kind: ssh"),
        ("sales", {"repo": GIT}, "dags.repositories.sales.repo: git:// is neither encrypted"),
        ("Sales", OTHER, "dags.repositories.Sales: should be up to 30 lowercase letters, digits"),
        ("dags", OTHER, "dags.repositories.dags: is reserved for the repository dags.repo"),
        ("dags-folder", OTHER, "dags.repositories.dags-folder: is reserved"),
    ],
)
def test_a_mistake_names_its_repository(mistakes, name, repository, line):
    (found,) = mistakes({**EKS, "dags": {"repo": REPO, "repositories": {name: repository}}})

    assert found.startswith(line)


def test_the_first_of_several_repositories_has_a_dag_folder(mistakes):
    dags = {"repo": REPO, "sub_path": "", "repositories": {"sales": OTHER}}

    assert mistakes({**EKS, "dags": {**dags, "mode": "bundle"}}) == []
    (found,) = mistakes({**EKS, "dags": dags})
    assert found.startswith("dags: sub_path should be a folder: in the root, Airflow would also")


@pytest.mark.parametrize(
    ("dags", "key"),
    [
        ({"lfs": True}, "lfs"),
        ({"repositories": {"sales": {**OTHER, "lfs": True}}}, "repositories.sales.lfs"),
    ],
)
def test_git_lfs_needs_an_image_that_has_it(mistakes, dags, key):
    image = {"git_sync_image": "registry.example/git-sync-lfs:4.4.2"}

    assert mistakes({**EKS, "dags": {"repo": REPO, **dags, **image}}) == []
    (found,) = mistakes({**EKS, "dags": {"repo": REPO, **dags}})
    assert found.startswith(f"dags: {key} needs an image of git-sync with git-lfs, which registry.")

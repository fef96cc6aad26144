import pytest

from ops import images, stack_files
from settings.versions import REDIS_IMAGE


def lines(capsys):
    assert images.images("local") == 0
    return capsys.readouterr().out.splitlines()


def test_images_lists_the_images_of_a_stack(capsys):
    assert REDIS_IMAGE in lines(capsys)


@pytest.fixture
def registry(monkeypatch, tmp_path):
    text = stack_files.stack_path("local").read_text()
    key = "  airflow-platform:settings:\n"
    assert key in text
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(text.replace(key, f"{key}    images:\n      registry: r.example.com/mirror\n"))
    monkeypatch.setattr(stack_files, "stack_path", lambda stack: file)


def test_images_lists_the_copies_beside_them(registry, capsys):
    assert f"{REDIS_IMAGE} r.example.com/mirror/library/{REDIS_IMAGE}" in lines(capsys)

import io
import json
import tarfile

import pytest

from ops.docs import chart_keys
from settings.versions import AIRFLOW_CHART

SCHEMA = {
    "properties": {
        "executor": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "dags": {"type": "object", "properties": {"gitSync": {"$ref": "#/definitions/x"}}},
        "postgresql": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
        "probe": {"properties": {"a": {}}, "additionalProperties": True},
    }
}


@pytest.fixture
def archive(tmp_path):
    def write(version=AIRFLOW_CHART.version):
        path = tmp_path / "airflow.tgz"
        chart = {"name": "airflow", "version": version, "dependencies": [{"name": "postgresql"}]}
        with tarfile.open(path, "w:gz") as files:
            for name, content in (("Chart.yaml", chart), ("values.schema.json", SCHEMA)):
                data = json.dumps(content).encode()
                member = tarfile.TarInfo(f"airflow/{name}")
                member.size = len(data)
                files.addfile(member, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(chart_keys, "FILE", tmp_path / "chart_keys.json")
    return chart_keys.FILE


def test_the_keys_of_the_chart_are_written(archive, file, capsys):
    assert chart_keys.main([str(archive())]) == 0

    assert capsys.readouterr().out == "wrote settings/chart_keys.json\n"
    assert json.loads(file.read_text()) == {
        "chart": f"airflow {AIRFLOW_CHART.version}",
        "keys": {
            "dags": {"gitSync": None},
            "executor": None,
            "global": None,
            "labels": None,
            "postgresql": None,
            "probe": None,
        },
    }


def test_an_archive_of_another_version_is_refused(archive, file, capsys):
    assert chart_keys.main([str(archive("9.9.9"))]) == 1

    error = capsys.readouterr().err
    assert "is chart airflow 9.9.9; settings/versions.py pins airflow" in error
    assert not file.exists()


def test_without_an_archive_the_usage_is_printed(capsys):
    assert chart_keys.main([]) == 2
    assert "python -m ops.docs.chart_keys" in capsys.readouterr().err

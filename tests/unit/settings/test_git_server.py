from tests.unit.settings.stacks import LOCAL, changed


def test_the_seed_folder_contains_dags(mistakes, load, tmp_path):
    assert mistakes(changed(LOCAL, "git_server.seed", str(tmp_path))) == [
        f"git_server: seed needs a folder {tmp_path}/dags"
    ]
    (tmp_path / "dags").mkdir()
    assert load(changed(LOCAL, "git_server.seed", str(tmp_path))).git_server.seed == str(tmp_path)

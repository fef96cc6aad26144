import pytest
import word_count
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

DAG = word_count.word_count()


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.setattr(word_count, "TEXTS", tmp_path)
    return tmp_path


def test_there_is_no_schedule():
    assert DAG.schedule is None


@pytest.mark.parametrize("top", [0, "ten", None])
def test_a_top_that_is_not_a_positive_integer_is_rejected(top):
    with pytest.raises(ParamValidationError):
        DAG.params["top"] = top


def test_count_words_is_mapped_over_the_texts():
    assert DAG.get_task("count_words").is_mapped
    assert DAG.get_task("count_words").upstream_task_ids == {"find_texts"}
    assert DAG.get_task("print_top").upstream_task_ids == {"count_words"}


def test_every_text_of_this_repository_is_counted():
    names = word_count.find_texts.function()
    assert {"daffodils.txt", "sonnet_18.txt", "tyger.txt"} <= set(names)
    assert all(word_count.count_words.function(name) for name in names)


def test_only_txt_files_are_found_in_alphabetical_order(texts):
    for name in ("b.txt", "a.txt", "notes.md"):
        (texts / name).touch()
    assert word_count.find_texts.function() == ["a.txt", "b.txt"]


def test_a_folder_without_texts_fails_the_task(texts):
    with pytest.raises(AirflowFailException, match=f"no .txt file in {texts}"):
        word_count.find_texts.function()


def test_case_digits_and_punctuation_are_ignored(texts):
    (texts / "a.txt").write_text(
        "Größe, GRÖSSE -- it's 42_times 'its'! don\u2019t", encoding="utf-8"
    )
    counts = word_count.count_words.function("a.txt")
    assert counts == {"grösse": 2, "it's": 1, "times": 1, "its": 1, "don\u2019t": 1}


def test_an_empty_text_has_no_words(texts):
    (texts / "a.txt").touch()
    assert word_count.count_words.function("a.txt") == {}


def test_a_text_that_is_not_utf_8_is_named_in_the_error(texts):
    (texts / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(AirflowFailException, match=r"a\.txt is not UTF-8"):
        word_count.count_words.function("a.txt")


def test_the_top_words_of_all_texts_are_logged_and_returned(caplog):
    counts = [{"tea": 1, "cup": 2}, {"tea": 2, "bun": 2}]
    top = word_count.print_top.function(counts, {"top": 2})
    assert top == [["tea", 3], ["bun", 2]], "sort ties alphabetically"
    assert caplog.messages == ["Top 2 words\n    3  tea\n    2  bun"]

"""Count the words of every text in `include/texts`, one mapped task per text, and print the top.

To add a text, push another `.txt` file (UTF-8): the next run maps one more task. To print another
number of words, trigger the DAG with `{"top": 20}`.
"""

import logging
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

# Relative to this file: the platform decides where the repository is mounted.
TEXTS = Path(__file__).parents[1] / "include" / "texts"
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@task
def find_texts() -> list[str]:
    """Return the file names of the texts; paths can differ between workers."""
    names = sorted(path.name for path in TEXTS.glob("*.txt"))
    if not names:
        # Mapping over an empty list would skip the downstream tasks, and the run would succeed.
        raise AirflowFailException(f"no .txt file in {TEXTS}")
    return names


# One XCom per text: by default a dict becomes one XCom per key, here per word.
@task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['name'] }}")
def count_words(name: str) -> dict[str, int]:
    """Return the number of occurrences per word, ignoring case."""
    try:
        text = (TEXTS / name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        # No retry: it would read the same file.
        raise AirflowFailException(f"{name} is not UTF-8: {error}") from error
    return dict(Counter(WORD.findall(text.casefold())))


@task
def print_top(counts: list[dict[str, int]], params) -> list[list]:
    """Write the most frequent words of all texts to the task's log and return them."""
    total = Counter()
    # The slice fetches all XComs in one request instead of one request per task.
    for count in counts[:]:
        total.update(count)
    # Ties in alphabetical order, independent of the order of the texts.
    top = sorted(total.items(), key=lambda item: (-item[1], item[0]))[: params["top"]]
    lines = [f"Top {params['top']} words", *(f"{times:>5}  {word}" for word, times in top)]
    log.info("\n".join(lines))
    return [list(item) for item in top]


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    description="Most frequent words of the texts in include/texts",
    doc_md=__doc__,
    default_args={
        "owner": "content",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=5),
    },
    params={"top": Param(10, type="integer", minimum=1, description="Number of words to print")},
    tags=["example", "text"],
)
def word_count():
    print_top(count_words.expand(name=find_texts()))


word_count()

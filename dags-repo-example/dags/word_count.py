"""Count the words of every text in `include/texts`, one task per text, and print the top ones.

Put a `.txt` file (UTF-8) there and push: the next run has one more task, without a change here.
To see more or fewer words, trigger the DAG with `{"top": 20}`.
"""

import logging
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

log = logging.getLogger(__name__)

# Relative to this file, because where the repository is mounted is the platform's business.
TEXTS = Path(__file__).parents[1] / "include" / "texts"
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@task
def find_texts() -> list[str]:
    """Return the names of the texts; names only, since a path may differ on the next worker."""
    names = sorted(path.name for path in TEXTS.glob("*.txt"))
    if not names:
        # Without this the tasks that follow would be skipped and the run would look fine.
        raise AirflowFailException(f"no .txt file in {TEXTS}")
    return names


# One XCom per text: a return type of dict would otherwise become one XCom per word.
@task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['name'] }}")
def count_words(name: str) -> dict[str, int]:
    """Return how often each word occurs in one text, upper and lower case alike."""
    try:
        text = (TEXTS / name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        # Not worth a retry: the file will not have changed.
        raise AirflowFailException(f"{name} is not UTF-8: {error}") from error
    return dict(Counter(WORD.findall(text.casefold())))


@task
def print_top(counts: list[dict[str, int]], params) -> list[list]:
    """Write the most frequent words of all texts to the task's log and return them."""
    total = Counter()
    # The slice fetches all counts with one request instead of one request each.
    for count in counts[:]:
        total.update(count)
    # Words that are equally frequent in alphabetical order, whichever text was counted first.
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
    params={"top": Param(10, type="integer", minimum=1, description="How many words to print")},
    tags=["example", "text"],
)
def word_count():
    print_top(count_words.expand(name=find_texts()))


word_count()

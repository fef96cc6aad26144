import pytest
from working_days import after


@pytest.mark.parametrize(
    ("day", "following"),
    [
        ("2026-03-05", "2026-03-06"),
        ("2026-03-06", "2026-03-09"),
        ("2026-03-07", "2026-03-09"),
        ("2026-03-08", "2026-03-09"),
        ("2026-12-31", "2027-01-01"),
    ],
)
def test_the_next_working_day_is_not_on_a_weekend(day, following):
    assert after(day) == following

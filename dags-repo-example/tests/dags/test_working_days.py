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
def test_the_day_after_is_no_saturday_and_no_sunday(day, following):
    assert after(day) == following

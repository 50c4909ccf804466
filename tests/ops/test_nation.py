"""The nation at full size, written record by record and counted by the engine: the printed tables, digit by digit.

It takes two minutes. What is asked of the same nation without loading all of it: its plan at full size (test_synthesis_plan.py),
and load and engine at a hundredth (test_synthesis.py).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quitledger.ops.postgres import DatabaseUrls

from .commands import quitledger

FILE = Path(__file__).parents[1] / "annual-statistics-113.json"
PRINTED = json.loads(FILE.read_text(encoding="utf-8"))
MINUTES = 60


@pytest.fixture(scope="module")
def urls(empty_database: Callable[[], DatabaseUrls]) -> DatabaseUrls:
    """The nation of 113, loaded once."""
    made = empty_database()
    outcome = quitledger(
        "synthesize", "--year", "113", "--today", "114/4/1",
        DATABASE_URL=made.app_url, DATABASE_OWNER_URL=made.owner_url, patience=30 * MINUTES,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome
    return made


@pytest.fixture(scope="module", params=[(), ("--last-day",)], ids=["any-day", "last-day"])
def computed(request: pytest.FixtureRequest, urls: DatabaseUrls) -> Any:
    """What the engine prints, whoever's contract counts: nobody's ends in the year."""
    words = ("statistics", "annual", "113", "--json", *request.param)
    return json.loads(quitledger(*words, DATABASE_URL=urls.app_url).stdout)


@pytest.mark.parametrize("table", ["table_1_institutions", "table_2_staff"])
def test_institutions_and_staff_are_those_printed(table: str, computed: Any) -> None:
    assert computed[table]["rows"] == PRINTED[table]["rows"]
    assert computed[table]["total"] == PRINTED[table]["total"]


def test_services_are_those_printed_but_for_the_total_that_does_not_add_up(computed: Any) -> None:
    found, printed = computed["table_3_services"], PRINTED["table_3_services"]
    assert found["rows"] == printed["rows"]
    differ = {
        column: (found["total"][column], shown)
        for column, shown in printed["total_as_printed"].items()
        if found["total"][column] != shown
    }
    assert differ == {"medication_visits": (215_500, 217_500)}
    assert printed["row_sums"]["medication_visits"] == 215_500


def test_the_courses_written_are_those_computed_anew(urls: DatabaseUrls) -> None:
    again = quitledger(
        "visits", "recompute-courses", DATABASE_URL=urls.app_url, DATABASE_OWNER_URL=urls.owner_url, patience=5 * MINUTES
    )  # fmt: skip
    assert "改正 0 人" in again.stdout


def test_everybody_is_one_person(computed: Any, urls: DatabaseUrls) -> None:
    assert computed["persons_served"] == 116_996
    with psycopg.connect(urls.owner_url) as connection:
        counted = connection.execute(
            "SELECT count(*), count(DISTINCT person_id), count(DISTINCT staff_id), count(DISTINCT institution_id),"
            " count(DISTINCT person_id) FILTER (WHERE kind = 'medication'),"
            " count(DISTINCT person_id) FILTER (WHERE kind = 'counselling') FROM visits_service WHERE in_force"
        ).fetchone()
    assert counted is not None
    assert counted[:4] == (428_518, 116_996, 6_695, 2_051)
    assert 49_000 <= counted[4] + counted[5] - counted[1] <= 56_000, "who had both"


def test_of_what_was_computed_nothing_disagrees(computed: Any, tmp_path: Path) -> None:
    file = tmp_path / "computed.json"
    file.write_text(json.dumps(computed, ensure_ascii=False), encoding="utf-8")
    outcome = quitledger("statistics", "check", str(file))
    assert (outcome.returncode, "全部相符" in outcome.stdout) == (0, True)

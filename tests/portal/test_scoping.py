"""Whose data: an institution finds, lists and downloads its own; the desk sees all; HEAD is GET without a body."""

import csv
import io
import zipfile
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from quitledger.policy.identity import make_up

from .. import world
from .conftest import Browser, record, staff_uids

OURS, THEIRS = "示範甲", "示範戊"


@dataclass
class Scene:
    """Two institutions with a visit each of the same day, told apart by their notes."""

    browse: Any
    ours: UUID
    theirs: UUID


@pytest.fixture
def scene(browse: Any) -> Scene:
    ours = record(browse("recorder"), OURS, note="診所的備註")
    theirs = record(browse("stranger"), THEIRS, world.PHARMACY, staff=("示範卯", "示範卯"), note="藥局的備註")
    return Scene(browse, ours, theirs)


def visits_of(browser: Browser, **filters: Any) -> set[UUID]:
    """The visits that the download as JSON lists."""
    return {UUID(row["uid"]) for row in browser.send("/visits.json", filters, "GET").json()["visits"]}


@pytest.mark.parametrize(
    "text", ["示範乙", "示範丙", "T-0001", "t-0002", make_up(2), make_up(2).lower(), f" {make_up(3)} ", "T-"]
)
def test_a_stranger_finds_nobody_of_the_clinic_by_name_chart_number_or_identity_number(text: str, browse: Any) -> None:
    answer = browse("stranger").send("/cases/find", {"q": text})
    assert answer.status_code == 200
    assert "找不到符合的戒菸者" in answer.text
    assert "示範乙" not in answer.text.replace('value="示範乙"', "")


def test_a_person_known_to_both_is_found_by_each_as_its_own_case(browse: Any) -> None:
    for username, code in (("recorder", world.CLINIC), ("stranger", world.PHARMACY)):
        page = browse(username).send("/cases/find", {"q": make_up(1)}).text
        assert f"/cases/{world.uid(f'case 示範甲 {code}')}" in page
        assert "找到 1 位" in page


def test_the_desk_finds_the_cases_of_all_institutions(browse: Any) -> None:
    assert "找到 2 位" in browse("desk_officer").send("/cases/find", {"q": make_up(1)}).text


def test_a_percent_sign_is_looked_for_like_any_other_character(browse: Any) -> None:
    for text in ("%", "_", "示%"):
        assert "找不到符合的戒菸者" in browse("recorder").send("/cases/find", {"q": text}).text


def test_a_query_lists_own_visits_only_and_the_desk_all(scene: Scene) -> None:
    assert visits_of(scene.browse("colleague")) == {scene.ours}
    assert visits_of(scene.browse("stranger")) == {scene.theirs}
    assert visits_of(scene.browse("desk_officer")) == {scene.ours, scene.theirs}


def test_the_desk_narrows_to_an_institution_and_an_institution_cannot(scene: Scene) -> None:
    desk = scene.browse("desk_supervisor")
    assert visits_of(desk, institution=world.PHARMACY) == {scene.theirs}
    assert visits_of(desk, institution="1234567890") == set()
    assert visits_of(scene.browse("recorder"), institution=world.PHARMACY) == {scene.ours}


def test_filters_that_name_what_others_have_find_nothing(scene: Scene) -> None:
    (pharmacist,) = staff_uids("示範卯")
    recorder = scene.browse("recorder")
    for filters in (
        {"case": world.uid(f"case 示範戊 {world.PHARMACY}")},
        {"case": world.uid(f"case 示範甲 {world.PHARMACY}")},  # the same person, the other institution's case
        {"staff": pharmacist},
        {"case": uuid4()},
    ):
        assert visits_of(recorder, **filters) == set()
        page = recorder.send("/visits", filters, "GET")
        assert page.status_code == 200
        assert "查得 0 筆" in page.text
        assert "示範戊" not in page.text
        assert "只看戒菸者" not in page.text


def test_asking_for_a_person_of_others_says_that_there_is_none(scene: Scene) -> None:
    answer = scene.browse("recorder").send("/visits", {"who": "示範戊"})
    assert answer.status_code == 422
    assert "找不到這位戒菸者" in answer.text


def test_a_person_asked_for_becomes_a_uid_in_the_address(scene: Scene) -> None:
    address = scene.browse("recorder").send("/visits", {"who": make_up(1), "kind": "medication"})["Location"]
    assert f"case={world.uid(f'case 示範甲 {world.CLINIC}')}" in address
    assert "kind=medication" in address
    assert make_up(1) not in address
    assert visits_of(scene.browse("recorder"), case=world.uid(f"case 示範甲 {world.CLINIC}")) == {scene.ours}


@pytest.mark.parametrize("file_format", ["csv", "ods", "json"])
def test_a_download_holds_own_rows_only(file_format: str, scene: Scene) -> None:
    texts = {user: text_of(scene.browse(user).get(f"/visits.{file_format}")) for user in ("recorder", "stranger")}
    assert "診所的備註" in texts["recorder"]
    assert "藥局的備註" not in texts["recorder"]
    assert "藥局的備註" in texts["stranger"]
    assert "診所的備註" not in texts["stranger"]


@pytest.mark.parametrize("file_format", ["csv", "ods", "json"])
def test_no_download_holds_a_whole_identity_number(file_format: str, scene: Scene) -> None:
    text = text_of(scene.browse("desk_officer").get(f"/visits.{file_format}"))
    assert make_up(1) not in text
    assert make_up(5) not in text
    assert make_up(1)[:3] in text


def text_of(answer: Any) -> str:
    """What a download says, whatever its format."""
    if "opendocument" in answer["Content-Type"]:
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            return archive.read("content.xml").decode()
    return answer.content.decode("utf-8-sig")


def test_the_first_row_of_a_file_says_what_kind_of_database_it_is_from(scene: Scene) -> None:
    rows = list(csv.reader(io.StringIO(text_of(scene.browse("recorder").get("/visits.csv")))))
    assert rows[0] == ["測試資料：本系統供測試，請勿登錄真實的戒菸者。"]
    assert rows[1][:4] == ["就醫日期", "就醫時間", "機構", "姓名"]
    assert rows[2][:4] == ["114/04/01", "", "示範戒菸診所", "示範甲"]
    assert scene.browse("recorder").get("/visits.json").json()["made_up"] is True


def test_the_names_of_a_file_and_of_an_address_hold_no_personal_data(scene: Scene) -> None:
    case = world.uid(f"case 示範甲 {world.CLINIC}")
    answer = scene.browse("recorder").send("/visits.csv", {"case": case, "first": "114/4/1", "last": "114/4/1"}, "GET")
    assert answer["Content-Disposition"] == 'attachment; filename="visits-20250401-20250401.csv"'
    assert answer["Cache-Control"] == "no-store"


PAGES = ["/", "/institution", "/cases/find", "/cases/new", "/visits", "/windows", "/policies", "/help/connection",
         "/visits.csv", "/visits.json", "/policies/visit_spacing_days", "/healthz"]  # fmt: skip


def test_head_is_get_without_a_body(scene: Scene) -> None:
    case = world.uid(f"case 示範甲 {world.CLINIC}")
    for username in ("recorder", "stranger", "analyst"):
        browser = scene.browse(username)
        for page in [*PAGES, f"/cases/{case}", f"/cases/{case}/visits/new", f"/cases/{case}/baselines/new",
                     f"/visits/{scene.ours}"]:  # fmt: skip
            get, head = browser.get(page), browser.head(page)
            assert (head.status_code, head["Content-Type"]) == (get.status_code, get["Content-Type"]), page
            assert head.content == b""

"""The pages of recording by file and of comparing: what they show, what they ask, what they leave in the journal."""

from datetime import timedelta
from io import BytesIO
from zipfile import ZipFile

import pytest

from quitledger.accounts.scope import scoped
from quitledger.batches.comparison_services import compare_list
from quitledger.batches.models import Batch
from quitledger.policy.identity import make_up

from .. import world
from ..batches.files import PERSON_TITLES, a_person, a_visit, counselling, csv_of
from ..batches.scene import again, record, sent
from ..sql import set_clock
from .conftest import Browser, journaled
from .conftest import record as record_on_page
from .test_every_form_nasty import in_words


@pytest.fixture
def recorder(browse) -> Browser:
    return browse("recorder")


def page_of(browser: Browser, batch: Batch, **asked: str) -> str:
    answer = browser.get(f"/batches/{batch.uid}", asked)
    assert answer.status_code == 200
    return answer.text


def test_every_row_is_shown_with_its_status_its_column_its_value_and_its_reasons(recorder):
    batch = sent(
        csv_of(counselling(), counselling("T-0002", "114/2/30"), counselling("nobody"), a_visit("T-0004", 週數="9"))
    )
    with journaled() as entries:
        text = page_of(recorder, batch, show="all")
    for words in (
        "第 2 列", "可登錄", "114/2/30", "「就醫日期」114/2/30 不存在：114 年 2 月只有 28 日。", "病歷號 nobody",
        "貴機構沒有這個病歷號的個案。", "週數 9", "每次用藥最多 4 週，您填了 9 週。",
    ):  # fmt: skip
        assert words in text
    (entry,) = (one for one in entries if one.action == "batch.read")
    assert batch.uid in entry.uids
    assert "第 2 列" not in page_of(recorder, batch)  # what is to be looked at comes first
    assert "只登錄可以登錄的 1 列" in text


def test_numbers_are_shown_masked_and_a_day_that_is_a_number_as_it_was_read(recorder):
    batch = sent(csv_of((make_up(1), "45736", "示範子"), titles=("身分證字號", "就醫日期", "衛教人員")))
    text = page_of(recorder, batch)
    assert make_up(1) not in text
    assert f"{make_up(1)[:3]}****" in text
    assert "45736 = 114/03/20" in text


def test_the_limits_and_the_time_that_it_is_held_stand_on_the_page(recorder):
    text = recorder.get("/batches/new").text
    assert "最大 32 MB、100,000 列" in text
    assert "/policies/batch_kept_days" in text
    assert "24 小時" in recorder.get("/comparisons/new").text


@pytest.mark.parametrize(("file_format", "start"), [("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK"), ("ods", b"PK")])
def test_the_file_is_taken_back_with_a_column_of_reasons_and_can_be_sent_again(recorder, file_format, start):
    batch = sent(csv_of(counselling("nobody"), counselling()))
    with journaled() as entries:
        answer = recorder.get(f"/batches/{batch.uid}.{file_format}")
    assert answer.content.startswith(start)
    assert [entry.action for entry in entries] == ["batch.download"]
    if file_format == "csv":
        assert "不能登錄,「病歷號」貴機構沒有這個病歷號的個案。" in answer.content.decode()
    else:
        body = "".join(ZipFile(BytesIO(answer.content)).read(name).decode(errors="replace") for name in ZipFile(BytesIO(answer.content)).namelist())  # fmt: skip
        assert "貴機構沒有這個病歷號的個案" in body
    assert again(sent(answer.content)).state == Batch.State.CHECKED


def test_an_empty_file_of_each_kind_is_there_to_be_filled(recorder):
    for kind in ("visits", "persons"):
        for file_format in ("csv", "xlsx", "ods"):
            assert recorder.get(f"/batches/empty-{kind}.{file_format}").status_code == 200
    assert "就醫日期" in recorder.get("/batches/empty-visits.csv").content.decode()
    assert recorder.get("/batches/empty-doctors.csv").status_code == 404


def test_a_row_is_put_right_in_the_page(recorder):
    batch = sent(csv_of(counselling("T-0001", "114/2/30", 備註="好")))
    page = recorder.get(f"/batches/{batch.uid}/rows/2").text
    assert "114/2/30 不存在" in page
    fields = {"chart_no": "T-0001", "visit_on": "114/2/31", "counselling_staff": "示範子", "note": "好"}
    still = recorder.send(f"/batches/{batch.uid}/rows/2", fields).text
    assert "第 2 列已修改，還有下面的問題。" in still
    assert "114/2/31 不存在" in still
    answer = recorder.send(f"/batches/{batch.uid}/rows/2", fields | {"visit_on": "114/3/20"})
    assert answer.status_code == 302
    assert "第 2 列已修改：可登錄。" in recorder.get(answer["Location"]).text
    assert recorder.get(f"/batches/{batch.uid}/rows/99").status_code == 404


def test_the_page_tells_how_far_it_is_and_goes_on_without_a_script(recorder):
    uid = world.uid("a batch of a page")
    answer = recorder.send("/batches/new", {"uid": uid, "kind": "visits", "file": csv_of(counselling())})
    assert answer["Location"] == f"/batches/{uid}"
    page = recorder.get(answer["Location"]).text
    assert "正在讀取檔案" in page
    assert "progress.js" in page
    assert "重新整理" in page
    assert 'http-equiv="refresh"' not in page


def test_what_is_refused_is_told_and_what_is_done_is_told(recorder):
    assert "只收 CSV、XLSX、ODS 檔" in page_of(recorder, sent(b"%PDF-1.7"))
    batch = sent(csv_of(counselling()))
    assert recorder.send(f"/batches/{batch.uid}/record", {"x": ""}).status_code == 302
    assert "正在登錄" in page_of(recorder, batch)
    assert recorder.send(f"/batches/{batch.uid}/give-up", {"x": ""}).status_code == 422
    assert "已登錄 1 列" in page_of(recorder, record(sent(csv_of(counselling("T-0002")))))
    gone = sent(csv_of(counselling("T-0004")))
    recorder.send(f"/batches/{gone.uid}/give-up", {"x": ""})
    assert "沒有登錄任何資料" in page_of(recorder, gone)
    assert recorder.get(f"/batches/{gone.uid}.csv").status_code == 404
    assert recorder.send(f"/batches/{gone.uid}/record", {"x": ""}).status_code == 422


def test_what_waits_for_a_decision_stands_on_the_first_page(recorder, browse):
    batch = sent(csv_of(counselling()))
    assert f"/batches/{batch.uid}" in recorder.get("/").text
    assert f"/batches/{batch.uid}" in browse("colleague").get("/").text
    assert f"/batches/{batch.uid}" not in browse("stranger").get("/").text
    assert f"/batches/{batch.uid}" in recorder.get("/batches").text


def test_titles_are_asked_with_the_first_lines_masked(recorder):
    batch = sent(csv_of((make_up(1), "114/3/20"), titles=("卡號", "來的那天")))
    page = page_of(recorder, batch)
    assert make_up(1) not in page
    assert "來的那天" in page
    refused = recorder.send(f"/batches/{batch.uid}/columns", {"chart_no": "0"})
    assert refused.status_code == 422
    assert "請選擇是檔案裡的哪一欄。" in refused.text
    assert recorder.send(f"/batches/{batch.uid}/columns", {"identity_number": "0", "visit_on": "1"}).status_code == 302


@pytest.mark.parametrize("path", ["/batches/new", "/comparisons/new"])
def test_a_file_that_is_nonsense_is_answered_in_words(recorder, path):
    for content in (b"\x00" * 10, "病歷號,就醫日期\r\n".encode(), b"PK\x03\x04", "就醫日期\r\n昨天\r\n".encode()):
        in_words(
            recorder.send(path, {"uid": world.uid(str(content)), "kind": "visits", "month": "114/3", "file": content})
        )


def test_in_english_the_reasons_are_english(recorder):
    batch = sent(csv_of(counselling("nobody"), counselling("T-0001", "114/2/10"), counselling("T-0002", 週數="x")))
    recorder.cookies["language"] = "en"
    page = page_of(recorder, batch)
    for words in ("No case of yours has this chart number", "Cannot be recorded", "Weeks"):
        assert words in page
    assert "window" in page.lower()


# --- Comparing -------------------------------------------------------------------------------------------------------


def compared(
    browser: Browser, *rows: tuple[str, ...], titles: tuple[str, ...] = ("病歷號", "身分證字號", "就醫日期"), **more
):
    fields = {"uid": world.uid(f"comparison {rows}"), "month": "114/3", "file": csv_of(*rows, titles=titles)} | more
    return browser.send("/comparisons/new", fields)


def test_a_list_is_laid_beside_what_is_recorded(recorder):
    record_on_page(recorder, "示範甲", visit_on="114/3/20")
    record_on_page(recorder, "示範乙", visit_on="114/3/24")
    wrong = make_up(2)[:-1] + str((int(make_up(2)[-1]) + 1) % 10)
    with journaled() as entries:
        answer = compared(
            recorder, ("T-0001", "", "114/3/21"), ("", wrong, "114/3/24"), ("", make_up(99), "114/3/25"),
            ("T-0004", "", "114/3/26"), ("T-0004", "", "114/2/26"), ("T-0004", "", "昨天"),
        )  # fmt: skip
    assert [entry.action for entry in entries] == ["visit.compare"]
    assert len(entries[0].uids) == 3
    page = recorder.get(answer["Location"]).text
    for words in (
        "名單有、系統沒有 2",
        "幾乎相同 2",
        "系統有、名單沒有 0",
        "兩邊都有 0",
        "不在這個月 1",
        "讀不懂的列 1",
    ):
        assert words in page
    assert f"/cases/{world.uid(f'case 示範丁 {world.CLINIC}')}/visits/new?on=2025-03-26" in page
    assert "貴機構沒有這個個案" in page
    near = recorder.get(answer["Location"], {"show": "near"}).text
    assert "日期差 1 天" in near
    assert "證號差 1 碼" in near
    assert make_up(2) not in near
    assert wrong not in near


def test_a_visit_of_the_list_is_recorded_from_there_with_its_day_filled_in(recorder):
    page = recorder.get(f"/cases/{world.uid(f'case 示範丁 {world.CLINIC}')}/visits/new", {"on": "2025-03-26"}).text
    assert 'value="114/03/26"' in page


def test_titles_of_a_list_are_asked_and_remembered(recorder):
    rows, titles = [("T-0001", "114/3/20")], ("卡號", "來的那天")
    asked = compared(recorder, *rows, titles=titles)
    assert asked.status_code == 422
    assert "來的那天" in asked.text
    told = {"title": ["卡號", "來的那天"], "chart_no": "卡號", "visit_on": "來的那天"}
    with scoped(world.actor("recorder")):
        done = compare_list(
            uid=world.uid("told"), month=world.TODAY.replace(month=3, day=1), content=csv_of(*rows, titles=titles),
            titles={name: title for name, title in told.items() if isinstance(title, str)}, by=world.actor("recorder"),
        )  # fmt: skip
    assert done.pk
    assert compared(recorder, *rows, titles=titles).status_code == 302


def test_nothing_is_left_of_people_who_are_not_recorded_after_24_hours(committed, owner):
    """Of a list: not in any table, not in the journal; and the outcome is shown no more from that moment on, job or no job."""
    browser = Browser("recorder")
    number, chart_no = make_up(99), "某病歷號"
    location = compared(browser, (chart_no, "", "114/3/25"), ("", number, "114/3/26"))["Location"]
    assert "名單有、系統沒有 2" in browser.get(location).text

    def found() -> list[str]:
        tables = [name for (name,) in owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )]  # fmt: skip
        return [
            table for table in tables
            if owner.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE ANY (%s)", [[f"%{number}%", f"%{chart_no}%", "%99%1140325%"]]).fetchone() != (0,)
        ]  # fmt: skip

    assert found() == []
    set_clock(owner, world.NOW + timedelta(hours=22))
    assert Browser("recorder").get(location).status_code == 200
    set_clock(owner, world.NOW + timedelta(hours=30))
    assert Browser("recorder").get(location).status_code == 404
    from quitledger.ops.jobs import clear_batches

    assert clear_batches(0) == 1
    assert owner.execute("SELECT count(*) FROM batches_comparison").fetchone() == (0,)
    assert found() == []


def test_a_comparison_is_removed_at_once_where_somebody_wants_it(recorder, browse):
    location = compared(recorder, ("T-0001", "", "114/3/21"))["Location"]
    assert browse("stranger").get(location).status_code == 404
    assert browse("desk_officer").get(location).status_code == 403
    assert recorder.send(f"{location}/remove", {"x": ""}).status_code == 302
    assert recorder.get(location).status_code == 404


def test_persons_of_a_file_are_shown_by_name_and_become_cases(recorder):
    batch = sent(csv_of(a_person(), titles=PERSON_TITLES), kind="persons")
    page = page_of(recorder, batch)
    assert "示範500" in page
    assert make_up(500) not in page
    record(batch)
    found = recorder.send("/cases/find", {"q": "N-500"})
    assert found.status_code == 302 or "示範500" in found.text

"""個案紀錄表 and 更正申請單, read back: their words, their fonts, one page, the same bytes again."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from quitledger.corrections.differences import changed_fields, entries_of, in_words
from quitledger.corrections.models import Application
from quitledger.corrections.rules import ItemKind
from quitledger.interop.case_sheet import case_sheet
from quitledger.interop.correction_form import TITLE, correction_form
from quitledger.interop.paper import pdf
from quitledger.visits.rules import Counselling, Line, Medication

from .. import world
from ..portal.conftest import staff_uids
from .scene import APRIL_1, FEBRUARY_15, MARCH_31, changing, late, recorded, sent, step, submitted, without, written

ADDRESS = "https://quit.example/corrections/1"
FRAME = {"title": "測試", "made_up": "", "made_by": "", "printed_on": "114/04/01"}
EMPTY = {**FRAME, "institution": [], "person": [], "intakes": [], "visits": []}


def read(content: bytes) -> tuple[PdfReader, str]:
    """The file and its words, without the ends of lines, which fall anywhere."""
    reader = PdfReader(BytesIO(content))
    return reader, "".join(page.extract_text() for page in reader.pages).replace("\n", "")


def fonts_of(reader: PdfReader) -> list[Any]:
    found = []
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            found += [one.get_object() for one in font.get_object()["/DescendantFonts"]]
    return found


def sheet(number: str = "A12****789", name: str = "示範甲") -> bytes:
    with step("recorder") as by:
        return case_sheet(world.case(name), number=number, today=world.TODAY, made_up="測試資料", by=by)


def form_of(
    application: Application, username: str = "recorder", number: str = "A12****789", whole: bool = False
) -> bytes:
    with step(username) as by:
        found = Application.objects.select_related("case__person", "written_by", "signed_by").get(pk=application.pk)
        return correction_form(
            found, number=number, whole=whole, address=ADDRESS, today=world.TODAY, made_up="測試資料", by=by
        )


def test_the_case_sheet_says_what_was_recorded(committed):
    (physician,) = staff_uids("示範丑")
    given = Medication(physician, (Line(world.PATCH, 2),))
    recorded(committed, MARCH_31, medication=given, co_ppm=8, cigarettes_per_day=6, note="夜班")
    _reader, words = read(sheet())
    for text in (
        "個案紀錄表", "測試資料", "示範戒菸診所", "9900000019", "示範甲", "A12****789", "69/02/03（45 歲）", "T-0001",
        "114/03/12", "68.5 公斤", "20 支", "24 ppm", "114/03/31", "尼古丁貼片（示範品項甲） 2 週（14 天）", "衛教師 示範子",
        "面對面", "備註：夜班", "6 支", "8 ppm", "24 小時內", "第 1 頁，共 1 頁",
    ):  # fmt: skip
        assert text.replace(" ", "") in words.replace(" ", ""), text


def test_the_answers_of_the_fagerstrom_test_stand_on_it_with_their_points(committed):
    _reader, words = read(sheet())
    assert "5 分鐘以內" in words
    assert "還沒有就醫資料。" in words
    assert "還沒有收案評估。" in read(sheet(name="示範丁"))[1]


def test_fonts_are_within_and_the_file_says_that_it_is_for_the_archive_and_for_screen_readers(committed):
    reader, _words = read(sheet())
    fonts = fonts_of(reader)
    assert fonts
    for font in fonts:
        assert {"/FontFile2", "/FontFile3"} & font["/FontDescriptor"].keys()
    told = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in told
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in told
    assert "<pdfuaid:part>1</pdfuaid:part>" in told
    assert reader.trailer["/Root"]["/Lang"] == "zh-TW"


def test_the_same_records_on_the_same_day_are_the_same_file(committed):
    assert sheet() == sheet()


def test_characters_of_rare_names_are_printed_or_stand_as_their_number():
    private = "\U000f1234"  # nobody's font has it
    content = pdf("case_sheet", EMPTY | {"person": [("姓名", f"王{private}𠮷堃")]}, day=world.TODAY)
    words = read(content)[1]
    assert "〓(U+F1234)" in words
    assert "堃" in words


@pytest.mark.parametrize("text", ['"#eval("1")"', "#import", "$x$", "*a* _b_ `c`", "\\", "<tag>@ref", "{{ x }}"])
def test_what_somebody_typed_is_text_and_no_word_of_the_sheet(text):
    assert text.replace(" ", "") in read(pdf("case_sheet", EMPTY | {"person": [("備註", text)]}, day=world.TODAY))[
        1
    ].replace(" ", "")


def test_the_form_says_old_and_new_and_ticks_what_changes(committed):
    uid = recorded(committed, APRIL_1)
    application = sent(lambda: [changing(uid, ItemKind.PARKED, visit_on=FEBRUARY_15, co_ppm=5)])
    reader, words = read(form_of(application))
    assert len(reader.pages) == 1
    for text in (
        TITLE, "附錄九", "示範戒菸診所", "9900000019", application.case_no, str(application.uid), "示範甲", "A12****789",
        "114/04/01 調整成 114/02/15", "☑ 就醫", "☐ 衛教", "☑ 其他", "☐ 基本資料", "一氧化碳", "5 ppm", "漏未登錄", "機構章",
        "業務主管簽章", "系統簽核：示範主管", "填寫人", "示範子",
    ):  # fmt: skip
        assert text.replace(" ", "") in words.replace(" ", ""), text


def test_a_late_entry_ticks_its_services_and_a_void_what_it_takes_away(committed):
    uid = recorded(committed, world.TODAY.replace(month=1, day=6))
    with step("recorder") as by:
        late_entry = written([late()], by)
        voiding = written([without(uid)], by)
    assert "☑就醫☑衛教☐其他" in read(form_of(late_entry))[1].replace(" ", "")
    words = read(form_of(voiding))[1].replace(" ", "")
    assert "刪除：就醫日期114/01/06" in words
    assert "☑衛教" in words


def test_ten_items_and_a_long_reason_stay_on_one_page(committed):
    days = [world.TODAY.replace(month=1, day=day) for day in (2, 8, 14, 20, 26)]
    days += [world.TODAY.replace(month=2, day=day) for day in (1, 7, 13, 19, 25)]
    with step("recorder") as by:
        items = [late(day, note="很長的備註" * 8) for day in days]
        application = written(items, by)
    with committed.owner() as owner:
        owner.execute("UPDATE corrections_application SET reason = repeat('詳細的原因。', 160)")
    reader, words = read(form_of(application))
    assert len(reader.pages) == 1
    assert words.replace(" ", "").count("補登：就醫日期") == 10


def test_without_a_number_the_form_says_so(committed):
    application = submitted(lambda: [late()])
    words = read(form_of(application))[1]
    assert "送出後由管理窗口編號" in words
    assert "系統簽核" not in words


def test_pregnancy_is_told_of_only_where_there_is_one(committed):
    with step("recorder") as by:
        application = written([late(), late(world.TODAY.replace(month=1, day=6), pregnant=True)], by, "示範乙")
        names = [
            [name for name, *_ in changed_fields(*in_words(item, entries_of(item, by=by)))]
            for item in application.items.order_by("position")
        ]
    assert names == [["visit_on", "counselling"], ["visit_on", "counselling", "pregnant"]]


def test_an_entry_with_medication_is_said_with_the_names_of_its_medicines(committed):
    with step("recorder") as by:
        given = Medication(world.staff("示範丑").uid, (Line(world.GUM, 1),))
        item = late(medication=given)
        application = written([replace(item, entry=replace(item.entry, counselling=Counselling(None)))], by)
        given_item = application.items.get()
        before, after = in_words(given_item, entries_of(given_item, by=by))
    assert before == {}
    assert after["medication"] == "醫師 示範丑：尼古丁咀嚼錠（示範品項乙） 1 週（7 天）"
    assert after["counselling"] == "（未填）（面對面）"

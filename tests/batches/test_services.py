"""A file is sent, checked, put right, recorded: on PostgreSQL, with what the journal says of it."""

from contextlib import suppress
from datetime import date, timedelta
from threading import Event, Thread
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.test import override_settings

from quitledger.accounts.keys import Tampered, keys
from quitledger.accounts.scope import scoped
from quitledger.batches import services
from quitledger.batches.columns import Kind
from quitledger.batches.models import Batch, BatchFile, ColumnChoice, Row
from quitledger.batches.services import (
    Head,
    amend_row,
    ask_recording,
    check_batch,
    choose_columns,
    give_up_batch,
    open_row,
    record_batch,
    remove_expired,
    upload_batch,
)
from quitledger.cases.models import Baseline, Case
from quitledger.cases.services import BaselineEntry, record_baseline
from quitledger.policy.identity import make_up
from quitledger.policy.problem import Refused
from quitledger.visits.models import Visit
from quitledger.visits.rules import Counselling, Entry
from quitledger.visits.services import as_entry, record_visit, void_visit

from .. import world
from ..portal.conftest import journaled
from ..sql import set_clock
from .files import (
    INTAKE_TITLES,
    PERSON_TITLES,
    VISIT_TITLES,
    a_person,
    a_visit,
    counselling,
    csv_of,
    ods_of,
    with_intake,
    xlsx_of,
)
from .scene import again, count, record, rows_of, sent

DAY = date(2025, 3, 20)


@pytest.fixture
def recorder(db):
    return world.actor("recorder")


def typed(name="示範甲", day=DAY, **values):
    """A counselling visit recorded on the page."""
    by = world.actor("recorder")
    with scoped(by):
        entry = Entry(uuid4(), day, counselling=Counselling(world.staff("示範子").uid), **values)
        return record_visit(case=world.case(name), entry=entry, by=by)


def told(batch: Batch) -> list[str]:
    with scoped(world.actor("recorder")):
        return [problem.code for problem in Head.of(batch).problems]


# --- Recording -------------------------------------------------------------------------------------------------------


def test_good_rows_become_visits_and_nothing_is_held_any_more(recorder):
    with journaled() as entries:
        batch = sent(
            csv_of(a_visit(備註="第一次", 平均每日支數="9"), counselling("T-0002", "114/3/21", 衛教方式="電話"))
        )
        assert rows_of(batch) == {2: ("good", []), 3: ("good", [])}
        assert count("visits_visit") == 0
        batch = record(batch)
    assert (batch.state, batch.recorded, batch.head) == (Batch.State.RECORDED, 2, None)
    assert (count("batches_row"), count("batches_batchfile")) == (0, 0)
    with scoped(recorder):
        first, second = map(as_entry, Visit.objects.order_by("visit_on"))
    assert (first.visit_on, first.weeks, first.note, first.cigarettes_per_day) == (DAY, 2, "第一次", 9)
    assert second.counselling is not None
    assert second.counselling.mode == "telephone"
    assert [entry.action for entry in entries] == [
        "batch.upload", "batch.check", "batch.ask_recording", "visit.record", "batch.record",
    ]  # fmt: skip
    written = entries[3]
    assert (written.username, len(written.uids), written.record_type) == ("recorder", 2, "visit")
    assert make_up(1) not in "".join(entry.text for entry in entries)


def test_good_persons_become_cases(recorder):
    batch = sent(csv_of(a_person(), a_person(501), titles=PERSON_TITLES), Kind.PERSONS)
    assert rows_of(batch) == {2: ("good", []), 3: ("good", [])}
    batch = record(batch)
    assert (batch.state, batch.recorded) == (Batch.State.RECORDED, 2)
    with scoped(recorder):
        case = Case.objects.select_related("person").get(name="示範500")
    assert (case.person.identity_number, case.chart_no, case.person.birth_on) == (
        make_up(500),
        "N-500",
        date(1980, 2, 3),
    )


@pytest.mark.parametrize("make", [csv_of, xlsx_of, ods_of])
def test_the_same_file_twice_records_nothing_twice(recorder, make):
    content = make(a_visit(), counselling("T-0002", "114/3/21"))
    record(sent(content))
    batch = sent(content)
    assert rows_of(batch) == {2: ("same", []), 3: ("same", [])}
    with scoped(recorder), pytest.raises(Refused, match="nothing-to-record"):
        ask_recording(batch=batch, all_or_none=False, by=recorder)
    people = make(a_person(), titles=PERSON_TITLES)
    record(sent(people, Kind.PERSONS))
    assert rows_of(sent(people, Kind.PERSONS)) == {2: ("same", [])}
    assert (count("visits_visit"), count("visits_visit_history")) == (2, 2)


def test_what_was_recorded_on_the_page_is_the_same_where_it_says_the_same(recorder):
    typed(note="好")
    said = counselling("T-0001", "114/3/20", 備註="好")
    assert rows_of(sent(csv_of(said))) == {2: ("same", [])}
    other = counselling("T-0001", "114/3/20", 備註="不好")
    assert rows_of(sent(csv_of(other))) == {2: ("conflict", ["visit-exists"])}


def test_a_row_twice_in_a_file_is_one_visit_and_two_services_of_a_day_are_one_visit(recorder):
    medication = a_visit(衛教人員="")
    batch = sent(csv_of(counselling(), counselling(), medication))
    assert rows_of(batch) == {2: ("good", []), 3: ("same", []), 4: ("good", [])}
    batch = record(batch)
    assert (batch.recorded, count("visits_visit"), count("visits_service")) == (2, 1, 2)


def test_a_service_joins_the_visit_that_is_there(recorder):
    visit = typed()
    record(sent(csv_of(a_visit(衛教人員=""))))
    with scoped(recorder):
        found = Visit.objects.get(pk=visit.pk)
        assert (found.version, set(as_entry(found).kinds)) == (2, {"medication", "counselling"})


def test_rows_of_one_person_know_of_each_other_wherever_they_stand(recorder):
    rows = [counselling("T-0001", "114/3/20"), counselling("T-0002", "114/3/20"), counselling("T-0001", "114/3/22")]
    assert rows_of(sent(csv_of(*rows))) == {2: ("good", []), 3: ("good", []), 4: ("refused", ["visit-too-near"])}


def test_the_good_rows_are_recorded_and_the_others_stay_to_be_put_right(recorder):
    batch = record(sent(csv_of(counselling(), counselling("T-0002", "114/2/1"), counselling("X", "114/3/20"))))
    assert (batch.state, batch.recorded) == (Batch.State.CHECKED, 1)
    assert rows_of(batch) == {3: ("refused", ["window-closed"]), 4: ("refused", ["case-unknown"])}
    with scoped(recorder):
        amend_row(batch=batch, line=4, cells={"chart_no": "T-0002"}, by=recorder)
    assert record(batch).recorded == 2


def test_a_row_that_can_no_longer_be_recorded_is_left_out_or_stops_all(recorder):
    rows = csv_of(counselling("T-0001"), counselling("T-0002"))
    first, second = sent(rows), sent(rows.replace(b"T-0002", b"T-0004"))
    typed("示範甲", DAY + timedelta(days=1))
    stopped = record(first, all_or_none=True)
    assert (stopped.state, stopped.recorded, told(stopped)) == (Batch.State.CHECKED, 0, ["not-all"])
    assert rows_of(stopped) == {2: ("refused", ["visit-too-near"]), 3: ("good", [])}
    assert count("visits_visit") == 1
    went_on = record(second)
    assert (went_on.state, went_on.recorded) == (Batch.State.CHECKED, 1)
    assert rows_of(went_on) == {2: ("refused", ["visit-too-near"])}


def test_a_voided_visit_is_not_brought_back_by_its_file(recorder):
    content = csv_of(counselling())
    record(sent(content))
    with scoped(recorder):
        void_visit(visit=Visit.objects.get(), version=1, reason="誤登", by=recorder)
    assert rows_of(sent(content)) == {2: ("conflict", ["visit-voided"])}


def test_many_rows_go_in_together_and_courses_are_kept(recorder):
    people = sent(csv_of(*[a_person(600 + n) for n in range(60)], titles=PERSON_TITLES), Kind.PERSONS)
    assert record(people).recorded == 60
    rows = [counselling(f"N-{600 + n}", day) for n in range(60) for day in ("114/3/3", "114/3/10")]
    batch = record(sent(csv_of(*rows)))
    assert (batch.state, batch.recorded) == (Batch.State.RECORDED, 120)
    assert (count("visits_visit"), count("visits_service"), count("visits_course")) == (120, 120, 60)
    assert count("visits_visit_history") == 120


# --- Whom rows name --------------------------------------------------------------------------------------------------


def test_rows_name_people_by_chart_number_or_identity_number_or_both(recorder):
    titles = ("病歷號", "身分證字號", "就醫日期", "衛教人員")
    rows = [
        ("", make_up(1), "114/3/20", "示範子"), ("T-0002", make_up(2).lower(), "114/3/20", "示範子"),
        ("T-0002", make_up(1), "114/3/25", "示範子"), ("", "", "114/3/25", "示範子"), ("", make_up(77), "114/3/25", "示範子"),
    ]  # fmt: skip
    assert rows_of(sent(csv_of(*rows, titles=titles))) == {
        2: ("good", []), 3: ("good", []), 4: ("refused", ["case-differs"]), 5: ("refused", ["case-missing"]),
        6: ("refused", ["case-unknown"]),
    }  # fmt: skip


def test_people_of_another_institution_are_unknown_like_nobody(recorder):
    titles = ("身分證字號", "就醫日期", "衛教人員")
    batch = sent(csv_of((make_up(5), "114/3/20", "示範子"), (make_up(78), "114/3/20", "示範子"), titles=titles))
    with scoped(recorder):
        theirs, nobodys = (open_row(row, batch).problems for row in Row.objects.order_by("line"))
    assert theirs == nobodys
    assert [problem.code for problem in theirs] == ["case-unknown"]


def test_staff_are_named_or_told_by_uid_and_a_name_of_nobody_is_refused_in_the_words_of_the_page(recorder):
    with scoped(recorder):
        uid = str(world.staff("示範子").uid)
    rows = [
        counselling(衛教人員=uid),
        counselling("T-0002", 衛教人員="示範卯"),
        counselling("T-0003", 衛教人員=str(uuid4())),
    ]
    assert rows_of(sent(csv_of(*rows))) == {
        2: ("good", []), 3: ("refused", ["staff-unknown"]), 4: ("refused", ["staff-unknown"])
    }  # fmt: skip


def test_persons_who_are_here_or_twice_in_the_file_conflict(recorder):
    rows = [
        (make_up(1), "69/2/3", "男", "示範甲", "T-0001", ""), (make_up(1), "69/2/3", "男", "示範甲甲", "", ""),
        (make_up(1), "69/2/4", "男", "示範甲", "", ""), a_person(), a_person(姓名="示範別名"),
        a_person(501, 病歷號="N-500"), a_person(502, 身分證字號="A123456780"), a_person(503, 性別="", 出生日期="115/1/1"),
    ]  # fmt: skip
    found = rows_of(sent(csv_of(*rows, titles=PERSON_TITLES), Kind.PERSONS))
    assert [found[line][0] for line in range(2, 10)] == [
        "same", "conflict", "conflict", "good", "conflict", "conflict", "refused", "refused",
    ]  # fmt: skip
    assert [found[line][1] for line in (3, 4, 6, 7, 9)] == [
        ["case-exists"], ["birth-differs"], ["chart-no-taken", "case-exists"], ["chart-no-taken"], ["value-missing"],
    ]  # fmt: skip


WITH_INTAKE = (*PERSON_TITLES, *INTAKE_TITLES)
KNOWN = (make_up(1), "69/2/3", "男", "示範甲", "T-0001", "")  # of the world, with an intake of 114/03/12


def persons(*rows):
    """A file of persons and their intakes, sent and checked."""
    return sent(csv_of(*rows, titles=WITH_INTAKE), Kind.PERSONS)


def intakes(recorder, chart_no):
    with scoped(recorder):
        return list(Baseline.objects.filter(case__chart_no=chart_no).order_by("taken_on"))


def test_a_person_comes_with_his_intake_and_both_are_recorded_together(recorder):
    with journaled() as entries:
        batch = record(persons(with_intake(a_person()), with_intake(a_person(501), "114/3/21", 體重="", 健保在保="否")))
    assert (batch.recorded, rows_of(batch)) == (2, {})
    (first,), (second,) = intakes(recorder, "N-500"), intakes(recorder, "N-501")
    said = (
        first.taken_on,
        first.ftnd_score,
        first.cigarettes_per_day,
        first.co_ppm,
        str(first.weight_kg),
        first.insured,
    )
    assert said == (DAY, 6, 20, 24, "68.5", True)
    assert (second.weight_kg, second.insured, second.pregnant, second.changed_by_id) == (
        None,
        False,
        False,
        recorder.account_id,
    )
    (entry,) = [one for one in entries if one.action == "baseline.record"]
    assert set(entry.uids) == {one for made in (first, second) for one in (made.uid, made.case.uid)}
    assert entry.fields == ["taken_on", "ftnd_score", "cigarettes_per_day", "co_ppm", "weight_kg", "insured"]


def test_a_file_without_intakes_records_none(recorder):
    rows = [(*a_person(), *[""] * len(INTAKE_TITLES)), (*a_person(501), *[""] * len(INTAKE_TITLES))]
    rows.append((*a_person(502), *["否" if title == "懷孕" else "" for title in INTAKE_TITLES]))  # which says nothing
    assert record(persons(*rows)).recorded == 3
    assert [intakes(recorder, f"N-{number}") for number in (500, 501, 502)] == [[], [], []]


def test_every_reason_against_a_person_and_his_intake_is_told_at_once_and_neither_is_recorded(recorder):
    wrong = with_intake(
        a_person(身分證字號="A123456780"), "115/1/1", **{"成癮度第 3 題": "", "平均每日支數": "999", "懷孕": "是", "體重": "1"}
    )  # fmt: skip
    undated = with_intake(a_person(501), "", 體重="68.55", **{"成癮度第 1 題": "很快"})
    found = rows_of(persons(wrong, undated, with_intake(a_person(502), 一氧化碳="201")))
    assert found == {
        2: ("refused", ["identity-checksum", "taken-in-future", "ftnd-incomplete", "value-implausible", "value-implausible", "pregnant-male"]),
        3: ("refused", ["value-unreadable", "value-unreadable", "value-missing"]),
        4: ("refused", ["value-implausible"]),
    }  # fmt: skip
    assert count("cases_baseline") == BASELINES


BASELINES = 6  # of the world


def test_the_same_persons_and_intakes_twice_record_nothing_twice(recorder):
    content = [with_intake(a_person()), with_intake(a_person(501), 體重="70.0"), with_intake(KNOWN, "114/3/12")]
    batch = persons(*content)
    assert rows_of(batch) == {2: ("good", []), 3: ("good", []), 4: ("same", [])}  # the world's intake says the same
    assert record(batch).recorded == 2
    again_ = persons(with_intake(a_person(), 體重="68.5"), with_intake(a_person(501), 體重="70"), content[2])
    assert {status for status, _codes in rows_of(again_).values()} == {"same"}
    assert count("cases_baseline") == BASELINES + 2


def test_another_intake_of_a_day_is_a_conflict_and_one_of_another_day_is_recorded_for_the_person_who_is_there(recorder):
    batch = persons(
        with_intake(KNOWN, "114/3/12", 一氧化碳="9"), with_intake(KNOWN, "114/3/30"), with_intake(KNOWN, "114/3/30", 體重="70"),
        with_intake(KNOWN, "114/3/30"), with_intake((*KNOWN[:3], "示範甲甲", *KNOWN[4:]), "114/3/31", 體重="7"),
    )  # fmt: skip
    assert rows_of(batch) == {
        2: ("conflict", ["baseline-exists"]), 3: ("good", []), 4: ("conflict", ["baseline-exists"]), 5: ("same", []),
        6: ("conflict", ["chart-no-taken", "case-exists", "value-implausible"]),
    }  # fmt: skip
    assert record(batch).recorded == 1
    assert [one.taken_on for one in intakes(recorder, "T-0001")] == [date(2025, 3, 12), date(2025, 3, 30)]


def test_rows_of_one_new_person_know_of_each_other_in_whatever_part_they_stand(recorder, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    rows = [with_intake(a_person(), day) for day in ("114/3/20", "114/3/25", "114/3/20", "114/3/26")]
    rows.append(with_intake(a_person(), "114/3/26", 體重="70"))
    batch = persons(*rows)
    assert rows_of(batch) == {
        2: ("good", []), 3: ("good", []), 4: ("same", []), 5: ("good", []), 6: ("conflict", ["baseline-exists"]),
    }  # fmt: skip
    assert record(batch).recorded == 3
    assert [one.taken_on.day for one in intakes(recorder, "N-500")] == [20, 25, 26]
    with scoped(recorder):
        assert Case.objects.filter(chart_no="N-500").count() == 1


def test_a_row_with_a_refused_intake_registers_nobody_whom_a_later_row_would_meet(recorder):
    batch = persons(with_intake(a_person(), 一氧化碳="999"), with_intake(a_person()))
    assert rows_of(batch) == {2: ("refused", ["value-implausible"]), 3: ("good", [])}
    with scoped(recorder):
        held = amend_row(batch=batch, line=2, cells={"co_ppm": "20", "taken_on": "114/3/19"}, by=recorder)
    assert held.row.status == "good"
    assert record(batch).recorded == 2
    assert len(intakes(recorder, "N-500")) == 2


def test_an_intake_typed_on_the_page_after_the_check_is_told_when_it_is_recorded(recorder):
    batch = persons(with_intake(KNOWN, "114/3/30"))
    with scoped(recorder):
        entry = BaselineEntry(uuid4(), date(2025, 3, 30), {}, 9, None, None, pregnant=False, insured=True)
        record_baseline(case=world.case(), entry=entry, today=world.TODAY, by=recorder)
    assert record(batch).recorded == 0
    assert rows_of(batch) == {2: ("conflict", ["baseline-exists"])}


def test_nothing_is_recorded_for_whoever_was_merged_into_another(committed, owner):
    recorder = world.actor("recorder")
    assert record(persons((*a_person(), *[""] * len(INTAKE_TITLES)))).recorded == 1
    owner.execute(
        "UPDATE cases_person SET merged_into_id = (SELECT person_id FROM cases_case WHERE chart_no = 'T-0002' LIMIT 1)"
        " WHERE id = (SELECT person_id FROM cases_case WHERE chart_no = 'N-500')"
    )
    assert rows_of(persons(with_intake(a_person())))[2][1] == ["person-merged"]
    assert intakes(recorder, "N-500") == []


# --- Asking and putting right ----------------------------------------------------------------------------------------


def test_columns_that_are_not_recognised_are_asked_and_remembered_for_this_institution_alone(recorder):
    titles = ("卡號", "來的那天", "誰衛教")
    content = csv_of(("T-0001", "114/3/20", "示範子"), titles=titles)
    batch = sent(content)
    assert (batch.state, rows_of(batch)) == (Batch.State.ASKING, {})
    with scoped(recorder):
        with pytest.raises(Refused) as refused:
            choose_columns(batch=batch, places={"chart_no": 0, "identity_number": 0}, by=recorder)
        assert {(one.code, one.field) for one in refused.value.problems} == {
            ("column-missing", "visit_on"), ("column-twice", "chart_no"), ("column-twice", "identity_number"),
        }  # fmt: skip
        choose_columns(batch=batch, places={"chart_no": 0, "visit_on": 1, "counselling_staff": 2}, by=recorder)
    check_batch(uid=batch.uid, by=recorder)
    assert rows_of(batch) == {2: ("good", [])}
    assert rows_of(sent(content)) == {2: ("good", [])}
    stranger = world.actor("stranger")
    assert sent(content, by=stranger).state == Batch.State.ASKING
    assert count("batches_columnchoice") == 0  # not the agency's to see
    with scoped(recorder):
        assert ColumnChoice.objects.count() == 3


def test_a_row_is_put_right_and_those_of_its_person_are_asked_again(recorder):
    batch = sent(csv_of(counselling("T-0001", "114/3/20"), counselling("T-0001", "114/3/22"), titles=VISIT_TITLES))
    with journaled() as entries, scoped(recorder):
        held = amend_row(
            batch=batch, line=2, cells={"visit_on": "114/3/14", "identity_number": make_up(1)}, by=recorder
        )
    assert (held.row.status, held.problems) == ("good", [])
    assert [entry.action for entry in entries] == ["batch.amend"]
    assert rows_of(batch) == {2: ("good", []), 3: ("good", [])}
    with scoped(recorder):
        assert Head.of(again(batch)).titles[-1] == "身分證字號"  # a column the file did not have
        held = amend_row(batch=batch, line=2, cells={"visit_on": "114/3/99"}, by=recorder)
        assert [problem.code for problem in held.problems] == ["value-unreadable"]
        with pytest.raises(Refused, match="row-gone"):
            amend_row(batch=batch, line=99, cells={}, by=recorder)


def test_a_file_that_cannot_be_read_is_refused_and_not_kept(recorder):
    for content, code in (
        (b"%PDF-1.7", "file-kind-unknown"),
        (csv_of(), "file-empty"),
        (csv_of(titles=("一",)), "titles-missing"),
    ):
        batch = sent(content)
        assert (batch.state, told(batch)) == (Batch.State.REFUSED, [code])
    with scoped(recorder):
        assert (Row.objects.count(), BatchFile.objects.count()) == (0, 0)


@pytest.mark.parametrize(("kind", "row", "titles"), [
    (Kind.VISITS, a_visit(), VISIT_TITLES),
    (Kind.PERSONS, with_intake(a_person()), (*PERSON_TITLES, *INTAKE_TITLES)),
])  # fmt: skip
def test_a_sign_that_cannot_be_stored_is_refused_in_its_row(recorder, kind, row, titles):
    spoiled = [[*row[:place], f"{row[place]}\x00", *row[place + 1 :]] for place in range(len(row))]
    batch = sent(csv_of(*spoiled, titles=titles), kind)
    assert batch.state == Batch.State.CHECKED
    assert {status for status, _problems in rows_of(batch).values()} == {"refused"}
    content = "院內名單\r\n".encode() + csv_of(row, titles=[f"{title}\x00" for title in titles])
    assert rows_of(sent(content, kind)) == {3: ("good", [])}


def test_limits_are_settings(recorder):
    with override_settings(BATCH_MOST_ROWS=3):
        batch = sent(csv_of(*[counselling()] * 4))
        assert (batch.state, told(batch)) == (Batch.State.REFUSED, ["file-too-many-rows"])
    with override_settings(BATCH_MOST_MEGABYTES=0), scoped(recorder), pytest.raises(Refused, match="file-too-large"):
        upload_batch(uid=uuid4(), kind=Kind.VISITS, content=b"x", by=recorder)
    with scoped(recorder), pytest.raises(Refused, match="file-empty"):
        upload_batch(uid=uuid4(), kind=Kind.VISITS, content=b"", by=recorder)


# --- Who, twice, and until when --------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["desk_officer", "analyst", "nowhere"])
def test_nobody_but_an_institution_records_by_file(db, username):
    by = world.actor(username)
    with scoped(by), pytest.raises(PermissionDenied):
        upload_batch(uid=uuid4(), kind=Kind.VISITS, content=b"x", by=by)


def test_forms_and_jobs_that_come_twice_are_one(recorder):
    uid = uuid4()
    with scoped(recorder):
        first = upload_batch(uid=uid, kind=Kind.VISITS, content=csv_of(counselling()), by=recorder)
        assert upload_batch(uid=uid, kind=Kind.VISITS, content=b"something else", by=recorder) == first
    for _ in range(2):
        check_batch(uid=uid, by=recorder)
    for _ in range(2):
        with scoped(recorder):
            ask_recording(batch=first, all_or_none=False, by=recorder)
    for _ in range(2):
        record_batch(uid=uid, by=recorder)
    assert count("visits_visit") == 1
    for _ in range(2):
        with scoped(recorder):
            give_up_batch(batch=first, by=recorder)
    assert again(first).state == Batch.State.RECORDED


def test_what_is_given_up_is_gone_and_nothing_is_done_with_it_any_more(recorder):
    batch = sent(csv_of(counselling()))
    with scoped(recorder):
        give_up_batch(batch=batch, by=recorder)
        assert (Row.objects.count(), again(batch).head) == (0, None)
        with pytest.raises(Refused, match="batch-not-now"):
            ask_recording(batch=batch, all_or_none=False, by=recorder)
        with pytest.raises(Refused, match="batch-not-now"):
            amend_row(batch=batch, line=2, cells={}, by=recorder)


def test_what_is_given_up_while_it_is_checked_stays_given_up(recorder, monkeypatch):
    with scoped(recorder):
        batch = upload_batch(uid=uuid4(), kind=Kind.VISITS, content=csv_of(counselling()), by=recorder)
    checking = services._checking

    def meanwhile(found, by):
        give_up_batch(batch=found, by=by)
        return checking(found, by)

    monkeypatch.setattr(services, "_checking", meanwhile)
    check_batch(uid=batch.uid, by=recorder)
    assert again(batch).state == Batch.State.GIVEN_UP
    assert count("batches_row") == 0


def test_what_nobody_decides_about_is_removed_when_its_time_is_over(committed, owner):
    batch = sent(csv_of(counselling()))
    recorder = world.actor("recorder")
    set_clock(owner, world.NOW + timedelta(days=6, hours=22))
    with scoped(world.SYSTEM):
        assert remove_expired(by=world.SYSTEM) == 0
    set_clock(owner, world.NOW + timedelta(days=7, hours=6))
    with scoped(recorder), pytest.raises(Refused, match="batch-expired"):
        ask_recording(batch=batch, all_or_none=False, by=recorder)
    with scoped(world.SYSTEM):
        assert remove_expired(by=world.SYSTEM) == 1
    assert again(batch).state == Batch.State.GIVEN_UP
    assert owner.execute("SELECT count(*) FROM batches_row").fetchone() == (0,)
    with scoped(recorder), pytest.raises(PermissionDenied):
        remove_expired(by=recorder)


def test_identity_numbers_lie_encrypted_and_a_row_fits_no_other_place(committed, owner):
    sent(csv_of(a_person(), a_person(501), titles=PERSON_TITLES), Kind.PERSONS)
    dumped = owner.execute("SELECT string_agg(r::text, '') FROM batches_row r").fetchone()[0]
    assert make_up(500) not in dumped
    assert "示範500".encode().hex() not in dumped
    owner.execute("UPDATE batches_row a SET token = b.token FROM batches_row b WHERE a.line = 2 AND b.line = 3")
    with scoped(world.actor("recorder")):
        batch = Batch.objects.get()
        with pytest.raises(Tampered):
            open_row(Row.objects.get(line=2), batch)


def test_what_is_held_is_renewed_under_another_key(committed, owner):
    batch = sent(csv_of(counselling(), titles=VISIT_TITLES))
    owner.execute("UPDATE batches_row SET key_id = key_id")
    assert {row for (row,) in owner.execute("SELECT key_id FROM batches_row")} == {keys().current}
    with committed.as_owner(), scoped(world.SYSTEM):
        assert services.renew_batches(by=world.SYSTEM) == 0
    assert rows_of(batch) == {2: ("good", [])}


# --- Others at the same time, and the end of a worker ----------------------------------------------------------------


def test_two_files_with_the_same_rows_at_once_are_one_record_each(committed):
    content = csv_of(*[counselling(f"T-000{n}", f"114/3/{day}") for n in (1, 2, 4) for day in (14, 20, 26)])
    batches = [sent(content) for _ in range(2)]
    recorder = world.actor("recorder")
    for batch in batches:
        with scoped(recorder):
            ask_recording(batch=batch, all_or_none=False, by=recorder)

    def work(batch):
        try:
            record_batch(uid=batch.uid, by=recorder)
        finally:
            connections.close_all()

    threads = [Thread(target=work, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count("visits_visit") == 9
    assert sorted(again(batch).recorded for batch in batches) == [0, 9]
    assert {again(batch).state for batch in batches} == {Batch.State.RECORDED}


def test_whoever_records_on_the_page_meanwhile_waits_and_is_told(committed, monkeypatch):
    batch = sent(csv_of(counselling("T-0001", "114/3/20"), counselling("T-0002", "114/3/20")))
    recorder = world.actor("recorder")
    asked, go_on = Event(), Event()
    record_parts = services.visit_rows.record_parts

    def slowly(parts, *, aside, by):
        for verdicts in record_parts(parts, aside=aside, by=by):
            asked.set()
            go_on.wait(5)
            yield verdicts

    monkeypatch.setattr(services.visit_rows, "record_parts", slowly)
    with scoped(recorder):
        ask_recording(batch=batch, all_or_none=False, by=recorder)

    def work():
        try:
            record_batch(uid=batch.uid, by=recorder)
        finally:
            connections.close_all()

    thread = Thread(target=work)
    thread.start()
    assert asked.wait(10)
    page = Thread(target=lambda: (go_on.wait(0.3), go_on.set()))
    page.start()
    with pytest.raises(Refused, match="visit-too-near"):
        typed("示範甲", DAY + timedelta(days=2))
    thread.join()
    page.join()
    assert again(batch).recorded == 2


class _Killed(BaseException):
    """As if the worker was killed."""


@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_worker_that_is_killed_leaves_all_or_nothing_and_the_next_one_goes_on(committed, monkeypatch, when):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    rows = [counselling(f"T-000{n}", f"114/3/{day}") for n in (1, 2, 4) for day in (14, 20)]
    batch, recorder = sent(csv_of(*rows)), world.actor("recorder")
    with scoped(recorder):
        ask_recording(batch=batch, all_or_none=False, by=recorder)
    record_parts = services.visit_rows.record_parts

    def killed(parts, *, aside, by):
        for number, verdicts in enumerate(record_parts(parts, aside=aside, by=by), start=1):
            if number == when:
                raise _Killed
            yield verdicts

    with monkeypatch.context() as patched:
        patched.setattr(services.visit_rows, "record_parts", killed)
        with suppress(_Killed):
            record_batch(uid=batch.uid, by=recorder)
    assert count("visits_visit") == 0
    assert again(batch).state == Batch.State.RECORDING
    record_batch(uid=batch.uid, by=recorder)
    assert (count("visits_visit"), again(batch).state) == (6, Batch.State.RECORDED)


@pytest.mark.parametrize("when", [1, 2])
def test_a_worker_that_is_killed_while_it_checks_begins_anew(committed, monkeypatch, when):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    rows = [counselling(f"T-000{n}", f"114/3/{day}") for n in (1, 2, 4) for day in (14, 20)]
    recorder, judge, calls = world.actor("recorder"), services._judge, []
    with scoped(recorder):
        batch = upload_batch(uid=uuid4(), kind=Kind.VISITS, content=csv_of(*rows), by=recorder)

    def killed(*args):
        calls.append(args)
        if len(calls) == when:
            raise _Killed
        return judge(*args)

    with monkeypatch.context() as patched:
        patched.setattr(services, "_judge", killed)
        with suppress(_Killed):
            check_batch(uid=batch.uid, by=recorder)
    check_batch(uid=batch.uid, by=recorder)
    assert {status for status, _codes in rows_of(batch).values()} == {"good"}
    assert len(rows_of(batch)) == 6


def test_where_the_journal_fails_nothing_is_recorded_and_somebody_decides_again(committed, monkeypatch):
    batch, recorder = sent(csv_of(counselling())), world.actor("recorder")
    with scoped(recorder):
        ask_recording(batch=batch, all_or_none=False, by=recorder)
    note = services.journal.record

    def broken(action, **values):
        if action == "batch.record":
            raise RuntimeError("the journal is full")
        note(action, **values)

    with monkeypatch.context() as patched:
        patched.setattr(services.journal, "record", broken)
        with pytest.raises(RuntimeError):
            record_batch(uid=batch.uid, by=recorder)
    assert count("visits_visit") == 0
    assert (again(batch).state, told(again(batch))) == (Batch.State.CHECKED, ["recording-failed"])
    assert record(batch).recorded == 1


def test_how_far_the_recording_is_can_be_seen_while_it_goes_on(committed, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    monkeypatch.setattr(services, "_TELL_EVERY", 0)
    rows = [counselling(f"T-000{n}", f"114/3/{day}") for n in (1, 2, 4) for day in (14, 20)]
    batch, seen = sent(csv_of(*rows)), []
    tell = services._Progress.tell

    def telling(self, done):
        tell(self, done)
        self._voice.submit(lambda: None).result()
        with committed.owner() as other:
            seen.append(other.execute("SELECT state, done FROM batches_batch").fetchone())

    monkeypatch.setattr(services._Progress, "tell", telling)
    record(batch)
    assert seen == [("recording", 2), ("recording", 4), ("recording", 6)]
    connection.close()

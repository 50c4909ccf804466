"""Visits by file, the whole way: sent, read and checked, recorded; beside its floor in the same run, the same rows copied in by
the owner without rules, encryption or the checks that bind the application. And a list compared.

As a program it does what the worker does, as the application role: a file in, seconds and memory out.
"""

import csv
import io
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from .nation import BASELINE_ON, OPEN_DAYS, Nation

INSTITUTION = 1  # of the nation; its account has the same number
FIRST_SERIAL = 2_000_000  # of identity numbers: nobody of the nation has them
AIMS = {"visits_a_second": 5_000, "of_the_floor": 0.4, "megabytes": 600, "comparison_seconds": 1.0}
COMPARED = 5_000  # rows of the list


def measure(nation: Nation, *, rows: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Django must be set up as the owner. Raises RuntimeError unless every row became a visit, whole."""
    people = math.ceil(rows / len(OPEN_DAYS))
    registered = _work(nation, "persons", _persons(people))
    with psycopg.connect(nation.superuser_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE cases_person, cases_case, cases_baseline")
        given = list(_given(people, rows))
        before = connection.execute("SELECT count(*) FROM visits_visit").fetchone()
        floor = _floor(connection, given)
        compared, rest = given[:COMPARED], given[COMPARED:]
        first = _work(nation, "visits", _visits(compared))
        again = _work(nation, "compare", _visits(compared))  # with a month of as many visits as the list has
        done = _work(nation, "visits", _visits(rest)) if rest else dict.fromkeys(first, 0)
        done = {name: value + first[name] for name, value in done.items()} | {
            "megabytes": max(first["megabytes"], done["megabytes"])
        }
        after = connection.execute("SELECT count(*) FROM visits_visit").fetchone()
    assert before
    assert after
    if (after[0] - before[0], registered["recorded"], done["recorded"]) != (rows, people, rows):
        raise RuntimeError(f"of {rows} rows {after[0] - before[0]} are visits")
    whole = done["checking"] + done["recording"]
    ratio = floor / done["recording"]
    result = {
        "rows": rows, "persons": {"rows": people, "a_second": round(people / (registered["checking"] + registered["recording"]))},
        "seconds": {"reading_and_checking": round(done["checking"], 2), "recording": round(done["recording"], 2), "floor": round(floor, 2)},
        "visits_a_second": {"recorded": round(rows / done["recording"]), "whole_way": round(rows / whole), "floor": round(rows / floor)},
        # Of this program alone, whatever else the machine does: what the rules and Python cost.
        "processor_seconds": {"reading_and_checking": round(done["processor_checking"], 2), "recording": round(done["processor_recording"], 2)},
        "of_the_floor": round(ratio, 3), "megabytes": max(done["megabytes"], registered["megabytes"]),
        "comparison": {"rows": len(compared), "seconds": round(again["comparing"], 2)}, "aims": AIMS,
    }  # fmt: skip
    result["met"] = (
        rows / done["recording"] >= AIMS["visits_a_second"] and ratio >= AIMS["of_the_floor"]
        and result["megabytes"] < AIMS["megabytes"] and again["comparing"] < AIMS["comparison_seconds"]
    )  # fmt: skip
    tell(f"files: {result}")
    return result


def _persons(people: int) -> bytes:
    """With their intakes: a course of medication needs one."""
    from quitledger.policy.identity import make_up

    titles = [
        "身分證字號",
        "出生日期",
        "性別",
        "姓名",
        "病歷號",
        "評估日期",
        *(f"成癮度第 {n} 題" for n in range(1, 7)),
        "平均每日支數",
        "健保在保",
    ]
    intake = [BASELINE_ON.isoformat(), "5 分鐘以內", "是", "早上第一支", "11 到 20 支", "否", "否", "20", "是"]
    rows = (
        [make_up(FIRST_SERIAL + n), date(1950, 1, 1).replace(year=1950 + n % 50, month=1 + n % 12).isoformat(), "男女"[n % 2], f"示範{n}", f"F{n}", *intake]
        for n in range(people)
    )  # fmt: skip
    return _csv(titles, rows)


def _given(people: int, rows: int) -> Iterator[tuple[int, date]]:
    """Who came when: as systems export it, day by day."""
    days = [(n, day) for day in OPEN_DAYS for n in range(people)]
    return iter(days[:rows])


def _visits(given: list[tuple[int, date]]) -> bytes:
    titles = ["病歷號", "就醫日期", "用藥人員", "藥品代碼", "週數", "衛教人員", "平均每日支數", "一氧化碳", "備註"]
    return _csv(titles, (
        [f"F{n}", day.isoformat(), "示範人員 2", "DEMO000001", "1", "示範人員 1", str(n % 30), str(n % 25), "" if n % 4 else "食慾增加"]
        for n, day in given
    ))  # fmt: skip


def _csv(titles: list[str], rows: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(titles)
    writer.writerows(rows)
    return text.getvalue().encode()


def _floor(connection: psycopg.Connection, given: list[tuple[int, date]]) -> float:
    """Seconds of copying the rows in, as the owner, with their history; undone, for the same rows are recorded afterwards."""
    from django.db import transaction

    from quitledger.accounts.actors import SYSTEM
    from quitledger.accounts.scope import scoped
    from quitledger.audit.staging import as_copied, copy_in

    known = dict(
        connection.execute(
            "SELECT chart_no, ARRAY[id, person_id] FROM cases_case WHERE institution_id = %s AND chart_no LIKE 'F%%'",
            [INSTITUTION],
        ).fetchall()
    )
    first = 1 << 40  # keys that nobody has
    visits, services, lines = [], [], []
    for number, (n, day) in enumerate(given):
        case, person = known[f"F{n}"]
        visits.append([first + number, uuid4(), case, person, INSTITUTION, day, n % 30, n % 25, False, True, 1, "", ""])
        for other, (kind, mode, staff) in enumerate((("medication", "", 2), ("counselling", "in_person", 1))):
            key = first + 2 * number + other
            services.append([key, first + number, person, INSTITUTION, day, True, kind, staff, mode, 5, uuid4(), 1])
        lines.append([first + number, first + 2 * number, first + number, INSTITUTION, "DEMO000001", 1, 7, 1])
    with scoped(SYSTEM):
        begin = time.perf_counter()
        copy_in("visits_visit", _VISIT, as_copied(visits))
        copy_in("visits_service", _SERVICE, as_copied(services))
        copy_in("visits_medicationline", _LINE, as_copied(lines))
        seconds = time.perf_counter() - begin
        transaction.set_rollback(True)
    connection.execute("VACUUM visits_visit, visits_service, visits_medicationline")
    return seconds


_VISIT = ("id", "uid", "case_id", "person_id", "institution_id", "visit_on", "cigarettes_per_day", "co_ppm", "pregnant",
          "in_force", "version", "note", "change_reason")  # fmt: skip
_SERVICE = ("id", "visit_id", "person_id", "institution_id", "visit_on", "in_force", "kind", "staff_id", "counselling_mode",
            "spacing_days", "entry_uid", "version")  # fmt: skip
_LINE = ("id", "service_id", "visit_id", "institution_id", "medicine_code", "supply_weeks", "supply_days", "version")


# --- The program: what the worker does -------------------------------------------------------------------------------


def _work(nation: Nation, what: str, content: bytes) -> dict[str, Any]:
    """Let a program of its own, as the application role, do it; what it measured."""
    path = nation.folder / "sent"
    path.write_bytes(content)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("QUITLEDGER_ROLE", "DATABASE_OWNER_URL")
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__, what, str(path)], env=environment | {"DATABASE_URL": nation.app_url},
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Do what the first word says with the file of the second."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "quitledger.settings"

    import django

    django.setup()
    from quitledger.accounts.actors import Actor
    from quitledger.accounts.permissions import Role
    from quitledger.accounts.scope import scoped
    from quitledger.batches.columns import Kind
    from quitledger.batches.comparison_services import compare_list
    from quitledger.batches.models import Batch
    from quitledger.batches.services import ask_recording, check_batch, record_batch, upload_batch
    from quitledger.ops.interpreter import settle

    settle()
    what, content, by = sys.argv[1], Path(sys.argv[2]).read_bytes(), Actor(INSTITUTION, INSTITUTION, Role.RECORDER)
    result: dict[str, Any] = {}
    if what == "compare":
        begin = time.perf_counter()
        with scoped(by):
            compare_list(uid=uuid4(), month=OPEN_DAYS[0].replace(day=1), content=content, by=by)
        result["comparing"] = time.perf_counter() - begin
    else:
        with scoped(by):
            batch = upload_batch(uid=uuid4(), kind=Kind(what), content=content, by=by)
        begin, used = time.perf_counter(), time.process_time()
        check_batch(uid=batch.uid, by=by)
        result["checking"], result["processor_checking"] = time.perf_counter() - begin, time.process_time() - used
        with scoped(by):
            ask_recording(batch=batch, all_or_none=True, by=by)
        begin, used = time.perf_counter(), time.process_time()
        record_batch(uid=batch.uid, by=by)
        result["recording"], result["processor_recording"] = time.perf_counter() - begin, time.process_time() - used
        with scoped(by):
            result["recorded"] = Batch.objects.get(pk=batch.pk).recorded
    result["megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""登記簿與統計 of the desk: page and file say the same numbers."""

import csv
from io import StringIO
from typing import Any

import pytest

from quitledger.corrections.services import Decision

from ..corrections.scene import claimed, decided, late, sent
from .conftest import Browser

REJECTED = Decision("rejected", "evidence")


def rows(text: str) -> list[dict[str, str]]:
    lines = text.removeprefix("\ufeff").splitlines()
    return list(csv.DictReader(StringIO("\n".join(lines[1:]))))  # the first line says that they are made up


def test_the_file_says_what_the_page_says(committed: Any) -> None:
    decided(claimed(lambda: [late()]))
    decided(claimed(lambda: [late()], name="示範乙"), REJECTED)
    sent(lambda: [late()], name="示範丁")
    desk = Browser("desk_officer")
    page = desk.get("/corrections/numbers?first=114/4&last=114/4").text
    found = rows(desk.get("/corrections/numbers.csv?first=114/4&last=114/4").text)
    month, institution, reason = found
    assert (month["分組"], month["項目"]) == ("收件月份", "114 年 4 月")
    assert [month[name] for name in ("收件", "處理中", "核可", "部分核可", "退回", "撤回")] == [
        "3",
        "1",
        "1",
        "0",
        "1",
        "0",
    ]
    assert month["處理天數中位數"] == "0.0"
    assert institution["項目"] in page
    assert (reason["分組"], reason["項目"], reason["退回"]) == ("退回原因", "證明文件不足", "1")
    assert desk.get("/corrections/numbers.ods").status_code == 200


@pytest.mark.parametrize("query", ["first=114/4&last=114/3", "first=x"])
def test_months_that_are_none_are_no_file(query: str, committed: Any) -> None:
    assert Browser("desk_officer").get(f"/corrections/numbers.csv?{query}").status_code == 404

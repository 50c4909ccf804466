"""What may be published. Pure: every function returns all problems at once."""

from datetime import date

from quitledger.policy.problem import Problem
from quitledger.policy.sentences import Sentence

NOTE_LENGTH = 500


def check_period(first: date, end: date, last: date, today: date) -> list[Problem]:
    """A year, `first` to `end`, or a part of it up to `last`: as far as it has gone by."""
    if first > today:
        return [Problem("year-not-begun", Sentence("這一年還沒開始，還沒有可以公布的數字。"), "until")]
    problems = []
    if not first <= last <= end:
        message = Sentence("請填 {first} 到 {last} 之間的日期。", first=first, last=end)
        problems.append(Problem("until-not-in-year", message, "until"))
    if last > today:
        message = Sentence("{last} 還沒到。今天是 {today}，最多統計到今天。", last=last, today=today)
        problems.append(Problem("until-in-future", message, "until"))
    return problems


def check_publication(*, is_first: bool, is_same: bool, note: str) -> list[Problem]:
    """A new version says why there is one; all the more where it says the same as the one before."""
    if is_first or note.strip():
        return []
    if is_same:
        message = Sentence("數字、定義與期間都和上一版相同。還是要公布的話，請寫下原因。")
    else:
        message = Sentence("已經公布過。請寫下為什麼公布新版本，它會和差異一起公開。")
    return [Problem("note-missing", message, "note")]

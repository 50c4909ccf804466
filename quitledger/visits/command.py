"""`quitledger window`: the recording window of a visit day. Needs no Django, and with `--at` no database."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click

from quitledger.policy import TAIPEI, DateError, PolicyGap, format_closing, format_roc, format_roc_weekday, parse_moment
from quitledger.policy.command import RocDate, json_option
from quitledger.visits.rules import Window, recording_window


class Moment(click.ParamType[datetime]):
    """A moment with the day in ROC or ISO form; Taipei time unless an offset is given."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return parse_moment(value)
        except DateError as fault:
            self.fail(str(fault), param, ctx)


@click.command(short_help="某日就醫的登錄期限 / The recording window of a day")
@click.argument("visit_on", metavar="DATE", type=RocDate())
@click.option(
    "--at",
    "moment",
    type=Moment(),
    metavar="MOMENT",
    help="以哪個時刻判斷（114/3/20 23:59 或 2025-03-20T23:59:59+08:00），預設現在；給了就不需要資料庫。"
    " / The moment to judge by, now unless given; with it no database is needed.",
)
@json_option
@click.pass_context
def window(ctx: click.Context, visit_on: date, moment: datetime | None, as_json: bool) -> None:
    """顯示 DATE（114/2/15、1140215 或 2025-02-15）就醫的登錄期限。個別延長未計入。

    Show the recording window of a visit on DATE. Extensions granted by the desk are not counted in.
    """
    try:
        found = recording_window(visit_on)
    except PolicyGap as gap:
        raise click.ClickException(str(gap)) from None
    if moment is None:
        moment = _clock(ctx)()
    click.echo(_as_json(visit_on, found, moment) if as_json else _in_words(visit_on, found, moment))


def _clock(ctx: click.Context) -> Callable[[], datetime]:
    """The programme clock that the caller put into the context (`obj={"now": …}`), else that of this machine."""
    clock: Callable[[], datetime] = (ctx.obj or {}).get("now", lambda: datetime.now(TAIPEI))
    return clock


def _as_json(visit_on: date, found: Window, moment: datetime) -> str:
    answer = {
        "visit_on": visit_on.isoformat(),
        "opens_at": found.opens_at.isoformat(),
        "closes_at": found.closes_at.isoformat(),
        "open": found.is_open(moment),
        "hours_24_until": found.prompt_until.isoformat(),
    }
    return json.dumps(answer, indent=2)


def _in_words(visit_on: date, found: Window, moment: datetime) -> str:
    if found.is_open(moment):
        state = "可以登錄。"
    elif moment < found.opens_at:
        state = "就醫日期還沒到，不能登錄。"
    else:
        state = "登錄期限已過，機構不能再自行新增、修改或刪除。可向管理窗口申請補登。"
    local = moment.astimezone(TAIPEI)
    return "\n".join(
        [
            f"就醫日期：{format_roc_weekday(visit_on)}",
            f"開始登錄：{format_roc(visit_on)} 00:00",
            f"24 小時內：到 {format_closing(found.prompt_until)}",
            f"登錄期限：到 {format_closing(found.closes_at)}（個別延長未計入）",
            f"{format_roc(local.date())} {local:%H:%M:%S}：{state}",
        ]
    )

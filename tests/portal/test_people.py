"""人員與帳號 by its pages: the slip, the way in with it, resets, leaving, notices, the monthly list."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from quitledger.accounts.models import User
from quitledger.accounts.scope import scoped
from quitledger.visits.models import Draft

from .. import world
from .conftest import Browser, journaled, staff_uids, visit_page

PASSWORD = "lantern-cedar-88-wave"
NEW = {"display_name": "示範新人", "username": "new.person", "role": "recorder", "staff": ""}


@pytest.fixture
def supervisor(browse: Any) -> Browser:
    return browse("supervisor")


def place(username: str, code: str = world.CLINIC) -> str:
    """The address of somebody's place."""
    return f"/people/{world.uid(f'place of {username} {code}')}"


def invited(browser: Browser, **changes: Any) -> Any:
    return browser.send("/people/new", {"uid": uuid4()} | NEW | changes)


def code_on(slip: Any) -> str:
    """The code on a slip."""
    return re.search(r'class="code">([^<]+)<', slip.text)[1]  # type: ignore[index]


def accept(browser: Browser, code: str, username: str = "new.person", password: str = PASSWORD) -> Any:
    fields = {"username": username, "code": code, "password": password, "again": password}
    return browser.send("/invitation", fields)


def sign_in(browser: Browser, username: str = "new.person", password: str = PASSWORD) -> Any:
    return browser.send("/accounts/login", {"login": username, "password": password})


# --- The slip ---------------------------------------------------------------------------------------------------------


def test_from_the_slip_to_the_first_page(supervisor: Browser, browse: Any) -> None:
    with journaled() as entries:
        slip = invited(supervisor)
    assert slip.status_code == 200
    assert "no-store" in slip["Cache-Control"]
    assert "示範戒菸診所" in slip.text
    assert "http://testserver/invitation" in slip.text
    assert code_on(slip) not in "".join(entry.text for entry in entries)
    newcomer = browse()
    assert accept(newcomer, code_on(slip))["Location"] == "/accounts/login"
    assert "密碼已設定" in newcomer.get("/accounts/login").text
    assert sign_in(newcomer).status_code == 302
    assert "示範新人" in newcomer.get("/").text
    assert newcomer.get("/people").status_code == 403


def test_a_double_click_shows_the_same_slip(supervisor: Browser) -> None:
    form = uuid4()
    assert code_on(invited(supervisor, uid=form)) == code_on(invited(supervisor, uid=form))
    assert User.objects.filter(username="new.person").count() == 1


def test_what_was_typed_stays_and_each_fault_stands_beside_its_field(supervisor: Browser) -> None:
    page = invited(supervisor, username="recorder", display_name="示範\x07人")
    assert page.status_code == 422
    assert "控制字元" in page.text
    page = invited(supervisor, username="recorder")
    assert page.status_code == 422
    assert "已經有人使用" in page.text
    assert 'value="示範新人"' in page.text


def test_somebody_who_has_an_account_gets_a_place_without_a_slip(supervisor: Browser) -> None:
    answer = invited(supervisor, username="stranger", display_name="示範卯", is_known="on")
    assert answer.status_code == 302
    page = supervisor.get(answer["Location"]).text
    assert "從今天起可以在本機構登錄" in page
    assert "也在別的機構任職" in page, "and is reset by the desk"


def test_the_desk_invites_the_first_supervisor_by_the_institutions_code(browse: Any) -> None:
    desk = browse("desk_officer")
    refused = invited(desk, institution="1234567890", role="supervisor")
    assert "找不到這個代碼的機構" in refused.text
    slip = invited(desk, institution=world.HOSPITAL, role="supervisor")
    assert "示範醫院" in slip.text
    assert "new.person" in desk.get(f"/people?q={world.HOSPITAL}").text


# --- Codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "AAAA-AAAA-AAAA"}, "帳號或一次性代碼不正確"),
        ({"username": "nobody.at.all"}, "帳號或一次性代碼不正確"),
        ({"username": "𠮷\x00"}, "控制字元"),
        ({"again": "something-else-99"}, "兩次輸入的新密碼不同"),
        ({"password": "short", "again": "short"}, "密碼"),
        ({"code": ""}, "請填一次性代碼"),
    ],
)
def test_a_wrong_slip_is_refused_in_words(
    supervisor: Browser, browse: Any, changes: dict[str, str], words: str
) -> None:
    code = code_on(invited(supervisor))
    fields = {"username": "new.person", "code": code, "password": PASSWORD, "again": PASSWORD} | changes
    page = browse().send("/invitation", fields)
    assert page.status_code == 422
    assert words in page.text
    assert PASSWORD not in page.text


def test_guessing_codes_is_slowed_down_until_the_supervisor_lifts_it(supervisor: Browser, browse: Any) -> None:
    slip = invited(supervisor)
    person = re.search(r'href="(/people/[^"]+)">印好了', slip.text)[1]  # type: ignore[index]
    guesser = browse()
    assert [accept(guesser, "AAAA-AAAA-AAAA").status_code for _ in range(6)] == [422] * 5 + [429]
    assert accept(guesser, code_on(slip)).status_code == 429
    assert "解除暫停登入" in supervisor.get(person).text
    with journaled() as entries:
        supervisor.send(f"{person}/unlock", {})
    assert "account.unlock" in [entry.action for entry in entries]
    assert "解除暫停登入" not in supervisor.get(person).text
    assert accept(browse(), code_on(slip)).status_code == 302


def test_a_mistyped_password_is_forgiven_by_the_supervisor(supervisor: Browser, browse: Any) -> None:
    for _ in range(5):
        sign_in(browse(), "recorder", "wrong")
    assert sign_in(browse(), "recorder", world.PASSWORD).status_code == 429
    supervisor.send(f"{place('recorder')}/unlock", {})
    assert sign_in(browse(), "recorder", world.PASSWORD).status_code == 302


# --- Resets -----------------------------------------------------------------------------------------------------------


def test_a_reset_signs_the_person_out_and_is_told_until_it_was_seen(supervisor: Browser, browse: Any) -> None:
    elsewhere = browse("recorder")
    assert elsewhere.get("/").status_code == 200
    slip = supervisor.send(f"{place('recorder')}/password", {"uid": uuid4()})
    assert "密碼重設單" in slip.text
    assert elsewhere.get("/")["Location"].startswith("/accounts/login")
    assert sign_in(browse(), "recorder", world.PASSWORD).status_code == 422
    person = browse()
    accept(person, code_on(slip), "recorder")
    sign_in(person, "recorder")
    for url in ("/", "/visits"):
        assert "有人變更了您的登入方式" in person.get(url).text
    page = person.get("/notices").text
    assert "密碼已重設" in page
    assert "示範主管" in page
    assert person.send("/notices", {}).status_code == 302
    assert "有人變更了您的登入方式" not in person.get("/").text
    sign_in(again := browse(), "recorder")
    assert "有人變更了您的登入方式" not in again.get("/").text


def test_whom_the_desk_resets_is_said_to_the_supervisor(supervisor: Browser, browse: Any) -> None:
    assert "由管理窗口重設" in supervisor.get(place("both")).text
    assert supervisor.send(f"{place('both')}/password", {"uid": uuid4()}).status_code == 422
    assert browse("desk_officer").send(f"{place('both')}/password", {"uid": uuid4()}).status_code == 200


# --- Change, leaving --------------------------------------------------------------------------------------------------


def test_a_linked_staff_member_comes_up_on_the_recording_page(supervisor: Browser, browse: Any) -> None:
    (staff,) = staff_uids("示範子")
    answer = supervisor.send(
        f"{place('recorder')}/change", {"display_name": "示範子", "role": "recorder", "staff": staff}
    )
    assert answer.status_code == 302
    assert re.search(rf'<option value="{staff}" selected>', browse("recorder").get(visit_page()).text)
    assert "沒有變更" in supervisor.get(
        supervisor.send(f"{place('recorder')}/change", {"display_name": "示範子", "role": "recorder", "staff": staff})["Location"]
    ).text  # fmt: skip


def test_whoever_leaves_today_is_out_at_his_next_click_and_his_drafts_go_on(supervisor: Browser, browse: Any) -> None:
    leaver = browse("recorder")
    with scoped(by := world.actor("recorder")):
        Draft.objects.create(
            institution_id=by.institution_id, account_id=by.account_id, case=world.case(), contents={"note": ["未完"]}
        )
    page = supervisor.send(f"{place('recorder')}/end", {"ends_on": "114/4/1", "drafts_to": ""})
    assert page.status_code == 422
    assert "請選擇接手草稿的同事" in page.text
    colleague = world.uid(f"place of colleague {world.CLINIC}")
    answer = supervisor.send(f"{place('recorder')}/end", {"ends_on": "114/4/1", "drafts_to": colleague})
    said = supervisor.get(answer["Location"]).text
    assert "已登記 示範子 的最後一天 114/04/01" in said
    assert "1 筆草稿已轉交 示範丑" in said
    assert leaver.get("/")["Location"].startswith("/accounts/login")
    sign_in(leaver, "recorder", world.PASSWORD)
    assert "您的帳號還沒有任職的機構" in leaver.get("/").text
    assert "還沒登錄的草稿" in browse("colleague").get("/").text
    assert "已離職" in supervisor.get("/people").text


def test_drafts_left_behind_are_passed_on_later(supervisor: Browser, browse: Any) -> None:
    supervisor.send(f"{place('recorder')}/end", {"ends_on": "114/3/31"})
    with scoped(world.SYSTEM):
        by = world.actor("recorder")
    with scoped(by):
        Draft.objects.create(
            institution_id=by.institution_id, account_id=by.account_id, case=world.case(), contents={"note": ["未完"]}
        )
    assert "轉交 1 筆草稿" in supervisor.get(place("recorder")).text
    assert supervisor.send(f"{place('recorder')}/drafts", {"drafts_to": ""}).status_code == 422
    colleague = world.uid(f"place of colleague {world.CLINIC}")
    assert supervisor.send(f"{place('recorder')}/drafts", {"drafts_to": colleague}).status_code == 302
    assert "沒有要轉交的草稿" in supervisor.get(f"{place('recorder')}/drafts").text
    assert "還沒登錄的草稿" in browse("colleague").get("/").text


def test_a_last_day_to_come_changes_nothing_yet_and_can_be_taken_back(supervisor: Browser, browse: Any) -> None:
    recorder = browse("recorder")
    supervisor.send(f"{place('recorder')}/end", {"ends_on": "114/4/30"})
    assert recorder.get("/cases/find").status_code == 200
    assert "即將離職" in supervisor.get(place("recorder")).text
    assert "清空日期送出" in supervisor.get(f"{place('recorder')}/end").text
    supervisor.send(f"{place('recorder')}/end", {"ends_on": ""})
    assert "即將離職" not in supervisor.get(place("recorder")).text


# --- The monthly list -------------------------------------------------------------------------------------------------


def test_unused_accounts_are_a_task_until_confirmed(committed: Any, owner: Any) -> None:
    long_ago = world.NOW - timedelta(days=91)
    owner.execute("UPDATE accounts_user SET last_login = %s WHERE username <> 'recorder'", [world.NOW])
    owner.execute("UPDATE accounts_user SET created_at = %s WHERE username = 'recorder'", [long_ago])
    supervisor = Browser("supervisor")
    assert "1 個帳號很久沒有登入" in supervisor.get("/").text
    page = supervisor.get("/people").text
    assert "本月待確認 1 個帳號" in page
    assert "還沒有登入過" in page
    supervisor.send(f"{place('recorder')}/confirm", {})
    assert "本月待確認" not in supervisor.get("/people").text
    assert "個帳號很久沒有登入" not in supervisor.get("/").text


def test_a_sign_in_is_noted_by_the_programmes_clock(browse: Any) -> None:
    sign_in(browse(), "recorder", world.PASSWORD)
    noted = User.objects.get(username="recorder").last_login
    assert noted is not None
    assert world.NOW <= noted < world.NOW + timedelta(hours=2)


def test_reading_the_list_of_people_is_journaled(supervisor: Browser) -> None:
    with journaled() as entries:
        supervisor.get("/people?q=示範子")
    (entry,) = entries
    assert entry.action == "account.read"
    assert entry.uids == [User.objects.get(username="recorder").uid]

"""人員與帳號: who works at the institution with an account; inviting, resetting, changing, leaving. For supervisors, and
for the desk at every institution."""

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from quitledger.accounts.models import User
from quitledger.accounts.permissions import INSTITUTION_ROLES, Permission, Role
from quitledger.accounts.services import IssuedCode
from quitledger.accounts.sign_in import is_slowed_down
from quitledger.audit import journal
from quitledger.institutions import rules
from quitledger.institutions.membership_services import (
    Invitation,
    change_membership,
    confirm_membership,
    end_membership,
    invite,
    lift_lockout,
    place_of,
    reset_password,
    reset_second_factor,
)
from quitledger.institutions.models import Institution, InstitutionDetails, Membership, StaffContract
from quitledger.institutions.queries import Person, find_memberships, membership_of, people, to_confirm
from quitledger.policy.problem import Problem, Refused
from quitledger.visits.queries import drafts_left
from quitledger.visits.services import hand_over_drafts

from .forms import Form, PlainTextField, RocDateField, add_problems, shown
from .languages import day_said
from .permissions import needs
from .transactions import Desk, Request

PAGE_ROWS = 50
_ROLES = [(role.value, role.label) for role in INSTITUTION_ROLES]


def _name_field() -> PlainTextField:
    return shown(
        PlainTextField(label=gettext_lazy("姓名"), max_length=User._meta.get_field("display_name").max_length),
        width="l",
    )


def _staff_field() -> forms.UUIDField:
    hint = gettext_lazy("本人也提供用藥或衛教時選；登錄就醫資料時會先帶出")
    field = forms.UUIDField(label=gettext_lazy("醫事人員"), help_text=hint, widget=forms.Select, required=False)
    return shown(field, grow=True)


class InviteForm(Form):
    """Somebody to be invited. `institution` is asked of the desk alone."""

    uid = forms.UUIDField(widget=forms.HiddenInput)
    institution = shown(PlainTextField(label=gettext_lazy("機構代碼"), max_length=10), width="m")
    display_name = _name_field()
    username = shown(
        PlainTextField(
            label=gettext_lazy("帳號"), help_text=gettext_lazy("登入用的名稱，例：wang.mei"), max_length=60
        ),
        width="l",
    )  # fmt: skip
    is_known = forms.BooleanField(
        label=gettext_lazy("這個人已有帳號"),
        help_text=gettext_lazy("例：也在別的機構任職。帳號與姓名須與本人的完全相同"),
        required=False,
    )
    role = forms.ChoiceField(
        label=gettext_lazy("角色"), choices=_ROLES, widget=forms.RadioSelect, initial=Role.RECORDER
    )
    staff = _staff_field()

    def __init__(self, *args: Any, institution: Institution | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if institution is None:  # the staff of an institution that is yet to be typed cannot be listed
            del self.fields["staff"]
        else:
            del self.fields["institution"]
            _offer_staff(self, institution)

    def clean_institution(self) -> Institution:
        """The institution that has the code."""
        details = (
            InstitutionDetails.objects.filter(code=self.cleaned_data["institution"]).order_by("-starts_on").first()
        )
        if details is None:
            raise forms.ValidationError(_("找不到這個代碼的機構，請確認 10 位數代碼。"))
        return details.institution


class ChangeForm(Form):
    """Name, role and staff member of an account's place."""

    display_name = _name_field()
    role = forms.ChoiceField(label=gettext_lazy("角色"), choices=_ROLES, widget=forms.RadioSelect)
    staff = _staff_field()


class DraftsForm(Form):
    """Who goes on with the drafts of somebody who leaves."""

    drafts_to = shown(
        forms.UUIDField(label=gettext_lazy("接手草稿的同事"), widget=forms.Select, required=False),
        grow=True,
        asked=True,
    )


class EndForm(DraftsForm):
    """The last day; left empty it is taken back."""

    ends_on = shown(
        RocDateField(label=gettext_lazy("最後一天"), help_text=gettext_lazy("例：114/4/30。填今天或更早，立即登出"), required=False),
        width="m", asked=True,
    )  # fmt: skip
    field_order = ("ends_on", "drafts_to")


def _offer_staff(form: Form, institution: Institution) -> None:
    contracts = StaffContract.objects.filter(institution=institution).select_related("staff").order_by("staff__name")
    offered = {str(contract.staff.uid): str(contract.staff) for contract in contracts}
    form.fields["staff"].widget.choices = [("", _("不連結")), *offered.items()]


def _offer_colleagues(form: Form, membership: Membership, desk: Desk) -> None:
    colleagues = (
        Membership.objects.filter(institution=membership.institution).in_force_on(desk.today)
        .exclude(user=membership.user).select_related("user").order_by("user__display_name")
    )  # fmt: skip
    offered = [(str(one.uid), f"{one.user.display_name}（{one.user.username}）") for one in colleagues]
    form.fields["drafts_to"].widget.choices = [("", _("請選擇")), *offered]


def _person_or_404(request: Request, uid: UUID) -> Person:
    membership = membership_of(uid, by=request.desk.actor)
    if membership is None:
        raise Http404
    (person,) = people([membership], by=request.desk.actor, moment=request.desk.moment)
    return person


# --- Lists -----------------------------------------------------------------------------------------------------------


@needs(Permission.ACCOUNT_READ)
@require_safe
def person_list(request: Request) -> HttpResponse:
    """Everybody with an account, and those whose account has to be confirmed this month. `q`: part of a name."""
    desk, words = request.desk, request.GET.get("q", "").replace("\x00", "").strip()
    page = Paginator(find_memberships(desk.actor, words=words), PAGE_ROWS).get_page(request.GET.get("page"))
    rows = people(list(page), by=desk.actor, moment=desk.moment)
    waiting = to_confirm(desk.actor, desk.moment)
    confirm = people(list(waiting[:PAGE_ROWS]), by=desk.actor, moment=desk.moment)
    journal.record(
        Permission.ACCOUNT_READ, record_type="account",
        uids=sorted({row.membership.user.uid for row in [*rows, *confirm]}),
    )  # fmt: skip
    context = {"page": page, "rows": rows, "confirm": confirm, "waiting": waiting.count(), "q": words}
    return render(request, "people/list.html", context)


@needs(Permission.ACCOUNT_READ)
@require_safe
def person_show(request: Request, uid: UUID) -> HttpResponse:
    """One person's account at an institution, and what can be done with it."""
    person, desk = _person_or_404(request, uid), request.desk
    membership = person.membership
    place = place_of(membership, desk.today, desk.actor)
    journal.record(Permission.ACCOUNT_READ, record_type="account", uids=[membership.user.uid])
    context = {
        "person": person,
        "refused": rules.check_reset(place, by_desk=desk.actor.institution_id is None),
        "drafts": drafts_left(membership.institution_id).get(membership.user_id, 0),
        "slow": is_slowed_down(membership.user),
    }
    return render(request, "people/show.html", context)


# --- Slips -----------------------------------------------------------------------------------------------------------


def _slip(request: Request, membership: Membership, issued: IssuedCode, *, invited: bool) -> HttpResponse:
    """The slip with the one-time code: shown in answer to the form that made it, never at an address of its own."""
    (person,) = people([membership], by=request.desk.actor, moment=request.desk.moment)
    context = {
        "person": person, "issued": issued, "invited": invited,
        "address": request.build_absolute_uri(reverse("account_accept")),
    }  # fmt: skip
    return render(request, "people/slip.html", context)


@never_cache
@needs(Permission.ACCOUNT_INVITE)
@require_http_methods(["GET", "HEAD", "POST"])
def person_invite(request: Request) -> HttpResponse:
    """Invite somebody: a new account gets a slip, one that exists a place."""
    desk = request.desk
    here = Institution.objects.filter(pk=desk.actor.institution_id or 0).first()
    form = InviteForm(request.POST or None, institution=here, initial={"uid": uuid4()})
    if form.is_valid():
        data = form.cleaned_data
        invitation = Invitation(
            data["username"], data["display_name"], data["role"], data.get("staff"), data["is_known"]
        )
        try:
            membership, issued = invite(
                invitation, institution=here or data["institution"], form_uid=data["uid"], moment=desk.moment,
                by=desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            if issued is not None:
                return _slip(request, membership, issued, invited=True)
            messages.success(request, _("%(name)s 從今天起可以在本機構登錄。") % {"name": membership.user.display_name})
            return redirect("person_show", membership.uid)
    return render(request, "people/invite.html", {"form": form}, status=422 if form.errors else 200)


@never_cache
@needs(Permission.ACCOUNT_RESET)
@require_http_methods(["GET", "HEAD", "POST"])
def person_password(request: Request, uid: UUID) -> HttpResponse:
    """Reset the password: a slip with a new one-time code. Also for an invitation whose slip was lost."""
    person = _person_or_404(request, uid)
    form = UidForm(request.POST or None, initial={"uid": uuid4()})
    if form.is_valid():
        try:
            issued = reset_password(
                person.membership, form_uid=form.cleaned_data["uid"], moment=request.desk.moment, by=request.desk.actor
            )
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            return _slip(request, person.membership, issued, invited=False)
    return render(request, "people/password.html", {"person": person, "form": form}, status=422 if form.errors else 200)


class UidForm(Form):
    """No field but the one that makes it one deed however often it is sent."""

    uid = forms.UUIDField(widget=forms.HiddenInput)


# --- Deeds -----------------------------------------------------------------------------------------------------------


@needs(Permission.ACCOUNT_RESET)
@require_http_methods(["GET", "HEAD", "POST"])
def person_second_factor(request: Request, uid: UUID) -> HttpResponse:
    """Remove the second factors of somebody who lost his telephone."""
    person = _person_or_404(request, uid)
    form = Form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            removed = reset_second_factor(person.membership, moment=request.desk.moment, by=request.desk.actor)
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            name = person.membership.user.display_name
            if removed:
                messages.success(request, _("已移除 %(name)s 的驗證器 App、密碼金鑰與復原代碼。") % {"name": name})
            else:
                messages.info(request, _("%(name)s 沒有設定驗證器 App 或密碼金鑰，不需要重設。") % {"name": name})
            return redirect("person_show", uid)
    context = {"person": person, "form": form}
    return render(request, "people/second_factor.html", context, status=422 if form.errors else 200)


@needs(Permission.ACCOUNT_CHANGE)
@require_http_methods(["GET", "HEAD", "POST"])
def person_change(request: Request, uid: UUID) -> HttpResponse:
    """Change name, role or the staff member linked."""
    person, desk = _person_or_404(request, uid), request.desk
    membership = person.membership
    now = {
        "display_name": membership.user.display_name, "role": membership.role,
        "staff": membership.staff and membership.staff.uid,
    }  # fmt: skip
    form = ChangeForm(request.POST or None, initial=now)
    _offer_staff(form, membership.institution)
    if form.is_valid():
        data = form.cleaned_data
        try:
            changed = change_membership(
                membership, role=data["role"], display_name=data["display_name"], staff_uid=data["staff"],
                today=desk.today, by=desk.actor,
            )  # fmt: skip
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            if changed:
                messages.success(request, _("已修改 %(name)s 的資料。") % {"name": data["display_name"]})
            else:
                messages.info(request, _("沒有變更。"))
            return redirect("person_show", uid)
    return render(request, "people/change.html", {"person": person, "form": form}, status=422 if form.errors else 200)


@needs(Permission.ACCOUNT_END)
@require_http_methods(["GET", "HEAD", "POST"])
def person_end(request: Request, uid: UUID) -> HttpResponse:
    """Set the last day of somebody who leaves, or take it back; his drafts pass to a colleague."""
    person, desk = _person_or_404(request, uid), request.desk
    membership = person.membership
    drafts = drafts_left(membership.institution_id).get(membership.user_id, 0)
    form = EndForm(request.POST or None, initial={"ends_on": membership.ends_on})
    _offer_colleagues(form, membership, desk)
    if not drafts:
        del form.fields["drafts_to"]
    if request.method == "POST" and form.is_valid():
        ends_on, colleague = form.cleaned_data["ends_on"], form.cleaned_data.get("drafts_to")
        at_once = ends_on is not None and ends_on <= desk.today
        try:
            if at_once and drafts and colleague is None and len(form.fields["drafts_to"].widget.choices) > 1:
                raise Refused([Problem("colleague-missing", _("請選擇接手草稿的同事。"), "drafts_to")])
            end_membership(membership, ends_on=ends_on, moment=desk.moment, by=desk.actor)
            if at_once and colleague:
                _pass_on(request, membership, colleague)
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            name = membership.user.display_name
            if ends_on is None:
                messages.success(request, _("已取消 %(name)s 的離職。") % {"name": name})
            else:
                said = {"name": name, "day": day_said(ends_on)}
                messages.success(request, _("已登記 %(name)s 的最後一天 %(day)s。") % said)
            return redirect("person_show", uid)
    context = {"person": person, "form": form, "drafts": drafts}
    return render(request, "people/end.html", context, status=422 if form.errors else 200)


@needs(Permission.ACCOUNT_END)
@require_http_methods(["GET", "HEAD", "POST"])
def person_drafts(request: Request, uid: UUID) -> HttpResponse:
    """Pass on drafts that somebody left behind."""
    person = _person_or_404(request, uid)
    membership = person.membership
    form = DraftsForm(request.POST or None)
    _offer_colleagues(form, membership, request.desk)
    if request.method == "POST" and form.is_valid():
        try:
            if form.cleaned_data["drafts_to"] is None:
                raise Refused([Problem("colleague-missing", _("請選擇接手草稿的同事。"), "drafts_to")])
            _pass_on(request, membership, form.cleaned_data["drafts_to"])
        except Refused as refused:
            add_problems(form, refused.problems)
        else:
            return redirect("person_show", uid)
    drafts = drafts_left(membership.institution_id).get(membership.user_id, 0)
    context = {"person": person, "form": form, "drafts": drafts}
    return render(request, "people/drafts.html", context, status=422 if form.errors else 200)


def _pass_on(request: Request, membership: Membership, colleague_uid: UUID) -> None:
    colleague = membership_of(colleague_uid, by=request.desk.actor)
    passed, kept = hand_over_drafts(
        institution_id=membership.institution_id, from_account=membership.user_id,
        to_account=colleague.user_id if colleague else 0, by=request.desk.actor,
    )  # fmt: skip
    if passed and colleague:
        words = _("%(n)s 筆草稿已轉交 %(name)s。") % {"n": passed, "name": colleague.user.display_name}
        messages.success(request, words)
    if kept:
        messages.warning(request, _("%(n)s 筆草稿沒有轉交：這位同事已有同一位戒菸者的草稿。") % {"n": kept})


@needs(Permission.ACCOUNT_UNLOCK)
@require_POST
def person_unlock(request: Request, uid: UUID) -> HttpResponse:
    """Let somebody who mistyped too often try again at once."""
    person = _person_or_404(request, uid)
    lift_lockout(person.membership, by=request.desk.actor)
    messages.success(request, _("%(name)s 現在可以再試著登入。") % {"name": person.membership.user.display_name})
    return redirect("person_show", uid)


@needs(Permission.ACCOUNT_CONFIRM)
@require_POST
def person_confirm(request: Request, uid: UUID) -> HttpResponse:
    """Say that an account that was not used for long is still needed this month."""
    person = _person_or_404(request, uid)
    confirm_membership(person.membership, moment=request.desk.moment, by=request.desk.actor)
    messages.success(request, _("已確認仍需要 %(name)s 的帳號。") % {"name": person.membership.user.display_name})
    return redirect("person_list")

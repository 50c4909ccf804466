"""切換機構: somebody who works at several institutions says for which one."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from quitledger.accounts.permissions import Role
from quitledger.institutions.models import InstitutionDetails, Membership

from .permissions import signed_in
from .transactions import SESSION_INSTITUTION


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def switch_institution(request: HttpRequest) -> HttpResponse:
    """My places today; POST `institution` (its code) acts for that one from now on."""
    desk = request.desk  # type: ignore[attr-defined]
    mine = Membership.objects.filter(user_id=desk.actor.account_id).in_force_on(desk.today)
    roles = dict(mine.values_list("institution_id", "role"))
    places = InstitutionDetails.objects.filter(institution_id__in=roles).in_force_on(desk.today).order_by("code")
    if request.method == "POST":
        place = next((one for one in places if one.code == request.POST.get("institution")), None)
        if place:
            request.session[SESSION_INSTITUTION] = place.institution_id
            messages.success(request, _("現在的機構是 %(name)s。") % {"name": place.name})
            return redirect("home")
        messages.error(request, _("您今天在這個機構沒有職務，請從清單選擇。"))
        return redirect("switch_institution")
    return render(
        request, "switch_institution.html", {"places": [(place, Role(roles[place.institution_id])) for place in places]}
    )

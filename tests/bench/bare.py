"""The floor of recording: a Django view that inserts one row, and nothing else (no middleware, no session, no form)."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.urls import path


class Bare(models.Model):
    """A visit in one plain row."""

    uid = models.UUIDField(unique=True)
    case_uid = models.UUIDField()
    visit_on = models.CharField(max_length=10)
    medication_staff = models.UUIDField()
    medicine = models.CharField(max_length=20)
    supply_weeks = models.SmallIntegerField()
    counselling_staff = models.UUIDField()
    counselling_mode = models.CharField(max_length=10)
    cigarettes_per_day = models.SmallIntegerField()
    co_ppm = models.SmallIntegerField()
    note = models.CharField(max_length=500)

    class Meta:
        app_label = "bench"
        default_permissions: ClassVar[tuple[str, ...]] = ()


def record(request: HttpRequest, uid: UUID) -> HttpResponse:
    """One row of what was typed."""
    typed = request.POST
    row = Bare.objects.create(
        uid=typed["uid"], case_uid=uid, visit_on=typed["visit_on"], medication_staff=typed["medication_staff"],
        medicine=typed["lines-0-medicine"], supply_weeks=typed["lines-0-supply_weeks"],
        counselling_staff=typed["counselling_staff"], counselling_mode=typed["counselling_mode"],
        cigarettes_per_day=typed["cigarettes_per_day"], co_ppm=typed["co_ppm"], note=typed["note"],
    )  # fmt: skip
    return HttpResponse(status=302, headers={"Location": f"/visits/{row.uid}", "Content-Length": "0"})


def empty(request: HttpRequest, uid: UUID) -> HttpResponse:
    """What the client asks for before it sends its form."""
    return record(request, uid) if request.method == "POST" else HttpResponse("", headers={"Content-Length": "0"})


urlpatterns = [path("cases/<uuid:uid>/visits/new", empty)]

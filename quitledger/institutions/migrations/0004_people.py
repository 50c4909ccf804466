from pathlib import Path

import django.contrib.postgres.functions
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# institutions_enter knows closed memberships; the history of memberships has the new columns
FILES = [Path(__file__).with_name(name) for name in ("0002_enter.sql", "0004_elsewhere.sql")]
SQL = "\n".join(file.read_text(encoding="utf-8") for file in FILES)


class Migration(migrations.Migration):
    dependencies = [
        ("institutions", "0003_parent"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="closed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="membership",
            name="confirmed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="membership",
            name="staff",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="memberships",
                to="institutions.staffmember",
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="uid",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(("closed_at", None), ("ends_on__isnull", False), _connector="OR"),
                name="institutions_membership_closed",
            ),
        ),
        migrations.RunSQL(SQL),
    ]

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).with_name("0003_parent.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("institutions", "0002_enter")]
    operations = [
        migrations.AddField(
            model_name="institution",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="branches",
                to="institutions.institution",
            ),
        ),
        migrations.AddConstraint(
            model_name="institution",
            constraint=models.CheckConstraint(
                condition=models.Q(("parent", models.F("id")), _negated=True), name="institutions_parent_other"
            ),
        ),
        migrations.RunSQL(SQL),
    ]

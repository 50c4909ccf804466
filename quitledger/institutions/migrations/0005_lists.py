import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("institutions", "0004_people"),
    ]

    operations = [
        migrations.CreateModel(
            name="Quota",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("year", models.PositiveSmallIntegerField(verbose_name="年度")),
                (
                    "kind",
                    models.CharField(
                        choices=[("medication", "用藥"), ("counselling", "衛教")], max_length=12, verbose_name="服務"
                    ),
                ),
                ("visits", models.PositiveIntegerField(blank=True, null=True, verbose_name="人次上限")),
                ('institution', models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="quotas", to="institutions.institution"
            )),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=("institution", "year", "kind"), name="institutions_quota_once"),
                    models.CheckConstraint(
                condition=models.Q(("kind__in", ["medication", "counselling"])), name="institutions_quota_kind"
            ),
                ],
            },
        ),
        migrations.AddField(
            model_name="institutiondetails",
            name="change",
            field=models.CharField(
                blank=True,
                choices=[
                    ("code", "換發代碼"),
                    ("take_over", "承接"),
                    ("name", "更名"),
                    ("move", "遷址"),
                    ("tier", "改制"),
                    ("other", "其他"),
                ],
                db_default="",
                max_length=20,
                verbose_name="變更事由",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutiondetails",
            constraint=models.CheckConstraint(
                condition=models.Q(("change__in", ["", "code", "take_over", "name", "move", "tier", "other"])),
                name="institutions_details_change",
            ),
        ),
        # The desk writes them now: what they said is kept.
        migrations.RunSQL(
            "SELECT audit_follow('institutions_institution'), audit_follow('institutions_institutiondetails'),"
            " audit_follow('institutions_quota')"
        ),
    ]

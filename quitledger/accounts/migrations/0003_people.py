import django.db.models.deletion
import django.db.models.functions.text
import quitledger.accounts.permissions
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_attempt"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("password_reset", "密碼已重設"),
                            ("second_factor_reset", "驗證器 App、密碼金鑰與復原代碼已移除"),
                        ],
                        max_length=20,
                    ),
                ),
                ("at", models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ("seen_at", models.DateTimeField(blank=True, null=True)),
                ('by', models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            )),
                ('user', models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="notices", to=settings.AUTH_USER_MODEL
            )),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(
                condition=models.Q(("kind__in", ["password_reset", "second_factor_reset"])), name="accounts_notice_kind"
            ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OneTimeCode",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="one_time_code",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("code_hash", models.BinaryField(max_length=32)),
                ("issued_at", models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                ('issued_by', models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            )),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("issued_at"))), name="accounts_onetimecode_period"
            ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ('account', models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sessions",
                to=settings.AUTH_USER_MODEL,
            )),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "abstract": False,
            },
        ),
        migrations.AlterField(
            model_name="user",
            name="agency_role",
            field=models.CharField(
                blank=True,
                choices=[
                    (quitledger.accounts.permissions.Role["DESK_OFFICER"], "窗口人員"),
                    (quitledger.accounts.permissions.Role["DESK_SUPERVISOR"], "窗口主管"),
                    (quitledger.accounts.permissions.Role["ANALYST"], "分析人員"),
                    (quitledger.accounts.permissions.Role["ADMINISTRATOR"], "系統管理者"),
                ],
                db_default="",
                max_length=20,
                verbose_name="主管機關或窗口角色",
            ),
        ),
        migrations.AlterField(
            model_name="user",
            name="created_at",
            field=models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow()),
        ),
        migrations.AlterField(
            model_name="user",
            name="is_active",
            field=models.BooleanField(db_default=True),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("username"), name="accounts_user_username_once"
            ),
        ),
    ]

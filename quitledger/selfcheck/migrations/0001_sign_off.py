from pathlib import Path

import django.contrib.postgres.functions
import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0001_sign_off.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0003_people'),
        ('institutions', '0005_lists'),
        ('visits', '0011_merge'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReminderAddress',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('address', models.EmailField(blank=True, max_length=254, verbose_name='電子郵件')),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
            ],
        ),
        migrations.CreateModel(
            name='Reminder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sent_on', models.DateField()),
                ('failed', models.BooleanField(default=False)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('account', 'sent_on'), name='selfcheck_reminder_once')],
            },
        ),
        migrations.CreateModel(
            name='SignOff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('month', models.DateField(verbose_name='就醫月份')),
                ('number', models.PositiveSmallIntegerField()),
                ('signed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('incomplete', models.PositiveIntegerField(verbose_name='未完整')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='原因')),
                ('visits', models.PositiveIntegerField()),
                ('versions', models.PositiveIntegerField()),
                ('seen', models.JSONField()),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('signed_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('institution', 'month', 'number'), name='selfcheck_signoff_once'), models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='selfcheck_signoff_number'), models.CheckConstraint(condition=models.Q(('incomplete', 0), models.Q(('reason', ''), _negated=True), _connector='OR'), name='selfcheck_signoff_reason')],
            },
        ),
        migrations.RunSQL(SQL),
    ]

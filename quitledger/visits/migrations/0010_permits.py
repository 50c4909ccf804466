from pathlib import Path

import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0010_permits.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0004_emptied'),
        ('institutions', '0005_lists'),
        ('visits', '0009_emptied'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='servicemonth',
            name='settled_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='visit',
            name='late_entry',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='visit',
            name='permit',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Permit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('application', models.UUIDField()),
                ('visit', models.UUIDField()),
                ('kind', models.CharField(choices=[('record', '補登'), ('change', '更正'), ('void', '刪除'), ('restore', '恢復')], max_length=10)),
                ('expected_version', models.PositiveIntegerField()),
                ('from_on', models.DateField(blank=True, null=True)),
                ('visit_on', models.DateField()),
                ('is_late', models.BooleanField()),
                ('decided_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('used_xid', models.BigIntegerField(blank=True, null=True)),
                ('applied_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('signed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('visit', 'expected_version', 'application'), name='visits_permit_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['record', 'change', 'void', 'restore'])), name='visits_permit_kind'), models.CheckConstraint(condition=models.Q(models.Q(('expected_version', 0), ('from_on', None), ('kind', 'record')), models.Q(models.Q(('kind', 'record'), _negated=True), ('expected_version__gte', 1), ('from_on__isnull', False)), _connector='OR'), name='visits_permit_before'), models.CheckConstraint(condition=models.Q(models.Q(('decided_by', models.F('applied_by')), _negated=True), models.Q(('signed_by', None), models.Q(('decided_by', models.F('signed_by')), _negated=True), _connector='OR')), name='visits_permit_of_another'), models.CheckConstraint(condition=models.Q(models.Q(('used_at', None), ('used_xid', None)), models.Q(('used_at__isnull', False), ('used_xid__isnull', False)), _connector='OR'), name='visits_permit_used')],
            },
        ),
        migrations.RunSQL(SQL),
    ]

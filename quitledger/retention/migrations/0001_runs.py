from pathlib import Path

import django.contrib.postgres.functions
import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models


SQL = Path(__file__).with_name("0001_runs.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('cases', '0004_emptied'),
        ('visits', '0009_emptied'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('code', models.CharField(max_length=64, unique=True)),
                ('as_of', models.DateField()),
                ('people', models.PositiveIntegerField()),
                ('planned_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('confirmed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('planned_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('confirmed_by', None), models.Q(('confirmed_by', models.F('planned_by')), _negated=True), _connector='OR'), name='retention_run_two_persons'),
                    models.CheckConstraint(condition=models.Q(models.Q(('confirmed_at', None), ('confirmed_by', None), ('finished_at', None)), models.Q(('confirmed_at__isnull', False), ('confirmed_by__isnull', False)), _connector='OR'), name='retention_run_in_order'),
                    models.CheckConstraint(condition=models.Q(('people__gte', 1)), name='retention_run_people'),
                ],
            },
        ),
        migrations.CreateModel(
            name='PlannedPerson',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kept_until', models.DateField()),
                ('outcome', models.CharField(blank=True, choices=[('emptied', 'Emptied'), ('kept', 'Kept')], max_length=10)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='persons', to='retention.run')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('run', 'person'), name='retention_person_once'),
                    models.CheckConstraint(condition=models.Q(('outcome__in', ['', 'emptied', 'kept'])), name='retention_person_outcome'),
                ],
            },
        ),
        migrations.RunSQL(SQL),
    ]

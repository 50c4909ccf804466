import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.expressions
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('cases', '0001_initial'),
        ('institutions', '0002_enter'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Medicine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=20, unique=True, verbose_name='藥品代碼')),
                ('name', models.CharField(max_length=100, verbose_name='藥品名稱')),
                ('kind', models.CharField(max_length=30, verbose_name='品項')),
                ('prescription_only', models.BooleanField(verbose_name='處方藥')),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Month',
            fields=[
                ('month', models.DateField(primary_key=True, serialize=False)),
                ('closes_at', models.DateTimeField()),
                ('prompt_hours', models.PositiveSmallIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Visit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('visit_on', models.DateField(verbose_name='就醫日期')),
                ('visit_time', models.TimeField(blank=True, null=True, verbose_name='就醫時間')),
                ('pregnant', models.BooleanField(default=False, verbose_name='懷孕')),
                ('cigarettes_per_day', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='平均每日支數')),
                ('co_ppm', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='一氧化碳')),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='備註')),
                ('in_force', models.BooleanField(default=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('recorded_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow(), verbose_name='登錄時間')),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('change_reason', models.CharField(blank=True, max_length=200)),
                ('authority', models.UUIDField(blank=True, null=True)),
                ('case', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='visits', to='cases.case')),
                ('changed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('person', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('recorded_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [
                    models.Index(fields=['institution', 'visit_on'], name='visits_visit_month'),
                    models.Index(fields=['person', 'visit_on'], name='visits_visit_person'),
                ],
                'constraints': [
                    models.UniqueConstraint(condition=models.Q(('in_force', True)), fields=('person', 'institution', 'visit_on'), name='visits_visit_one_a_day'),
                    models.UniqueConstraint(fields=('id', 'person', 'institution', 'visit_on', 'in_force'), name='visits_visit_key'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Service',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('visit_on', models.DateField()),
                ('in_force', models.BooleanField(default=True)),
                ('kind', models.CharField(choices=[('medication', '用藥'), ('counselling', '衛教')], max_length=12)),
                ('counselling_mode', models.CharField(blank=True, choices=[('in_person', '面對面'), ('telephone', '電話')], max_length=10, verbose_name='衛教方式')),
                ('spacing_days', models.PositiveSmallIntegerField()),
                ('entry_uid', models.UUIDField()),
                ('version', models.PositiveIntegerField(default=1)),
                ('institution', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('person', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('staff', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.staffmember')),
                ('visit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='services', to='visits.visit')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('visit', 'kind'), name='visits_service_once'),
                    models.CheckConstraint(condition=models.Q(('kind__in', ['medication', 'counselling'])), name='visits_service_kind'),
                    models.CheckConstraint(condition=models.Q(('spacing_days__gte', 1)), name='visits_service_spacing_days'),
                    models.CheckConstraint(condition=models.Q(models.Q(('counselling_mode', ''), ('kind', 'medication')), models.Q(('counselling_mode__in', ['in_person', 'telephone']), ('kind', 'counselling')), _connector='OR'), name='visits_service_mode'),
                    django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('in_force', True)), deferrable=django.db.models.constraints.Deferrable['IMMEDIATE'], expressions=[('person', '='), ('institution', '='), ('kind', '='), (models.Func(models.F('visit_on'), django.db.models.expressions.CombinedExpression(models.F('visit_on'), '+', models.F('spacing_days')), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='visits_service_spacing'),
                ],
            },
        ),
        migrations.CreateModel(
            name='MedicationLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('supply_weeks', models.PositiveSmallIntegerField(verbose_name='週數')),
                ('supply_days', models.PositiveSmallIntegerField(verbose_name='天數')),
                ('version', models.PositiveIntegerField(default=1)),
                ('institution', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('medicine', models.ForeignKey(db_column='medicine_code', db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='visits.medicine', to_field='code')),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='visits.service')),
                ('visit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='visits.visit')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('service', 'medicine'), name='visits_medication_line_once'),
                    models.CheckConstraint(condition=models.Q(('supply_days__gte', 1), ('supply_weeks__gte', 1)), name='visits_medication_line_supply'),
                ],
            },
        ),
        migrations.CreateModel(
            name='WindowExtension',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), unique=True)),
                ('month', models.DateField(verbose_name='就醫月份')),
                ('reach', models.CharField(choices=[('all', '全國'), ('county', '縣市'), ('institution', '單一機構')], max_length=12, verbose_name='適用對象')),
                ('county', models.CharField(blank=True, max_length=10, verbose_name='縣市')),
                ('closes_at', models.DateTimeField(verbose_name='延長至')),
                ('reason', models.CharField(max_length=200, verbose_name='事由')),
                ('decided_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('decided_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['month'], name='visits_wind_month_674cd9_idx'),
                ],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('month__day', 1)), name='visits_window_extension_first_day'),
                    models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='visits_window_extension_reason'),
                    models.CheckConstraint(condition=models.Q(models.Q(('county', ''), ('institution__isnull', True), ('reach', 'all')), models.Q(('institution__isnull', True), ('reach', 'county'), models.Q(('county', ''), _negated=True)), models.Q(('county', ''), ('institution__isnull', False), ('reach', 'institution')), _connector='OR'), name='visits_window_extension_reach'),
                ],
            },
        ),
        migrations.CreateModel(
            name='ServiceMonth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField()),
                ('closes_at', models.DateTimeField()),
                ('prompt_hours', models.PositiveSmallIntegerField()),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='service_months', to='institutions.institution')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('institution', 'month'), name='visits_service_month_once'), models.CheckConstraint(condition=models.Q(('month__day', 1)), name='visits_service_month_first_day')],
            },
        ),
    ]

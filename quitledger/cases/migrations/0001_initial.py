import django.contrib.postgres.functions
import django.contrib.postgres.indexes
import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('institutions', '0002_enter'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Person',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('identity_kind', models.CharField(choices=[('national_id', '國民身分證'), ('resident_certificate', '居留證（新式）'), ('resident_certificate_old', '居留證（舊式）'), ('passport', '護照')], max_length=30)),
                ('identity_country', models.CharField(blank=True, max_length=3)),
                ('identity_hash', models.BinaryField(max_length=32)),
                ('identity_token', models.BinaryField()),
                ('identity_key_id', models.CharField(max_length=20)),
                ('birth_on', models.DateField(verbose_name='出生日期')),
                ('sex', models.CharField(choices=[('male', '男'), ('female', '女')], max_length=6, verbose_name='性別')),
                ('created_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('identity_hash', 'birth_on'), name='cases_person_once'), models.CheckConstraint(condition=models.Q(('sex__in', ['male', 'female'])), name='cases_person_sex')],
            },
        ),
        migrations.CreateModel(
            name='Case',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('name', models.CharField(max_length=60, verbose_name='姓名')),
                ('chart_no', models.CharField(blank=True, max_length=30, verbose_name='病歷號')),
                ('phone', models.CharField(blank=True, max_length=30, verbose_name='電話')),
                ('opened_on', models.DateField(verbose_name='收案日期')),
                ('version', models.PositiveIntegerField(default=1)),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('change_reason', models.CharField(blank=True, max_length=200)),
                ('changed_by', models.ForeignKey(null=True, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='cases', to='institutions.institution')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='cases', to='cases.person')),
            ],
            options={
                'indexes': [
                    django.contrib.postgres.indexes.GinIndex(fields=['name'], name='cases_case_name_part', opclasses=['gin_trgm_ops']),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('institution', 'person'), name='cases_case_once'),
                    models.UniqueConstraint(condition=models.Q(('chart_no', ''), _negated=True), fields=('institution', 'chart_no'), name='cases_case_chart_no_once'),
                    models.UniqueConstraint(fields=('id', 'person', 'institution'), name='cases_case_key'),
                    models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='cases_case_name'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Baseline',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('taken_on', models.DateField(verbose_name='評估日期')),
                ('first_cigarette', models.CharField(blank=True, max_length=20)),
                ('hard_to_refrain', models.CharField(blank=True, max_length=20)),
                ('hardest_to_give_up', models.CharField(blank=True, max_length=20)),
                ('most_cigarettes', models.CharField(blank=True, max_length=20)),
                ('more_in_first_hours', models.CharField(blank=True, max_length=20)),
                ('smokes_when_ill', models.CharField(blank=True, max_length=20)),
                ('ftnd_score', models.PositiveSmallIntegerField(null=True, verbose_name='尼古丁成癮度')),
                ('cigarettes_per_day', models.PositiveSmallIntegerField(null=True, verbose_name='平均每日支數')),
                ('co_ppm', models.PositiveSmallIntegerField(null=True, verbose_name='一氧化碳')),
                ('weight_kg', models.DecimalField(decimal_places=1, max_digits=4, null=True, verbose_name='體重')),
                ('pregnant', models.BooleanField(default=False, verbose_name='懷孕')),
                ('insured', models.BooleanField(null=True, verbose_name='健保在保')),
                ('version', models.PositiveIntegerField(default=1)),
                ('recorded_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('changed_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('change_reason', models.CharField(blank=True, max_length=200)),
                ('changed_by', models.ForeignKey(null=True, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('case', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='baselines', to='cases.case')),
                ('person', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['person', 'taken_on'], name='cases_baseline_person'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('case', 'taken_on'), name='cases_baseline_one_a_day'),
                    models.CheckConstraint(condition=models.Q(('ftnd_score__isnull', True), ('ftnd_score__lte', 10), _connector='OR'), name='cases_baseline_ftnd'),
                ],
            },
        ),
    ]

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.db.models.deletion
import quitledger.accounts.permissions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Institution',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='StaffMember',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('name', models.CharField(max_length=60, verbose_name='姓名')),
                ('profession', models.CharField(choices=[('physician', '醫師'), ('dentist', '牙醫師'), ('pharmacist', '藥師'), ('counsellor', '衛教師')], max_length=20, verbose_name='職類')),
                ('identity_hash', models.BinaryField(max_length=32, unique=True)),
                ('identity_token', models.BinaryField()),
                ('identity_key_id', models.CharField(max_length=20)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('profession__in', ['physician', 'dentist', 'pharmacist', 'counsellor'])), name='institutions_staff_profession')],
            },
        ),
        migrations.CreateModel(
            name='Contract',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('end_reason', models.CharField(blank=True, max_length=200)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contracts', to='institutions.institution')),
            ],
            options={
                'constraints': [django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('institution', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), models.Value('[]'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='institutions_contract_one_a_day'), models.CheckConstraint(condition=models.Q(('ends_on__isnull', True), ('ends_on__gte', models.F('starts_on')), _connector='OR'), name='institutions_contract_period')],
            },
        ),
        migrations.CreateModel(
            name='InstitutionDetails',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('code', models.CharField(max_length=10, verbose_name='醫事機構代碼')),
                ('name', models.CharField(max_length=100, verbose_name='機構名稱')),
                ('tier', models.CharField(choices=[('medical_center', '醫學中心'), ('regional_hospital', '區域醫院'), ('district_hospital', '地區醫院'), ('clinic', '西醫診所'), ('health_center', '衛生所'), ('dental_clinic', '牙科診所'), ('pharmacy', '藥局')], max_length=20, verbose_name='層級別')),
                ('county', models.CharField(max_length=10, verbose_name='縣市')),
                ('address', models.CharField(blank=True, max_length=200, verbose_name='地址')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='details', to='institutions.institution')),
            ],
            options={
                'indexes': [models.Index(fields=['county'], name='institution_county_810978_idx')],
                'constraints': [django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('institution', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), models.Value('[]'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='institutions_details_one_a_day'), django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('code', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), models.Value('[]'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='institutions_details_code_once'), models.CheckConstraint(condition=models.Q(('ends_on__isnull', True), ('ends_on__gte', models.F('starts_on')), _connector='OR'), name='institutions_details_period'), models.CheckConstraint(condition=models.Q(('code__regex', '^[0-9]{10}$')), name='institutions_details_code'), models.CheckConstraint(condition=models.Q(('tier__in', ['medical_center', 'regional_hospital', 'district_hospital', 'clinic', 'health_center', 'dental_clinic', 'pharmacy'])), name='institutions_details_tier')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[(quitledger.accounts.permissions.Role['RECORDER'], '登錄人員'), (quitledger.accounts.permissions.Role['SUPERVISOR'], '業務主管')], max_length=20)),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to='institutions.institution')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('user', '='), ('institution', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), models.Value('[]'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='institutions_membership_one_a_day'), models.CheckConstraint(condition=models.Q(('ends_on__isnull', True), ('ends_on__gte', models.F('starts_on')), _connector='OR'), name='institutions_membership_period'), models.CheckConstraint(condition=models.Q(('role__in', (quitledger.accounts.permissions.Role['RECORDER'], quitledger.accounts.permissions.Role['SUPERVISOR']))), name='institutions_membership_role')],
            },
        ),
        migrations.CreateModel(
            name='StaffContract',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_on', models.DateField()),
                ('ends_on', models.DateField(blank=True, null=True)),
                ('may_medicate', models.BooleanField(verbose_name='用藥')),
                ('may_counsel', models.BooleanField(verbose_name='衛教')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='staff_contracts', to='institutions.institution')),
                ('staff', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='contracts', to='institutions.staffmember')),
            ],
            options={
                'constraints': [django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('institution', '='), ('staff', '='), (models.Func(models.F('starts_on'), models.F('ends_on'), models.Value('[]'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='institutions_staff_contract_one_a_day'), models.CheckConstraint(condition=models.Q(('ends_on__isnull', True), ('ends_on__gte', models.F('starts_on')), _connector='OR'), name='institutions_staff_contract_period')],
            },
        ),
        migrations.CreateModel(
            name='Certificate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=60, verbose_name='證明種類')),
                ('number', models.CharField(blank=True, max_length=60, verbose_name='字號')),
                ('starts_on', models.DateField(blank=True, null=True)),
                ('ends_on', models.DateField(verbose_name='到期日')),
                ('staff', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='certificates', to='institutions.staffmember')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('staff', 'kind', 'ends_on'), name='institutions_certificate_once')],
            },
        ),
    ]

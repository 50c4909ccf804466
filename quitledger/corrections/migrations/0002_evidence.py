from pathlib import Path

import django.db.models.deletion
import quitledger.audit.database
import quitledger.corrections.evidence
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0002_evidence.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('corrections', '0001_desk'),
        ('institutions', '0005_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('number', models.PositiveSmallIntegerField()),
                ('origin', models.CharField(choices=[('sent', '證明文件'), ('case_sheet', '個案紀錄表')], max_length=12)),
                ('kind', models.CharField(choices=[('pdf', 'PDF'), ('jpeg', 'JPEG'), ('png', 'PNG')], max_length=4)),
                ('size', models.PositiveIntegerField()),
                ('pages', models.PositiveIntegerField(null=True)),
                ('width', models.PositiveIntegerField(null=True)),
                ('height', models.PositiveIntegerField(null=True)),
                ('sha256', models.BinaryField(max_length=32, null=True)),
                ('uploaded_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('removed_at', models.DateTimeField(null=True)),
                ('application', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='evidence', to='corrections.application')),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('removed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('uploaded_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['number'],
                'constraints': [
                    models.UniqueConstraint(fields=('application', 'number'), name='corrections_evidence_number'),
                    models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('application', 'sha256'), name='corrections_evidence_once'),
                    models.CheckConstraint(condition=models.Q(('origin__in', [quitledger.corrections.evidence.Origin['SENT'], quitledger.corrections.evidence.Origin['CASE_SHEET']])), name='corrections_evidence_origin'),
                    models.CheckConstraint(condition=models.Q(models.Q(('height', None), ('kind', 'pdf'), ('pages__gte', 1), ('width', None)), models.Q(('height__gte', 1), ('kind__in', ['jpeg', 'png']), ('pages', None), ('width__gte', 1)), _connector='OR'), name='corrections_evidence_kind'),
                    models.CheckConstraint(condition=models.Q(('number__gte', 1), ('size__gte', 1)), name='corrections_evidence_size'),
                    models.CheckConstraint(condition=models.Q(models.Q(('removed_at', None), ('removed_by', None)), models.Q(('removed_at__isnull', False), ('removed_by__isnull', False)), _connector='OR'), name='corrections_evidence_removed'),
                ],
            },
        ),
        migrations.CreateModel(
            name='EvidenceFile',
            fields=[
                ('evidence', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='file', serialize=False, to='corrections.evidence')),
                ('token', models.BinaryField()),
                ('key_id', models.CharField(max_length=20)),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
            ],
        ),
        migrations.RunSQL(SQL),
    ]

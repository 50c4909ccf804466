from pathlib import Path

import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models


SQL = Path(__file__).with_name("0005_merge.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0004_emptied'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Merge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(unique=True)),
                ('reason', models.CharField(max_length=200, verbose_name='合併原因')),
                ('decided_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('undone_at', models.DateTimeField(null=True)),
                ('undo_reason', models.CharField(blank=True, db_default='', max_length=200, verbose_name='撤銷原因')),
                ('decided_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('kept', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merges', to='cases.person')),
                ('merged', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
                ('undone_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('kept', models.F('merged')), _negated=True), name='cases_merge_of_two'),
                    models.UniqueConstraint(condition=models.Q(('undone_at', None)), fields=('merged',), name='cases_merge_once'),
                    models.CheckConstraint(condition=models.Q(models.Q(('undo_reason', ''), ('undone_at', None), ('undone_by', None)), models.Q(('undone_at__isnull', False), ('undone_by__isnull', False)), _connector='OR'), name='cases_merge_undone'),
                ],
            },
        ),
        migrations.CreateModel(
            name='MergedRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('case', '個案'), ('baseline', '收案評估'), ('visit', '就醫資料'), ('draft', '草稿')], max_length=10)),
                ('record_id', models.BigIntegerField()),
                ('from_case', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.case')),
                ('merge', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='records', to='cases.merge')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('merge', 'kind', 'record_id'), name='cases_mergedrecord_once'),
                    models.CheckConstraint(condition=models.Q(('kind__in', ['case', 'baseline', 'visit', 'draft'])), name='cases_mergedrecord_kind'),
                ],
            },
        ),
        migrations.AddField(
            model_name='person',
            name='authority',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='person',
            name='change_reason',
            field=models.CharField(blank=True, db_default='', max_length=200),
        ),
        migrations.AddField(
            model_name='person',
            name='changed_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='person',
            name='merged_into',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='merged', to='cases.person'),
        ),
        migrations.AddField(
            model_name='person',
            name='version',
            field=models.PositiveIntegerField(db_default=1),
        ),
        migrations.AddConstraint(
            model_name='person',
            constraint=models.CheckConstraint(condition=models.Q(('merged_into', None), models.Q(('merged_into', models.F('id')), _negated=True), _connector='OR'), name='cases_person_merged'),
        ),
        migrations.RunSQL(SQL),
    ]

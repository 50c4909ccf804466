from pathlib import Path

import django.db.models.deletion
import quitledger.corrections.rules
from django.db import migrations, models

SQL = Path(__file__).with_name("0003_identity.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('corrections', '0002_evidence'),
        ('institutions', '0005_lists'),
        ('visits', '0011_merge'),
    ]

    operations = [
        migrations.CreateModel(
            name='AskedIdentity',
            fields=[
                ('item', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='identity', serialize=False, to='corrections.item')),
                ('person_version', models.PositiveIntegerField()),
                ('token', models.BinaryField()),
                ('key_id', models.CharField(max_length=20)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='item',
            name='corrections_item_kind',
        ),
        migrations.RemoveConstraint(
            model_name='item',
            name='corrections_item_visit',
        ),
        migrations.RemoveConstraint(
            model_name='item',
            name='corrections_item_contents',
        ),
        migrations.AlterField(
            model_name='item',
            name='kind',
            field=models.CharField(choices=[('late_entry', '補登'), ('change', '更正內容'), ('void', '刪除'), ('restore', '恢復'), ('person', '證號、出生日期、性別'), ('parked', '移到真正的就醫日期'), ('overwritten', '還原被覆蓋的紀錄')], max_length=12),
        ),
        migrations.AlterField(
            model_name='item',
            name='visit_on',
            field=models.DateField(null=True, verbose_name='就醫日期'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'person'), ('taken_out', False)), fields=('application',), name='corrections_item_person_once'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', [quitledger.corrections.rules.ItemKind['LATE_ENTRY'], quitledger.corrections.rules.ItemKind['CHANGE'], quitledger.corrections.rules.ItemKind['VOID'], quitledger.corrections.rules.ItemKind['RESTORE'], quitledger.corrections.rules.ItemKind['PERSON'], quitledger.corrections.rules.ItemKind['PARKED'], quitledger.corrections.rules.ItemKind['OVERWRITTEN']])), name='corrections_item_kind'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'person'), ('visit_on', None)), models.Q(models.Q(('kind', 'person'), _negated=True), ('visit_on__isnull', False)), _connector='OR'), name='corrections_item_day'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['late_entry', 'person']), ('visit', None), ('visit_version', None)), models.Q(models.Q(('kind__in', ['late_entry', 'person']), _negated=True), ('visit__isnull', False), ('visit_version__gte', 1)), _connector='OR'), name='corrections_item_visit'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('contents', None), ('kind__in', ['void', 'restore', 'person'])), models.Q(models.Q(('kind__in', ['void', 'restore', 'person']), _negated=True), ('contents__isnull', False)), _connector='OR'), name='corrections_item_contents'),
        ),
        migrations.AddField(
            model_name='askedidentity',
            name='institution',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution'),
        ),
        migrations.RunSQL(SQL),
    ]

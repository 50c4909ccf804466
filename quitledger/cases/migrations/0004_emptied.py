from pathlib import Path

from django.conf import settings
from django.db import migrations, models


SQL = Path(__file__).with_name("0004_emptied.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0003_find_person_by_any_key'),
        ('institutions', '0005_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='case',
            name='cases_case_name',
        ),
        migrations.AddField(
            model_name='case',
            name='emptied_run',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='person',
            name='emptied_run',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='person',
            name='identity_hash',
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AlterField(
            model_name='person',
            name='identity_key_id',
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AlterField(
            model_name='person',
            name='identity_token',
            field=models.BinaryField(null=True),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('emptied_run', None), models.Q(('name', ''), _negated=True)), models.Q(('change_reason', ''), ('chart_no', ''), ('emptied_run__isnull', False), ('name', ''), ('phone', '')), _connector='OR'), name='cases_case_name'),
        ),
        migrations.AddConstraint(
            model_name='person',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('emptied_run', None), ('identity_hash__isnull', False), ('identity_token__isnull', False), models.Q(('identity_key_id', ''), _negated=True)), models.Q(('birth_on__day', 1), ('birth_on__month', 1), ('emptied_run__isnull', False), ('identity_country', ''), ('identity_hash', None), ('identity_key_id', ''), ('identity_token', None)), _connector='OR'), name='cases_person_emptied'),
        ),
        migrations.RunSQL(SQL),
    ]

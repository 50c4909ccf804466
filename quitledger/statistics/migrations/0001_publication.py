from pathlib import Path

import django.contrib.postgres.functions
import django.db.models.deletion
import quitledger.audit.database
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0001_publication.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0003_people'),
        ('audit', '0003_rewriting'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Publication',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, unique=True)),
                ('year', models.PositiveSmallIntegerField(verbose_name='年度')),
                ('basis', models.CharField(max_length=20)),
                ('number', models.PositiveSmallIntegerField(verbose_name='版本')),
                ('last_on', models.DateField(verbose_name='期間末日')),
                ('data_at', models.DateTimeField(verbose_name='資料時點')),
                ('content', models.TextField()),
                ('fingerprint', models.CharField(max_length=64, verbose_name='內容指紋')),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='說明')),
                ('published_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('previous', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='next', to='statistics.publication')),
                ('published_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('year', 'basis', 'number'), name='statistics_publication_once'), models.CheckConstraint(condition=models.Q(('basis__in', ['any_day', 'last_day'])), name='statistics_publication_basis'), models.CheckConstraint(condition=models.Q(models.Q(('number', 1), ('previous', None)), models.Q(('number__gt', 1), ('previous__isnull', False), models.Q(('note', ''), _negated=True)), _connector='OR'), name='statistics_publication_in_order')],
            },
        ),
        migrations.RunSQL(SQL),
    ]

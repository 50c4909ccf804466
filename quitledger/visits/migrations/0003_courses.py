from pathlib import Path

import django.db.models.deletion
import quitledger.audit.database
from django.db import migrations, models


SQL = Path(__file__).with_name("0003_courses.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0002_find_person'),
        ('institutions', '0003_parent'),
        ('visits', '0002_window'),
    ]

    operations = [
        migrations.CreateModel(
            name='Course',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('medication', '用藥'), ('counselling', '衛教')], max_length=12)),
                ('course_year', models.PositiveSmallIntegerField(verbose_name='年度')),
                ('course_no', models.PositiveSmallIntegerField(verbose_name='療程次')),
                ('first_on', models.DateField(verbose_name='療程首日')),
                ('institution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='cases.person')),
            ],
            options={
                'indexes': [models.Index(fields=['course_year', 'institution'], name='visits_course_year')],
                'constraints': [models.UniqueConstraint(fields=('person', 'kind', 'course_year', 'course_no'), name='visits_course_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['medication', 'counselling'])), name='visits_course_kind'), models.CheckConstraint(condition=models.Q(('course_no__gte', 1), ('first_on__year', models.F('course_year'))), name='visits_course_number')],
            },
        ),
        migrations.CreateModel(
            name='CourseFinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('medication', '用藥'), ('counselling', '衛教')], max_length=12)),
                ('before_year', models.PositiveSmallIntegerField()),
                ('before_no', models.PositiveSmallIntegerField()),
                ('after_year', models.PositiveSmallIntegerField()),
                ('after_no', models.PositiveSmallIntegerField()),
                ('is_allowed', models.BooleanField()),
                ('caused_by', models.UUIDField(null=True)),
                ('found_at', models.DateTimeField(db_default=quitledger.audit.database.ProgrammeNow())),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='institutions.institution')),
                ('visit', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='visits.visit')),
            ],
            options={
                'indexes': [models.Index(fields=['-found_at', '-id'], name='visits_coursefinding_newest')],
            },
        ),
        migrations.RunSQL(SQL),
    ]

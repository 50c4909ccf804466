from pathlib import Path

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.constraints
import django.db.models.expressions
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models

SQL = Path(__file__).with_name("0013_taken_over.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0005_merge'),
        ('institutions', '0005_lists'),
        ('visits', '0012_many'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # It says what a service repeats of its visit, and is made anew below.
        migrations.RunSQL("ALTER TABLE visits_service DROP CONSTRAINT visits_service_visit"),
        migrations.RemoveConstraint(
            model_name='service',
            name='visits_service_spacing',
        ),
        migrations.RemoveConstraint(
            model_name='visit',
            name='visits_visit_one_a_day',
        ),
        migrations.RemoveConstraint(
            model_name='visit',
            name='visits_visit_key',
        ),
        migrations.AddField(
            model_name='service',
            name='taken_over',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='visit',
            name='taken_over',
            field=models.BooleanField(db_default=False, default=False, verbose_name='移轉'),
        ),
        migrations.AddConstraint(
            model_name='service',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('in_force', True), ('taken_over', False)), deferrable=django.db.models.constraints.Deferrable['IMMEDIATE'], expressions=[('person', '='), ('institution', '='), (django.db.models.functions.comparison.Cast(models.ExpressionWrapper(models.Q(('kind', 'medication')), output_field=models.BooleanField()), models.IntegerField()), '='), (models.Func(models.F('visit_on'), django.db.models.expressions.CombinedExpression(models.F('visit_on'), '+', models.F('spacing_days')), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='visits_service_spacing'),
        ),
        migrations.AddConstraint(
            model_name='visit',
            constraint=models.UniqueConstraint(condition=models.Q(('in_force', True), ('taken_over', False)), fields=('person', 'institution', 'visit_on'), name='visits_visit_one_a_day'),
        ),
        migrations.AddConstraint(
            model_name='visit',
            constraint=models.UniqueConstraint(fields=('id', 'person', 'institution', 'visit_on', 'in_force', 'taken_over'), name='visits_visit_key'),
        ),
        migrations.RunSQL(SQL),
    ]

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.constraints
import django.db.models.expressions
import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("visits", "0016_closed_books")]

    operations = [
        migrations.RemoveConstraint(
            model_name='service',
            name='visits_service_spacing',
        ),
        migrations.AddConstraint(
            model_name='service',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('in_force', True), ('taken_over', False)), deferrable=django.db.models.constraints.Deferrable['IMMEDIATE'], expressions=[('person', '='), ('institution', '='), (django.db.models.functions.comparison.Cast(models.Q(('kind', 'medication')), models.IntegerField()), '='), (models.Func(models.F('visit_on'), django.db.models.expressions.CombinedExpression(models.F('visit_on'), '+', models.F('spacing_days')), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='visits_service_spacing'),
        ),
    ]

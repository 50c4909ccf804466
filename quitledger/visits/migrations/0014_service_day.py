from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('cases', '0006_many'),
        ('institutions', '0005_lists'),
        ('visits', '0013_taken_over'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='service',
            index=models.Index(condition=models.Q(('in_force', True)), fields=['visit_on'], include=('institution', 'person', 'staff', 'kind'), name='visits_service_day'),
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('selfcheck', '0001_sign_off'),
    ]

    operations = [
        migrations.AddField(
            model_name='signoff',
            name='grounds',
            field=models.JSONField(null=True),
        ),
    ]

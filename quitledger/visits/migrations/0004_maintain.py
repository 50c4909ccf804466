from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0004_maintain.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0003_courses")]
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0015_at_once.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0014_service_day")]
    operations = [migrations.RunSQL(SQL)]

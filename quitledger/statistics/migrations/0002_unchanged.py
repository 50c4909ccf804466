from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0002_unchanged.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("institutions", "0005_lists"), ("statistics", "0001_publication"), ("visits", "0015_at_once")]
    operations = [migrations.RunSQL(SQL)]

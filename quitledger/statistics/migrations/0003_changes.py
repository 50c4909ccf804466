from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0003_changes.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("statistics", "0002_unchanged")]
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0002_checkpoints.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0003_rewriting.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_checkpoints")]
    operations = [migrations.RunSQL(SQL)]

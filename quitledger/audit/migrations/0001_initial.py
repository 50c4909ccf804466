from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0001_ledger.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0012_many.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0011_merge")]
    operations = [migrations.RunSQL(SQL)]

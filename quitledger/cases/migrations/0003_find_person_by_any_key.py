from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0003_find_person_by_any_key.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("cases", "0002_find_person")]
    operations = [migrations.RunSQL(SQL)]

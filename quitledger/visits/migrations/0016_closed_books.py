from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0016_closed_books.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("cases", "0007_closed_books"), ("visits", "0015_at_once")]
    operations = [migrations.RunSQL(SQL)]

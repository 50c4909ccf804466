from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0009_emptied.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0008_recording_facts"), ("cases", "0004_emptied")]
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0008_recording_facts.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0007_implied_keys")]
    operations = [migrations.RunSQL(SQL)]

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0008_recording_facts.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0003_find_person_by_any_key"),
        ("institutions", "0005_lists"),
        ("visits", "0006_hand_over"),
    ]
    operations = [migrations.RunSQL(SQL)]

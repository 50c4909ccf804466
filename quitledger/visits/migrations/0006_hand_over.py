from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("0006_hand_over.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("visits", "0005_drafts")]
    operations = [migrations.RunSQL(SQL)]

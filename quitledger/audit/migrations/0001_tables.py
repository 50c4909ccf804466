from pathlib import Path

from django.db import migrations

TOPICS = ("database", "rewriting", "journal", "history", "checkpoints")
SQL = [Path(__file__).with_name(f"{topic}.sql").read_text(encoding="utf-8") for topic in TOPICS]


class Migration(migrations.Migration):
    initial = True
    # What led here step by step, in versions that were never released.
    replaces = [
        ("audit", name)
        for name in ("0001_initial", "0002_checkpoints", "0003_rewriting", "0004_one_moment")
    ]
    dependencies = []
    operations = [*map(migrations.RunSQL, SQL)]

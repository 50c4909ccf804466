from django.db import migrations

# Each repeats the beginning of another index, or was never asked. The migrations before no longer make them.
INDEXES = (
    "retention_plannedperson_run_id_0f688bbc",
)


class Migration(migrations.Migration):
    dependencies = [("retention", "0001_runs")]
    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}")]

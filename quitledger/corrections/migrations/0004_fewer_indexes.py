from django.db import migrations

# Each repeats the beginning of another index, or was never asked. The migrations before no longer make them.
INDEXES = (
    "corrections_application_institution_id_37f38777",
    "corrections_evidence_application_id_710db0f6",
)


class Migration(migrations.Migration):
    dependencies = [("corrections", "0003_identity")]
    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}")]

from django.db import migrations

# Each repeats the beginning of another index, or was never asked. The migrations before no longer make them.
INDEXES = (
    "visits_servicemonth_institution_id_d7def2b2",
)


class Migration(migrations.Migration):
    dependencies = [("visits", "0017_spacing_by_number")]
    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}")]

from django.db import migrations

# Each repeats the beginning of another index, or was never asked. The migrations before no longer make them.
INDEXES = (
    "institutions_certificate_staff_id_30041633",
    "institutions_quota_institution_id_ab8d5a52",
)


class Migration(migrations.Migration):
    dependencies = [("institutions", "0005_lists")]
    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}")]

from django.db import migrations

# Each repeats the beginning of another index, or was never asked. The migrations before no longer make them.
INDEXES = (
    "cases_baseline_case_id_1580b669",
    "cases_baseline_person_id_268742dc",
    "cases_baseline_changed_by_id_58b378ca",
    "cases_case_institution_id_7c335c71",
    "cases_case_changed_by_id_029fc0d5",
)


class Migration(migrations.Migration):
    dependencies = [("cases", "0007_closed_books")]
    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {', '.join(INDEXES)}")]

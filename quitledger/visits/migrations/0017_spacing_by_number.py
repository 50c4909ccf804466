from django.db import migrations

# 0013 made the constraint with the text; it makes it with the number now.
SQL = """
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'visits_service'::regclass AND conname = 'visits_service_spacing'
      AND pg_get_constraintdef(oid) LIKE '%kind WITH =%') THEN
    ALTER TABLE visits_service DROP CONSTRAINT visits_service_spacing, ADD CONSTRAINT visits_service_spacing
      EXCLUDE USING gist (person_id WITH =, institution_id WITH =, ((kind = 'medication')::integer) WITH =,
        daterange(visit_on, visit_on + spacing_days) WITH &&) WHERE (in_force AND NOT taken_over) DEFERRABLE;
  END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("visits", "0016_closed_books")]
    operations = [migrations.RunSQL(SQL)]

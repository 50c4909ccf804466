from django.db import migrations

# Where django-allauth counts sign-in attempts (CACHES in settings): in the database, so that every process counts.
SQL = """
CREATE TABLE accounts_attempt (
  cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL
);
CREATE INDEX accounts_attempt_expires ON accounts_attempt (expires);
SELECT audit_follow('accounts_user');
-- The history of an account never holds its password.
CREATE FUNCTION accounts_forget_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.password := NULL; RETURN NEW; END $$;
CREATE TRIGGER forget_password BEFORE INSERT ON accounts_user_history
  FOR EACH ROW EXECUTE FUNCTION accounts_forget_password();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(SQL)]

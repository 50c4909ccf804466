-- Where django-allauth counts sign-in attempts (CACHES in settings): in the database, so that every process counts.
CREATE TABLE accounts_attempt (
  cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL
);
CREATE INDEX accounts_attempt_expires ON accounts_attempt (expires);

-- The history of an account never holds its password.
SELECT audit_follow('accounts_user');
CREATE FUNCTION accounts_forget_password() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.password := NULL; RETURN NEW; END $$;
CREATE TRIGGER forget_password BEFORE INSERT ON accounts_user_history
  FOR EACH ROW EXECUTE FUNCTION accounts_forget_password();

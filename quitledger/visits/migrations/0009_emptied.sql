-- Nothing is recorded, nor typed, for a person who was emptied (cases/migrations/0004_emptied.sql).
CREATE TRIGGER not_emptied BEFORE INSERT ON visits_visit FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();
CREATE TRIGGER not_emptied_changed BEFORE UPDATE ON visits_visit
  FOR EACH ROW WHEN (NOT is_owner()) EXECUTE FUNCTION cases_refuse_emptied();
CREATE TRIGGER not_emptied BEFORE INSERT OR UPDATE ON visits_draft FOR EACH ROW EXECUTE FUNCTION cases_refuse_emptied();

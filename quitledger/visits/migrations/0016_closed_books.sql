-- Whether a person is a closed book is asked once of all visits of a statement (cases/migrations/0007_closed_books.sql).
DROP TRIGGER not_emptied ON visits_visit;
CREATE TRIGGER not_emptied AFTER INSERT ON visits_visit REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION cases_refuse_closed_books();

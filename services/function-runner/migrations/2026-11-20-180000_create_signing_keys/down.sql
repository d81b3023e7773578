DROP INDEX executions_signed;
ALTER TABLE executions DROP COLUMN signing_key_id, DROP COLUMN signature;
DROP TABLE signing_keys;

DROP TABLE access_revocations;
DROP TABLE access_tokens;
ALTER TABLE sessions DROP COLUMN sealed_details, DROP COLUMN last_used_at;
ALTER TABLE users DROP COLUMN token_generation;

ALTER TABLE sessions DROP COLUMN network_digest;

ALTER TABLE users DROP COLUMN kdf_iterations, DROP COLUMN kdf_salt;

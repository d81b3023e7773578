-- How the client of a blind account derives what it sends from the password (PBKDF2-SHA-256). Such an account's
-- password_hash is Argon2id, in the PHC format, over a keyed digest of what is sent. ADR 19.
ALTER TABLE users
    ADD COLUMN kdf_iterations integer,
    ADD COLUMN kdf_salt bytea,
    ADD CONSTRAINT users_kdf_check CHECK (
        (kdf_iterations IS NULL AND kdf_salt IS NULL)
        OR (kdf_iterations >= 600000 AND octet_length(kdf_salt) = 16)
    );

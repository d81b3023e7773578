-- HMAC-SHA-256 of the account and the network that a session began in: a sign-in from there is let in while others guess. ADR 25.
ALTER TABLE sessions ADD COLUMN network_digest bytea;

ALTER TABLE refresh_tokens RESET (fillfactor);
ALTER TABLE sessions RESET (fillfactor);

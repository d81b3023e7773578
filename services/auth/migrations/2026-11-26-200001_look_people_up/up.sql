-- For GET /users/lookup, by how a handle or a name begins.
CREATE INDEX users_handle_prefix ON users (handle text_pattern_ops);
CREATE INDEX users_full_name_prefix ON users (lower(full_name) text_pattern_ops);

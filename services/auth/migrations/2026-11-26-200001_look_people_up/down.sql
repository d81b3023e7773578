DROP INDEX users_full_name_prefix;
DROP INDEX users_handle_prefix;

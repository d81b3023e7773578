DROP TABLE owner_handles;

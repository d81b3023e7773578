ALTER TABLE users DROP COLUMN apps;
DROP TABLE group_members;
DROP TABLE groups;

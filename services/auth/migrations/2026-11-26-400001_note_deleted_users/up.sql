-- Accounts that were deleted, in that order: services delete what they keep of theirs. No name, no address. A deletion
-- holds the lock of the admins to its end, so that no position comes to light after a later one.
CREATE TABLE deleted_users (
    position bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT deleted_users_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT deleted_users_user_key UNIQUE,
    deleted_at timestamptz NOT NULL
);
-- Those from before. What is on the log as deleted and is there all the same was not deleted.
INSERT INTO deleted_users (user_id, deleted_at)
SELECT DISTINCT ON (target_id) target_id::uuid, at
FROM audit_log
WHERE action = 'auth.user_delete' AND target_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    AND NOT EXISTS (SELECT FROM users WHERE users.id::text = target_id)
ORDER BY target_id, at;

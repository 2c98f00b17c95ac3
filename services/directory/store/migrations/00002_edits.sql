-- An edit whose answer was lost on the way comes again. What it is known by, and
-- what it was answered, is kept of the last edit of each user.

-- +goose Up

ALTER TABLE users ADD COLUMN edit_id BYTEA;
ALTER TABLE users ADD COLUMN edit_answer BYTEA;

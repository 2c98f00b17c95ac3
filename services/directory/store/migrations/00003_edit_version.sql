-- The list version that the last edit of each user was made by. An edit made by
-- an older one comes from a past that the user has left.

-- +goose Up

ALTER TABLE users ADD COLUMN edit_version BIGINT;

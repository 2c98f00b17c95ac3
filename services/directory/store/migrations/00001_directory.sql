-- One text for SQLite and PostgreSQL. BIGINT holds ids, versions, bit sets and
-- seconds since 1970. Names and phone numbers are URL-encoded, as clients sent
-- them; an email is in its canonical spelling, and sorts byte by byte in both
-- engines: SQLite knows the collation "binary" itself, for PostgreSQL it is
-- made before the first migration.

-- +goose Up

-- Ids are taken from here, in blocks.
CREATE TABLE counters (
	name  TEXT   NOT NULL PRIMARY KEY,
	value BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('users', 0);

-- The keys that seal passwords, by name alone. The proof is a known text
-- sealed under the key: it tells a wrong key from the right one.
CREATE TABLE keys (
	id      TEXT   NOT NULL PRIMARY KEY,
	proof   BYTEA  NOT NULL,
	created BIGINT NOT NULL
);

-- version is the list version, and the row is the lock of a user's lists.
CREATE TABLE users (
	id            BIGINT  NOT NULL PRIMARY KEY,
	email         TEXT    COLLATE "binary" NOT NULL UNIQUE,
	name          TEXT    NOT NULL,
	verified      BOOLEAN NOT NULL,
	disabled      BOOLEAN NOT NULL,
	version       BIGINT  NOT NULL,
	created       BIGINT  NOT NULL,
	gtc_ask       BOOLEAN NOT NULL,
	blp_allow     BOOLEAN NOT NULL,
	phone_home    TEXT    NOT NULL,
	phone_work    TEXT    NOT NULL,
	phone_mobile  TEXT    NOT NULL,
	page          BOOLEAN NOT NULL,
	mobile_device BOOLEAN NOT NULL,
	key_id        TEXT    NOT NULL REFERENCES keys (id),
	secret        BYTEA   NOT NULL
);

-- id is 0 for the group that always exists.
CREATE TABLE contact_groups (
	owner_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	id       BIGINT NOT NULL,
	name     TEXT   NOT NULL,
	PRIMARY KEY (owner_id, id)
);

-- Everyone whom the owner has on FL, AL or BL. A name that is not null says
-- that the member is on that list, and how the owner calls the member there.
-- Somebody's RL is everyone who has that person on FL: it is never stored.
-- Bit i of in_groups says that the FL member is in group i.
CREATE TABLE members (
	owner_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	member_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	forward_name TEXT,
	allow_name   TEXT,
	block_name   TEXT,
	in_groups    BIGINT NOT NULL,
	PRIMARY KEY (owner_id, member_id),
	CHECK (forward_name IS NOT NULL OR allow_name IS NOT NULL OR block_name IS NOT NULL),
	CHECK (allow_name IS NULL OR block_name IS NULL),
	CHECK (forward_name IS NOT NULL OR in_groups = 0)
);

CREATE INDEX members_by_member ON members (member_id, owner_id);

-- When an article is due, and its title, for the list. The trail of the desk, tokens of programs, and sessions
-- of people whom no password file names. Older workers and desks go on: every new column may be NULL.

ALTER TABLE escalations ADD COLUMN title VARCHAR(200);

ALTER TABLE escalations ADD COLUMN due_at $MOMENT;

CREATE INDEX ix_escalations_state_due ON escalations (state, coalesce(due_at, created_at), id);

CREATE TABLE desk_audit (
    id $NUMBER NOT NULL PRIMARY KEY,
    at $MOMENT NOT NULL,
    "by" VARCHAR(200) NOT NULL,
    signed_in VARCHAR(10) NOT NULL,
    action VARCHAR(50) NOT NULL,
    subject VARCHAR(200) NOT NULL,
    filter TEXT NOT NULL,
    count INTEGER,
    outcome VARCHAR(200) NOT NULL
);

CREATE TABLE desk_tokens (
    name VARCHAR(100) NOT NULL PRIMARY KEY,
    token_sha256 VARCHAR(64) NOT NULL,
    roles VARCHAR(100) NOT NULL,
    created_at $MOMENT NOT NULL,
    used_at $MOMENT,
    UNIQUE (token_sha256)
);

ALTER TABLE desk_sessions ADD COLUMN began_at $MOMENT;

ALTER TABLE desk_sessions ADD COLUMN signed_in VARCHAR(10);

ALTER TABLE desk_sessions ADD COLUMN roles VARCHAR(100);

ALTER TABLE desk_sessions ADD COLUMN record_id VARCHAR(32);

ALTER TABLE desk_sessions ADD COLUMN round INTEGER;

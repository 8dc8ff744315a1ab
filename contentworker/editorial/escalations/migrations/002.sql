-- What the list of records shows, findings, comments, holds, and decisions that can be withdrawn.
-- Workers of version 1 go on: every new column may be NULL, and they see no event that is still held.

ALTER TABLE escalations ADD COLUMN language VARCHAR(20);

ALTER TABLE escalations ADD COLUMN score FLOAT;

ALTER TABLE escalations ADD COLUMN verdict VARCHAR(10);

ALTER TABLE escalations ADD COLUMN held_by VARCHAR(200);

ALTER TABLE escalations ADD COLUMN held_until $MOMENT;

DROP INDEX ix_escalations_state;

CREATE INDEX ix_escalations_state_created_at ON escalations (state, created_at, id);

CREATE INDEX ix_escalations_created_at ON escalations (created_at, id);

CREATE INDEX ix_escalations_updated_at ON escalations (updated_at, id);

CREATE TABLE escalation_findings (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    run_id VARCHAR(200) NOT NULL,
    kind VARCHAR(10) NOT NULL,
    number INTEGER NOT NULL,
    text_sha256 VARCHAR(64) NOT NULL,
    content TEXT NOT NULL,
    created_at $MOMENT NOT NULL,
    UNIQUE (escalation_id, run_id, kind, number),
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_findings_escalation_id ON escalation_findings (escalation_id);

CREATE TABLE escalation_comments (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    at $MOMENT NOT NULL,
    "by" VARCHAR(200) NOT NULL,
    text TEXT NOT NULL,
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_comments_escalation_id ON escalation_comments (escalation_id);

ALTER TABLE escalation_events ADD COLUMN not_before $MOMENT;

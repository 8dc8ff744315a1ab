-- The tables of version 1, as `create_all` made them.

CREATE TABLE schema_version (
    version INTEGER NOT NULL
);

CREATE TABLE escalations (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    article_id VARCHAR(200) NOT NULL,
    reason VARCHAR(50) NOT NULL,
    evidence TEXT NOT NULL,
    media_type VARCHAR(20),
    run_id VARCHAR(200),
    state VARCHAR(10) NOT NULL,
    round INTEGER NOT NULL,
    decision VARCHAR(50) NOT NULL,
    settled_by VARCHAR(200) NOT NULL,
    note TEXT NOT NULL,
    event_id VARCHAR(32) NOT NULL,
    created_at $MOMENT NOT NULL,
    updated_at $MOMENT NOT NULL,
    settled_at $MOMENT,
    UNIQUE (article_id, reason)
);

CREATE INDEX ix_escalations_state ON escalations (state);

CREATE TABLE escalation_texts (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    kind VARCHAR(10) NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    text TEXT NOT NULL,
    created_at $MOMENT NOT NULL,
    UNIQUE (escalation_id, sha256),
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_texts_escalation_id ON escalation_texts (escalation_id);

CREATE TABLE escalation_history (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    at $MOMENT NOT NULL,
    what VARCHAR(20) NOT NULL,
    "by" VARCHAR(200) NOT NULL,
    decision VARCHAR(50) NOT NULL,
    note TEXT NOT NULL,
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_history_escalation_id ON escalation_history (escalation_id);

CREATE TABLE escalation_notifications (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    round INTEGER NOT NULL,
    channel_key VARCHAR(64) NOT NULL,
    channel VARCHAR(200) NOT NULL,
    state VARCHAR(10) NOT NULL,
    detail VARCHAR(200) NOT NULL,
    updated_at $MOMENT NOT NULL,
    UNIQUE (escalation_id, round, channel_key),
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_notifications_escalation_id ON escalation_notifications (escalation_id);

CREATE TABLE escalation_events (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    payload TEXT NOT NULL,
    created_at $MOMENT NOT NULL,
    webhook_at $MOMENT,
    task_at $MOMENT,
    done_at $MOMENT,
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_events_escalation_id ON escalation_events (escalation_id);

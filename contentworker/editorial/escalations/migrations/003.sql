-- What a person chose for each change of a rewrite. Nothing is overwritten: the latest one is in force.

CREATE TABLE escalation_choices (
    id $NUMBER NOT NULL PRIMARY KEY,
    escalation_id VARCHAR(32) NOT NULL,
    finding_id INTEGER NOT NULL,
    change INTEGER NOT NULL,
    choice VARCHAR(10) NOT NULL,
    text TEXT NOT NULL,
    "by" VARCHAR(200) NOT NULL,
    at $MOMENT NOT NULL,
    FOREIGN KEY (escalation_id) REFERENCES escalations (id) ON DELETE CASCADE,
    FOREIGN KEY (finding_id) REFERENCES escalation_findings (id) ON DELETE CASCADE
);

CREATE INDEX ix_escalation_choices_escalation_id ON escalation_choices (escalation_id);

-- Who is signed in at the desk. The token itself is in the person's browser alone.

CREATE TABLE desk_sessions (
    token_sha256 VARCHAR(64) NOT NULL PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    account_sha256 VARCHAR(64) NOT NULL,
    expires_at $MOMENT NOT NULL
);

"""The desk's JSON API for other programs: docs/desk-api.md."""

"""What a person is asked to decide: records, their texts, and who was told. The database is loaded on use."""

"""What Redis keeps besides messages: dead letters, runs, spending. Plain Redis, no Celery."""

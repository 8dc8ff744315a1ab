"""Programs of another team, which send articles. They have Celery, and none of this project's code."""

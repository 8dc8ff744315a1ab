"""The judgement: plain Python that parses an article and scores it. It knows no Celery and no Redis."""

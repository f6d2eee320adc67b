"""The processes that work on files: a worker without Celery, and what the children of any worker need."""

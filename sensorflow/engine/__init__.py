"""The processes that work on files: a worker without Celery, and what every worker's children share with it."""

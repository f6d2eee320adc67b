"""Worker processes: the worker without Celery, and the set-up of the children of both kinds of worker."""

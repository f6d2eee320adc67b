"""Worker processes: the worker without Celery, and modules for the child processes of workers with and
without Celery."""

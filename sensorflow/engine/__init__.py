"""Worker processes: a worker without Celery, and the set-up of any worker's children."""

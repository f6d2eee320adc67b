"""Names the environment variables that contain the credentials of providers, for messages."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT or GOOGLE_SERVICE_ACCOUNT_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or those of a token or client)",
}
"""Scheme of the bucket's URL -> the variables of its credentials."""


def ignored(scheme: str) -> str:
    """Return a sentence about a profile of the AWS command line, which is not read; "" if there is
    none."""
    if scheme != "s3":
        return ""
    default = str(Path("~/.aws/credentials").expanduser())
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or default
    found = [name for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE") if os.environ.get(name)]
    if os.path.exists(file):  # noqa: PTH110 - unlike Path.exists, it never raises
        found.append(file)
    return f"; not read by sensorflow: {' and '.join(found)}" if found else ""

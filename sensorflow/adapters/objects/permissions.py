"""Names the permissions that the stores of providers need, for messages."""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "write": "s3:PutObject",
        "read": "s3:GetObject",
        "list": "s3:ListBucket",
        "look up": "s3:GetObject and s3:ListBucket",
        "delete": "s3:DeleteObject",
    },
    "gs": {
        "write": "storage.objects.create",
        "read": "storage.objects.get",
        "list": "storage.objects.list",
        "look up": "storage.objects.get and storage.objects.list",
        "delete": "storage.objects.delete",
    },
    "az": {
        "write": "blobs/write",
        "read": "blobs/read",
        "list": "blobs/read",
        "look up": "blobs/read",
        "delete": "blobs/delete",
    },
}
"""Without the permission to list, providers also refuse to say that an object does not exist.

Scheme of the bucket's URL -> operation, as in `errors.PermissionMissing` -> the provider's name of the
permission."""

"""Names the permissions that the stores of providers need, for messages."""

from __future__ import annotations

PERMISSIONS = {
    "s3": {
        "write": "s3:PutObject",
        "read back": "s3:GetObject",
        "conditional create": "s3:PutObject",
        "list": "s3:ListBucket",
        "look up a missing object": "s3:ListBucket",
        "delete": "s3:DeleteObject",
    },
    "gs": {
        "write": "storage.objects.create",
        "read back": "storage.objects.get",
        "conditional create": "storage.objects.create",
        "list": "storage.objects.list",
        "look up a missing object": "storage.objects.list",
        "delete": "storage.objects.delete",
    },
    "az": {
        "write": "blobs/write",
        "read back": "blobs/read",
        "conditional create": "blobs/write",
        "list": "blobs/read",
        "look up a missing object": "blobs/read",
        "delete": "blobs/delete",
    },
}
"""Without the permission to list, providers also refuse to say that an object does not exist.

Scheme of the bucket's URL -> step of `flow.store_check.Step` -> the provider's name of the
permission."""

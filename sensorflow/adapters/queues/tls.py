"""TLS connections to the broker: the options of the two drivers, and readable error messages.

kombu passes a dict of options to redis-py (keys ``ssl_…``) or py-amqp (keys of the module ``ssl``). By
default, kombu does not verify the certificate for rediss://, and does not verify the host name for
amqps://.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from sensorflow.tls import SECURE, Tls


def options(url: str, tls: Tls | None) -> dict[str, Any] | None:
    """Return Celery's setting ``broker_use_ssl``, or None for a URL without TLS. The certificate is
    verified unless the settings disable this."""
    parts = urlsplit(url)
    if parts.scheme not in SECURE:
        return None
    tls = tls or Tls()
    files = {"ca_certs": tls.ca, "certfile": tls.cert, "keyfile": tls.key}
    found: dict[str, Any] = {name: str(path) for name, path in files.items() if path}
    found["cert_reqs"] = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    if parts.scheme == "amqps":
        # kombu would replace localhost by 127.0.0.1; if the name is set, py-amqp always verifies it
        return found | ({"server_hostname": parts.hostname} if tls.verify else {})
    return {f"ssl_{name}": value for name, value in found.items()} | {
        "ssl_check_hostname": tls.verify
    }


def reason(error: BaseException, secure: bool) -> str:
    """Return one line that explains an error. The drivers wrap TLS errors, so the chain of causes is
    searched for a TLS error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return (
                f"TLS: the broker's certificate is refused: {seen.verify_message}; see broker_tls"
            )
        if isinstance(seen, ssl.SSLError):
            return f"TLS: the broker uses no TLS or rejects this client: {seen.reason or seen}"
        seen = seen.__cause__ or seen.__context__
    lines = str(error).splitlines()
    reason = lines[0][:300] if lines and lines[0] else type(error).__name__
    return f"{reason} (TLS was requested)" if secure else reason

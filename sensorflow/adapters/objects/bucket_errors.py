"""Translates errors of obstore to Transient STORAGE, with one line that says which operation failed on
which object, the provider's reason, and what to do.

obstore has few exception classes, and passes the provider's answer only as text: its status, and a body in
XML with code and message. A HEAD request has no body.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sensorflow.adapters.objects.obstore_module import obstore
from sensorflow.adapters.objects.provider_variables import VARIABLES, ignored
from sensorflow.errors import DO, Code, PermissionMissing, Transient

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
MESSAGE = re.compile(r"<Message>\s*([^<\n]*)")
DETAIL = re.compile(r'(?:message|error): "([^"]*)"')
TIMEOUT = re.compile(r"\bTimedOut\b|kind: Timeout\b")
CUT = re.compile(r"IncompleteBody|IncompleteMessage|kind: Interrupted|ConnectionReset")
CERTIFICATE = re.compile(r"invalid peer certificate|InvalidCertificate\(")
CREDENTIALS = re.compile(
    r"GCP credential error|Invalid Access Key|Missing\w* ?(?:Secret)?AccessKey"
)
QUERY = re.compile(r"\?\S*")
METADATA = re.compile(
    r"169\.254\.169\.254|fd00:ec2::254|metadata\.google\.internal|169\.254\.170\."
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request. status: HTTP status, or None if there was no answer. code: the provider's error
    code, or "". reason: the provider's message or the error of the connection, or ""."""

    status: int | None
    code: str
    reason: str

    @property
    def shown(self) -> str:
        """The provider's words in brackets, for a message; "" if there are none."""
        codes = " ".join(str(word) for word in (self.status, self.code) if word)
        words = ": ".join(word for word in (codes, self.reason) if word)
        return f" ({words})" if words else ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a failure in words, and the next step."""

    text: str
    do: str


RENEWED = (
    "if they are in a file or come from a role, work then resumes automatically; if they are in variables, "
    "restart the processes"
)
MISSING_BUCKET = Meaning(
    "the bucket does not exist",
    "create the bucket, or correct its name in [storage] and restart the processes",
)
REFUSED = Meaning(
    "the provider refuses the credentials",
    f"correct {{variables}}, or their _FILE variables; {RENEWED}",
)
EXPIRED = Meaning("the credentials have expired", f"renew them: set {{variables}}; {RENEWED}")
UNREADABLE = Meaning(
    "the credentials cannot be used", "correct {variables} and restart the processes"
)
NO_ACCOUNT = Meaning(
    "the storage account is not set", "set AZURE_STORAGE_ACCOUNT_NAME and restart the processes"
)
FORBIDDEN = Meaning(
    "no permission",
    "grant the credentials read, write, delete and list on this bucket and prefix; work resumes "
    "automatically",
)
SKEWED = Meaning(
    "the clock of this host differs from the provider's by more than 15 minutes",
    "synchronize the clock of this host; work resumes automatically",
)
FULL = Meaning(
    "the bucket is full or over its quota",
    "delete objects or raise the quota; work resumes automatically",
)
THROTTLED = Meaning(
    "the provider limits the rate of requests",
    "work resumes automatically; if it lasts, use fewer workers or ask the provider for a higher limit",
)
OUTAGE = Meaning(
    "the provider has a failure",
    "work resumes automatically; if it lasts, check the provider's status",
)
UNREACHABLE = Meaning(
    "the provider cannot be reached",
    "check network and proxy, work then resumes automatically; check endpoint (http:// or https://, host "
    "and port) and restart the processes if you change it",
)
SLOW = Meaning(
    "the provider did not answer in time",
    "check the network; work resumes automatically",
)
UNTRUSTED = Meaning(
    "the server's certificate is not trusted",
    "set AWS_CA_BUNDLE or SSL_CERT_FILE to the PEM file of the authority that issued it, and restart "
    "the processes",
)
SELF_SIGNED = Meaning(
    "the server's certificate is self-signed and belongs to an authority, so that no client accepts it "
    "as that of a server",
    "issue a certificate for the server by an authority, and set AWS_CA_BUNDLE or SSL_CERT_FILE to the "
    "PEM file of the authority",
)
OTHER_NAME = Meaning(
    "the server's certificate is for another host name",
    "set endpoint to a host name that the certificate contains",
)
OUTDATED = Meaning(
    "the server's certificate is not valid now", "renew the certificate; check the clocks"
)
NOT_TLS = Meaning(
    "the server does not use TLS at this port",
    "correct the port of endpoint; or, if connections must not be encrypted, begin endpoint with http://",
)
NEEDS_TLS = Meaning(
    "the server requires TLS at this port", "begin endpoint with https:// instead of http://"
)
NO_CREDENTIALS = Meaning(
    "no credentials were found, neither in the environment nor from this host's metadata service",
    "set {variables} in the environment of the processes and restart them, or let the host have a "
    "role{ignored}",
)
NOT_FOUND = Meaning(
    "the server has no such bucket at this address",
    "correct bucket and endpoint in [storage] and restart the processes: endpoint is the URL of the "
    "service, without the bucket",
)
CHANGED = Meaning(
    "the object was changed or replaced while it was read",
    "nothing if it was written again; else find out who writes to the bucket",
)
ABORTED = Meaning(
    "the unfinished upload was removed", "nothing: it is uploaded again at the next attempt"
)
ELSEWHERE = Meaning(
    "the bucket is in another region", "set the region of the bucket, and restart the processes"
)
ARCHIVED = Meaning(
    "the object is in an archive class and cannot be read",
    "restore it, and remove the lifecycle rule that archives objects of this bucket",
)
TOO_LARGE = Meaning(
    "the object is too large for the provider", "split the file, or use another store"
)
OTHER = Meaning(
    "the request failed",
    "check the message, and that endpoint is the URL of the provider's service",
)

CODES = {
    "NoSuchBucket": MISSING_BUCKET,
    "ContainerNotFound": MISSING_BUCKET,
    "ContainerBeingDeleted": MISSING_BUCKET,
    "InvalidBucketName": MISSING_BUCKET,
    "InvalidAccessKeyId": REFUSED,
    "SignatureDoesNotMatch": REFUSED,
    "AuthenticationFailed": REFUSED,
    "InvalidToken": REFUSED,
    "InvalidSecurity": REFUSED,
    "ExpiredToken": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "RequestTimeTooSkewed": SKEWED,
    "RequestExpired": SKEWED,
    "AccessDenied": FORBIDDEN,
    "AllAccessDisabled": FORBIDDEN,
    "AuthorizationFailure": FORBIDDEN,
    "AuthorizationPermissionMismatch": FORBIDDEN,
    "InsufficientAccountPermissions": FORBIDDEN,
    "QuotaExceeded": FULL,
    "XMinioStorageFull": FULL,
    "XMinioAdminBucketQuotaExceeded": FULL,
    "InsufficientStorage": FULL,
    "AccountBeingCreated": OUTAGE,
    "SlowDown": THROTTLED,
    "TooManyRequests": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
    "ServerBusy": THROTTLED,
    "RequestTimeout": SLOW,
    "NoSuchUpload": ABORTED,
    "InvalidBlockList": ABORTED,
    "PermanentRedirect": ELSEWHERE,
    "AuthorizationHeaderMalformed": ELSEWHERE,
    "IllegalLocationConstraintException": ELSEWHERE,
    "InvalidObjectState": ARCHIVED,
    "BlobArchived": ARCHIVED,
    "EntityTooLarge": TOO_LARGE,
    "RequestBodyTooLarge": TOO_LARGE,
}
"""Error codes of S3, Google Cloud Storage (XML API) and Azure, and of common S3-compatible servers."""

STATUSES = {
    301: ELSEWHERE,
    401: REFUSED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    412: CHANGED,
    413: TOO_LARGE,
    429: THROTTLED,
    503: THROTTLED,
    507: FULL,
}
"""The meaning of a status whose code is unknown or missing."""

TEXTS = (
    (
        re.compile(
            r"to an HTTPS server|to HTTPS port|plain HTTP to an SSL|Parse\((?:Version|Header)"
        ),
        NEEDS_TLS,
    ),
    (re.compile(r"InvalidContentType"), NOT_TLS),
    (re.compile(r"CaUsedAsEndEntity"), SELF_SIGNED),
    (re.compile(r"NotValidForName"), OTHER_NAME),
    (re.compile(r"InvalidCertificate\(\s*(?:Expired|NotValidYet)"), OUTDATED),
    (re.compile(r"Account must be specified"), NO_ACCOUNT),
    (CREDENTIALS, UNREADABLE),
)
"""Texts of errors that have a meaning of their own."""


def failure(error: BaseException) -> Failure:
    """Return the failure that an exception of obstore describes."""
    shown, _, debug = str(error).partition("\n\nDebug source:")
    status, code, message = STATUS.search(shown), CODE.search(shown), MESSAGE.search(shown)
    reason = message[1].strip() if message else ""
    if not status and not reason:
        details = DETAIL.findall(debug)
        reason = details[-1] if details else ""
    return Failure(int(status[1]) if status else None, code[1] if code else "", reason)


def meaning(error: BaseException) -> Meaning:
    """Return the meaning of an exception of obstore."""
    found, text = failure(error), str(error)
    if METADATA.search(text):
        return NO_CREDENTIALS
    if found.code == "AuthenticationFailed" and "date header" in text.lower():
        return SKEWED
    if "performing token request" in text and found.status in (400, 401):  # of Google and Azure
        return REFUSED
    if found.code not in CODES:
        for pattern, means in TEXTS:
            if pattern.search(text):
                return means
    if found.status is not None:
        return _meaning_of(found)
    if CERTIFICATE.search(text):
        return UNTRUSTED
    if TIMEOUT.search(text):
        return SLOW
    if "BareRedirect" in text:
        return ELSEWHERE
    return UNREACHABLE if "HTTP error" in text else OTHER


def _meaning_of(found: Failure) -> Meaning:
    if found.code in CODES:
        return CODES[found.code]
    status = found.status or 0
    return STATUSES.get(status, OUTAGE if status >= 500 else OTHER)


def is_missing_object(error: BaseException) -> bool:
    """Return whether an exception says that the object, and not the bucket, does not exist."""
    return isinstance(error, FileNotFoundError) and meaning(error) not in (MISSING_BUCKET, ABORTED)


def is_refusal(error: BaseException | None) -> bool:
    """Return whether other credentials may help."""
    return error is not None and meaning(error) in (REFUSED, EXPIRED, FORBIDDEN, NO_CREDENTIALS)


def is_unexplained(error: BaseException | None) -> bool:
    """Return whether the provider refused a request without a reason, as it does for HEAD requests."""
    found = failure(error) if error is not None else Failure(None, "", "")
    return found.status is not None and not found.code


def is_cut(error: BaseException | None) -> bool:
    """Return whether the connection was closed before the end of the answer."""
    return error is not None and CUT.search(str(error)) is not None


def is_empty_range(error: BaseException) -> bool:
    """Return whether a range of an object was requested that begins at or after its end."""
    return failure(error).status == 416


def is_existing(error: BaseException | None) -> bool:
    """Return whether a conditional create found an object of this name."""
    return type(error).__name__ == "AlreadyExistsError"


def translated(error: BaseException, operation: str, place: str) -> Transient:
    """Return the error to raise. operation: in words, such as "read". place: the URL of the object."""
    if is_missing_object(error):
        return Transient(Code.STORAGE, f"cannot {operation} {place}: it does not exist")
    means, found = meaning(error), failure(error)
    if means in (OTHER, UNREADABLE) and not found.reason:
        found = replace(found, reason=_first_line(error))
    return _transient(means, found, operation, place)


def _first_line(error: BaseException) -> str:
    """Return the first line of an error, without queries of URLs, which may contain secrets."""
    first = str(error).strip().partition("\n")[0]
    return QUERY.sub("", first.partition(" error: ")[2] or first)[:200]


def explained(found: Failure, operation: str, place: str) -> Transient:
    """Return the error to raise for a provider's answer."""
    return _transient(_meaning_of(found), found, operation, place)


def _transient(means: Meaning, found: Failure, operation: str, place: str) -> Transient:
    scheme = place.partition(":")[0]
    do = means.do.replace("{variables}", VARIABLES.get(scheme, "the provider's variables"))
    do = do.replace("{ignored}", ignored(scheme))
    text = f"cannot {operation} {place}: {means.text}{found.shown}; {do}"
    if means == FORBIDDEN:
        return PermissionMissing(Code.STORAGE, text, operation=operation, **{DO: do})
    return Transient(Code.STORAGE, text, **{DO: do})


def replaced(place: str) -> Transient:
    """Return the error to raise if an object was replaced while it was read."""
    return Transient(
        Code.STORAGE, f"cannot read {place}: {CHANGED.text}; {CHANGED.do}", **{DO: CHANGED.do}
    )


DEFECT = "check the endpoint and the values of the credentials, and restart the processes"


@contextmanager
def bucket_errors(operation: str, place: str) -> Iterator[None]:
    """Translate errors of obstore in the body to Transient STORAGE. The cause is FileNotFoundError if and
    only if the object does not exist."""
    base = obstore().exceptions.BaseError
    try:
        yield
    except (base, OSError, NotImplementedError) as error:
        raised = translated(error, operation, place)
        if is_missing_object(error):
            raise raised from FileNotFoundError(place)
        if isinstance(
            error, OSError
        ):  # callers would take some kinds for a missing or corrupt object
            raise raised from OSError(errno.EIO, str(error))
        raise raised from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of pyo3, which derives it from BaseException
            raise
        text = (
            f"cannot {operation} {place}: obstore has a defect: {str(error).partition(chr(10))[0]}"
        )
        raise Transient(Code.STORAGE, f"{text}; {DEFECT}", **{DO: DEFECT}) from RuntimeError(
            str(error)
        )

"""Opens the stores of the zones and areas of a project at the locations that the settings name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sensorflow import plugins
from sensorflow.adapters.local.places import make_folders, storage_errors
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.core.bucket_url import BUCKETS, bucket_url
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient, UsageError
from sensorflow.flow.quarantine_zone import FILES
from sensorflow.settings import Settings
from sensorflow.settings.storage import AREAS, ZONES, zone_of

if TYPE_CHECKING:
    from sensorflow.ports.layers import Layers
    from sensorflow.ports.objects import MakeStore, ObjectStore

CHECK_SECONDS = 3.0
"""How long the checks of `zone_alone` wait for a connection to a bucket, and retry a request."""
CHECK_REQUEST_SECONDS = 10.0
"""How long the checks of `zone_alone` wait for the answer to a request."""


def store(settings: Settings, zone: str) -> ObjectStore:
    """Return the object store of a zone. While the zone is moved, the store contains the objects of both
    locations. zone: one of `settings.storage.ZONES`.

    Raises UsageError if a package that the store needs is missing or cannot be imported.
    """
    before = _before_move(settings, zone)
    if before is None:
        return _store(settings, zone)
    from sensorflow.adapters.objects.previous import PreviousObjects

    return PreviousObjects(_store(settings, zone, True), _store(before, zone, True))


def _before_move(settings: Settings, zone: str) -> Settings | None:
    return settings.before_move() if zone in settings.moved_zones() else None


def _store(
    settings: Settings,
    zone: str,
    may_be_empty: bool = False,
    is_check: bool = False,
) -> ObjectStore:
    """may_be_empty: whether a zone in which nothing was ever written is empty. If not, it is unavailable.
    is_check: whether a user waits for the answer of an unreachable bucket."""
    folder = settings.zone_folder(zone)
    if folder is not None:
        required = folder.parent if may_be_empty else folder
        return LocalObjects(folder, FILES if zone == "quarantine" else "", required)
    url = settings.storage.url(zone) or ""
    if plugins.scheme(url) in BUCKETS:
        from sensorflow.adapters.objects.bucket import open_bucket
        from sensorflow.adapters.objects.bucket_access import BucketOptions

        options = BucketOptions(settings.storage.endpoint, settings.storage.region)
        if is_check:
            options = replace(
                options,
                retry_seconds=CHECK_SECONDS,
                connect_seconds=CHECK_SECONDS,
                request_seconds=CHECK_REQUEST_SECONDS,
            )
        folders = tuple(f"{layer}/" for layer in Layer) if zone == "lake" else ("",)
        return open_bucket(url, options, may_be_empty, folders)
    make: MakeStore = plugins.load(plugins.Group.STORES, plugins.scheme(url))
    return make(url, settings.home)


def area(settings: Settings, name: str) -> ObjectStore:
    """Return the object store of an area, whose objects have names without the area's name. While the area
    is moved, the store contains the objects of both locations. An area without a folder is empty. name: one
    of `settings.storage.AREAS`.

    Raises UsageError as `store` does.
    """
    before = _before_move(settings, zone_of(name))
    if before is None:
        return _area(settings, name)
    from sensorflow.adapters.objects.previous import PreviousObjects

    return PreviousObjects(_area(settings, name), _area(before, name))


def zone_alone(settings: Settings, zone: str) -> ObjectStore:
    """Return the object store of a zone at its current location, even while the zone is moved. It is for
    checks, which users wait for: a request to a bucket is retried for `CHECK_SECONDS`. Raises UsageError
    as `store` does."""
    return _store(settings, zone, may_be_empty=True, is_check=True)


def shared_place(settings: Settings, zone: str) -> str:
    """Return the bucket of a zone, without its prefix, or else the zone's location. If one zone of a bucket
    is unavailable, so are the others."""
    location = settings.zone_location(zone)
    if plugins.scheme(location) not in BUCKETS:
        return location
    found = bucket_url(location)
    return f"{found.scheme}://{found.bucket}"


def require_access(settings: Settings) -> None:
    """Check that this process can use the zones in buckets, with one request per zone. Does not raise if a
    store is unavailable, because it may be available later. Call this before threads are started.

    Raises UsageError if a package that a store needs is missing, and UsageError STORAGE if a provider
    refuses the credentials.
    """
    if all(settings.zone_folder(zone) is not None for zone in ZONES) and not settings.moved_zones():
        return
    from sensorflow.adapters.objects.obstore_module import in_child

    for zone in ZONES:
        store(settings, zone)
    if (refusal := in_child(lambda: _refusal(settings))) is not None:
        raise refusal


def _refusal(settings: Settings) -> UsageError | None:
    from sensorflow.adapters.objects.bucket_errors import is_refusal

    before = settings.before_move()
    located = [(settings, zone) for zone in ZONES]
    located += [(before, zone) for zone in settings.moved_zones() if before is not None]
    for where, zone in located:
        if plugins.scheme(where.storage.url(zone) or "") not in BUCKETS:
            continue
        try:
            zone_alone(where, zone).created_at()
        except Transient as error:
            if not is_refusal(error.__cause__):
                return None  # an outage; the other zones would be waited for too
            place = where.displayed_zone(zone)
            return UsageError(f"{place} refuses this host: {error}", error.code)
    return None


def bucket_of(settings: Settings, zone: str) -> str:
    """Return the name of the bucket or folder of a zone; see `ObjectStore.name`. Does not need the package
    of a bucket. Raises UsageError as `store` does."""
    url = settings.storage.url(zone) or ""
    return urlsplit(url).netloc if plugins.scheme(url) in BUCKETS else store(settings, zone).name


def moved_areas(settings: Settings) -> dict[str, tuple[ObjectStore, ObjectStore]]:
    """Return the areas that are being moved: name -> its store at the previous location and at the current
    location. Create the local folder that contains the areas at the current location, if it does not exist.
    Raises UsageError as `store` does, and Transient STORAGE."""
    for zone in settings.moved_zones():
        if (folder := settings.zone_folder(zone)) is not None:
            with storage_errors():
                make_folders(folder if zone == "lake" else folder.parent)
    found = {name: _before_move(settings, zone_of(name)) for name in AREAS}
    return {
        name: (_area(before, name), _area(settings, name))
        for name, before in found.items()
        if before is not None
    }


def stores_of(settings: Settings, areas: Iterable[str]) -> Iterator[tuple[ObjectStore, list[str]]]:
    """Yield each store at the current location that records its creation time, and those of the areas that
    it contains. A lake that is not on this host is one store with all layers. Raises UsageError as `store`
    does."""
    layers = []
    for name in areas:
        if zone_of(name) == "lake" and settings.zone_folder("lake") is None:
            layers.append(name)
        else:
            yield _area(settings, name), [name]
    if layers:
        yield _store(settings, "lake", may_be_empty=True), layers


def _area(settings: Settings, name: str) -> ObjectStore:
    if name in ZONES:
        return _store(settings, name, may_be_empty=True)
    if (folder := settings.zone_folder("lake")) is not None:
        return LocalObjects(folder / name, required=folder)
    from sensorflow.adapters.objects.prefixed import PrefixedObjects

    return PrefixedObjects(_store(settings, "lake", may_be_empty=True), f"{name}/")


def lake(settings: Settings) -> Layers:
    """Return the lake. While it is moved, it contains the rows of both locations. Raises UsageError as
    `store` does."""
    before = _before_move(settings, "lake")
    if before is None:
        return _lake(settings)
    from sensorflow.adapters.layers.previous import PreviousLayers

    return PreviousLayers(_lake(settings, True), _lake(before, True))


def _lake(settings: Settings, may_lack_layers: bool = False) -> Layers:
    from sensorflow.adapters.layers.local import LocalLayers
    from sensorflow.adapters.layers.objects import ObjectLayers

    if (folder := settings.zone_folder("lake")) is not None:
        return LocalLayers(folder, may_lack_layers=may_lack_layers)
    return ObjectLayers(_store(settings, "lake", may_lack_layers))


def permissions(settings: Settings, zone: str) -> Mapping[str, str]:
    """Return the permissions that a zone in a bucket needs: operation, as in `errors.PermissionMissing` ->
    the provider's name of the permission. Empty for other zones."""
    from sensorflow.adapters.objects.permissions import PERMISSIONS

    return PERMISSIONS.get(plugins.scheme(settings.storage.url(zone) or ""), {})

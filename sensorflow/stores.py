"""Opens the stores of the zones and areas of a project at the locations that the settings name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sensorflow import plugins
from sensorflow.adapters.local.places import make_folders, storage_errors
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.objects.owned import OwnedObjects
from sensorflow.core.bucket_url import BUCKETS, bucket_url
from sensorflow.core.partitions import Layer
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow.location_owner import LocationOwner
from sensorflow.flow.quarantine_zone import FILES
from sensorflow.settings import Settings
from sensorflow.settings.storage import AREAS, ZONES, zone_of

if TYPE_CHECKING:
    from sensorflow.ports.layers import Layers
    from sensorflow.ports.objects import MakeStore, ObjectStore
    from sensorflow.ports.project import GetProject

CHECK_SECONDS = 3.0
"""How long the checks of `zone_alone` and `location_owners` wait for a connection to a bucket, and retry a
request."""
CHECK_REQUEST_SECONDS = 10.0
"""How long these checks wait for the answer to a request."""


def store(settings: Settings, zone: str, get_project: GetProject | None = None) -> ObjectStore:
    """Return the object store of a zone. While the zone is moved, the store contains the objects of both
    locations. zone: one of `settings.storage.ZONES`. get_project: the project that the locations must
    belong to (see `LocationOwner`); None not to check it.

    Raises UsageError if a package that the store needs is missing or cannot be imported.
    """
    before = _before_move(settings, zone)
    if before is None:
        return _owned(settings, zone, _store(settings, zone), get_project)
    from sensorflow.adapters.objects.previous import PreviousObjects

    current, previous = (
        _owned(given, zone, _store(given, zone, True), get_project) for given in (settings, before)
    )
    return PreviousObjects(current, previous)


def _owned(
    settings: Settings, zone: str, objects: ObjectStore, get_project: GetProject | None
) -> ObjectStore:
    """Return a store of a zone, or of a part of it, which refuses the location of another project."""
    if get_project is None:
        return objects
    return OwnedObjects(objects, location_owner(settings, zone, get_project, objects))


def location_owner(
    settings: Settings, zone: str, get_project: GetProject, objects: ObjectStore | None = None
) -> LocationOwner:
    """Return the owner of the current location of a zone. objects: a store of the zone; None to open
    one for a check, as `zone_alone` does. Raises UsageError as `store` does."""
    if (folder := settings.zone_folder(zone)) is not None:
        objects = LocalObjects(folder, required=Path("/"))
    elif objects is None:
        objects = zone_alone(settings, zone)
    expected = None if zone in settings.moved_zones() else zone
    shown = settings.displayed_zone(zone)
    return LocationOwner(objects, get_project, shown, _folders(zone), expected)


def location_owners(settings: Settings, get_project: GetProject) -> Iterator[LocationOwner]:
    """Yield the owner of the location of each zone, and of each location from which a zone is moved. It
    is for checks, as `zone_alone`."""
    for zone in ZONES:
        yield location_owner(settings, zone, get_project)
        if (before := _before_move(settings, zone)) is not None:
            yield location_owner(before, zone, get_project)


def _folders(zone: str) -> tuple[str, ...]:
    """Return prefixes of the names of all objects of a zone. Other zones may be below the location of the
    lake."""
    return tuple(f"{layer}/" for layer in Layer) if zone == "lake" else ("",)


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
        return open_bucket(url, options, may_be_empty, _folders(zone))
    make: MakeStore = plugins.load(plugins.Group.STORES, plugins.scheme(url))
    return make(url, settings.home)


def area(settings: Settings, name: str, get_project: GetProject | None = None) -> ObjectStore:
    """Return the object store of an area, whose objects have names without the area's name. While the area
    is moved, the store contains the objects of both locations. An area without a folder is empty. name: one
    of `settings.storage.AREAS`. get_project: see `store`.

    Raises UsageError as `store` does.
    """
    before = _before_move(settings, zone_of(name))
    if before is None:
        return _area(settings, name, get_project)
    from sensorflow.adapters.objects.previous import PreviousObjects

    return PreviousObjects(_area(settings, name, get_project), _area(before, name, get_project))


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


def require_access(settings: Settings, get_project: GetProject) -> None:
    """Check that this process can use the locations of all zones, and that they belong to no other project,
    with one request per location. Does not raise if a location or the database is unavailable, because it
    may be available later. Call this before threads are started: buckets are asked in a forked child, so
    that later children share one copy of obstore. get_project: see `store`.

    Raises UsageError if a package that a store needs is missing, UsageError STORAGE if a provider refuses
    the credentials, and UsageError NOT_OWNED.
    """
    for zone in ZONES:
        store(settings, zone)
    if all(settings.zone_folder(zone) is not None for zone in ZONES) and not settings.moved_zones():
        refusal = _refusal(settings, get_project)
    else:
        from sensorflow.adapters.objects.obstore_module import in_child

        refusal = in_child(lambda: _refusal(settings, get_project))
    if refusal is not None:
        raise refusal


def _refusal(settings: Settings, get_project: GetProject) -> UsageError | None:
    from sensorflow.adapters.objects.bucket_errors import is_refusal

    for one in location_owners(settings, get_project):
        try:
            one.require()
        except Transient as error:
            if error.code is Code.NOT_OWNED:
                return not_owned(error)
            if error.code is Code.STORAGE:
                if not is_refusal(error.__cause__):
                    return None  # an outage; the other zones would be waited for too
                return UsageError(f"{one.location} refuses this host: {error}", error.code)
    return None


def not_owned(error: Transient) -> UsageError:
    """Return the error with which a process ends whose location belongs to another project."""
    return UsageError(f"{error}; {error.remedy}", error.code)


def bucket_of(settings: Settings, zone: str) -> str:
    """Return the name of the bucket or folder of a zone; see `ObjectStore.name`. Does not need the package
    of a bucket. Raises UsageError as `store` does."""
    url = settings.storage.url(zone) or ""
    return urlsplit(url).netloc if plugins.scheme(url) in BUCKETS else store(settings, zone).name


def moved_areas(
    settings: Settings, get_project: GetProject
) -> dict[str, tuple[ObjectStore, ObjectStore]]:
    """Return the areas that are being moved: name -> its store at the previous location and at the current
    location. Create the local folder that contains the areas at the current location, if it does not exist.
    get_project: see `store`. Raises UsageError as `store` does, and Transient STORAGE."""
    for zone in settings.moved_zones():
        if (folder := settings.zone_folder(zone)) is not None:
            with storage_errors():
                make_folders(folder if zone == "lake" else folder.parent)
    found = {name: _before_move(settings, zone_of(name)) for name in AREAS}
    return {
        name: (_area(before, name, get_project), _area(settings, name, get_project))
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


def _area(settings: Settings, name: str, get_project: GetProject | None = None) -> ObjectStore:
    zone = zone_of(name)
    if name in ZONES:
        return _owned(settings, zone, _store(settings, zone, may_be_empty=True), get_project)
    if (folder := settings.zone_folder("lake")) is not None:
        layer = LocalObjects(folder / name, required=folder)
        return _owned(settings, zone, layer, get_project)
    from sensorflow.adapters.objects.prefixed import PrefixedObjects

    lake = _owned(settings, zone, _store(settings, zone, may_be_empty=True), get_project)
    return PrefixedObjects(lake, f"{name}/")


def lake(settings: Settings, get_project: GetProject | None = None) -> Layers:
    """Return the lake. While it is moved, it contains the rows of both locations. get_project: see `store`.
    Raises UsageError as `store` does."""
    before = _before_move(settings, "lake")
    if before is None:
        return _lake(settings, get_project)
    from sensorflow.adapters.layers.previous import PreviousLayers

    return PreviousLayers(_lake(settings, get_project, True), _lake(before, get_project, True))


def _lake(
    settings: Settings, get_project: GetProject | None, may_lack_layers: bool = False
) -> Layers:
    from sensorflow.adapters.layers.local import LocalLayers
    from sensorflow.adapters.layers.objects import ObjectLayers
    from sensorflow.adapters.layers.owned import OwnedLayers

    if (folder := settings.zone_folder("lake")) is None:
        objects = _store(settings, "lake", may_lack_layers)
        return ObjectLayers(_owned(settings, "lake", objects, get_project))
    layers = LocalLayers(folder, may_lack_layers=may_lack_layers)
    if get_project is None:
        return layers
    return OwnedLayers(layers, location_owner(settings, "lake", get_project))


def permissions(settings: Settings, zone: str) -> Mapping[str, str]:
    """Return the permissions that a zone in a bucket needs: operation, as in `errors.PermissionMissing` ->
    the provider's name of the permission. Empty for other zones."""
    from sensorflow.adapters.objects.permissions import PERMISSIONS

    return PERMISSIONS.get(plugins.scheme(settings.storage.url(zone) or ""), {})

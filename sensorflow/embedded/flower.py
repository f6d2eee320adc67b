"""Provides the password of Flower."""

from __future__ import annotations

from sensorflow.embedded import state
from sensorflow.errors import UsageError
from sensorflow.settings import Settings


def flower_password(settings: Settings) -> tuple[str, str]:
    """Return Flower's password, and a text that says where the password is stored. If the settings contain
    no password, it is generated once and stored in a file. Raises UsageError if the file cannot be used."""
    if settings.flower_password is not None:
        return settings.flower_password.get_secret_value(), "the password of flower_password"
    path = state.home(settings.data_folder) / "flower-password"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return state.secret(path), f"the password in {path}"
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; set flower_password instead") from error

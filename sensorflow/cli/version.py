"""sensorflow version"""

from sensorflow import __version__
from sensorflow.cli.show import line


def version() -> None:
    """Print the version."""
    line(f"sensorflow {__version__}")

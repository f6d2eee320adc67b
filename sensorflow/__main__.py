"""The entry point of the program `sensorflow` and of `python -m sensorflow`."""

from sensorflow import memory


def main() -> None:
    memory.without_pandas()
    from sensorflow import cli

    cli.main()


if __name__ == "__main__":
    main()

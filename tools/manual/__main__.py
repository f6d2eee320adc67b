"""Build the site in .build/site/<version>, and a start page that redirects to it: make docs."""

from __future__ import annotations

import os
import subprocess
import sys

from manual.hooks import ROOT, SITE
from sensorflow import __version__

START = (
    '<!doctype html><meta http-equiv="refresh" content="0; url={0}/index.html">'
    '<a href="{0}/index.html">{0}</a>'
)


def main() -> int:
    """Build the site. Warnings of mkdocs are errors. The folders of other versions are not removed.
    Returns the exit status."""
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, env=env, check=False)
    if done.returncode == 0:
        (SITE / "index.html").write_text(START.format(__version__), "utf-8")
        print(f"{SITE / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""Imports the package obstore, separately for each forked process.

obstore starts threads with its first request. A child that is forked later does not have them, and every
request in it would wait forever. obstore cannot start them again, not even for a new store. Therefore such
a child loads a second copy of the extension module, which starts threads of its own.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any, TypeVar, cast

from sensorflow.errors import Code, UsageError

EXTENSION = "obstore._obstore"
EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
"""Scheme of a bucket -> the extra of sensorflow's package with what it needs."""
T = TypeVar("T")

_lock = threading.Lock()
_module: Any = None
_pid = 0


def obstore() -> Any:
    """Return the module obstore for use in this process. Call `require` first."""
    global _module, _pid
    with _lock:
        if _pid != os.getpid():
            _module = _imported() if _module is None else _copied(_module)
            _pid = os.getpid()
        return _module


def require(scheme: str) -> None:
    """Raise UsageError if obstore is not installed. Does not import it. scheme: of the bucket's URL."""
    if importlib.util.find_spec("obstore") is None:
        raise UsageError(
            f"a bucket needs the package obstore, which this host lacks: {install(scheme)}",
            Code.SETTINGS,
        )


def install(scheme: str) -> str:
    """Return the advice to install what a bucket needs. scheme: of its URL."""
    return f"install it with `pip install '.[{EXTRAS[scheme]}]'` in the checkout of sensorflow"


def in_child(work: Callable[[], T]) -> T | None:
    """Return the result of `work`, which is done in a forked child. This process then has not used obstore,
    and its own children share one copy of it. The result is None if the child was killed. Call this before
    threads are started."""
    read_end, write_end = os.pipe()
    if not (pid := os.fork()):
        try:
            os.close(read_end)
            with os.fdopen(write_end, "wb") as out:
                out.write(pickle.dumps(work()))
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as results:
        result = results.read()
    os.waitpid(pid, 0)
    return cast(T, pickle.loads(result)) if result else None


def _imported() -> Any:
    import obstore
    import obstore.exceptions
    import obstore.store

    return obstore


def _copied(former: Any) -> Any:
    """Import the package again, with a copy of its extension module. `former` stays usable."""
    extension = next(Path(former.__file__).parent.glob("_obstore*.so"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        del sys.modules[name]
    with _copy_of(extension) as path:  # the same file would not be loaded again
        loader = ExtensionFileLoader(EXTENSION, path)
        spec = importlib.util.spec_from_file_location(EXTENSION, path, loader=loader)
        assert spec is not None
        sys.modules[EXTENSION] = importlib.util.module_from_spec(spec)
        loader.exec_module(sys.modules[EXTENSION])
    return _imported()


@contextmanager
def _copy_of(file: Path) -> Iterator[str]:
    """Copy a file into memory, or into a temporary file where the system has no files in memory."""
    content = file.read_bytes()
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("obstore"), "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
        return
    with tempfile.NamedTemporaryFile(suffix=file.suffix) as disk:
        disk.write(content)
        disk.flush()
        yield disk.name


def _forget_lock() -> None:
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_lock)

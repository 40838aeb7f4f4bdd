"""A Dask cluster: its scheduler hands tasks to workers, on this machine or beyond it."""

from __future__ import annotations

from typing import Any

from wsc.errors import CompileError

PATIENCE = 20  # seconds for the scheduler to answer, and for a first worker to be there


def connect(address: str) -> Any:
    """A client of the cluster, which has a worker.

    Raises:
        CompileError: the package is missing, or the cluster is not there or has no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CompileError(
            "a cluster needs Dask: pip install 'wsc[cluster]', here and at the workers"
        ) from None
    client: Any = None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        if client is None:
            reason = f"{type(error).__name__}: {error}".split(" after ", 1)[0]
            raise CompileError(f"no Dask scheduler at '{address}': {reason}") from None
        client.close()
        raise CompileError(f"the cluster at {address} has no worker") from None
    return client

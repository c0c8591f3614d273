from __future__ import annotations

from collections.abc import Iterator

import pytest
from llm_server import Server, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A language model's server for all tests of a file that need nothing special; they tell their questions apart."""
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running

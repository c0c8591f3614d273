"""What a table in Parquet unpacks to, before it is: a text that stands in a million rows is written once, and a megabyte of file fills any memory."""

from __future__ import annotations

import io
from collections.abc import Sequence

NESTED_ROWS = 64
"""that are unpacked together where a column holds lists or objects"""


def unpacks_to_more(content: bytes, most_bytes: int, columns: Sequence[str] | None = None) -> bool:
    """Whether these columns, or all, come to more than so many bytes of text and numbers. Raises what pyarrow does of a file that is none."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    known = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    groups = [known.metadata.row_group(number) for number in range(known.metadata.num_row_groups)]
    names = known.schema_arrow.names if columns is None else list(columns)
    inside = tuple(f"{name}." for name in names)  # of a list or an object: its parts are columns of their own
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    written = sum(chunk.total_uncompressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(inside))
    if max(known.metadata.num_rows, written) > most_bytes:
        return True
    flat = {field.name for field in known.schema_arrow if not pyarrow.types.is_nested(field.type)} & set(names)
    size = 0
    for some, rows in (([name for name in names if name in flat], 65_536), ([name for name in names if name not in flat], NESTED_ROWS)):
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content), read_dictionary=[name for name in some if name in flat])
        for batch in file.iter_batches(columns=some, batch_size=rows) if some else ():
            for column in batch.columns:
                size += column.nbytes
                if pyarrow.types.is_dictionary(column.type):  # each text once, and for every row which it is
                    lengths = pyarrow.compute.binary_length(column.dictionary).take(column.indices)
                    size += pyarrow.compute.sum(lengths).as_py() or 0
            if size > most_bytes:
                return True
    return False

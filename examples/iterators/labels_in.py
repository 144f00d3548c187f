#!/usr/bin/env python3
"""An iterator for tables of Glis, a program: shows rows whose label is in a list, or empty.

Its config, the first argument, is "field,label,label,...". Rows come as an Arrow IPC stream on
standard input and go out the same way; the schema must stay as it is, and the rows in their order.

    cp labels_in.py /folder/of/iterators/ && chmod a+x /folder/of/iterators/labels_in.py
    glis --root DIR set glis.iterator.folder=/folder/of/iterators
    glis --root DIR query my_table --iterator labels_in.py --iterator-config security,public
"""
import sys

import pyarrow as pa
import pyarrow.compute as pc


def main():
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("the config is \"field,label,label,...\"")
    field, *labels = sys.argv[1].split(",")
    with pa.ipc.open_stream(sys.stdin.buffer) as rows:
        if field not in rows.schema.names:
            sys.exit(f"there is no field '{field}'")
        wanted = pa.array(labels + [""], pa.string())
        with pa.ipc.new_stream(sys.stdout.buffer, rows.schema) as out:
            for batch in rows:
                out.write_batch(batch.filter(pc.is_in(batch.column(field), wanted)))


main()

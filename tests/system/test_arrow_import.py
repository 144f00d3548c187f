"""Rows given to the library by pyarrow over the C stream interface, in every layout that Arrow has,
and taken back over the same interface: the values are those that pyarrow itself gives."""

import ctypes
import datetime
import decimal
import json
import os

import pyarrow as pa
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("GLIS_BUILD_ROOT", os.path.join(ROOT, "build"))
D = decimal.Decimal
DAY = datetime.date
UTC = datetime.timezone.utc
# room for a struct ArrowArrayStream: four functions and a pointer
STREAM_BYTES = 5 * ctypes.sizeof(ctypes.c_void_p)


@pytest.fixture(scope="module")
def glis():
    glis = ctypes.CDLL(os.path.join(BUILD, "libglis.so"))
    glis.glis_error_message.restype = ctypes.c_char_p
    glis.glis_instance_close.argtypes = [ctypes.c_void_p]
    return glis


class Instance:
    def __init__(self, glis, root):
        self.glis = glis
        self.handle = ctypes.c_void_p()
        self.tables = 0
        root = str(root).encode()
        self.check(glis.glis_instance_init(root))
        self.check(glis.glis_instance_open(root, ctypes.byref(self.handle)))

    def check(self, code):
        if code < 0:
            raise RuntimeError(self.glis.glis_error_message().decode())

    def round_trip(self, table, field_type):
        """Brings a pyarrow table with the columns n and v in, and v back, in the order of n."""
        self.tables += 1
        name = f"t{self.tables}".encode()
        schema = {"rowKeyFields": [{"name": "n", "type": "LongType"}], "sortKeyFields": [],
                  "valueFields": [{"name": "v", "type": field_type, "nullable": True}]}
        self.check(self.glis.glis_table_create(self.handle, name, json.dumps(schema).encode(), None,
                                                  ctypes.c_size_t(0)))
        rows = ctypes.c_uint64()
        stream = ctypes.create_string_buffer(STREAM_BYTES)
        table.to_reader()._export_to_c(ctypes.addressof(stream))
        self.check(self.glis.glis_ingest_stream(self.handle, name, stream, None, ctypes.byref(rows)))
        assert rows.value == table.num_rows
        answer = ctypes.create_string_buffer(STREAM_BYTES)
        self.check(self.glis.glis_query(self.handle, name, b'{"regions":[{}],"ordered":true}', answer))
        return pa.RecordBatchReader._import_from_c(ctypes.addressof(answer)).read_all()


@pytest.fixture(scope="module")
def instance(glis, tmp_path_factory):
    instance = Instance(glis, tmp_path_factory.mktemp("arrow") / "instance")
    yield instance
    glis.glis_instance_close(instance.handle)


def decimal_type(precision, scale):
    return {"DecimalType": {"precision": precision, "scale": scale}}


def list_type(element):
    return {"ListType": {"elementType": element, "nullable": True}}


def moment(second, micros=0):
    return datetime.datetime.fromtimestamp(second, UTC) + datetime.timedelta(microseconds=micros)


def decimal_of(type_, unscaled):
    """Decimals by their unscaled values, also where pyarrow would not make them of numbers."""
    width = type_.bit_width // 8
    values = b"".join(value.to_bytes(width, "little", signed=True) for value in unscaled)
    return pa.Array.from_buffers(type_, len(unscaled), [None, pa.py_buffer(values)])


TEXTS = ["a", None, "", "longer than twelve bytes", "é", None, "another one beyond twelve bytes", "z"]
NUMBERS = [1, None, -1, 0, 2147483647, -2147483648, None, 7]
LISTS = [[1, 2], None, [], [3, None], [4, 5, 6], None, [7], [8, 9]]

# name, the array given, the table's type, the values wanted (None: those of the array)
CASES = [
    ("int8", pa.array([1, None, -128, 127], pa.int8()), "IntType", None),
    ("uint16", pa.array([1, None, 65535], pa.uint16()), "IntType", None),
    ("uint32", pa.array([1, None, 4294967295], pa.uint32()), "LongType", None),
    ("uint64", pa.array([1, None, 2**63 - 1], pa.uint64()), "LongType", None),
    ("halffloat", pa.array([1.5, None, -2.0]).cast(pa.float16()), "FloatType", [1.5, None, -2.0]),
    ("bool", pa.array([True, None, False]), "BooleanType", None),
    ("null", pa.nulls(3), "StringType", None),
    ("string", pa.array(TEXTS), "StringType", None),
    ("large string", pa.array(TEXTS, pa.large_string()), "StringType", None),
    ("string view", pa.array(TEXTS, pa.string_view()), "StringType", None),
    ("large binary", pa.array([b"\0", None, b"", b"abc"], pa.large_binary()), "ByteArrayType", None),
    ("binary view", pa.array([b"\0" * 20, None, b"", b"abc"], pa.binary_view()), "ByteArrayType", None),
    ("fixed bytes", pa.array([b"abcd", None, b"\0\0\0\0"], pa.binary(4)), "ByteArrayType", None),
    ("decimal128", pa.array([D("1.25"), None, D("-99999.99")], pa.decimal128(7, 2)), decimal_type(7, 2), None),
    ("decimal of 38 digits", pa.array([D(10**38 - 1), None, D(1 - 10**38)], pa.decimal128(38, 0)),
     decimal_type(38, 0), None),
    ("decimal32", pa.array([D("1.25"), None, D("-99999.99")], pa.decimal32(7, 2)), decimal_type(7, 2), None),
    ("decimal64", pa.array([D("1.25"), None, D("-99999.99")], pa.decimal64(17, 2)), decimal_type(17, 2), None),
    ("decimal256", pa.array([D("1.25"), None, D("-0.01")], pa.decimal256(10, 2)), decimal_type(10, 2), None),
    ("decimal of negative scale", pa.array([D(1200), None, D(-300)], pa.decimal128(5, -2)), decimal_type(7, 0),
     [D(1200), None, D(-300)]),
    ("decimal of only a fraction", decimal_of(pa.decimal128(3, 5), [12, -999]), decimal_type(5, 5),
     [D("0.00012"), D("-0.00999")]),
    ("date32", pa.array([DAY(1970, 1, 1), None, DAY(2026, 11, 21)], pa.date32()), "DateType", None),
    ("date64", pa.array([DAY(1969, 12, 31), None, DAY(2026, 11, 21)], pa.date64()), "DateType", None),
    ("timestamp s", pa.array([0, None, -1, 1795255200], pa.timestamp("s", "UTC")), "TimestampType",
     [moment(0), None, moment(-1), moment(1795255200)]),
    ("timestamp ms", pa.array([1, None, -1], pa.timestamp("ms", "UTC")), "TimestampType",
     [moment(0, 1000), None, moment(0, -1000)]),
    ("timestamp us", pa.array([1, None, -1], pa.timestamp("us", "Europe/Paris")), "TimestampType",
     [moment(0, 1), None, moment(0, -1)]),
    ("timestamp ns", pa.array([1000, None, -1000], pa.timestamp("ns")), "TimestampType",
     [moment(0, 1), None, moment(0, -1)]),
    ("dictionary", pa.array(TEXTS).dictionary_encode(), "StringType", TEXTS),
    ("dictionary, 8 bits", pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 2], pa.int8()),
                                                          pa.array(["x", "y", None])), "StringType",
     ["y", None, "x", None]),
    ("dictionary, unsigned", pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint32()), pa.array([5, 6])),
     "LongType", [6, 5]),
    ("dictionary of decimals", pa.DictionaryArray.from_arrays(
        pa.array([1, 1, None, 0], pa.int16()), pa.array([D("1.5"), D("2.5")], pa.decimal128(3, 1))),
     decimal_type(3, 1), [D("2.5"), D("2.5"), None, D("1.5")]),
    ("no dictionary at all", pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()),
                                                            pa.array([], pa.string())), "StringType", [None, None]),
    ("runs", pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 7], pa.int32()), pa.array(["a", None, "c"])),
     "StringType", ["a", "a", None, "c", "c", "c", "c"]),
    ("list", pa.array(LISTS, pa.list_(pa.int32())), list_type("IntType"), None),
    ("large list", pa.array(LISTS, pa.large_list(pa.int32())), list_type("IntType"), None),
    ("fixed list", pa.array([[1, 2], None, [3, None]], pa.list_(pa.int32(), 2)), list_type("IntType"), None),
    ("list view", pa.ListViewArray.from_arrays(pa.array([2, 0, 1], pa.int32()), pa.array([2, 2, 0], pa.int32()),
                                               pa.array([1, 2, 3, 4], pa.int32())), list_type("IntType"),
     [[3, 4], [1, 2], []]),
    ("large list view", pa.LargeListViewArray.from_arrays(
        pa.array([1, 0], pa.int64()), pa.array([3, 4], pa.int64()), pa.array([1, 2, 3, 4], pa.int32())),
     list_type("IntType"), [[2, 3, 4], [1, 2, 3, 4]]),
    ("list of dictionaries", pa.ListArray.from_arrays(
        pa.array([0, 2, 3], pa.int32()), pa.array(["p", "q", "p"]).dictionary_encode()),
     list_type("StringType"), [["p", "q"], ["p"]]),
    ("map", pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
     {"MapType": {"keyType": "StringType", "valueType": "LongType", "nullable": True}}, None),
    ("struct", pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
                        pa.struct([("a", pa.int32()), ("b", pa.large_string())])),
     {"StructType": {"fields": [{"name": "a", "type": "IntType", "nullable": True},
                                {"name": "b", "type": "StringType", "nullable": True}]}}, None),
]


def numbered(array):
    return pa.table({"n": pa.array(range(len(array)), pa.int64()), "v": array})


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_each_layout_comes_back_as_its_values(instance, case):
    _, array, field_type, wanted = case
    wanted = array.to_pylist() if wanted is None else wanted
    assert instance.round_trip(numbered(array), field_type).column("v").to_pylist() == wanted


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_slices_come_back_as_their_values(instance, case):
    _, array, field_type, wanted = case
    wanted = array.to_pylist() if wanted is None else wanted
    for begin, length in ((1, len(array) - 1), (1, 1), (0, 0)):
        table = numbered(array.slice(begin, length))
        answer = instance.round_trip(table, field_type).column("v")
        assert answer.to_pylist() == wanted[begin:begin + length]


def test_a_slice_of_a_long_array_of_every_layout(instance):
    for _, array, field_type, wanted in CASES:
        wanted = array.to_pylist() if wanted is None else wanted
        if pa.types.is_run_end_encoded(array.type) or pa.types.is_list_view(array.type) or \
                pa.types.is_large_list_view(array.type) or pa.types.is_dictionary(array.type):
            continue  # pyarrow does not join these
        many = pa.concat_arrays([array] * 40)
        begin, length = len(many) // 3, len(many) // 2
        answer = instance.round_trip(numbered(many.slice(begin, length)), field_type).column("v")
        assert answer.to_pylist() == (wanted * 40)[begin:begin + length]


BAD = [
    ("duration", pa.array([1], pa.duration("s")), "LongType", "column 'v': Arrow's format 'tDs'"),
    ("interval", pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "LongType", "column 'v': Arrow's format 'tin'"),
    ("union", pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "LongType",
     "column 'v': Arrow's format '+us:0'"),
    ("seconds out of range", pa.array([2**62], pa.timestamp("s")), "TimestampType", "column 'v': row 0: seconds"),
    ("part of a day", pa.array([86400000, 5], pa.int64()).view(pa.date64()), "DateType", "column 'v': row 1: a date"),
    ("time", pa.array([1], pa.time32("s")), "IntType", "column 'v' has the type time[ms]"),
    ("decimal of 40 digits", pa.array([D(1)], pa.decimal256(40, 0)), decimal_type(38, 0), "decimal256(40,0)"),
    ("more digits than its type", decimal_of(pa.decimal128(2, 0), [99, 100]), decimal_type(2, 0),
     "column 'v': row 1: a decimal of more digits"),
    ("too many digits", pa.array([D(10)], pa.decimal128(38, 0)), decimal_type(1, 0), "too many digits"),
]


@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
def test_what_cannot_be_carried_is_named(instance, case):
    _, array, field_type, text = case
    with pytest.raises(RuntimeError) as failure:
        instance.round_trip(numbered(array), field_type)
    assert text in str(failure.value)


def test_a_broken_stream_gives_its_own_reason(instance):
    schema = pa.schema([("n", pa.int64()), ("v", pa.int64())])

    def batches():
        yield pa.record_batch([pa.array([1]), pa.array([2])], schema=schema)
        raise ValueError("the tap ran dry")

    class Table:
        num_rows = 1

        @staticmethod
        def to_reader():
            return pa.RecordBatchReader.from_batches(schema, batches())

    with pytest.raises(RuntimeError) as failure:
        instance.round_trip(Table, "LongType")
    assert "the tap ran dry" in str(failure.value)


def ask(instance, name, query):
    """The answer's rows and the cursor behind them."""
    stream = ctypes.create_string_buffer(STREAM_BYTES)
    instance.check(instance.glis.glis_query(instance.handle, name, json.dumps(query).encode(), stream))
    instance.glis.glis_query_cursor.restype = ctypes.c_char_p
    assert instance.glis.glis_query_cursor(stream) is None  # not ended yet
    # pyarrow would release the stream at its end: it is read through a copy whose release does nothing
    fields = (ctypes.c_void_p * 5).from_buffer(stream)
    next_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    schema = ctypes.create_string_buffer(128)
    assert next_type(fields[0])(ctypes.addressof(stream), ctypes.addressof(schema)) == 0
    schema = pa.Schema._import_from_c(ctypes.addressof(schema))
    batches = []
    while True:
        array = ctypes.create_string_buffer(128)
        assert next_type(fields[1])(ctypes.addressof(stream), ctypes.addressof(array)) == 0
        if int.from_bytes(array.raw[64:72], "little") == 0:  # released: the end
            break
        batches.append(pa.RecordBatch._import_from_c(ctypes.addressof(array), schema))
    cursor = instance.glis.glis_query_cursor(stream)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(fields[3])(ctypes.addressof(stream))
    return pa.Table.from_batches(batches, schema), cursor and cursor.decode()


def test_counts_and_cursors(glis, tmp_path):
    instance = Instance(glis, tmp_path / "instance")
    table = pa.table({"n": pa.array(range(10), pa.int64()), "v": pa.array([str(i) for i in range(10)])})
    instance.round_trip(table, "StringType")
    counted, cursor = ask(instance, b"t1", {"regions": [{}], "countOnly": True})
    assert counted.to_pylist() == [{"count": 10}] and cursor is None
    rows, after = [], None
    for _ in range(4):
        query = {"regions": [{}], "ordered": True, "limit": 3}
        page, after = ask(instance, b"t1", {**query, **({"after": after} if after else {})})
        rows += page.column("n").to_pylist()
        if not after:
            break
    assert rows == list(range(10)) and after is None
    glis.glis_instance_close(instance.handle)

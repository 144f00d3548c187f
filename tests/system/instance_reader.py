"""A second program that reads and writes instances, made from docs/formats.md alone: it shares no code
with Glis and was written without a look at it. test_formats.py compares the two; where they differ,
either Glis or that page is wrong. Plain tables only: what is done to rows (filters, aggregations,
labels) has a model of its own in test_processing.py.
"""

import base64
import io
import json
import os
import re
import struct
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

BLOCK = 1024
ZEROS = "0" * 32
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Damage(Exception):
    pass


def need(good, what):
    if not good:
        raise Damage(what)


def hash128(data):
    return xxhash.xxh3_128_hexdigest(data)


def hash64(data):
    return xxhash.xxh3_64_hexdigest(data)


def unzstd(data):
    return pa.input_stream(io.BytesIO(data), compression="zstd").read()


def ulid():
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(ALPHABET[number >> 5 * i & 31] for i in reversed(range(26)))


def unbase64(text):
    return base64.b64decode(text, validate=True)


# ---- keys ("Keys") ----

def field_key(kind, value):
    if kind in ("IntType", "DateType"):
        return struct.pack(">I", value + 2**31)
    if kind in ("LongType", "TimestampType"):
        return struct.pack(">Q", value + 2**63)
    if kind == "BooleanType":
        return bytes([value])
    if kind in ("FloatType", "DoubleType"):
        size, letters = (4, (">f", ">I")) if kind == "FloatType" else (8, (">d", ">Q"))
        bits, = struct.unpack(letters[1], struct.pack(letters[0], value + 0.0))
        top = 1 << 8 * size - 1
        return struct.pack(letters[1], bits ^ (2 * top - 1) if bits & top else bits | top)
    if kind in ("StringType", "ByteArrayType"):
        data = value.encode() if isinstance(value, str) else value
        return data.replace(b"\0", b"\0\xff") + b"\0\0"
    raise Damage(f"no key can be of the type {kind}")


# ---- logs ("Log records") ----

class Log:
    """One log of a folder: its newest snapshot that is whole, and the records behind it."""

    ahead_ms = 0  # of this program's clock

    def __init__(self, root, prefix):
        self.root, self.folder = root, root / prefix

    def key(self, number):
        return self.folder / "log" / f"{number:020}"

    def is_trimmed(self, number):
        return (self.folder / "log" / "trimmed" / f"{(number - 1) // BLOCK + 1:020}").exists()

    def record(self, number):
        """(header, transactions as text), or None at the end."""
        try:
            data = self.key(number).read_bytes()
        except FileNotFoundError:
            need(not self.is_trimmed(number), f"record {number} is trimmed")
            return None
        line, _, body = data.partition(b"\n")
        match = re.fullmatch(rb'(.*),"line":"([0-9a-f]{16})"\}', line)
        need(match and hash64(match[1]) == match[2].decode(), f"record {number}: header")
        header = json.loads(line)
        need(header["glis"] == 1 and header["seq"] == number, f"record {number}: not itself")
        if body[:4] == b"\x28\xb5\x2f\xfd":
            body = unzstd(body)
        need(hash128(body) == header["xxh3"], f"record {number}: lines")
        lines = body.decode().split("\n")
        need(lines.pop() == "" and len(lines) == header["count"], f"record {number}: count")
        return header, lines

    def body(self, line):
        data = (self.folder / "log" / "body" / line["name"]).read_bytes()
        if data[:4] == b"\x28\xb5\x2f\xfd":
            data = unzstd(data)
        need(len(data) == line["bytes"] and hash128(data) == line["xxh3"], f"body {line['name']}")
        return json.loads(data)

    def snapshots(self):
        """Newest first: (record, the log's part, rows of (section, key, value))."""
        for path in sorted((self.folder / "snapshot").glob("*"), reverse=True):
            number, _, name = path.name.partition("-")
            data = path.read_bytes()
            if hash64(data) != name[16:]:
                continue  # damaged: an older one, or the records
            table = pq.read_table(io.BytesIO(data))
            notes = table.schema.metadata
            need(notes[b"glis.snapshot"] == b"1", "a newer snapshot")
            rows = zip(*(table[name].to_pylist() for name in ("section", "key", "value")))
            part = json.loads(notes[b"glis.log"])
            need(part["record"] == int(number), f"snapshot {path.name}")
            yield part, list(rows)

    def replay(self, state, take_snapshot, use_snapshots=True):
        """Brings a state to the end of the log."""
        record = {"seq": 0, "id": ZEROS, "time": 0}
        decided = {}
        for part, rows in self.snapshots() if use_snapshots else ():
            take_snapshot(state, rows)
            record = {"seq": part["record"], "id": part["id"], "time": part["time"]}
            decided = {entry["id"]: entry["not_after"] for entry in part["decided"]}
            break
        state.record, state.time = record["seq"], record["time"]
        while found := self.record(record["seq"] + 1):
            header, lines = found
            need(header["previous"] == record["id"], f"record {header['seq']}: another history")
            number, record = header["seq"], header
            set_back = '"log":"set_time"' in lines[0]
            need(header["time"] >= state.time or set_back, f"record {number}: time")
            state.record, state.time = number, header["time"]
            decided = {name: last for name, last in decided.items() if last >= number}
            for line in map(json.loads, lines):
                carried = line.get("log") == "pending"
                if line.get("log") == "set_time":
                    need(len(lines) == 1 and line["record"] == number - 1, f"record {number}")
                    continue
                if carried:
                    late = not number <= line["not_after"] <= number + 64
                    if late or line["id"] in decided:
                        continue
                    decided[line["id"]] = line["not_after"]
                    line = line["transaction"]
                if line.get("log") == "body":
                    line = self.body(line)
                need("log" not in line, f"record {number}: a newer line")
                reason = state.apply(line)
                need(carried or not reason, f"record {number}: {reason}")
        self.last = record
        return state

    def append(self, *lines):
        """Puts the next record, as any writer does: if absent, and after the marker's look."""
        body = "".join(line if isinstance(line, str) else json.dumps(line, separators=(",", ":"))
                       for line in (x for y in lines for x in (y, "\n"))).encode()
        header = {"glis": 1, "seq": self.last["seq"] + 1, "id": os.urandom(16).hex(),
                  "previous": self.last["id"],
                  "time": max(int(time.time() * 1000) + self.ahead_ms, self.last["time"]),
                  "writer": "another", "count": len(lines), "xxh3": hash128(body)}
        text = json.dumps(header, separators=(",", ":"))[:-1].encode()
        need(not self.is_trimmed(header["seq"]), "trimmed")
        path = self.key(header["seq"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            file.write(text + b',"line":"' + hash64(text).encode() + b'"}\n' + body)
        self.last = header
        return header["seq"]


class Bytes:
    """A value of a snapshot."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "a value ends early")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self):
        out = shift = 0
        while True:
            byte, = self.take(1)
            out |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return out

    def text(self):
        return self.take(self.number())

    def end(self):
        need(self.at == len(self.data), "a value goes on")


def file_name(key):
    """Of a file key in a snapshot, and what is left of it."""
    if key[0] == 1:
        return key[1:].decode()
    number = int.from_bytes(key[7:23], "big")
    text = "".join(ALPHABET[number >> 5 * i & 31] for i in reversed(range(26)))
    return f"data/{key[1:7].hex()}-{text}.parquet"


# ---- the catalogue ----

class Catalogue:
    def __init__(self):
        self.version, self.settings, self.tables = 0, {}, {}

    def load(self, rows):
        for section, key, value in rows:
            bytes_ = Bytes(value)
            if section == 0:
                self.version = bytes_.number()
            elif section == 1:
                self.settings[key.decode()] = value.decode()
            elif section == 2:
                self.tables[key.decode()] = {
                    "name": bytes_.text().decode(),
                    "life": ["creating", "live", "dropping", "sweeping"][bytes_.number()]}

    def apply(self, line):
        kind = line["type"]
        if kind == "alter_instance":
            if line["version"] != self.version:
                return "another version"
            self.version += 1
            self.settings.update(line["settings"])
        elif kind == "reserve_table":
            self.tables[line["id"]] = {"name": line["name"], "life": "creating"}
        elif kind == "forget_table":
            del self.tables[line["id"]]
        elif kind == "rename_table":
            self.tables[line["id"]]["name"] = line["name"]
        elif kind in ("table_live", "drop_table", "undrop_table", "sweep_table"):
            lives = {"table_live": "live", "drop_table": "dropping", "undrop_table": "live",
                     "sweep_table": "sweeping"}
            self.tables[line["id"]]["life"] = lives[kind]
            if "name" in line:
                self.tables[line["id"]]["name"] = line["name"]
        else:
            need(kind == "set_online", f"a newer transaction: {kind}")
        return None


# ---- a table ----

class Table:
    def __init__(self):
        self.schemas, self.properties, self.partitions = {}, {}, {}
        self.files, self.references, self.jobs, self.merged = {}, {}, {}, {}
        self.writers, self.version, self.generation, self.dropped = {}, 0, 0, False
        self.horizon = 0

    # -- from a snapshot --

    def load(self, rows):
        for section, key, value in rows:
            bytes_ = Bytes(value)
            if section == 0:
                number = bytes_.number()
                if key in (b"version", b"generation", b"dropped", b"horizon"):
                    setattr(self, key.decode(), number)
            elif section == 1:
                self.properties[key.decode()] = value.decode()
            elif section == 2:
                self.schemas[int.from_bytes(key, "big")] = json.loads(value)
            elif section == 3:
                self.partitions[key.decode()] = self.load_partition(bytes_)
                bytes_.end()
            elif section == 4:
                size, rows_, hash_ = bytes_.number(), bytes_.number(), bytes_.take(16).hex()
                self.files[file_name(key)] = {"size": size, "rows": rows_, "xxh3": hash_,
                                              "schema": bytes_.number()}
            elif section == 5:
                partition, _, file = key.partition(b"\0")
                flags, rows_ = bytes_.number(), bytes_.number()
                self.references[partition.decode(), file_name(file)] = {
                    "rows": rows_, "exact": bool(flags & 1), "set_aside": bool(flags & 8)}
                if flags & 4:
                    bytes_.text()
                bytes_.end()
            elif section == 6:
                self.jobs[key.decode()] = bytes_.take(16).hex()
            elif section == 8:
                self.writers[key.decode()] = bytes_.number()
            elif section == 14:
                self.merged[key.decode()] = bytes_.text().decode()
            else:
                need(section in (7, 9, 10, 11, 12, 13, 15), f"a newer section: {section}")

    def row_keys(self):
        return self.schemas[max(self.schemas)]["rowKeyFields"]

    def load_partition(self, bytes_):
        flags = bytes_.number()
        out = {"leaf": bool(flags & 1)}
        bytes_.number(), bytes_.number()
        out["parent"] = bytes_.text().decode()
        if flags & 4:
            bytes_.number()
        if not out["leaf"]:
            out["dimension"], out["split"] = bytes_.number(), bytes_.text()
            out["left"], out["right"] = bytes_.text().decode(), bytes_.text().decode()
        out["region"] = []
        while bytes_.at < len(bytes_.data):
            least = bytes_.text()
            out["region"].append((least, None if bytes_.number() else bytes_.text()))
        return out

    # -- transactions --

    def grow(self, nodes):
        """A whole tree."""
        self.partitions = {"root": {"leaf": True, "parent": "",
                                    "region": [(b"", None)] * len(self.row_keys())}}
        for node in nodes:
            need(node["id"] in self.partitions, "a node that none before it names")
            if "split" in node:
                self.divide(node["id"], node)

    def divide(self, name, split):
        node, at = self.partitions[name], split["dimension"]
        point = unbase64(split["split"])
        least, end = node["region"][at]
        need(least < point and (end is None or point < end), "the split does not lie inside")
        node.update(leaf=False, dimension=at, split=point, left=split["left"],
                    right=split["right"])
        for side, part in (("left", (least, point)), ("right", (point, end))):
            region = node["region"][:at] + [part] + node["region"][at + 1:]
            self.partitions[split[side]] = {"leaf": True, "parent": name, "region": region}

    def living(self, partition):
        while partition not in self.partitions:
            if partition not in self.merged:
                return None
            partition = self.merged[partition]
        return partition

    def add_files(self, line):
        """Why new files are refused, or None."""
        if line.get("generation", self.generation) != self.generation:
            return "another generation"
        for file in line.get("files", ()):
            if file["name"] in self.files:
                return "the file is known"
            begun = re.fullmatch(r"data/([0-9a-f]{12})-\w{26}\.parquet", file["name"])
            if begun and not self.horizon <= int(begun[1], 16) < self.record:
                return "begun below the horizon, or at a record to come"
            for reference in file["references"]:
                if not self.living(reference["partition"]):
                    return "no such partition"
        for file in line.get("files", ()):
            self.files[file["name"]] = file
            for reference in file["references"]:
                self.references[self.living(reference["partition"]), file["name"]] = {
                    "rows": reference["rows"], "exact": reference.get("exact", True),
                    "set_aside": False}
        return None

    def change_files(self, line):
        what = line["for"]
        if what == "ingest":
            if "writer" in line:
                if line["sequence"] <= self.writers.get(line["writer"], 0):
                    return None
                if line["sequence"] != self.writers.get(line["writer"], 0) + 1:
                    return "a gap in the sequence"
            elif line["job"] in self.jobs:
                return None if self.jobs[line["job"]] == line["fingerprint"] else "other input"
            reason = self.add_files(line)
            if not reason and "writer" in line:
                self.writers[line["writer"]] = line["sequence"]
            elif not reason:
                self.jobs[line["job"]] = line["fingerprint"]
            return reason
        if what == "push_down":
            for move in line["moves"]:
                old = self.references.pop((move["partition"], move["file"]), None)
                if not old:
                    return "gone"
                for to in move["to"]:
                    self.references[to["partition"], move["file"]] = old if len(move["to"]) == 1 \
                        else {"rows": to["rows"], "exact": False, "set_aside": False}
            return None
        if what in ("set_aside", "take_back"):
            for (_, file), reference in self.references.items():
                if file == line["file"]:
                    reference["set_aside"] = what == "set_aside"
            return None
        gone = [(line["partition"], name) for name in line["inputs"]] if what == "compaction" else \
            [(reference["partition"], reference["file"]) for reference in line["references"]]
        need(what in ("compaction", "delete", "expire"), f"a newer form: {what}")
        if any(reference not in self.references for reference in gone):
            return "gone"
        kept = {name: self.references.pop(name) for name in gone}
        reason = self.add_files(line)
        if reason:
            self.references.update(kept)
        return reason

    def apply(self, line):
        kind = line["type"]
        if kind == "create_table":
            self.schemas, self.version = {1: line["schema"]}, 1
            self.properties = dict(line["properties"])
            self.grow(line["partitions"])
        elif kind == "alter":
            if line["version"] != self.version:
                return "another version"
            self.version += 1
            for name, value in line.get("properties", {}).items():
                self.properties[name] = value
            self.properties = {k: v for k, v in self.properties.items() if v is not None}
            if "schema" in line:
                self.schemas[max(self.schemas) + 1] = line["schema"]
        elif kind == "change_files":
            return self.change_files(line)
        elif kind == "split_partition":
            if not self.partitions.get(line["partition"], {}).get("leaf"):
                return "no leaf"
            self.divide(line["partition"], line)
        elif kind == "extend_tree":
            for split in line["splits"]:
                self.divide(split["partition"], split)
        elif kind == "merge_partitions":
            parent = self.partitions[line["parent"]]
            for side in ("left", "right"):
                self.merged[parent[side]] = line["parent"]
                del self.partitions[parent.pop(side)]
            parent["leaf"] = True
        elif kind == "forget_files":
            for name in line["files"]:
                del self.files[name]
        elif kind == "raise_horizon":
            self.horizon = line["record"]
        elif kind == "restore":
            if "partitions" in line:
                self.grow(line["partitions"])
                self.merged = {}
            self.references = {(r["partition"], r["file"]): {
                "rows": r["rows"], "exact": r.get("exact", True),
                "set_aside": r.get("setAside", False)} for r in line["references"]}
            self.generation += 1
            self.jobs = {job["id"]: job["fingerprint"] for job in line["jobs"]}
            self.writers = {w["writer"]: w["sequence"] for w in line["writers"]}
        elif kind == "reset":
            self.references, self.jobs, self.writers = {}, {}, {}
            self.generation += 1
            if "partitions" in line:
                self.grow(line["partitions"])
                self.merged = {}
        elif kind == "forget_writer":
            self.writers.pop(line["writer"], None)
        elif kind == "drop":
            self.dropped = True
        else:
            need(kind in ("assign_job", "release_job", "pin", "unpin", "mark_files",
                          "raise_trim_line", "take_role"), f"a newer transaction: {kind}")
        return None


# ---- an instance ----

class Instance:
    def __init__(self, root):
        self.root = root
        home = json.loads((root / "home").read_text())
        need(home["glis"] == 1 and "log" not in home, "the logs are elsewhere")
        self.catalogue_log = Log(root, "catalogue")
        self.catalogue = self.catalogue_log.replay(Catalogue(), Catalogue.load)

    def table_id(self, name):
        for table_id, table in self.catalogue.tables.items():
            if table["name"] == name and table["life"] == "live":
                return table_id
        raise Damage(f"no table {name}")

    def table(self, name, use_snapshots=True):
        log = Log(self.root, f"tables/{self.table_id(name)}")
        state = log.replay(Table(), Table.load, use_snapshots)
        state.log = log
        return state

    def rows(self, name, **how):
        """All rows, as lists of pyarrow's values in the order of the schema's fields, and in no
        order among each other."""
        state = self.table(name, **how)
        schema = state.schemas[max(state.schemas)]
        fields = [f for part in ("rowKeyFields", "sortKeyFields", "valueFields")
                  for f in schema.get(part, [])]
        out = []
        for (partition, file), reference in sorted(state.references.items()):
            need(not reference["set_aside"], f"{file} is set aside")
            path = self.root / "tables" / self.table_id(name) / file
            data = path.read_bytes()
            described = state.files[file]
            need(len(data) == described["size"], f"{file}: size")
            need(hash128(data) == described["xxh3"], f"{file}: hash")
            table = pq.read_table(io.BytesIO(data))
            need(table.num_rows == described["rows"], f"{file}: rows")
            inside = self.inside(table, state, partition)
            need(not reference["exact"] or sum(inside) == reference["rows"], f"{file}: rows there")
            table = table.filter(pa.array(inside))
            columns = [table[f["name"]].to_pylist() if f["name"] in table.column_names
                       else [None] * table.num_rows for f in fields]
            out += [list(row) for row in zip(*columns)]
        return [f["name"] for f in fields], out

    def inside(self, table, state, partition):
        """Which rows lie in a partition's region."""
        result = [True] * table.num_rows
        for field, (least, end) in zip(state.row_keys(), state.partitions[partition]["region"]):
            column = table[field["name"]]
            if field["type"] == "TimestampType":
                column = pc.cast(column, pa.int64())
            if field["type"] == "DateType":
                column = pc.cast(column, pa.int32())
            keys = [field_key(field["type"], value) for value in column.to_pylist()]
            result = [good and least <= key and (end is None or key < end)
                      for good, key in zip(result, keys)]
        return result

    # -- writing --

    @staticmethod
    def begin(root, ahead_ms=0):
        root.mkdir()
        (root / "home").write_text(json.dumps({"glis": 1, "id": ulid()}, separators=(",", ":")))
        log = Log(root, "catalogue")
        log.last = {"seq": 0, "id": ZEROS, "time": 0}
        log.ahead_ms = ahead_ms
        log.append({"type": "alter_instance", "version": 0, "settings": {}})
        instance = Instance(root)
        instance.catalogue_log.ahead_ms = ahead_ms
        return instance

    def create(self, name, schema, partitions, properties=()):
        table_id = ulid()
        self.catalogue_log.append({"type": "reserve_table", "id": table_id, "name": name,
                                   "online": True})
        log = Log(self.root, f"tables/{table_id}")
        log.ahead_ms = self.catalogue_log.ahead_ms
        log.last = {"seq": 0, "id": ZEROS, "time": 0}
        text = json.dumps({"type": "create_table", "schema": schema,
                           "properties": dict(properties), "partitions": partitions},
                          separators=(",", ":"))[:-1]
        log.append(text + f',"definition":"{hash64(text.encode())}"}}')
        self.catalogue_log.append({"type": "table_live", "id": table_id, "version": 1})
        self.catalogue = self.catalogue_log.replay(Catalogue(), Catalogue.load)

    def new_file(self, name, rows, partition):
        """A data file of a pyarrow table in key order; what a transaction says of it."""
        state = self.table(name)
        path = f"data/{state.record:012x}-{ulid()}.parquet"
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        data = buffer.getvalue()
        whole = self.root / "tables" / self.table_id(name) / path
        whole.parent.mkdir(exist_ok=True)
        whole.write_bytes(data)
        bounds = []
        for field in state.row_keys():
            keys = sorted(field_key(field["type"], v) for v in rows[field["name"]].to_pylist())
            bounds.append({"min": base64.b64encode(keys[0]).decode(),
                           "max": base64.b64encode(keys[-1]).decode()})
        return {"name": path, "size": len(data), "rows": rows.num_rows, "xxh3": hash128(data),
                "schema": max(state.schemas), "bounds": bounds,
                "references": [{"partition": partition, "rows": rows.num_rows}]}

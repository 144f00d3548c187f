#!/usr/bin/env python3
"""The table LINEITEM of the TPC-H benchmark, by the distributions of its specification (revision 3, section 4.2.3).

    bench/lineitem.py FILE [--rows N] [--codec zstd]

By seed, the same rows always: 6,001,215 at scale 1. Where the specification leaves a choice to its program, this is
another draw from the same distribution: numbers come from numpy's PCG64, and comments are pieces of 16 MiB of
sentences (the specification: 300 MB). Orders have 1 to 7 lines; keys of orders are sparse (8 of every 32); dates follow the
order's; prices follow the part's. Decimals are decimal(15, 2), kept as integers in the file, as most writers have
them; no column may be null; rows come in the order of their keys.
"""

import argparse

ROWS = 6_001_215
PARTS, SUPPLIERS = 200_000, 10_000
START, CURRENT, END = 8035, 9298, 10591  # 1992-01-01, 1995-06-17, 1998-12-31 in days since 1970
INSTRUCTIONS = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]
MODES = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]
NOUNS = """foxes ideas theodolites pinto beans|instructions dependencies excuses platelets asymptotes courts dolphins
multipliers sauternes warthogs frets dinos attainments somas Tiresias'|patterns forges braids hockey players|frays warhorses
dugouts notornis epitaphs pearls tithes waters orbits gifts sheaves depths sentiments decoys realms pains grouches
escapades"""
VERBS = """sleep wake are cajole haggle nag use boost affix detect integrate maintain nod was lose sublate solve thrash promise
engage hinder print x-ray breach eat grow impress mold poach serve run dazzle snooze doze unwind kindle play hang
believe doubt"""
ADJECTIVES = """furious sly careful blithe quick fluffy slow quiet ruthless thin close dogged daring brave stealthy permanent
enticing idle busy regular final ironic even bold silent"""
ADVERBS = """sometimes always never furiously slyly carefully blithely quickly fluffily slowly quietly ruthlessly thinly closely
doggedly daringly bravely stealthily permanently enticingly idly busily regularly finally ironically evenly boldly silently"""
PREPOSITIONS = """about above according to|across after against along alongside of|among around at atop before behind beneath
beside besides between beyond by despite during except for from in place of|inside instead of|into near of on outside
over past since through throughout to toward under until up upon without with within"""
AUXILIARIES = "do may might shall will would can could should ought to|must will have to|shall have to|could have to|should have to"
TERMINATORS = [".", ";", ":", "?", "!", "--"]
# Weights of the grammar's productions: N noun phrase, V verb phrase, T terminator, P prepositional phrase.
SENTENCES = ["NVT", "NVPT", "NVNT", "NPVNT", "NPVPT"], [3, 3, 3, 1, 1]
NOUN_PHRASES = ["n", "jn", "j, jn", "dn"], [10, 20, 10, 50]
VERB_PHRASES = ["v", "xv", "vd", "xvd"], [30, 1, 40, 1]


def words(text):
    """Words by blanks; a bar ends one that has blanks, begun behind the last complete one."""
    out = []
    for i, part in enumerate(pieces := text.replace("\n", " ").split("|")):
        split = part.split()
        if i + 1 < len(pieces):
            n = 3 if split[-3:] in (["in", "place", "of"],) else 2
            split[-n:] = [" ".join(split[-n:])]
        out += split
    return out


def sentences(random, size):
    """Text of the grammar, at least `size` bytes."""
    kinds = {"n": words(NOUNS), "v": words(VERBS), "j": words(ADJECTIVES), "d": words(ADVERBS),
             "p": words(PREPOSITIONS), "x": words(AUXILIARIES)}
    draws, at = [], 0

    def draw():
        nonlocal draws, at
        if at == len(draws):
            draws, at = random.random(1 << 16).tolist(), 0
        at += 1
        return draws[at - 1]

    def weighted(choices):
        names, weights = choices
        x = draw() * sum(weights)
        for name, weight in zip(names, weights):
            x -= weight
            if x < 0:
                break
        return name

    def phrase(form):
        out = []
        for i, letter in enumerate(form):
            if letter in kinds:
                word = kinds[letter][int(draw() * len(kinds[letter]))]
                out.append(word + ("," if form[i + 1:i + 2] == "," else ""))
        return " ".join(out)

    parts, total = [], 0
    while total < size:
        text = []
        for letter in weighted(SENTENCES):
            if letter == "N":
                text.append(phrase(weighted(NOUN_PHRASES)))
            elif letter == "V":
                text.append(phrase(weighted(VERB_PHRASES)))
            elif letter == "P":
                text.append(phrase("p") + " the " + phrase(weighted(NOUN_PHRASES)))
        sentence = " ".join(text) + TERMINATORS[int(draw() * len(TERMINATORS))] + " "
        parts.append(sentence)
        total += len(sentence)
    return "".join(parts).encode()


def lines_per_order(random, rows):
    """1 to 7 each, uniformly; then the few that the sum is off are added or taken away here and there."""
    import numpy
    counts = random.integers(1, 8, max(1, rows // 4))
    while (off := rows - int(counts.sum())) != 0:
        some = random.permutation(numpy.flatnonzero(counts < 7 if off > 0 else counts > 1))[:abs(off)]
        if len(some) == 0:
            counts = numpy.append(counts, 1)
            continue
        counts[some] += 1 if off > 0 else -1
    return counts


def decimals(cents):
    """decimal128(15, 2) of an array of int64."""
    import numpy
    import pyarrow as pa
    words = numpy.empty((len(cents), 2), dtype=numpy.int64)
    words[:, 0], words[:, 1] = cents, cents >> 63
    return pa.Array.from_buffers(pa.decimal128(15, 2), len(cents), [None, pa.py_buffer(words.tobytes())])


def comments(random, pool, n):
    """Pieces of 10 to 43 bytes, from anywhere in the pool."""
    import numpy
    import pyarrow as pa
    lengths = random.integers(10, 44, n, dtype=numpy.int32)
    offsets = numpy.zeros(n + 1, dtype=numpy.int32)
    numpy.cumsum(lengths, out=offsets[1:])
    starts = random.integers(0, len(pool) - 43, n, dtype=numpy.int32)
    places = numpy.repeat(starts - offsets[:-1], lengths) + numpy.arange(offsets[-1], dtype=numpy.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets.tobytes()), pa.py_buffer(pool[places].tobytes()))


def choice(random, texts, n):
    import pyarrow as pa
    return pa.array(texts).take(pa.array(random.integers(0, len(texts), n)))


def tables(rows=ROWS, seed=19940101, pool_bytes=16 << 20):
    """The rows in pieces of about 1,048,576."""
    import numpy
    import pyarrow as pa
    random = numpy.random.default_rng(seed)
    pool = numpy.frombuffer(sentences(random, pool_bytes), dtype=numpy.uint8)
    counts = lines_per_order(random, rows)
    index = numpy.arange(len(counts), dtype=numpy.int64)
    keys = (index // 8) * 32 + index % 8 + 1
    dates = random.integers(START, END - 151 + 1, len(counts), dtype=numpy.int32)
    orders = numpy.repeat(index, counts)
    first = numpy.repeat(numpy.cumsum(counts) - counts, counts)
    for begin in range(0, rows, 1 << 20):
        n = min(rows - begin, 1 << 20)
        order = orders[begin:begin + n]
        part = random.integers(1, PARTS + 1, n)
        supplier = (part + random.integers(0, 4, n) * (SUPPLIERS // 4 + (part - 1) // SUPPLIERS)) % SUPPLIERS + 1
        quantity = random.integers(1, 51, n)
        price = quantity * (90000 + part // 10 % 20001 + 100 * (part % 1000))
        shipped = dates[order] + random.integers(1, 122, n, dtype=numpy.int32)
        committed = dates[order] + random.integers(30, 91, n, dtype=numpy.int32)
        received = shipped + random.integers(1, 31, n, dtype=numpy.int32)
        returned = numpy.where(received <= CURRENT, random.integers(0, 2, n), 2)
        columns = {
            "l_orderkey": pa.array(keys[order]), "l_partkey": pa.array(part), "l_suppkey": pa.array(supplier),
            "l_linenumber": pa.array((numpy.arange(begin, begin + n) - first[begin:begin + n] + 1).astype("i4")),
            "l_quantity": decimals(quantity * 100), "l_extendedprice": decimals(price),
            "l_discount": decimals(random.integers(0, 11, n)), "l_tax": decimals(random.integers(0, 9, n)),
            "l_returnflag": pa.array(["R", "A", "N"]).take(pa.array(returned)),
            "l_linestatus": pa.array(["F", "O"]).take(pa.array((shipped > CURRENT).astype("i4"))),
            "l_shipdate": pa.array(shipped, pa.date32()), "l_commitdate": pa.array(committed, pa.date32()),
            "l_receiptdate": pa.array(received, pa.date32()),
            "l_shipinstruct": choice(random, INSTRUCTIONS, n), "l_shipmode": choice(random, MODES, n),
            "l_comment": comments(random, pool, n),
        }
        schema = pa.schema([pa.field(name, column.type, False) for name, column in columns.items()])
        yield pa.Table.from_arrays(list(columns.values()), schema=schema)


def write(path, rows=ROWS, codec="zstd"):
    import pyarrow.parquet as pq
    writer = None
    for table in tables(rows):
        if not writer:
            writer = pq.ParquetWriter(path, table.schema, compression=codec, store_decimal_as_integer=True)
        writer.write_table(table)
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--codec", default="zstd")
    arguments = parser.parse_args()
    write(arguments.file, arguments.rows, arguments.codec)


if __name__ == "__main__":
    main()

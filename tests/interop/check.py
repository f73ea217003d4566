#!/usr/bin/env python3
"""Files of `procession transform` and of the tools that people have beside it: each reads what the other writes.

    scripts/interop [--seeds N] [--binary PROCESSION]

The tables have what goes wrong: quotes, line ends and delimiters in texts, empty texts beside nulls, numbers with more digits
than a double, leading zeros, objects. A tool is asked for all that it can hold: what it cannot is said in `lacks` and `sees`.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

ODD = 'odd name, "quoted"'
SCHEMA = {
    "n": "number", "big": "number", "dec": "number", "ok": "bool", "zip": "text", "time": "text", "text": "text",
    ODD: "text", "o": "json",
}
ARROW = {"n": pyarrow.int64(), "big": pyarrow.decimal128(38, 0), "dec": pyarrow.decimal128(38, 9), "ok": pyarrow.bool_()}


# --- tables


def dumps(value):
    """JSON with every digit."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(name)}:{dumps(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def loads(text):
    return json.loads(text, parse_float=Decimal)


def table(seed):
    """Rows of all columns; the first seed's are chosen, the others' are random."""
    rng = random.Random(seed)
    texts = ["", None, "a,b", 'say "hi"', "line\nline", "\t", " spaces ", "'", "null", "NULL", "NaN", "true", "0", "-", "\\", "\\n",
             "\u00e4\u00f6", "\U0001f980", "\u2028", "#", "=1+1", "a;b|c", "{}", "[1]", '"', '""', ",", "x" * 5000]
    letters = ["a", "b", " ", '"', ",", "\n", "\t", ";", "'", "\\", "\u00e9", "\U0001f600", "0", "{", "]"]

    def text(at):
        if seed == 0:
            return texts[at % len(texts)]
        if rng.random() < 0.2:
            return rng.choice(["", None])
        return "".join(rng.choices(letters, k=rng.randrange(30)))

    rows = []
    for at in range(len(texts) if seed == 0 else rng.randrange(1, 400)):
        row = {
            "n": rng.choice([None, 0, -1, rng.randrange(-(2**53), 2**53)]),
            "big": rng.choice([2**64 + 1, -(2**63) - 1, 10**37 + 7, rng.randrange(10**30)]),
            "dec": rng.choice([Decimal("1.50"), Decimal("-0.000000001"), Decimal(rng.randrange(10**18)).scaleb(-9)]),
            "ok": rng.choice([True, False, None]),
            "zip": f"{rng.randrange(10**5):05}",
            "time": f"2026-0{rng.randrange(1, 9)}-1{rng.randrange(9)}T0{rng.randrange(9)}:30:00+02:00",
            "text": text(at),
            ODD: text(at + 1),
            "o": {"x": rng.randrange(100), "t": [text(at + 2) or "", "z"]},
        }
        rows.append(row)
    return rows


# --- how a tool sees values


def exact(value):
    return value


def json_as_text(value):
    """Columns of ours: objects are text."""
    return dumps(value) if isinstance(value, (dict, list)) else value


def as_text(value):
    """Fields of CSV: nulls are known from empty texts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        return dumps(value)
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def as_text_or_empty(value):
    """Fields of CSV: null is an empty text."""
    return as_text(value) or ""


def empty_is_null(value):
    return None if value == "" else value


# --- the tools; each reads a file into rows, and writes rows into a file


def run(*words):
    done = subprocess.run(words, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def lines(rows):
    return "".join(dumps(row) + "\n" for row in rows)


def read_lines(text):
    return [loads(line) for line in text.split("\n") if line]


def jq_write(path, rows, program):
    whole = path.with_suffix(".of-jq")
    whole.write_text(lines(rows))
    path.write_text(run("jq", "-c", *program, str(whole)))


def mlr(path, rows, *flags):
    whole = path.with_suffix(".of-mlr")
    whole.write_text(lines(rows))
    path.write_text(run("mlr", "--ijsonl", *flags, "cat", str(whole)))


def csv_read(path, delimiter):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter, strict=True))


def csv_write(path, rows, delimiter):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows({name: as_text(value) for name, value in row.items()} for row in rows)


def arrow(rows, flat):
    names = rows[0]
    if flat:
        rows = [row | ({"o": dumps(row["o"])} if "o" in row else {}) for row in rows]
    nested = pyarrow.struct([("x", pyarrow.int64()), ("t", pyarrow.list_(pyarrow.string()))])
    kinds = ARROW | ({} if flat else {"o": nested})
    return pyarrow.Table.from_pylist(rows, pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in names]))


def duck(query):
    return duckdb.sql(query).to_arrow_table().to_pylist()


def duck_write(path, rows, flat, options):
    source = arrow(rows, flat)  # found by its name
    duckdb.sql(f"COPY (SELECT * FROM source) TO '{path}' ({options})")


def duck_json(path):
    kinds = {"n": "BIGINT", "big": "HUGEINT", "ok": "BOOLEAN", "o": "STRUCT(x BIGINT, t VARCHAR[])"}
    found = duck(f"SELECT json_keys(json) AS names FROM read_json_objects('{path}') LIMIT 1")[0]["names"]
    columns = ", ".join(f"'{name}': '{kinds.get(name, 'VARCHAR')}'" for name in found)
    return duck(f"SELECT * FROM read_json('{path}', columns={{{columns}}})")


DUCK_CSV = "all_varchar=true, header=true, auto_detect=false, quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false"


def duck_csv(path, delimiter):
    with open(path, newline="") as file:
        names = next(csv.reader(file, delimiter=delimiter))
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    return duck(f"SELECT * FROM read_csv('{path}', columns={{{columns}}}, delim='{delimiter}', {DUCK_CSV})")


def arrow_csv(path, delimiter):
    convert = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""],
        column_types={name: pyarrow.string() for name in SCHEMA},
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=delimiter)
    return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert).to_pylist()


def arrow_ndjson(path):
    kinds = [(name, kind) for name, kind in (ARROW | {"zip": pyarrow.string(), "time": pyarrow.string()}).items()]
    parse = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(kinds), newlines_in_values=False)
    return pyarrow.json.read_json(path, parse_options=parse).to_pylist()


def arrow_file(path, rows):
    whole = arrow(rows, False)
    with pyarrow.ipc.new_file(path, whole.schema) as file:
        file.write(whole)


class Way:
    """One format of one tool. `sees` is what its reader makes of a value, `keeps` what of a value its file has; `flags` are for
    writing ours."""

    def __init__(self, tool, suffix, read, write, sees=exact, keeps=exact, lacks=(), flags=()):
        self.tool, self.suffix, self.read, self.write = tool, suffix, read, write
        self.sees, self.keeps, self.lacks, self.flags = sees, keeps, set(lacks), list(flags)


DOUBLES = ("big", "dec")
# Columns have no type for JSON, and what is not exact in 64 bits must be asked for.
DECIMALS = ["--schema", "big:decimal(38,0),dec:decimal(38,9)"]
WAYS = [
    # jq 1.6 makes doubles of numbers.
    Way("jq", "ndjson", lambda path: read_lines(run("jq", "-c", ".", str(path))),
        lambda path, rows: jq_write(path, rows, ["."]), lacks=DOUBLES),
    Way("jq", "json", lambda path: loads(run("jq", "-c", ".", str(path))),
        lambda path, rows: jq_write(path, rows, ["-s", "."]), lacks=DOUBLES),
    # Miller has no null in CSV, writes larger integers as texts, and in JSON lines (6.6) names with quotes as they are.
    Way("mlr", "csv", lambda path: loads(run("mlr", "--icsv", "--ojson", "-S", "--no-auto-unflatten", "cat", str(path))),
        lambda path, rows: mlr(path, [{name: as_text_or_empty(value) for name, value in row.items()} for row in rows], "--ocsv"),
        sees=as_text_or_empty, keeps=empty_is_null),
    Way("mlr", "tsv", lambda path: loads(run("mlr", "--icsv", "--ifs", "tab", "--ojson", "-S", "--no-auto-unflatten", "cat", str(path))),
        lambda path, rows: mlr(path, [{name: as_text_or_empty(value) for name, value in row.items()} for row in rows],
                               "--ocsv", "--ofs", "tab"),
        sees=as_text_or_empty, keeps=empty_is_null),
    Way("mlr", "json", lambda path: loads(run("mlr", "--json", "cat", str(path))),
        lambda path, rows: mlr(path, rows, "--ojson"), lacks=["big"]),
    Way("mlr", "ndjson", lambda path: read_lines(run("mlr", "--ijsonl", "--ojsonl", "cat", str(path))),
        lambda path, rows: mlr(path, rows, "--ojsonl"), lacks=["big", ODD]),
    Way("python", "csv", lambda path: csv_read(path, ","), lambda path, rows: csv_write(path, rows, ","),
        sees=as_text_or_empty, keeps=empty_is_null),
    Way("python", "tsv", lambda path: csv_read(path, "\t"), lambda path, rows: csv_write(path, rows, "\t"),
        sees=as_text_or_empty, keeps=empty_is_null),
    Way("python", "json", lambda path: loads(path.read_text()), lambda path, rows: path.write_text(dumps(rows))),
    Way("python", "ndjson", lambda path: read_lines(path.read_text()),
        lambda path, rows: path.write_text(lines(rows))),
    Way("duckdb", "csv", lambda path: duck_csv(path, ","),
        lambda path, rows: duck_write(path, rows, True, "FORMAT csv, HEADER"), sees=as_text),
    Way("duckdb", "tsv", lambda path: duck_csv(path, "\t"),
        lambda path, rows: duck_write(path, rows, True, "FORMAT csv, HEADER, DELIMITER '\t'"), sees=as_text),
    # Its JSON has decimals as doubles.
    Way("duckdb", "ndjson", duck_json, lambda path, rows: duck_write(path, rows, False, "FORMAT json"), lacks=DOUBLES[1:]),
    Way("duckdb", "json", duck_json, lambda path, rows: duck_write(path, rows, False, "FORMAT json, ARRAY true"),
        lacks=DOUBLES[1:]),
    Way("pyarrow", "csv", lambda path: arrow_csv(path, ","),
        lambda path, rows: pyarrow.csv.write_csv(arrow(rows, True), path), sees=as_text),
    # PyArrow writes no JSON.
    Way("pyarrow", "ndjson", arrow_ndjson, None),
    Way("duckdb", "parquet", lambda path: duck(f"SELECT * FROM read_parquet('{path}')"),
        lambda path, rows: duck_write(path, rows, False, "FORMAT parquet"), sees=json_as_text, flags=DECIMALS),
    Way("pyarrow", "parquet", lambda path: pyarrow.parquet.read_table(path).to_pylist(),
        lambda path, rows: pyarrow.parquet.write_table(arrow(rows, False), path),
        sees=json_as_text, flags=DECIMALS),
    Way("pyarrow", "arrow", lambda path: pyarrow.ipc.open_file(path).read_all().to_pylist(), arrow_file,
        sees=json_as_text, flags=DECIMALS),
]


# --- the check


class Check:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.count, self.failures = binary, folder, 0, []

    def transform(self, source, target, flags):
        run(self.binary, "transform", str(source), "-o", str(target), "--force", "-q", *flags)

    def same(self, what, found, wanted):
        self.count += 1
        if found == wanted:
            return
        for at, (one, other) in enumerate(zip(found, wanted)):
            if one != other:
                names = [name for name in other if name not in one or one[name] != other[name]] or list(one)
                name = names[0]
                self.failures.append(f"{what}: row {at}, `{name}`: {one.get(name)!r:.200} is not {other.get(name)!r:.200}")
                return
        self.failures.append(f"{what}: {len(found)} rows are not {len(wanted)}")

    def way(self, way, seed):
        what = f"{way.tool}, {way.suffix}, seed {seed}"
        rows = [{name: value for name, value in row.items() if name not in way.lacks} for row in table(seed)]
        plain = self.folder / "plain.ndjson"
        plain.write_text(lines(rows))
        try:
            ours = self.folder / f"ours.{way.suffix}"
            self.transform(plain, ours, way.flags)
            wanted = [{name: way.sees(value) for name, value in row.items()} for row in rows]
            self.same(f"{what}: theirs reads ours", way.read(ours), wanted)
            if way.write is None:
                return
            theirs, back = self.folder / f"theirs.{way.suffix}", self.folder / "back.ndjson"
            way.write(theirs, rows)
            names = (f"{name}:{kind}" for name, kind in SCHEMA.items() if name in rows[0] and name != ODD)
            is_text = way.suffix in ("csv", "tsv")
            self.transform(theirs, back, ["--schema", ",".join(names)] if is_text else [])
            found = read_lines(back.read_text())
            wanted = [{name: way.keeps(value) for name, value in row.items()} for row in rows]
            self.same(f"{what}: ours reads theirs", found, wanted)
        except Exception as error:  # whatever a tool ends with is a failure to be told
            self.failures.append(f"{what}: {type(error).__name__}: {error}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--binary", default="target/release/procession")
    arguments.add_argument("--tool", help="only this one")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(given.binary, Path(folder))
        formats = run(given.binary, "transform", "--help")
        missing = sorted({way.suffix for way in WAYS if f"- {way.suffix}:" not in formats})
        ways = [way for way in WAYS if way.suffix not in missing and given.tool in (None, way.tool)]
        for way in ways:
            for seed in range(given.seeds):
                check.way(way, seed)
        for failure in check.failures[:50]:
            print(f"interop: {failure}", file=sys.stderr)
        if missing:
            print(f"interop: NOT COVERED: this build of procession has no {', '.join(missing)}", file=sys.stderr)
        tools = sorted({way.tool for way in ways})
        print(f"interop: {check.count} tables read ({', '.join(tools)}), {len(check.failures)} failures")
        sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()

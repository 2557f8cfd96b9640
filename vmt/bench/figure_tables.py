"""Figures of every case in tables that are small enough to be kept and shared: DIR/METHOD/CATEGORY.csv, and beside them
in compute.json what one run of each category takes.

The videos that they were told from are not in them. A long bench can go on from them on another machine, and intervals
and differences can be computed anew.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from ..errors import InputError
from ..whole_file import whole_file, write_json
from .case import Result

DIGITS = 4  # kept of a number
CASE, SKIPPED = "case", "skipped"
COMPUTE = "compute.json"


class FigureTables:
    """result = tables.get("balanced", "camera", "camera-003"), or None where that case is not in them."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._read: dict[Path, dict[str, Result]] = {}

    def get(self, method: str, category: str, case: str) -> Result | None:
        """Raises InputError if the table is not one of ours."""
        return self._table(self._file(method, category)).get(case)

    def add(self, method: str, category: str, case: str, result: Result) -> None:
        """Written at once and whole. Two processes must not add to the same category."""
        file = self._file(method, category)
        table = self._table(file)
        table[case] = result
        keys = list(dict.fromkeys(key for known in table.values() for key in known.figures or ()))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([CASE, SKIPPED, *keys])
        for name, known in sorted(table.items()):
            told = known.figures or {}
            writer.writerow([name, known.skipped, *(_cell(told[key]) if key in told else "" for key in keys)])
        with whole_file(file) as unfinished:
            unfinished.write_text(text.getvalue(), encoding="utf-8", newline="")

    def compute(self, method: str, category: str) -> dict[str, float]:
        """`Compute.told` of one run; empty where it is not in them.

        Raises InputError if the file is not one of ours."""
        return _load_compute(self.folder / method / COMPUTE).get(category, {})

    def add_compute(self, method: str, category: str, told: dict[str, float]) -> None:
        """Written at once and whole. Two processes must not add to the same method."""
        file = self.folder / method / COMPUTE
        known = {**_load_compute(file), category: told}
        write_json(file, dict(sorted(known.items())))

    def _file(self, method: str, category: str) -> Path:
        return self.folder / method / f"{category}.csv"

    def _table(self, file: Path) -> dict[str, Result]:
        if file not in self._read:
            self._read[file] = _load(file) if file.exists() else {}
        return self._read[file]


def _load(file: Path) -> dict[str, Result]:
    table = {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                name, why = row.pop(CASE), row.pop(SKIPPED)
                figures = {key: json.loads(value) for key, value in row.items() if value}
                table[name] = Result(None if why else figures, why)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{file} is no table of the bench's figures ({type(error).__name__}: {error}). It must have the columns "
            f"{CASE} and {SKIPPED}, and JSON values in the others. Give another folder, or delete the file."
        ) from error
    return table


def _load_compute(file: Path) -> dict[str, dict[str, float]]:
    if not file.exists():
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(value, (int, float)) for told in known.values() for value in told.values()):
            raise TypeError("a value is no number")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} does not hold what runs take ({type(error).__name__}: {error}). It must be a JSON object of "
            "categories, each with an object of numbers. Give another folder, or delete the file."
        ) from error
    return known


def _cell(value) -> str:
    return json.dumps(float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value)

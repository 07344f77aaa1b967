"""The rows of the bench as a table in Markdown."""
import dataclasses

HEAD = ("case", "measured", "floor", "ratio", "aim", "held")


@dataclasses.dataclass
class Row:
    """One figure. Smaller is better in every row."""
    case: str
    measured: float | None        # None: it could not be measured, `note` says why
    unit: str
    floor: float | None = None    # what the floor needs for the same, in the same unit
    aim: float | None = None      # the most that is aimed at, in the same unit
    aim_ratio: float | None = None  # or the most as a multiple of the floor
    note: str = ""

    def ratio(self):
        """how many times the floor was needed, where there is a floor"""
        return self.measured / self.floor if self.measured is not None and self.floor else None

    def held(self):
        """whether the aim is met; None without an aim or a figure"""
        if self.measured is None:
            return None
        if self.aim_ratio is not None:
            return None if self.ratio() is None else self.ratio() <= self.aim_ratio
        return None if self.aim is None else self.measured <= self.aim

    def cells(self):
        """the row's text, in the order of HEAD"""
        measured = number(self.measured, self.unit) if self.measured is not None else f"not measured: {self.note}"
        aim = f"{self.aim_ratio:g} x floor" if self.aim_ratio is not None else number(self.aim, self.unit)
        ratio = "-" if self.ratio() is None else f"{self.ratio():.1f}"
        held = {True: "yes", False: "no", None: "-"}[self.held()]
        return [self.case, measured, number(self.floor, self.unit), ratio, aim, held]


def number(value, unit):
    """a value with three significant digits and its unit"""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} {unit}"


def render(rows):
    """the table, columns aligned so that it reads in a terminal too"""
    lines = [list(HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines) + "\n"

"""Find the word that was probably meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def distance(one: str, other: str) -> int:
    """Count the letters to insert, delete, replace or swap to make one word of the other."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the known word that is nearest, or "" if none is near enough to have been meant."""
    scored = sorted((distance(word, candidate), candidate) for candidate in known)
    if not scored:
        return ""
    best, candidate = scored[0]
    return candidate if best <= max(1, len(word) // 3) else ""

"""What a user probably meant."""

import difflib
from collections.abc import Iterable
from itertools import islice

_LONGEST_GUESS = 80
_MOST_LISTED = 12
_MOST_COMPARED = 200


def did_you_mean(found: object, choices: Iterable[str], *, listed: bool = True) -> str | None:
    """A hint that names the likeliest of the choices, or lists them if they are few; None if neither.

    `listed=False` never lists them.
    """
    names = list(islice(choices, _MOST_COMPARED))
    if isinstance(found, str) and found:
        by_lower = {name.lower(): name for name in names}
        close = difflib.get_close_matches(found[:_LONGEST_GUESS].lower(), by_lower, n=1, cutoff=0.6)
        if close:
            return f"did you mean {by_lower[close[0]]}?"
    if listed and 0 < len(names) <= _MOST_LISTED:
        return f"choose from {', '.join(names)}"
    return None

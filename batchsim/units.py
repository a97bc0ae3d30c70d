"""Units: the only place where text and floats become the integers used inside.

time    integer microseconds since the run began    names end in `_us`
memory  integer MiB                                  names end in `_mib`
money   integer micro-USD                            names end in `_uusd`
rate    float, per second                            names end in `_per_s`

Result frames convert to seconds (`_s`, float64) and USD (`_usd`, float64) at the very end.
"""

from __future__ import annotations

import math
import re

US_PER_S = 1_000_000
UUSD_PER_USD = 1_000_000
S_PER_HOUR = 3600
MIB_PER_GIB = 1024
BYTES_PER_MIB = 1_048_576

# Beyond 2**53 microseconds (285 years) a float64 column of seconds would lose microseconds.
MAX_TIME_US = 2**53

_TIME_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": US_PER_S,
    "m": 60 * US_PER_S,
    "min": 60 * US_PER_S,
    "h": 3600 * US_PER_S,
    "d": 86_400 * US_PER_S,
}
_SIZE_UNITS_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER_UNIT = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{0,9})?)\s*([A-Za-z]+)\s*")
_BANDWIDTH = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{0,9})?)\s*([A-Za-z]+)\s*/\s*s\s*")
_RATE = re.compile(r"\s*(-?[0-9]{1,18}(?:\.[0-9]{0,40})?(?:[eE][-+]?[0-9]{1,3})?)\s*/\s*([a-z]+)\s*")


def parse_duration(text: str | float) -> int:
    """Microseconds of a duration such as "90s", "12m", "1.5h", "1h30m", "2d", "250ms".

    A bare number (int or float) is taken as seconds, as AWS's `...Seconds` fields are. Raises
    ValueError with a sentence a user can act on; negative, NaN and infinite values are refused.
    """
    if isinstance(text, bool):
        raise ValueError(f"expected a duration such as '90s' or '12m', found {text!r}")
    if isinstance(text, int | float):
        return _seconds_to_us(text)
    rest, total = text, 0.0
    if not rest.strip():
        raise ValueError("expected a duration such as '90s' or '12m', found nothing")
    while rest.strip():
        match = _NUMBER_UNIT.match(rest)
        if match is None or match.group(2) not in _TIME_UNITS_US:
            raise ValueError(f"expected a duration such as '90s', '12m' or '1h30m', found {text!r}")
        total += float(match.group(1)) * _TIME_UNITS_US[match.group(2)]
        rest = rest[match.end() :]
    if total >= MAX_TIME_US:
        raise ValueError(f"expected a duration below 285 years, found {text!r}")
    return round(total)


def parse_size(text: str | int) -> int:
    """MiB of a memory or image size such as "7.5GiB", "900MiB", "500MB", rounded up to a whole MiB.

    A bare integer is MiB, as in AWS's `memory` fields. Raises ValueError with a usable sentence.
    """
    return -(-parse_bytes(text) // BYTES_PER_MIB)


def parse_bytes(text: str | int) -> int:
    """Bytes of a size such as "500MB" (decimal) or "900MiB" (binary); a bare integer is MiB."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise ValueError(f"expected a size such as '900MiB' or '7.5GiB', found {text!r}")
    if isinstance(text, int):
        if not 0 <= text < 10**9:
            raise ValueError(f"expected a size of 0 or more MiB, found {text}")
        return text * BYTES_PER_MIB
    match = _NUMBER_UNIT.fullmatch(text)
    if match is None or match.group(2) not in _SIZE_UNITS_BYTES:
        raise ValueError(f"expected a size such as '900MiB', '7.5GiB' or '500MB', found {text!r}")
    size = math.ceil(float(match.group(1)) * _SIZE_UNITS_BYTES[match.group(2)])
    if size >= 2**53:
        raise ValueError(f"expected a size below 8192 TiB, found {text!r}")
    return size


def parse_volume(text: str | float) -> int:
    """MiB of the size of an EBS volume such as "30GiB", rounded up; 0 is none.

    Raises ValueError with a usable sentence for less than a GiB, the smallest volume there is, and for a
    number without a unit: AWS's fields of memory are MiB, those of volumes GiB.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if text == 0:
            return 0
        raise ValueError(f"expected a size with a unit such as '30GiB', found {text}")
    mib = parse_size(text)
    if 0 < mib < MIB_PER_GIB:
        raise ValueError(f"expected a size of at least 1GiB, or 0, found {text!r}")
    return mib


def parse_bandwidth(text: str | float) -> float:
    """MB (10^6 bytes) a second of a text such as "100 MB/s", or of a number of MB/s.

    Raises ValueError with a usable sentence.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    match = _BANDWIDTH.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _SIZE_UNITS_BYTES:
        raise ValueError(f"expected bytes a second such as '100MB/s', or a number of MB/s, found {text!r}")
    return float(match[1]) * _SIZE_UNITS_BYTES[match[2]] / _SIZE_UNITS_BYTES["MB"]


def parse_rate(text: str | float) -> float:
    """Events per second of a rate such as "120/h", "2/s", "5/m", "40/d".

    Raises ValueError with a usable sentence, also for a number without a unit: no rate of AWS's says
    which one it would be. Only 0 needs none.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and text == 0:
        return 0.0
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match.group(2) not in _TIME_UNITS_US:
        raise ValueError(f"expected a rate such as '120/h', '2/s' or '5/m', found {text!r}")
    if match.group(1).startswith("-"):
        raise ValueError(f"expected a rate of 0 or more such as '120/h', found {text!r}")
    amount, unit_us = float(match.group(1)), _TIME_UNITS_US[match.group(2)]
    rate = amount if unit_us == US_PER_S else amount * US_PER_S / unit_us
    if not math.isfinite(rate):
        raise ValueError(f"expected a rate below 10^302 a second, found {text!r}")
    return rate


def format_duration(us: float) -> str:
    """A duration for people: "0s", "350ms", "42.5s", "12m 05s", "3h 07m", "2d 04h"."""
    seconds = us / US_PER_S
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{us / 1000:.3g}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {s:02d}s"
    hours, m = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {m:02d}m"
    days, h = divmod(hours, 24)
    return f"{days}d {h:02d}h"


def format_size(mib: int) -> str:
    """A memory size for people: "512 MiB", "7.5 GiB", "1.2 TiB"."""
    if mib < MIB_PER_GIB:
        return f"{mib} MiB"
    if mib < MIB_PER_GIB**2:
        return f"{mib / MIB_PER_GIB:.4g} GiB"
    return f"{mib / MIB_PER_GIB**2:.4g} TiB"


def usd_to_uusd(usd: float) -> int:
    """Whole micro-USD, half up."""
    return math.floor(usd * UUSD_PER_USD + 0.5)


def cost_uusd(seconds: int, uusd_per_hour: int) -> int:
    """Price of whole billed seconds at an hourly rate, rounded half up to a micro-USD."""
    return (2 * seconds * uusd_per_hour + S_PER_HOUR) // (2 * S_PER_HOUR)


def billed_seconds(duration_us: int, minimum_s: int = 60) -> int:
    """Seconds billed for a machine that ran `duration_us`: whole seconds, rounded up, with a minimum.

    EC2 Linux instances are billed by the second with a minimum of 60 [spec 8.1].
    """
    return max(minimum_s, -(-duration_us // US_PER_S))


def _seconds_to_us(seconds: float) -> int:
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"expected a duration of 0 or more seconds, found {seconds}")
    if seconds * US_PER_S >= MAX_TIME_US:
        raise ValueError(f"expected a duration below 285 years, found {seconds} seconds")
    return round(seconds * US_PER_S)

"""Values as Grafana writes them, for the units that the boards use."""

from __future__ import annotations

_SECONDS = ((31_536_000, "years"), (86400, "days"), (3600, "hours"), (60, "mins"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
_SHORT = ((1e9, "Bil"), (1e6, "Mil"), (1e3, "K"))


def said(value: float, unit: str, decimals: int | None = None) -> str:
    """The value with its unit."""
    if unit == "s":
        return _scaled(value, _SECONDS, decimals)
    if unit in ("bytes", "binBps"):
        return _scaled(value, _BYTES, decimals) + ("/s" if unit == "binBps" else "")
    if unit == "percentunit":
        return f"{_plain(value * 100, 1 if decimals is None else decimals)} %"
    if unit == "locale":
        return f"{value:,.0f}"
    if unit == "short":
        return _scaled(value, _SHORT, decimals) if abs(value) >= 1000 else _plain(value, decimals)
    text = _plain(value, decimals)
    if unit == "reqps":
        return f"{text} req/s"
    return f"{text} {unit.removeprefix('suffix:')}" if unit.startswith("suffix:") else text


def _scaled(value: float, steps: tuple[tuple[float, str], ...], decimals: int | None) -> str:
    size, name = next(((size, name) for size, name in steps if abs(value) >= size), steps[-1])
    if value == 0:
        size, name = next((step for step in steps if step[0] == 1), (1, ""))
    return f"{_plain(value / size, decimals)} {name}"


def _plain(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = (
            0 if value == round(value) else 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else int(abs(value) < 100)
        )
        text = f"{value:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:,.{decimals}f}"

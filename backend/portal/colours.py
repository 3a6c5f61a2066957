"""The city's two colours, made readable: whatever a city sets, text keeps WCAG AA contrast."""

from __future__ import annotations

import re
from dataclasses import dataclass

CONTRAST_MIN = 4.5
"""WCAG 2.2, success criterion 1.4.3: text against its background."""

COLOUR_FORM = re.compile(r"#[0-9A-Fa-f]{6}")
WHITE, BLACK = "#FFFFFF", "#000000"
STEPS = 50


class ColourInvalid(ValueError):
    """A brand colour is not written `#RRGGBB`."""


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What text stands on in one scheme, and the neutral inks on it."""

    page: str
    card: str
    line: str
    ink: str
    quiet: str
    good: str
    bad: str


LIGHT = Surfaces("#F2F5F6", WHITE, "#D3DCE0", "#16222A", "#4A5A63", "#17693A", "#A32414")
DARK = Surfaces("#0F171B", "#18232A", "#33434C", "#EAF1F4", "#A9BAC3", "#6FD39A", "#FF9D8C")


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, *grounds: str) -> str:
    """`colour`, moved toward black or white until it can be read on every ground."""
    ground = max(grounds, key=_luminance)
    end = BLACK if contrast(BLACK, ground) > contrast(WHITE, ground) else WHITE
    for step in range(STEPS + 1):
        mixed = _mix(colour, end, step / STEPS)
        if all(contrast(mixed, one) >= CONTRAST_MIN for one in grounds):
            return mixed
    return end


def ink_on(colour: str) -> str:
    """White or black, whichever is the easier to read on `colour`."""
    return max((WHITE, BLACK), key=lambda ink: contrast(ink, colour))


def brand_stylesheet(primary: str, accent: str) -> str:
    """The custom properties every page stands on, for a light and a dark screen.

    Raises ColourInvalid.
    """
    for colour in (primary, accent):
        if not COLOUR_FORM.fullmatch(colour):
            raise ColourInvalid(f"brand colour {colour!r}: write it #RRGGBB")
    light, dark = (_properties(primary, accent, surfaces) for surfaces in (LIGHT, DARK))
    return (
        f":root {{\n  color-scheme: light dark;\n{light}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n"
    )


def _properties(primary: str, accent: str, surfaces: Surfaces) -> str:
    grounds = (surfaces.page, surfaces.card)
    values = {
        "page": surfaces.page,
        "card": surfaces.card,
        "line": surfaces.line,
        "ink": surfaces.ink,
        "quiet": surfaces.quiet,
        "good": surfaces.good,
        "bad": surfaces.bad,
        "brand": primary,
        "on-brand": ink_on(primary),
        "brand-text": readable(primary, *grounds),
        "accent-text": readable(accent, *grounds),
    }
    return "".join(f"  --{name}: {value};\n" for name, value in values.items())


def _luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2, "relative luminance")."""
    red, green, blue = (_linear(level / 255) for level in _levels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(level: float) -> float:
    return level / 12.92 if level <= 0.04045 else float(((level + 0.055) / 1.055) ** 2.4)


def _levels(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _mix(colour: str, end: str, share: float) -> str:
    pairs = zip(_levels(colour), _levels(end), strict=True)
    return "#" + "".join(f"{round(one + (other - one) * share):02X}" for one, other in pairs)

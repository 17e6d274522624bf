"""The contrast of two colours, after WCAG 2."""

import re

import numpy as np

Colour = tuple[int, int, int]


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def rgb(text: str) -> Colour:
    """Return a colour as browsers and style sheets write it, "rgb(1, 2, 3)" or "#010203"."""
    if text.startswith("#"):
        red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    else:
        red, green, blue = (int(part) for part in re.findall(r"\d+", text)[:3])
    return red, green, blue


def _luminance(colour: Colour) -> float:
    shares = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in shares]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

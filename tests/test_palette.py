import itertools

import colour
import numpy as np
import pytest

from mm_gym import palette
from mm_gym.palette import Colour

MEANINGS = ("BID", "ASK", "NOISE", "INFORMED", "SPREAD", "INVENTORY", "FEES", "TOTAL")
SERIES = {f"SERIES[{index}]": colours for index, colours in enumerate(palette.SERIES)}
NAMED = {name: getattr(palette, name) for name in MEANINGS} | SERIES
TOGETHER = {
    "price, quotes and fills": ("BID", "ASK", "NOISE", "INFORMED", "TOTAL"),
    "parts of PnL": ("SPREAD", "INVENTORY", "FEES", "TOTAL"),
    "agents": (*SERIES, "TOTAL"),
}
"""Names of colours that one chart holds."""
GREY = (("BID", "ASK", "TOTAL"), ("NOISE", "INFORMED", "TOTAL"), TOGETHER["parts of PnL"])
"""Names of colours that mark the same kind of thing in one chart."""

# Machado, Oliveira and Fernandes (2009) at full severity, as tabulated by colour-science. They act
# on linear RGB.
VISIONS = {"full": np.eye(3)} | {
    name: np.asarray(colour.blindness.CVD_MATRICES_MACHADO2010[name][1.0])
    for name in ("Protanomaly", "Deuteranomaly", "Tritanomaly")
}
LEAST_DISTANCE = 11.0  # CIEDE2000
LEAST_LIGHTNESS_DIFFERENCE = 9.0  # CIE L*, 0 to 100

backgrounds = pytest.mark.parametrize("background", Colour._fields)


def linear(code):
    """Hexadecimal RGB as linear RGB, shape (3,)."""
    return colour.cctf_decoding(colour.notation.HEX_to_RGB(code), function="sRGB")


def lab(rgb):
    """CIE Lab of linear RGB."""
    whitepoint = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]
    xyz = colour.RGB_to_XYZ(np.clip(rgb, 0.0, 1.0), "sRGB")
    return colour.XYZ_to_Lab(xyz, whitepoint)


def contrast(first, second):
    """The contrast ratio of WCAG 2."""
    dark, light = sorted(linear(code) @ [0.2126, 0.7152, 0.0722] for code in (first, second))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_ratio_is_that_of_the_wcag():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21.0)
    assert contrast("#FFFFFF", "#767676") == pytest.approx(4.54, abs=0.01)


def test_the_simulation_makes_red_and_green_alike_for_protanopes():
    red, green = (lab(VISIONS["Protanomaly"] @ linear(c)) for c in ("#A05050", "#606B50"))
    assert colour.delta_E(red, green) < LEAST_DISTANCE
    assert colour.delta_E(*(lab(linear(c)) for c in ("#A05050", "#606B50"))) > 3 * LEAST_DISTANCE


@backgrounds
@pytest.mark.parametrize("name", NAMED)
def test_marks_stand_out_from_the_background(name, background):
    for behind in (palette.BACKGROUND, palette.PANEL):
        code, behind_code = getattr(NAMED[name], background), getattr(behind, background)
        assert contrast(code, behind_code) >= 3.0


@backgrounds
@pytest.mark.parametrize("name", ["TEXT", "MUTED", "BID", "ASK", "INFORMED", "SPREAD", "TOTAL"])
def test_text_is_readable(name, background):
    for behind in (palette.BACKGROUND, palette.PANEL):
        code = getattr(getattr(palette, name), background)
        assert contrast(code, getattr(behind, background)) >= 4.5


@backgrounds
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("chart", TOGETHER)
def test_colours_of_one_chart_differ_for_any_colour_vision(chart, vision, background):
    seen = {
        name: lab(VISIONS[vision] @ linear(getattr(NAMED[name], background)))
        for name in TOGETHER[chart]
    }
    for one, other in itertools.combinations(seen, 2):
        distance = colour.delta_E(seen[one], seen[other], method="CIE 2000")
        assert distance >= LEAST_DISTANCE, (one, other)


@backgrounds
@pytest.mark.parametrize("names", GREY, ids=" ".join)
def test_colours_of_one_kind_differ_in_greyscale(names, background):
    lightness = {name: lab(linear(getattr(NAMED[name], background)))[0] for name in names}
    for one, other in itertools.combinations(names, 2):
        assert abs(lightness[one] - lightness[other]) >= LEAST_LIGHTNESS_DIFFERENCE, (one, other)


@backgrounds
def test_one_colour_has_one_meaning(background):
    codes = [getattr(colours, background) for colours in NAMED.values()]
    assert len(set(codes)) == len(codes)


def test_css_has_both_codes_of_every_colour_and_drawings_find_their_variable():
    light, dark = palette.css().split("@media(prefers-color-scheme:dark)")
    for name in ("BID", "TEXT", "BACKGROUND"):
        colours = getattr(palette, name)
        assert f"--{name.lower()}:{colours.light};" in light
        assert f"--{name.lower()}:{colours.dark};" in dark
    for colours in NAMED.values():
        variable = palette.variables()[colours.light.lower()].removeprefix("var(").removesuffix(")")
        assert f"{variable}:{colours.dark};" in dark

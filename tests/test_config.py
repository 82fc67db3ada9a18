"""Checks of a configuration, its regimes, its round trips and its derived values."""

import ast
import dataclasses
import inspect
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from scipy.linalg import expm

from mm_gym import REGIMES, ConfigurationError, MarketConfig, configure
from mm_gym.parameters import to_parameters

FIELDS = {field.name: field for field in dataclasses.fields(MarketConfig)}

# Values out of range. Every field is also tried with values that are not numbers.
OUT_OF_RANGE: dict[str, list[float]] = {
    "decision_interval": [0.0, -1.0],
    "session_steps": [0, -1, 1.5],
    "warm_up": [-1.0],
    "latency": [-0.1],
    "initial_price": [1e13, -1e13],
    "tick_size": [0.0, -0.01],
    "volatility": [-0.1],
    "signal_drift": [-0.1],
    "signal_half_life": [0.0, -14.0],
    "value_interval": [0.0, -0.5],
    "taker_rate": [-1.0],
    "p_informed": [-0.01, 1.01],
    "signal_threshold": [-1.0],
    "imbalance": [-0.01, 1.01],
    "imbalance_flip_rate": [-1.0],
    "longest_metaorder": [0, -1, 1.5],
    "metaorder_exponent": [0.0, -1.0, 101.0],
    "taker_tolerance": [-1.0],
    "taker_size": [0.99, 0.0],
    "naive_taker_size": [0.99, 0.0],
    "maker_rate": [-1.0],
    "maker_cancel_rate": [0.0, -1.0],
    "maker_depth": [-1.0],
    "maker_size": [0.99, 0.0],
    "data_start": [-0.1, 1.1],
    "data_end": [-0.1, 1.1],
    "lot_size": [0, -1, 1.5],
    "quote_size": [0, -1, 1.5],
    "max_inventory": [0, -1, 1.5],
    "max_offset": [0.0, -1.0],
    "requote_threshold": [-0.1, 1e7],
    "maker_fee": [1e7, -1e7],
    "taker_fee": [1e7, -1e7],
    "close_out_cost": [-1.0],
    "close_out_impact": [-1.0],
    "reward_scale": [0.0, -0.1],
    "inventory_penalty": [-1.0],
    "dampening": [-0.1, 1.1],
    "risk_aversion": [0.0, -1.0],
}
CHOICES = {
    "informed_kind": ["signal", "naive", "decoy"],
    "fee_unit": ["ticks", "currency", "notional"],
    "makers": ["anchored", "none", "zero_intelligence", "recorded"],
    "reward": ["pnl", "inventory_penalty", "dampened", "cara"],
}
# tests/core/test_zero_intelligence.py and tests/core/test_clustered_takers.py
SEQUENCES = ["limit_order_rates", "cancel_rates", "clustering", "clustering_half_lives"]
RECORDED_MARKET = {"regime": "replay", "makers": "recorded", "data": "day.parquet"}
LISTS = [
    "latency_samples", "cancel_latency_samples", "fee_tier_lots", "fee_tier_fees",
]  # fmt: skip
COSTS = ["latency_kind", "cancel_latency", *LISTS]  # tests/test_latency.py, tests/test_fees.py
RECORDED = ["data"]  # tests/data/test_recorded_market.py
SWITCHES = ["informed_price_limit", "refill", "sniping"]
# Text, None, booleans, a list, an array and a complex number.
NOT_NUMBERS = ["1", None, True, np.True_, [1.0], np.array([1.0, 2.0]), 1j]

# Public names: other programs use these fields.
USED_BY_NAME = [
    "p_informed", "imbalance", "latency", "decision_interval", "session_steps", "inventory_penalty",
    "max_inventory", "taker_rate", "volatility", "signal_half_life", "signal_drift",
    "signal_threshold", "tick_size", "quote_size", "max_offset",
]  # fmt: skip


# The range in a message, for example "a whole number from 1 to 1e+09".
RANGE = re.compile(
    r"a (?:whole )?number (?P<kind>from|above) (?P<low>\S+) (?:and up )?to (?P<high>[^ ,]+)"
)


def refusal(**fields: Any) -> str:
    """The message of the error for these fields."""
    with pytest.raises(ConfigurationError) as raised:
        MarketConfig(**fields)
    return str(raised.value)


# ------------------------------------------------------------------------------------ single fields


def test_the_tables_of_this_file_leave_no_field_out() -> None:
    tables = (OUT_OF_RANGE, CHOICES, RECORDED, SWITCHES, SEQUENCES, COSTS)
    assert {"regime", *itertools.chain(*tables)} == set(FIELDS)
    assert set(USED_BY_NAME) <= set(FIELDS)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in OUT_OF_RANGE for value in OUT_OF_RANGE[name]]
)
def test_a_number_out_of_range_is_refused_with_the_range(name: str, value: float) -> None:
    got = re.escape(repr(value))
    assert re.fullmatch(
        rf"{name}={got} is out of range: expected {RANGE.pattern}, got {got}",
        refusal(**{name: value}),
    )


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_nan_and_infinity_are_out_of_range(name: str) -> None:
    assert "out of range" in refusal(**{name: math.nan})
    assert "out of range" in refusal(**{name: -math.inf})
    if name != "taker_tolerance":  # an infinite tolerance means market orders
        assert "out of range" in refusal(**{name: math.inf})


def test_an_infinite_tolerance_is_a_market_order() -> None:
    assert MarketConfig(taker_tolerance=math.inf).taker_tolerance == math.inf


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_a_value_that_is_not_a_number_is_refused_with_the_range(name: str) -> None:
    for value in NOT_NUMBERS:
        got = re.escape(" ".join(repr(value).split()))  # a message is one line
        assert re.fullmatch(
            rf"{name}={got} is not a (whole )?number: expected {RANGE.pattern}, got {got}",
            refusal(**{name: value}),
        )


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_the_ends_of_the_range_in_the_message_are_the_true_ones(name: str) -> None:
    stated = RANGE.search(refusal(**{name: math.nan}))
    assert stated is not None
    for end in stated["low"], stated["high"]:
        fields: dict[str, Any] = {name: float(end)}
        # Other fields that some ends need, so that no two fields contradict each other.
        if name == "p_informed":
            fields["regime"] = "informed"
        if name == "imbalance":
            fields["regime"] = "imbalanced"
        if name == "latency":
            fields["decision_interval"] = 1e6
        if name in ("maker_rate", "maker_cancel_rate"):
            fields["makers"] = "none"
        if name in ("taker_rate", "decision_interval", "latency", "warm_up"):
            quiet = {"value_interval": 1e6, "taker_rate": 0.0, "makers": "none", "warm_up": 0.0}
            fields = quiet | {"decision_interval": 0.5} | fields
        if name == "value_interval":
            fields |= {"decision_interval": 0.1, "warm_up": 0.0}
        if name in ("data_start", "data_end", "lot_size"):
            fields |= RECORDED_MARKET
        if name == "data_start" and end == stated["high"]:
            assert "is too late" in refusal(**fields)
        elif stated["kind"] == "above" and end == stated["low"]:
            assert "out of range" in refusal(**fields)
        else:
            assert getattr(MarketConfig(**fields), name) == float(end)


def test_a_number_too_long_for_a_float_is_out_of_range() -> None:
    assert "out of range" in refusal(session_steps=10**400)


@pytest.mark.parametrize("name", CHOICES)
def test_an_unknown_choice_is_refused_with_the_known_ones(name: str) -> None:
    for value in ("sharpe", "", None, 1, ["pnl"]):
        message = refusal(**{name: value})
        assert message.startswith(f"{name}={value!r} is not offered: expected one of ")
        assert message.endswith(f", got {value!r}")
        choices = message.split("expected one of ")[1].removesuffix(f", got {value!r}")
        assert choices == ", ".join(map(repr, CHOICES[name]))
    rates = {"limit_order_rates": (0.01,), "cancel_rates": (0.01,), "signal_drift": 0.0}
    for value in CHOICES[name]:
        needed = {"zero_intelligence": rates, "recorded": RECORDED_MARKET}.get(value, {})
        assert getattr(MarketConfig(**(needed | {name: value})), name) == value


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_true_or_false(name: str) -> None:
    for value in (0, 1, "yes", None, 1.0):
        assert refusal(**{name: value}) == (
            f"{name}={value!r} is not a switch: expected True or False, got {value!r}"
        )
    assert getattr(MarketConfig(**{name: np.True_}), name) is True


def test_numbers_from_numpy_become_pythons_own() -> None:
    config = configure(
        "informed", session_steps=np.int64(7), p_informed=np.float32(0.25), latency=np.int8(1)
    )
    assert config == configure("informed", session_steps=7, p_informed=0.25, latency=1.0)
    for name, value in config.to_dict().items():
        plain = type(value) in (int, float, bool, str)
        assert plain or name in (*SEQUENCES, *COSTS), name
    assert MarketConfig(session_steps=7.0).session_steps == 7
    assert type(MarketConfig(session_steps=7.0).session_steps) is int


# ----------------------------------------------------------------------- names and contradictions


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("p_inform", "p_informed"),
        ("volatilty", "volatility"),
        ("sesion_steps", "session_steps"),
        ("max_inv", "max_inventory"),
        ("taker_rates", "taker_rate"),
        ("Latency", "latency"),
    ],
)
def test_an_unknown_keyword_is_refused_and_the_nearest_is_named(typo: str, meant: str) -> None:
    message = (
        rf"^configure\(\) got an unexpected keyword argument '{typo}': "
        rf"expected a field of MarketConfig, got '{typo}'; did you mean '{meant}'\?$"
    )
    for kind in TypeError, ConfigurationError:
        with pytest.raises(kind, match=message):
            configure("informed", **{typo: 0.5})


def test_a_keyword_unlike_any_field_is_refused_with_all_fields() -> None:
    with pytest.raises(
        ConfigurationError, match="got an unexpected keyword argument 'zzz': "
    ) as raised:
        configure(zzz=1)
    assert all(name in str(raised.value) for name in FIELDS)


@pytest.mark.parametrize("regime", ["nois", "Informed", "", "zzz", None, 3, ["noise"]])
def test_an_unknown_regime_is_refused_with_the_known_ones(regime: Any) -> None:
    message = f"regime {regime!r} is unknown: expected a key of mm_gym.REGIMES, got {regime!r}; "
    for make in configure, MarketConfig:
        with pytest.raises(ConfigurationError, match=re.escape(message)) as raised:
            make(regime=regime)
        assert "did you mean" in str(raised.value) or all(
            name in str(raised.value) for name in REGIMES
        )


@pytest.mark.parametrize(
    ("regime", "fields", "message"),
    [
        (
            "noise",
            {"p_informed": 0.3},
            r"p_informed=0.3 contradicts regime 'noise', .*: "
            r"expected 0, got 0.3 \(write regime='informed'\)$",
        ),
        (
            "imbalanced",
            {"p_informed": 0.3},
            r"p_informed=0.3 contradicts regime 'imbalanced', .*: "
            r"expected 0, got 0.3 \(write regime='informed'\)$",
        ),
        (
            "noise",
            {"imbalance": 0.4},
            r"imbalance=0.4 contradicts regime 'noise', .*: "
            r"expected 0, got 0.4 \(write regime='imbalanced'\)$",
        ),
        (
            "mixed",
            {"informed_kind": "decoy"},
            r"informed_kind='decoy' contradicts regime 'mixed': expected 'signal', got 'decoy' ",
        ),
        (
            "noise",
            {"latency": 64.0},
            r"latency=64 is too long for decision_interval=1: expected at most 63 .* 63 s, got 64",
        ),
        (
            "noise",
            {"latency": 1.0, "decision_interval": 0.01},
            r"latency=1 is too long for .*=0.01: expected .*, which are 0.63 s, got 1 s$",
        ),
        (
            "noise",
            {"maker_rate": 900.0},
            r"maker_rate=900 with maker_cancel_rate=0.3 .*: expected at most 1024 .*, got 3000$",
        ),
        (
            "noise",
            {"maker_cancel_rate": 0.001},
            r"maker_rate=2.2 with maker_cancel_rate=0.001 .*: expected at most 1024 .*, got 2200$",
        ),
        (
            "noise",
            {"volatility": 1e5, "session_steps": 10**6},
            r"prices could leave the book in a session of 1.00002e\+06 s: "
            r"expected prices within 1e\+09 ticks of zero, 12 .*, got 1.2e\+09 .*$",
        ),
        (
            "noise",
            {"signal_drift": 1e5, "signal_half_life": 1e12, "initial_price": -4.9e8},
            r"prices could leave the book .*, got 1.71e\+09 .*$",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    regime: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(regime, **fields)


def test_values_that_the_messages_suggest_are_accepted() -> None:
    configure("noise", latency=63.0)
    configure("noise", latency=0.63, decision_interval=0.01)
    configure("noise", maker_rate=6.4, maker_cancel_rate=0.1)
    configure("informed", p_informed=0.3)
    configure("imbalanced", imbalance=0.4)


# ------------------------------------------------------------------------------------------ regimes


def test_the_public_regimes_exist() -> None:
    assert {"noise", "imbalanced", "naive_informed", "informed", "dealer", "mixed"} <= set(REGIMES)


def test_the_price_process_is_the_same_in_all_regimes_that_are_compared() -> None:
    """Otherwise a difference of results would not be due to who sees the signal."""
    price = [
        "volatility",
        "signal_drift",
        "signal_half_life",
        "value_interval",
        "initial_price",
        "decision_interval",
    ]
    compared = ("noise", "imbalanced", "naive_informed", "informed", "mixed")
    assert (
        len({tuple(getattr(configure(regime), name) for name in price) for regime in compared}) == 1
    )
    assert configure("noise").signal_drift > 0.0


def test_keywords_override_the_values_of_a_regime_and_do_not_change_them() -> None:
    assert configure("informed", p_informed=0.9).p_informed == 0.9
    assert configure("informed").p_informed == REGIMES["informed"]["p_informed"]
    assert configure("dealer", signal_drift=0.2).makers == "none"


# ---------------------------------------------------------------------------- the dataclass itself


@pytest.mark.parametrize("regime", REGIMES)
def test_a_configuration_survives_its_dictionary_and_json(regime: str) -> None:
    config = configure(regime, taker_tolerance=math.inf, sniping=True, max_inventory=7)
    assert MarketConfig(**config.to_dict()) == config
    assert MarketConfig(**json.loads(json.dumps(config.to_dict()))) == config
    assert hash(MarketConfig(**config.to_dict())) == hash(config)
    assert MarketConfig(**{**config.to_dict(), "max_inventory": 8}) != config


def test_a_configuration_is_frozen() -> None:
    config = configure()
    for name in FIELDS:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, name, getattr(config, name))


def test_the_environments_show_the_configuration_that_they_run() -> None:
    keywords = {"regime": "informed", "p_informed": 0.7, "session_steps": 12}
    expected = configure(**keywords)
    assert gymnasium.make("MarketMaking-v0", **keywords).unwrapped.config == expected
    assert (
        gymnasium.make_vec("MarketMaking-v0", num_envs=2, **keywords).unwrapped.config == expected
    )


def test_every_field_has_a_sentence_and_every_number_a_unit_or_a_range() -> None:
    source = ast.parse(Path(inspect.getfile(MarketConfig)).read_text())
    (body,) = (
        node.body
        for node in source.body
        if isinstance(node, ast.ClassDef) and node.name == "MarketConfig"
    )
    sentences: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), field.target.id
            assert isinstance(text.value, ast.Constant), field.target.id
            sentences[field.target.id] = str(text.value.value)
    assert list(sentences) == list(FIELDS)
    for name, sentence in sentences.items():
        assert sentence.endswith("."), name
        assert len(sentence.split()) >= 4, name
        if name in OUT_OF_RANGE:
            assert re.match(r"\[.+\] ", sentence) or "in [0, 1]" in sentence, name


# ----------------------------------------------------------------------------------- derived values


def test_derived_values_have_their_closed_forms() -> None:
    config = configure(
        decision_interval=0.25, session_steps=40, signal_half_life=7.0, signal_drift=0.3
    )
    assert config.session_length == 10.0
    # Half of the signal is left after one half-life.
    assert math.exp(-config.signal_decay_rate * 7.0) == pytest.approx(0.5)
    # The remaining move is the integral of beta * exp(-kappa t).
    times = np.linspace(0.0, 400.0, 400_001)
    drift = 0.3 * 0.5 ** (times / 7.0)
    assert config.edge_per_signal == pytest.approx(np.trapezoid(drift, times), rel=1e-6)
    assert [configure(regime).mixed for regime in ("mixed", "noise")] == [True, False]


@pytest.mark.parametrize("interval", [1e-5, 1e-3, 0.019, 0.021, 0.5, 10.0, 300.0])
@pytest.mark.parametrize("drift", [0.0, 0.11, 2.0])
def test_a_step_of_the_time_grid_is_the_exact_transition_of_the_price_process(
    interval: float, drift: float
) -> None:
    """Compare mean and covariance of (s, V) with Van Loan's matrix exponential (1978)."""
    config = configure(value_interval=interval, signal_drift=drift)
    parameters = to_parameters(config)
    kappa, sigma = config.signal_decay_rate, config.volatility
    linear = np.array([[-kappa, 0.0], [drift, 0.0]])
    noise = np.diag([2.0 * kappa, sigma**2])
    # The matrix exponential loses digits if the signal decays by much, so long intervals are
    # composed of shorter ones.
    doublings = max(0, math.ceil(math.log2(kappa * interval)))
    block = expm(
        np.block([[-linear, noise], [np.zeros((2, 2)), linear.T]]) * interval / 2**doublings
    )
    transition = block[2:, 2:].T
    covariance = transition @ block[:2, 2:]
    for _ in range(doublings):
        covariance = transition @ covariance @ transition.T + covariance
        transition = transition @ transition

    mixing = np.array(
        [
            [parameters["signal_noise"], 0.0],
            [parameters["value_signal_noise"], parameters["value_own_noise"]],
        ]
    )
    moved = [[parameters["signal_decay"], 0.0], [parameters["value_per_signal"], 1.0]]
    np.testing.assert_allclose(moved, transition, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(mixing @ mixing.T, covariance, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("regime", REGIMES)
def test_any_two_fields_may_be_zero_at_once_or_are_refused(regime: str) -> None:
    fields = vars(configure(regime))
    numbers = [name for name, value in fields.items() if type(value) in (int, float)]
    made = 0
    for pair in itertools.combinations(numbers, 2):
        try:
            config = configure(regime, **dict.fromkeys(pair, 0))
        except ConfigurationError:
            continue
        parameters = to_parameters(config)
        for name in parameters.dtype.names or ():
            if name.endswith("_scale"):
                assert np.isfinite(parameters[name]).all(), (pair, name)
        made += 1
    assert made > 50

"""Prefetch the next market's record into the cache while the current market is stepped.

A batch of markets is larger than the cache: 512 markets take 15 MB. A step reads fifty cache lines
of a record in an order that the processor cannot predict, and would wait for each. A prefetch does
not wait and does not change any result.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import BOOK, MARKET, PARAMETERS, QUOTES

_LINE = 64  # [bytes] size of a cache line
_USUAL_ORDERS, _USUAL_LEVELS = 24, 6  # orders in a typical book, and levels on each side


def _hot_lines() -> Any:
    """Return the offsets [bytes] of the cache lines of a record that nearly every step reads."""

    def at(name: str, record: np.dtype[Any] = MARKET, start: int = 0) -> int:
        return start + int(record.fields[name][1])  # type: ignore[index]

    parameters, quotes, book = at("parameters"), at("quotes"), at("book")
    levels, orders, live = (at(name, BOOK, book) for name in ("levels", "orders", "live"))
    level, order = BOOK["levels"].base.itemsize, BOOK["orders"].base.itemsize
    other_side = levels + BOOK["levels"].shape[1] * level
    parts = [
        (0, at("new_fills")),
        (at("value_words"), at("arrival", QUOTES, quotes)),
        (at("account"), at("limit_order_share", PARAMETERS, parameters)),
        (
            at("maker_depth", PARAMETERS, parameters),
            at("maker_gap", PARAMETERS, parameters) + 8 * _USUAL_ORDERS,
        ),
        (at("sniping", PARAMETERS, parameters), levels + _USUAL_LEVELS * level),
        (other_side, other_side + _USUAL_LEVELS * level),
        (orders, orders + _USUAL_ORDERS * order),
        (live, live + 4 * _USUAL_ORDERS),
    ]
    return np.concatenate([np.arange(first, end, _LINE) for first, end in parts])


_LINES = _hot_lines()


@intrinsic
def _prefetch(typing_context, records, index, offset):
    """Emit LLVM's prefetch of one cache line, for reading, into the level-two cache."""

    def generate(context, builder, signature, arguments):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        size = context.get_constant(types.intp, signature.args[0].dtype.size)
        start = builder.bitcast(array.data, byte)
        address = builder.gep(start, [builder.add(builder.mul(arguments[1], size), arguments[2])])
        ask = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, word, word, word]),
            "llvm.prefetch.p0",
        )
        builder.call(ask, [address, word(0), word(2), word(1)])
        return context.get_dummy_value()

    return types.void(records, types.intp, types.intp), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def prefetch_market(markets, i):
        """Do nothing: without the compiler there is no prefetch."""

else:

    @kernel
    def prefetch_market(markets, i):
        """Prefetch what a step of market `i` will read, if there is such a market."""
        if i < markets.shape[0]:
            for line in range(_LINES.shape[0]):
                _prefetch(markets, i, _LINES[line])  # type: ignore[call-arg]

"""Prefetch the next market's record into the cache while the current market is stepped.

A batch of markets is larger than the cache: 512 markets take 6 MB. A step reads thirty cache lines
of a record in an order that the processor cannot predict, and would wait for each. A prefetch does
not wait and does not change any result.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from mm_gym.core.kernel import kernel
from mm_gym.core.layout import CACHE_LINE

# Records of more markets come from the main memory. The level-one cache waits for too few lines at
# once to prefetch those.
_FEW_MARKETS = 512

_USUAL_ORDERS, _USUAL_LEVELS = 32, 12  # orders in a typical book, and levels on each side


def hot_lines(market: np.dtype[Any]) -> Any:
    """Return the offsets [bytes] of the cache lines of a record that nearly every step reads."""

    def at(name: str, record: np.dtype[Any] = market, start: int = 0) -> int:
        return start + int(record.fields[name][1])  # type: ignore[index]

    book, book_at = market["book"], at("book")
    levels, orders, live = (at(name, book, book_at) for name in ("levels", "orders", "live"))
    level, order = book["levels"].base.itemsize, book["orders"].base.itemsize
    asks = levels + book["levels"].shape[1] * level
    parts = [
        (0, levels + _USUAL_LEVELS * level),
        (asks, asks + _USUAL_LEVELS * level),
        (orders, orders + _USUAL_ORDERS * order),
        (live, live + _USUAL_ORDERS * book["live"].base.itemsize),
    ]
    return np.concatenate([np.arange(first, end, CACHE_LINE) for first, end in parts])


def _prefetcher(locality: int) -> Any:
    """Return a function that prefetches the hot lines of a record.

    Args:
        locality: LLVM's number of the nearest cache that receives them: 3 level one, 2 level two.
    """

    @intrinsic
    def prefetch(typing_context, records, index):
        """Emit LLVM's prefetch of the hot lines of a record, for reading."""
        lines = hot_lines(as_dtype(records.dtype))

        def generate(context, builder, signature, arguments):
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            size = context.get_constant(types.intp, signature.args[0].dtype.size)
            offset = builder.mul(arguments[1], size)
            start = builder.gep(builder.bitcast(array.data, byte), [offset])
            ask = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module,
                ir.FunctionType(ir.VoidType(), [byte, word, word, word]),
                "llvm.prefetch.p0",
            )
            for line in lines.tolist():
                address = builder.gep(start, [context.get_constant(types.intp, line)])
                builder.call(ask, [address, word(0), word(locality), word(1)])
            return context.get_dummy_value()

        return types.void(records, types.intp), generate

    return prefetch


_prefetch_near, _prefetch_far = _prefetcher(3), _prefetcher(2)


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def prefetch_market(markets, i):
        """Do nothing: without the compiler there is no prefetch."""

else:

    @kernel
    def prefetch_market(markets, i):
        """Prefetch what a step of market `i` will read, if there is such a market."""
        if i < markets.shape[0]:
            if markets.shape[0] <= _FEW_MARKETS:
                _prefetch_near(markets, i)
            else:
                _prefetch_far(markets, i)

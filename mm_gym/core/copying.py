"""Copy a price level in one piece.

The compiler would otherwise copy field by field, with a vector loop for the few levels of a book.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from mm_gym.core.kernel import kernel


@intrinsic
def _copy(typing_context, levels, side, source, target):
    """Emit a copy of `levels[side, source]` to `levels[side, target]`."""
    size = levels.dtype.size
    row = levels.shape[1] * size

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte = ir.IntType(8).as_pointer()
        start = builder.bitcast(array.data, byte)
        side, source, target = arguments[1:]

        def at(index: Any) -> Any:
            offset = builder.mul(index, index.type(size))
            offset = builder.add(offset, builder.mul(side, side.type(row)))
            return builder.gep(start, [offset])

        one = ir.IntType(64)(1)
        cgutils.raw_memcpy(builder, at(target), at(source), one, size)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(levels, types.intp, types.intp, types.intp), generate


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def copy_level(levels, side, source, target):
        """Copy `levels[side, source]` to `levels[side, target]`."""
        levels[side, target] = levels[side, source]

else:

    @kernel
    def copy_level(levels, side, source, target):
        """Copy `levels[side, source]` to `levels[side, target]`."""
        _copy(levels, side, source, target)  # type: ignore[call-arg]

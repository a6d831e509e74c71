"""How updates are cut, and how that is said."""

import pytest

from htpo.engines.batch_shape import BatchShape, cut_update
from htpo.errors import UserError


def test_twice_the_processes_keep_the_batch():
    assert cut_update(64, updates=2, processes=1, fits=16) == (16, 2)
    assert cut_update(64, updates=2, processes=2, fits=16) == (16, 1)
    with pytest.raises(UserError, match="3 processes"):
        cut_update(64, updates=2, processes=3, fits=16)


def test_the_batch_is_said_in_the_field_s_words():
    shape = BatchShape(32, 8, updates=4, processes=1, micro_batches=1, micro_batch=64, max_tokens=32)
    assert shape.in_words() == "32 prompts x 8 samples -> 4 updates of 64 sequences, at most 2,048 tokens each"
    cut = BatchShape(32, 8, updates=4, processes=2, micro_batches=4, micro_batch=8, max_tokens=32)
    assert cut.in_words() == f"{shape.in_words()} (2 processes x 4 micro-batches x 8 sequences)"

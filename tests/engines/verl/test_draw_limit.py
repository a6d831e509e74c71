"""Dynamic sampling ends where the data teaches nothing, and says why."""

import pytest

from htpo.engines.verl.draw_limit import FAILED, TOO_OLD, DrawLimit
from htpo.errors import UserError


def test_so_many_batches_of_prompts_may_be_drawn_for_each_batch():
    limit = DrawLimit(rounds=3, prompts=8, threshold=0.0)
    for _ in range(2):
        limit.start()
        limit.draw(10)
        limit.draw(6)
        with pytest.raises(UserError, match="24 prompts were drawn for a batch of 8"):
            limit.draw(1)


@pytest.mark.parametrize(("left_out", "remedy"), [({1.0: 7, 0.0: 2}, "harder"), ({1.0: 1, -1.0: 3, 0.0: 3}, "easier")])
def test_what_was_left_out_is_said(left_out, remedy):
    limit = DrawLimit(rounds=1, prompts=8, threshold=0.0)
    limit.leave_out(left_out)
    with pytest.raises(UserError) as caught:
        limit.draw(1)
    right = left_out[1.0]
    wrong = sum(left_out.values()) - right
    assert f"{right} were answered always right (too easy) and {wrong} always wrong (too hard)" in str(caught.value)
    assert f"Give {remedy} prompts" in str(caught.value)


@pytest.mark.parametrize(
    ("reason", "said"),
    [(FAILED, "5 failed (verl's log says why). Mend"), (TOO_OLD, "5 were too old to learn from. Give a trainer.v1")],
)
def test_prompts_that_were_lost_otherwise_are_said_too(reason, said):
    limit = DrawLimit(rounds=1, prompts=8, threshold=0.0)
    limit.leave_out_for(reason, 5)
    with pytest.raises(UserError) as caught:
        limit.draw(1)
    assert said in str(caught.value)

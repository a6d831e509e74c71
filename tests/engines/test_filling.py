"""Which generated group fills which place of a batch, with one process and with several."""

from htpo.engines.filling import Filling


def test_groups_without_signal_leave_their_place_to_later_rounds():
    filling = Filling(positions=3, group_size=2, local_rows=6)
    filling.offer([None, "too_hard", "too_easy"], local_rows=6)
    assert not filling.full
    assert (filling.dropped, filling.drawn) == ({"too_easy": 1, "too_hard": 1}, 3)
    filling.offer(["too_easy", None, None], local_rows=6)
    assert filling.full
    assert filling.local_sources(0) == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_rows_never_leave_the_process_that_generated_them():
    filling = Filling(positions=4, group_size=2, local_rows=4)  # two processes, two groups each
    filling.offer([None, "too_hard", "too_hard", "too_hard"], local_rows=4)
    filling.offer([None, None, "too_easy", None], local_rows=4)
    assert filling.local_sources(0) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert filling.local_sources(1) == [(1, 2), (1, 3), None, None]


def test_a_group_that_straddles_processes_is_replaced_by_one_that_straddles_them_alike():
    filling = Filling(positions=3, group_size=4, local_rows=6)  # the second group lies on both processes
    filling.offer([None, "too_hard", None], local_rows=6)
    assert filling.next_rows() == 6
    filling.offer([None, "too_hard", None], local_rows=6)
    assert not filling.full
    filling.offer(["too_hard", None, "too_hard"], local_rows=6)
    assert filling.local_sources(0) == [(0, 0), (0, 1), (0, 2), (0, 3), (2, 4), (2, 5)]
    assert filling.local_sources(1) == [(2, 0), (2, 1), (0, 2), (0, 3), (0, 4), (0, 5)]


def test_later_rounds_generate_about_what_is_missing():
    filling = Filling(positions=8, group_size=2, local_rows=16)
    filling.offer([None] * 4 + ["too_hard"] * 4, local_rows=16)
    assert filling.next_rows() == 16  # 4 missing at half kept
    filling.offer([None] * 3 + ["too_hard"] * 5, local_rows=16)
    assert filling.next_rows() == 6  # 1 missing at 7 of 16 kept: 3 groups


def test_groups_left_over_are_kept_for_the_next_batch_as_many_on_every_process():
    filling = Filling(positions=4, group_size=2, local_rows=4)  # two processes, two groups each
    filling.offer([None, "too_hard", None, "too_easy"], local_rows=4)
    filling.offer(["too_hard", None, None, None], local_rows=4)
    assert filling.full
    assert filling.local_surplus(0) == filling.local_surplus(1) == []  # process 0 has none to spare
    filling = Filling(positions=4, group_size=2, local_rows=4)
    filling.offer([None, "too_hard", None, "too_easy"], local_rows=4)
    filling.offer([None, None, None, None], local_rows=4)
    assert filling.local_surplus(0) == [(1, 2), (1, 3)]
    assert filling.local_surplus(1) == [(1, 2), (1, 3)]
    later = Filling(positions=4, group_size=2, local_rows=4)
    later.take_surplus(local_rows=2)
    later.offer(["too_hard", "too_hard", None, None], local_rows=4)
    assert (later.taken, later.drawn, later.dropped.total()) == (2, 4, 2)
    assert later.local_sources(0) == [(0, 0), (0, 1), None, None]
    assert later.local_sources(1) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert later.local_surplus(0) == later.local_surplus(1) == []  # process 1's second group: process 0 has none


def test_a_round_takes_what_prompts_there_are():
    alone = Filling(positions=4, group_size=2, local_rows=8)
    assert alone.whole_round(iter(range(9)), 6) == [0, 1, 2]
    assert alone.whole_round(iter(range(2)), 6) == [0, 1]
    assert alone.whole_round(iter([]), 6) == []
    two_processes = Filling(positions=4, group_size=2, local_rows=4)
    assert two_processes.whole_round(iter(range(3)), 4) == [0, 1]
    straddling = Filling(positions=3, group_size=4, local_rows=6)
    assert straddling.whole_round(iter(range(2)), 6) == []

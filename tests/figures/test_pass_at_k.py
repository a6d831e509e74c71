"""Differences of pass@k between methods."""

from htpo.analysis.subject import StudyTask
from htpo.figures.pass_at_k import draw_differences


def test_differences_share_one_scale_that_shows_all_of_them():
    values = {("a", "b"): 0.3, ("b", "a"): -0.3, ("c", "a"): 0.01}
    rows = [
        {"method": m, "against": o, "k": k, "seeds": 3, "value": v, "low": v - 0.1, "high": v + 0.1, "holm": p}
        for (m, o), v in values.items()
        for k, p in ((1, 0.01), (2, None))
    ]
    drawing = draw_differences(StudyTask([], {"comparisons": rows, "problems": 3, "samples": 8}), "differences")
    assert [axes.get_title() for axes in drawing.figure.axes] == [f"{m} - {o} (n = 3 seeds)" for m, o in values]
    for axes in drawing.figure.axes:
        low, high = axes.get_ylim()
        assert low < -0.4 < 0.4 < high
        assert [line.get_mfc() for line in axes.lines if line.get_marker() == "o"] == ["#0072B2", "white"]

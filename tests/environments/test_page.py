"""The examples of docs/environments.md do what it says."""

import re
from pathlib import Path

from htpo.environments import EnvironmentWorkers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
RUN, OWN = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_first_example_runs(capsys):
    exec(compile(RUN, "docs/environments.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[(False, 0.0, 30, 0), ")


def test_the_environment_of_ones_own_keeps_its_word_and_is_found_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_worlds.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    with EnvironmentWorkers("my_worlds:Guess", workers=1) as worlds:
        (row,) = worlds.rows("test", 1)
        worlds.try_on(row)
        (episode,) = worlds.reset([row], [0])
        for action in ["a lot", "99", *worlds.walkthrough(row)]:
            worlds.step([episode], [action])
        assert (episode.success, episode.invalid_actions, len(episode.actions)) == (True, 1, 3)

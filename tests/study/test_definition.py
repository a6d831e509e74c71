"""Study files: what they mean, and what is refused before anything runs."""

import sys

import pytest
import yaml

from htpo.cli import main
from htpo.cli.built_in import find_yaml
from htpo.cli.study import check_options
from htpo.cli.train import read_recipe
from htpo.study import Run, read_study

GOOD = {"methods": {"a": {"objective": "dapo"}, "b": {}, "c": None}, "tasks": {"t": {"dataset": "number_path"}}}
GOOD |= {"seeds": 2}


@pytest.fixture
def study(tmp_path):
    def write(**changes):
        path = tmp_path / "mine.yaml"
        content = {key: value for key, value in (GOOD | changes).items() if value != "absent"}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Runs `htpo study` with arguments that must be refused, nothing written; returns what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["htpo", "study", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        message = capsys.readouterr().err.strip()
        assert stopped.value.code == 2
        assert message.startswith("htpo: ")
        assert len(message.splitlines()) == 1
        assert sorted(tmp_path.rglob("*")) == before
        return message

    return run


def test_seeds_are_a_count_or_a_list(study):
    assert read_study(study(seeds=3)).seeds == (0, 1, 2)
    assert read_study(study(seeds=[7, 3])).seeds == (7, 3)


def test_runs_go_seed_by_seed(study):
    runs = list(read_study(study(methods={"a": {}, "b": {}})).runs())
    assert runs == [Run("t", "a", 0), Run("t", "b", 0), Run("t", "a", 1), Run("t", "b", 1)]


def test_a_methods_options_win_over_the_tasks_and_these_over_the_common_ones(study):
    options = {"temperature": 0.5, "beta": 0.5, "warmup_steps": 1}
    found = read_study(
        study(options=options, tasks={"t": {"temperature": 0.6, "beta": 0.6}}, methods={"a": {"beta": 1}})
    )
    assert found.options_of("t", "a") == {"warmup_steps": 1, "temperature": 0.6, "beta": 1}


def test_all_pairs_are_compared_or_each_with_the_reference(study):
    assert read_study(study()).pairs() == [("b", "a"), ("c", "a"), ("c", "b")]
    assert read_study(study(reference="b")).pairs() == [("a", "b"), ("c", "b")]


@pytest.mark.parametrize("name", ["smoke", "number_path", "number_path_grid"])
def test_the_shipped_studies_are_accepted(name):
    found = read_study(find_yaml(name, "study", "recipes/studies"))
    check_options(found, read_recipe(found.recipe))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": {}}, "needs `methods`"),
        ({"methods": "absent"}, "needs `methods`"),
        ({"methods": ["dapo"]}, "needs `methods`"),
        ({"tasks": None}, "needs `tasks`"),
        ({"seeds": []}, "seeds is []"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": 10**30}, f"seeds is {10**30}"),
        ({"seeds": "absent"}, "seeds is None"),
        ({"seeds": [1, 1]}, "a seed twice"),
        ({"seeds": [1.5]}, "seeds is [1.5]"),
        ({"seeds": True}, "seeds is True"),
        ({"method": {}}, "unknown key 'method'"),
        ({"reference": "d"}, "reference 'd' is not one of the methods: a, b, c"),
        ({"parallel": 0}, "parallel is 0"),
        ({"recipe": 3}, "recipe is 3"),
        ({"recipe": "nowhere"}, "no recipe 'nowhere'"),
        ({"methods": {"a/b": {}}}, "'a/b' names a folder"),
        ({"methods": {"..": {}}}, "'..' names a folder"),
        ({"methods": {1: {}}}, "1 names a folder"),
        ({"methods": {"a": "dapo"}}, "must hold `option: value` lines"),
        ({"methods": {"a": {"seed": 1}}}, "sets seed"),
        ({"options": {"output_dir": "x"}}, "sets output_dir"),
        ({"methods": {"a": {"max_steps": 5}}}, "method 'a' has its own max_steps"),
        ({"methods": {"a": {"dataset": "number_path"}}}, "method 'a' has its own dataset"),
        ({"methods": {"a": {"learning_rat": 1}}}, "t / a: unknown option 'learning_rat': did you mean 'learning_rate'"),
        (
            {"methods": {"a": {"objective": "dapo", "variant": "paper"}}},
            "t / a: variant is an option of htpo; the objective is dapo",
        ),
        ({"methods": {"a": {"objective": "nonsense"}}}, "unknown objective 'nonsense'"),
        ({"methods": {"a": {"learning_rate": "fast"}}}, "t / a: "),
        ({"options": {"save_steps": 3}}, "save_steps"),
        ({"options": {"eval_samples": 0}}, "nothing would be measured"),
        ({"tasks": {"t": {"held_out_prompts": 0}}}, "nothing would be measured"),
        ({"evaluate": {"samples": 4}}, "evaluate needs `tasks`"),
        ({"evaluate": {"tasks": "aime24", "model": "x"}}, "evaluate sets model"),
        ({"evaluate": {"tasks": "aime24", "seed": 1}}, "evaluate sets seed"),
        ({"evaluate": {"tasks": "aime24", "sample": 4}}, "evaluate: unknown option 'sample'"),
        ({"evaluate": "aime24"}, "evaluate must hold"),
    ],
)
def test_a_study_that_cannot_be_meant_is_refused_by_name(study, refuse, changes, said):
    assert said in refuse(study(**changes))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods: {a: {}, a: {}}\ntasks: {t: {}}\nseeds: 1\n", "'a' stands twice"),
        ("methods: {a: {}}\nmethods: {b: {}}\n", "'methods' stands twice"),
        ("methods: {", "not valid YAML"),
        ("- a\n", "must hold methods, tasks and seeds, found list"),
        ("", "must hold methods, tasks and seeds, found NoneType"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path, refuse, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert said in refuse(path)


def test_a_missing_file_a_wrong_name_and_a_wrong_number_are_refused(study, refuse):
    assert "cannot read nowhere.yaml" in refuse("nowhere.yaml")
    assert "no study 'nowhere': give a .yaml file or one of alfworld, household_methods" in refuse("nowhere")
    assert "parallel is 0" in refuse(study(), "--parallel", "0")
    assert "holds no study" in refuse(study(), "--report-only", "--output_dir", "nowhere")


def test_a_folder_with_other_files_is_refused(study, refuse, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    assert "not a study's" in refuse(study(), "--output_dir", "full")

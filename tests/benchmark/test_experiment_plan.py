"""Experiments as data, and the steps that they come to: what is shared is made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.experiments.definitions import PAPER, BadDefinitions, chosen_experiments, read_definitions
from benchmark.experiments.plan import Plan, Setting, Step, plan
from benchmark.experiments.reproduce import Request, outline
from benchmark.records import UserError


def planned(*names: str, seeds: int = 3, **settings: Any) -> Plan:
    definitions = read_definitions("demo")
    return plan(definitions, chosen_experiments(definitions, names), Setting("phantom", Path("out"), seeds, **settings))


def kinds(of: Plan) -> dict[str, int]:
    counts: dict[str, int] = {}
    for step in of.steps:
        counts[step.kind] = counts.get(step.kind, 0) + 1
    return counts


def test_the_ablation_trains_four_networks_for_each_seed_and_their_parts_once() -> None:
    assert kinds(planned("table3", seeds=3)) == {"detector": 1, "classifier": 1, "stage1": 12, "stage2": 12, "generate": 12}


def test_tables_2b_and_3_are_of_the_same_reports() -> None:
    assert planned("table2b", "table3") == Plan(
        planned("table3").steps, planned("table3").runs, planned("table2b", "table3").experiments, planned("table3").measure_minutes
    )


def test_figure_3_trains_one_network_beside_the_base_and_only_tells_it_other_labels() -> None:
    found = kinds(planned("figure3", seeds=1))
    assert (found["stage1"], found["stage2"], found["generate"]) == (2, 2, 7)


def test_two_resolutions_of_stage_2_share_their_stage_1() -> None:
    steps = {step.name: step for step in planned("s2", seeds=1).steps}
    assert steps["stage2-low_resolution-42"].needs == steps["stage2-main-42"].needs == ("stage1-main-42",)


def test_a_step_has_the_same_name_and_command_whichever_experiments_are_asked_for() -> None:
    """Else `reproduce all` after `reproduce s2` would train again what lies there."""
    everything = {step.name: step.words for step in planned("all").steps}
    for name in read_definitions("demo").experiments:
        for step in planned(name).steps:
            assert everything[step.name] == step.words


def test_other_labels_in_training_are_another_classifier_too() -> None:
    steps = {step.name: step for step in planned("table4", seeds=1).steps}
    assert "classifier-rules_as_chexbert" in steps["stage1-chexbert-42"].needs
    assert "classifier" in steps["stage1-main-42"].needs


def test_a_model_that_is_not_trained_here_writes_once_whatever_the_seeds() -> None:
    runs = planned("table1", seeds=3).runs
    assert list(runs["constant"]) == [42]
    assert list(runs["main"]) == [42, 43, 44]


def test_every_step_comes_after_those_that_it_needs() -> None:
    before = set[str]()
    for step in planned("all").steps:
        assert set(step.needs) <= before
        before.add(step.name)


def test_all_of_the_paper_is_trained_from_six_starts_a_seed() -> None:
    """By hand: base, LLCL, LCA, both, CheXbert's labels, 29 regions; the lower resolution starts from the stage 1 of both."""
    assert kinds(planned("all", seeds=2)) == {"detector": 1, "classifier": 2, "stage1": 12, "stage2": 14, "generate": 2 * 13 + 6}


def test_the_estimate_is_the_longest_chain_however_many_hands_there_are() -> None:
    chain = (Step("a", (), Path("a"), (), 3.0), Step("b", (), Path("b"), ("a",), 4.0), Step("c", (), Path("c"), (), 2.0))
    of = Plan(chain, {}, ())
    assert of.minutes(1) == 9.0
    assert of.minutes(2) == of.minutes(8) == 7.0
    assert of.minutes(1, frozenset({"a", "c"})) == 4.0


def test_a_setting_of_one_arm_goes_to_that_arm_alone() -> None:
    definitions = read_definitions("demo", models=["constant"])
    chosen = chosen_experiments(definitions, ["table2a"])
    found = plan(definitions, chosen, Setting("phantom", Path("out"), 1, options={"main.beams": "1", "phantom.test": "9"}))
    words = {step.name: " ".join(step.words) for step in found.steps}
    assert "main.beams=1" in words["reports-main-42"]
    assert "main.beams=1" not in words["reports-constant-42"]
    assert all("phantom.test=9" in said for said in words.values())


def test_labels_by_a_language_model_are_learnt_from_and_told_alike() -> None:
    definitions = read_definitions("demo", labels="language_model")
    found = plan(definitions, chosen_experiments(definitions, ["figure3"]), Setting("phantom", Path("out"), 1, "language_model"))
    words = {step.name: step.words for step in found.steps}
    assert "told_100.lesions=language_model" in words["reports-told_100-42"]
    assert words["stage1-main-42"][words["stage1-main-42"].index("--labels") + 1] == "language_model"


def words_of(steps: Plan) -> dict[str, str]:
    return {step.name: " ".join(step.words) for step in steps.steps}


def test_a_setting_of_whoever_labels_reaches_whoever_learns_from_the_labels_and_whoever_is_told_them() -> None:
    words = words_of(planned("figure3", seeds=1, options={"rules.hedges": "gold_openi"}))
    for name in ("classifier", "stage1-main-42", "stage2-main-42", "reports-told_043-42"):
        assert "--set rules.hedges=gold_openi" in words[name]
    for name in ("detector", "reports-main-42"):
        assert "rules.hedges" not in words[name]


def test_a_labeller_and_an_arm_of_one_name_each_get_their_own_settings() -> None:
    """By hand: CheXbert has ``weights``, and the beams are of the network that learns from its labels."""
    definitions = read_definitions("paper")
    chosen = chosen_experiments(definitions, ["table4"])
    options = {"chexbert.weights": "chexbert.pth", "chexbert.beams": "1"}
    words = words_of(plan(definitions, chosen, Setting("phantom", Path("out"), 1, options=options)))
    assert "--set chexbert.weights=chexbert.pth" in words["classifier-chexbert"]
    assert "chexbert.beams" not in words["classifier-chexbert"]
    assert "--set chexbert.beams=1" in words["reports-chexbert-42"]
    assert "chexbert.weights" not in words["reports-chexbert-42"]
    assert "chexbert." not in words["stage1-main-42"].replace("classifier-chexbert", "")


def test_a_setting_of_the_network_goes_to_every_arm_that_is_trained() -> None:
    words = words_of(planned("table1", seeds=1, options={"clala.beams": "1"}))
    assert "--set clala.beams=1" in words["reports-main-42"]
    assert "clala.beams" not in words["reports-constant-42"]


def test_settings_of_the_network_and_of_whoever_labels_are_looked_at_before_anything_is_trained(tmp_path: Path) -> None:
    def asked(**options: str) -> object:
        return outline(Request(("figure3",), "phantom:small", tmp_path, options={key.replace("__", "."): value for key, value in options.items()}))

    asked(clala__beams="1", rules__hedges="gold_openi", main__beams="2")
    with pytest.raises(UserError, match="has no setting 'beems'"):
        asked(clala__beems="1")
    with pytest.raises(UserError, match="has no setting 'hedge'"):
        asked(rules__hedge="d15")
    with pytest.raises(UserError, match="is for nothing"):
        asked(language_model__prompt="own.md")


def test_two_files_of_labels_are_two_classifiers(tmp_path: Path) -> None:
    shape = '[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n'
    arms = "".join(f'[arm.{name}]\ntitle="{name}"\nlabels="file:{name}.csv"\n' for name in ("first", "second"))
    (tmp_path / "own.toml").write_text(shape + arms + '[[experiment]]\nname="t"\nnumber="T"\ntitle="t"\nlayout="axes"\nlines=["first", "second"]')
    definitions = read_definitions("demo", path=tmp_path / "own.toml")
    found = plan(definitions, chosen_experiments(definitions, ["all"]), Setting("phantom", Path("out"), 1))
    names = [step.name for step in found.steps if step.kind == "classifier"]
    assert len(set(names)) == 2
    assert all(name.startswith("classifier-file-") for name in names)


def test_what_is_left_goes_by_how_fast_steps_of_that_kind_were_here_and_how_long_one_is_at_work() -> None:
    steps = tuple(Step(name, (), Path(name), (), 2.0, "stage1") for name in "abc")
    of = Plan(steps, {}, ())
    # By hand: a took 6 minutes for 2; damped by one at the pace of all, itself damped by one as estimated: (6 + 2 * (6 + 2) / 4) / 4 = 2.5 times.
    assert of.minutes(1, frozenset("a"), took={"a": 360.0}) == pytest.approx(2 * 2 * 2.5)
    assert of.minutes(1, frozenset("a"), took={"a": 360.0}, begun={"b": 3.0}) == pytest.approx(2 * 2 * 2.5 - 3)
    assert of.minutes(1, frozenset("a"), took={"a": 360.0}, begun={"b": 30.0}) == pytest.approx(2 * 2.5)  # longer than thought: no credit for others
    free = Plan((Step("a", (), Path("a"), (), 0.0), Step("b", (), Path("b"), (), 0.0)), {}, ())
    assert free.minutes(2, frozenset("a"), took={"a": 60.0}) == 0.0


def test_a_model_s_label_is_found_behind_equals_signs_of_its_own() -> None:
    definitions = read_definitions("demo", models=["command:'./ours --temp=0.5'"])
    assert definitions.arms["command"].model == "command:'./ours --temp=0.5'"
    assert definitions.experiments["table1"].arms == ("command", "main")


SHAPE = '[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n'
EXPERIMENT = '[[experiment]]\nname="t"\nnumber="T"\ntitle="t"\nlayout="axes"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('profile="demo"', "own.toml: profile is 'demo', and is to be a table"),
        ("[profile]\ndemo=3", "profile.demo is 3, and is to be a table"),
        (SHAPE + 'minutes="long"', "profile.demo: minutes is 'long', and is to be a table of numbers"),
        (SHAPE + "minutes={measure=-1}", "and is to be a table of numbers"),
        (SHAPE + 'models="constant"', "models is 'constant', and is to be a list of texts"),
        (SHAPE + 'models=["a b"]', "profile.demo: cannot read 'a b'"),
        ('arm="main"\n' + SHAPE, "own.toml: arm is 'main', and is to be a table"),
        (SHAPE + '[arm.a]\ntitle="a"\ncost="much"', "arm.a: cost is 'much', and is to be a number, 0 or more"),
        (SHAPE + '[arm.a]\ntitle="a"\ncost=-1', "arm.a: cost is -1, and is to be a number, 0 or more"),
        (SHAPE + '[arm.a]\ntitle="a"\ncost=nan', "is to be a number, 0 or more"),
        (SHAPE + '[arm.a]\ntitle="a"\nnetwork="lca"', "arm.a: network is 'lca', and is to be a table of texts"),
        (SHAPE + '[arm.a]\ntitle="a"\nnetwork={lca=false}', "and is to be a table of texts"),
        (SHAPE + '[arm.a]\ntitle="a"\nlabels=3', "arm.a: labels is 3, and is to be text"),
        (SHAPE + '[arm.a]\ntitle="a"\ngrant="lesions"', "arm.a: grant is 'lesions', and is to be a list of texts"),
        (SHAPE + '[arm."a/b"]\ntitle="a"', "the name 'a/b' is one of files, too"),
        (SHAPE + EXPERIMENT + "lines=[3]", "experiment 't': a line is 3, and is to be a table"),
        (SHAPE + EXPERIMENT + 'lines="main"', "lines is 'main', and is to be a list"),
        (SHAPE + EXPERIMENT + "lines=[]\npairs=[3]", "the pair 3 is not text"),
        (SHAPE + EXPERIMENT + 'lines=[]\nreported="table9"', "no printed table 'table9' to stand beside; there is: table1"),
        ("experiment=3\n" + SHAPE, "own.toml: experiment is 3, and is to be a list"),
    ],
)
def test_another_kind_of_thing_than_is_due_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BadDefinitions) as refused:
        read_definitions("demo", path=tmp_path / "own.toml")
    assert said in str(refused.value)
    assert "own.toml" in str(refused.value)


def test_models_of_ones_own_stand_beside_the_paper_s() -> None:
    definitions = read_definitions("demo", models=["ours=command:'./ours --fast'", "r2gen"])
    assert definitions.experiments["table1"].arms == ("ours", "r2gen", "main")
    assert definitions.arms["ours"].model == "command:'./ours --fast'"
    assert definitions.experiments["table1"].lines[1].printed == {"model": "R2Gen"}
    assert definitions.experiments["table1"].pairs == (("main", "ours"), ("main", "r2gen"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[profile.demo", "cannot read the experiments"),
        ("[profile.other]", "no profile named 'demo' in own.toml; it has: other"),
        ('[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\nbeam=3', "no setting named 'beam'"),
        ('[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n', "has no [[experiment]]"),
        (
            '[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n[[experiment]]\nname="t"\nnumber="T"\ntitle="t"\nlayout="pie"\nlines=[]',
            "no layout named 'pie'",
        ),
        (
            '[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n[[experiment]]\nname="t"\nnumber="T"\ntitle="t"\nlayout="axes"\nlines=["main"]',
            "no arm named 'main'",
        ),
        ('[profile.demo]\nabout="x"\ndetector={}\nclassifier={}\ntrain={}\n[arm.a]\ntitle="$size px"', "'$size px' names a value"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BadDefinitions) as refused:
        read_definitions("demo", path=tmp_path / "own.toml")
    assert said in str(refused.value)
    assert "own.toml" in str(refused.value)


def test_an_experiment_that_there_is_not_lists_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no experiment named 'table9'; there is: table1, .*s4, or all"):
        chosen_experiments(read_definitions("demo"), ["table9"])


@pytest.mark.parametrize("profile", ["demo", "tiny", "paper"])
def test_every_profile_of_the_paper_fills_every_name(profile: str) -> None:
    definitions = read_definitions(profile, path=PAPER)
    said = repr((definitions.arms, definitions.experiments))
    assert "$" not in said

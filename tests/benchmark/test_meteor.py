"""METEOR 1.5 against the jar inside pycocoevalcap 1.2 (``-l en -norm``): equal to 1e-9, with and without paraphrases."""

import gzip
import json
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmark import evaluator
from benchmark.metrics.english_stemmer import STEP_2, STEP_3, STEP_4, english_stem
from benchmark.metrics.meteor import Meteor
from benchmark.metrics.meteor_alignment import BEAM, POOL, _best
from benchmark.metrics.meteor_jar import JarMissing
from benchmark.metrics.meteor_text import normalise, normalised
from benchmark.metrics.paraphrases import installed_table
from benchmark.metrics.synonyms import meanings
from benchmark.records import RunConfig, UserError

# hypothesis, reference, the jar's score of the pair with all four stages, and with "-m 'exact stem synonym'"
PAIRS = [
    ("The heart is enlarged.", "The heart is mildly enlarged.", 0.3899751238121113, 0.3899751238121113),
    ("There is no pleural effusion or pneumothorax.", "No pneumothorax or pleural effusion is seen.", 0.34629337098436197, 0.34629337098436197),
    (
        "Interval increase in the left lateral opacities.",
        "Internal structures: lateral opacity increases over the interval.",
        0.19517043463713005,
        0.19517043463713005,
    ),
    ("Lungs are clear.", "The lung is clear.", 0.4066532427468261, 0.4066532427468261),
    ("lungs", "lung", 0.0, 0.0),
    ("big", "large", 0.0, 0.8000000000000002),
    ("", "The lungs are clear.", 0.0, 0.0),
    ("No no no no.", "No no.", 0.4712318754035105, 0.4712318754035105),
    ("No no", "No no no no no", 0.20996468660322, 0.20996468660322),
    (
        "Stable cardiomegaly with a 3.5 cm mass, T11-T12 fracture, and U.S.-guided biopsy vs. follow-up.",
        "Cardiomegaly is stable. There is a 3.5-cm mass; a fracture at T11-T12. Biopsy versus follow up.",
        0.33708082177461696,
        0.33708082177461696,
    ),
    (
        "It's the patient's “chronic” change \u2013 no. 5 rib isn't broken...",
        "The patient's chronic changes: rib No. 5 is not broken.",
        0.2879166630850842,
        0.2782122951164014,
    ),
    ("Été naïve café 肺 µ", "été naïve cafe 肺 µ", 0.92, 0.38213572961786046),
    (
        "Both lungs are clear and expanded. Heart and mediastinum normal.",
        "The heart and lungs have not changed in the interval. Both lungs are clear and expanded. Heart and mediastinum normal.",
        0.3197445228123464,
        0.3363561276683012,
    ),
    ("As a result as of as", "a is a as an as a", 0.18744136494166297, 0.18744136494166297),
    ("The lungs are clear. The heart is normal.", "The lungs are clear. The heart is normal.", 1.0, 1.0),
    ("Entity", "breathe", 0.8000000000000002, 0.8000000000000002),
    ("He breathes better than the best children went", "Kids depart as well as a good child goes", 0.0, 0.0),
    (
        "a-b-c 1-2-3 x,y, z 'a' ''b'' 5' '5",
        "a b-c 1 2-3 x , y z ' a ' \" b \" 5 ' 5",
        0.3016981165478125,
        0.3016981165478125,
    ),
    (
        "right pleural effusion has increased in size compared to the prior study",
        "the effusion on the right is larger than before",
        0.15013404825737264,
        0.15013404825737264,
    ),
    ("Bones are intact " * 30, "The bones are intact. " * 28, 0.41350261431419155, 0.41350261431419155),
]
SYSTEM = (0.3429944576029412, 0.3424712211530128)

WORDS = """
    lung lungs big large larger clear cleared clearing heart hearts effusion effusions fluid normal normally opacity opacities no a bases base is are
    was has as interval internal lateral the of in have been seen . , not any Chest x-ray T11-T12 3.5 No. Dr. U.S. patient's 5' '5 (mild) 50%
""".split()  # noqa: SIM905

needs_table = pytest.mark.skipif(installed_table() is None, reason="pycocoevalcap, whose paraphrase table METEOR uses, is not installed")


class Jar:
    """The reference program, asked through its ``-stdio`` door as pycocoevalcap does."""

    def __init__(self, *options: str) -> None:
        folder = pytest.importorskip("pycocoevalcap.meteor.meteor").__file__
        if shutil.which("java") is None:
            pytest.skip("METEOR's jar needs Java, which is not installed")
        command = ["java", "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm", *options]
        self._process = subprocess.Popen(
            command, cwd=Path(folder).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )

    def scores(self, pairs: list[tuple[str, str]]) -> tuple[list[float], float]:
        counts = []
        for hypothesis, reference in pairs:
            self._write(f"SCORE ||| {reference} ||| {hypothesis}")
            counts.append(self._process.stdout.readline().strip())
        self._write(" ||| ".join(["EVAL", *counts]))
        numbers = [float(self._process.stdout.readline()) for _ in range(len(pairs) + 1)]
        self._process.stdin.close()
        self._process.wait(timeout=60)
        return numbers[:-1], numbers[-1]

    def _write(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def random_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    pairs = []
    for _ in range(n):
        words = draw.sample(WORDS, draw.randint(1, 20))
        pairs.append((" ".join(draw.choices(words, k=draw.randint(0, 50))), " ".join(draw.choices(words, k=draw.randint(1, 50)))))
    return pairs


def test_scores_without_paraphrases_equal_the_jar():
    """meteor-1.5.jar, modules exact, stem and synonym: every case and the system."""
    metric = Meteor(paraphrase=False)
    rows = metric.statistics([pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS])
    assert rows[:, 23].tolist() == pytest.approx([pair[3] for pair in PAIRS], rel=0, abs=1e-9)
    assert metric.values(rows.sum(axis=0))["system"] == pytest.approx(SYSTEM[1], rel=0, abs=1e-9)


@needs_table
@pytest.mark.slow
def test_scores_equal_the_jar():
    """meteor-1.5.jar as pycocoevalcap calls it; the first use of the table on a machine takes some seconds."""
    metric = Meteor()
    rows = metric.statistics([pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS])
    assert rows[:, 23].tolist() == pytest.approx([pair[2] for pair in PAIRS], rel=0, abs=1e-9)
    values = metric.values(rows.sum(axis=0))
    assert values["system"] == pytest.approx(SYSTEM[0], rel=0, abs=1e-9)
    assert values["mean"] == pytest.approx(np.mean([pair[2] for pair in PAIRS]), rel=0, abs=1e-9)


def test_made_up_texts_score_as_the_living_jar_scores_them():
    """400 pairs of few words often repeated, where ties and the beam decide."""
    pairs = random_pairs(400, seed=5)
    scores, system = Jar("-m", "exact stem synonym").scores(pairs)
    metric = Meteor(paraphrase=False)
    rows = metric.statistics(*zip(*pairs, strict=True))
    assert rows[:, 23].tolist() == pytest.approx(scores, rel=0, abs=1e-9)
    assert metric.values(rows.sum(axis=0))["system"] == pytest.approx(system, rel=0, abs=1e-9)


def test_made_up_paraphrases_are_used_as_the_living_jar_uses_them(tmp_path, monkeypatch):
    """A table of 300 drawn pairs of phrases; both directions, phrases of unlike length, doubled entries."""
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    draw = random.Random(8)
    letters = "bcdfghjklm"
    table = tmp_path / "table.gz"
    with gzip.open(table, "wt") as file:
        for _ in range(300):
            file.write(f"0.5\n{' '.join(draw.choices(letters, k=draw.randint(1, 3)))}\n{' '.join(draw.choices(letters, k=draw.randint(1, 3)))}\n")
    pairs = [(" ".join(draw.choices(letters, k=draw.randint(1, 25))), " ".join(draw.choices(letters, k=draw.randint(1, 25)))) for _ in range(400)]
    scores, system = Jar("-a", str(table)).scores(pairs)
    metric = Meteor(table=table)
    rows = metric.statistics(*zip(*pairs, strict=True))
    assert rows[:, 23].tolist() == pytest.approx(scores, rel=0, abs=1e-9)
    assert metric.values(rows.sum(axis=0))["system"] == pytest.approx(system, rel=0, abs=1e-9)


def test_two_thousand_words_are_aligned():
    """By hand: all but the last word match in one run, so precision 1, recall 1999/2000, one chunk."""
    row = Meteor(paraphrase=False).statistics([" ".join(f"w{i}" for i in range(1999))], [" ".join(f"w{i}" for i in range(2000))])[0]
    assert row[[0, 1, 20, 21, 22]].tolist() == [1999, 2000, 1, 1999, 1999]


def test_an_empty_hypothesis_is_scored_and_an_empty_reference_is_not():
    rows = Meteor(paraphrase=False).statistics(["", "a", ""], ["a", "", " \n"])
    assert rows[0, 23:].tolist() == [0, 0, 1]
    assert np.isnan(rows[1:]).all()


def test_line_breaks_count_as_spaces():
    """They break pycocoevalcap's talk with the jar; here they are spaces."""
    rows = Meteor(paraphrase=False).statistics(["Lungs\nare\r\n\nclear."], ["Lungs are clear."])
    assert rows[0, 23] == 1


def test_values_take_any_leading_shape_and_are_nan_where_nothing_was_scored():
    values = Meteor(paraphrase=False).values(np.zeros((2, 3, 26)))
    assert values["system"].shape == values["mean"].shape == (2, 3)
    assert np.isnan(values["system"]).all()


def test_the_signature_says_whether_paraphrases_were_used(tmp_path):
    table = tmp_path / "table.gz"
    table.write_bytes(b"any")
    assert "|paraphrase:off|" in Meteor(paraphrase=False).signature()
    assert Meteor(table=table).signature() != Meteor(paraphrase=False).signature()


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where a folder is due")
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))
    table = tmp_path / "other.gz"
    with gzip.open(table, "wt") as file:
        file.write("0.5\nalpha\nbeta\n")
    with pytest.raises(UserError, match="make room, or name a folder that can be written with CLALA_BENCHMARK_CACHE"):
        Meteor(table=table).statistics(["alpha"], ["beta"])


def test_threads_that_share_a_metric_get_what_one_thread_gets():
    metric = Meteor(paraphrase=False)
    batches = [tuple(zip(*random_pairs(40, seed), strict=True)) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda batch: metric.statistics(*batch), batches))
    for batch, rows in zip(batches, together, strict=True):
        assert np.array_equal(rows, Meteor(paraphrase=False).statistics(*batch), equal_nan=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The heart isn't large. No effusion, 3.5 cm U.S. T11-T12", "the heart isn 't large . no effusion , 3.5 cm us t11 t12"),
        ("end. next. Last.", "end. next . last ."),
        ("No. 5, no. 5, Dr. Who vs. A", "no. 5 , no . 5 , dr. who vs. a"),
        ("a--b a---b x.. y... 1,000 1,a", "a b a--b x .. y ... 1,000 1 , a"),
        ("5' '5 6, ,6", "5 ' '5 6 , , 6"),
        ("µm 37° é's \u2013 \u2014 肺", "µ m 37 ° é 's - — 肺"),
        ("", ""),
    ],
)
def test_words_are_those_of_the_jar(text, words):
    """meteor-1.5.jar -norm, read from the alignments that it writes."""
    assert normalise(text) == words.split()


def test_texts_together_give_the_words_that_each_gives_alone():
    """Pieces between spaces are read once for the whole corpus; that must not show."""
    draw = random.Random(2)
    signs = [*"aaabAB..,,''--  55é%(\n\0\x1c²", "''", "``", "\u2019", "\u2013", "...", "No", "Dr", " a", " B", " 5", " ,", " '"]
    texts = ["".join(draw.choices(signs, k=draw.randint(0, 24))) for _ in range(5000)]
    tokens = normalised(texts)
    together = [[tokens.words[k] for k in tokens.ids[start:end]] for start, end in zip(tokens.ends, tokens.ends[1:], strict=False)]
    assert together == [normalise(text) for text in texts]


# PyStemmer 2.2.0.3; 3.1 gives "interv", "intern" and "later" for the first five words in other company
STEMS = {
    "interval": "interv", "internal": "intern", "internally": "intern", "lateral": "later", "later": "later", "laterality": "later",
    "university": "univers", "emergency": "emerg", "effusions": "effus", "opacities": "opac", "atelectasis": "atelectasi", "pneumonia": "pneumonia",
    "generalized": "general", "early": "earli", "skies": "sky", "dying": "die", "herring": "herring", "inning": "inning", "proceeding": "proceed",
    "hopping": "hop", "hoped": "hope", "agreed": "agre", "possibly": "possibl", "geology": "geolog", "controlled": "control", "yellowing": "yellow",
    "by": "by", "'s": "'s", "patient's": "patient", "patients'": "patient", "biases": "bias", "gas": "gas", "masses": "mass", "cried": "cri",
}  # fmt: skip


def test_english_stems_are_those_of_snowball_before_its_third_version():
    assert {word: english_stem(word) for word in STEMS} == STEMS


def test_synonyms_share_a_synset_by_number_or_through_a_base_form():
    """Found from outside with meteor-1.5.jar -m synonym."""
    together = [
        ("big", "large"),
        ("children", "kids"),
        ("went", "departed"),
        ("better", "well"),
        ("entity", "breathe"),
        ("lungs", "lung"),
        ("axes", "axis"),
    ]
    apart = [("women", "man"), ("big", "small"), ("better", "bet"), ("lives", "live"), ("as", "a"), ("bss", "bs"), ("latest", "late"), ("qqq", "qqq")]
    assert all(meanings(a) & meanings(b) for a, b in together)
    assert not any(meanings(a) & meanings(b) for a, b in apart)


def test_english_stems_equal_an_older_pystemmer_where_one_is_installed():
    """PyStemmer below 3 only: from 3 on the algorithm is another."""
    stemmer = pytest.importorskip("Stemmer", reason="PyStemmer is not installed")
    if int(stemmer.version().split(".")[0]) >= 3:
        pytest.skip(f"PyStemmer {stemmer.version()} has the algorithm of Snowball 3; METEOR has the one before")
    reference = stemmer.Stemmer("english").stemWord
    draw = random.Random(3)
    endings = [*STEP_2, *STEP_3, *STEP_4, "ed", "ing", "edly", "eed", "ies", "s", "'s", "y", ""]
    words = {draw.choice([*STEMS])[: draw.randint(1, 7)] + draw.choice(endings) for _ in range(20000)}
    assert {word: english_stem(word) for word in words} == {word: reference(word) for word in words}


@pytest.mark.parametrize(("count", "far"), [(1, 10), (30, 5), (41, 300), (900, 40), (900, 10**6), (200, 10**13)])
def test_the_best_paths_are_those_that_a_stable_sort_would_choose(count, far):
    """Few and many candidates, many ties; distances so large that the three keys do not fit into one number."""
    draw = np.random.default_rng(count)
    rank, length = draw.integers(-6, 6, count) * (10**6 if far > 10**9 else 1), draw.integers(0, far, count)
    order = np.empty(BEAM + 1, dtype=np.int64)
    kept = _best(rank, length, count, BEAM, np.empty(POOL, dtype=np.int64), order)
    assert order[:kept].tolist() == sorted(range(count), key=lambda place: (rank[place], length[place]))[:BEAM]


def test_the_jar_as_back_end_gives_the_counts_that_the_native_search_gives():
    """Perfect, empty and multi-line texts, and the sign that divides what is said to the jar."""
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap, which brings METEOR's jar, is not installed")
    if shutil.which("java") is None:
        pytest.skip("METEOR's jar needs Java, which is not installed")
    pairs = [(hypothesis, reference) for hypothesis, reference, *_ in PAIRS]
    pairs += [("a ||| b", "a ||| c b"), ("", ""), ("a", " \n"), ("x\ny", "x y")]
    native = Meteor(paraphrase=False).statistics(*zip(*pairs, strict=True))
    asked = Meteor(paraphrase=False, backend="jar").statistics(*zip(*pairs, strict=True))
    assert asked == pytest.approx(native, rel=0, abs=1e-9, nan_ok=True)
    assert "|backend:jar|" in Meteor(paraphrase=False, backend="jar").signature()
    assert "|backend:native|" in Meteor(paraphrase=False).signature()


def test_a_machine_without_java_is_told_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JarMissing, match="no java on the path: install a Java runtime"):
        Meteor(backend="jar")
    with pytest.raises(ValueError, match="backend is native or jar, not 'java'"):
        Meteor(backend="java")


def test_of_texts_that_are_too_much_alike_the_first_thousand_words_are_aligned():
    """By hand: 1,500 words against 1,400 equal ones are 2.1 million matches; 1,000 of each match, in one chunk, the others count as words alone."""
    metric = Meteor(paraphrase=False)
    rows = metric.statistics(["effusion " * 1500, "clear"], ["effusion " * 1400, "clear lungs"])
    assert rows[0, [0, 1, 20, 21, 22]].tolist() == [1500, 1400, 1, 1000, 1000]
    (remark,) = metric.remarks(rows)
    assert remark == (
        "METEOR aligned the first 1,000 words only of report and reference, since more of them are alike than it can weigh: in 1 of 2 cases"
    )
    assert metric.remarks(rows[1:]) == []


def test_the_run_notes_that_texts_were_not_aligned_whole(tmp_path):
    """Of the model that wrote them, and of no other."""
    references = {"1": "effusion " * 1400, "2": "clear lungs"}
    loops = {"1": "effusion " * 1500, "2": "clear"}
    config = RunConfig((), ("meteor",), "", draws=20, seed=1, options={"meteor.paraphrase": "no"})
    predictions = {"loops": loops, "short": dict.fromkeys(references, "clear")}
    outcome = evaluator.score_reports(references, predictions, config, tmp_path / "run")
    (note,) = (note for note in json.loads((tmp_path / "run" / "run.json").read_text())["notes"] if "METEOR" in note)
    assert note.startswith("loops: METEOR aligned the first 1,000 words only")
    assert note.endswith("in 1 of 2 cases")
    assert note in outcome.notes
    assert note in evaluator.score_reports(references, predictions, config, None).notes

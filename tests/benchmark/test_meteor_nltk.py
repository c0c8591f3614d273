"""nltk's METEOR against nltk 3.10.4 with the WordNet 3.0 of nltk_data: equal to the last bit."""

import random

import numpy as np
import pytest

from benchmark.metrics.meteor_nltk import MeteorNltk
from benchmark.metrics.synonyms import synonyms

# hypothesis, reference, single_meteor_score(reference.split(), hypothesis.split()) of nltk 3.10.4
PAIRS = [
    ("The heart is enlarged.", "The heart is mildly enlarged.", 0.7653061224489797),
    ("There is no pleural effusion or pneumothorax.", "No pneumothorax or pleural effusion is seen.", 0.5314285714285715),
    ("Lungs are clear.", "The lung is clear.", 0.25641025641025644),
    ("lungs", "lung", 0.5),
    ("big", "large", 0.0),
    ("", "The lungs are clear.", 0.0),
    ("No no no no.", "No no.", 0.8522727272727273),
    ("No no", "No no no no no", 0.39893617021276595),
    ("Été naïve café 肺 µ", "été naïve cafe 肺 µ", 0.7500000000000001),
    ("As a result as of as", "a is a as an as a", 0.2898550724637681),
    ("The lungs are clear. The heart is normal.", "The lungs are clear. The heart is normal.", 0.9990234375),
    ("Entity", "breathe", 0.0),
    ("He breathes better than the best children went", "Kids depart as well as a good child goes", 0.3546348314606741),
    ("a-b-c 1-2-3 x,y, z 'a' ''b'' 5' '5", "a b-c 1 2-3 x , y z ' a ' \" b \" 5 ' 5", 0.031055900621118012),
    ("Bones are intact " * 30, "The bones are intact. " * 28, 0.47814207650273216),
]
WORDS = """
    lung lungs big large larger clear cleared heart hearts US us X-ray x-ray effusion effusions fluid fluids normal opacity no a bases base is are was
    it As as children kids comics
""".split()  # noqa: SIM905


class ShippedWordNet:
    """Looks like nltk's reader, answers from our table."""

    def synsets(self, word):
        return [self._Synset(synonyms(word))]

    class _Synset:
        def __init__(self, names):
            self._names = names

        def lemmas(self):
            return [type("Lemma", (), {"name": lambda _, name=name: name})() for name in self._names]


def test_scores_equal_nltk_with_the_real_wordnet():
    rows = MeteorNltk().statistics([pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS])
    assert rows[:, 0].tolist() == [pair[2] for pair in PAIRS]


def test_made_up_texts_score_as_nltk_scores_them():
    """nltk itself, over our table of synonyms: the alignment and the arithmetic, to the last bit."""
    reference = pytest.importorskip("nltk.translate.meteor_score").single_meteor_score
    draw = random.Random(4)
    pairs = [(" ".join(draw.choices(WORDS, k=draw.randint(0, 50))), " ".join(draw.choices(WORDS, k=draw.randint(1, 50)))) for _ in range(300)]
    expected = [reference(r.split(), h.split(), wordnet=ShippedWordNet()) for h, r in pairs]
    assert MeteorNltk().statistics(*zip(*pairs, strict=True))[:, 0].tolist() == expected


def test_synonyms_are_those_of_nltk():
    """nltk 3.10.4, wordnet.synsets of the word: capitals kept, collocations dropped."""
    assert synonyms("thorax") == {"thorax", "chest", "pectus"}
    assert synonyms("qqqq") == {"qqqq"}
    assert {"roentgenogram", "X-ray"} <= synonyms("x-ray")


def test_an_empty_hypothesis_is_scored_and_an_empty_reference_is_not():
    rows = MeteorNltk().statistics(["", "a", ""], ["a", "", " \n"])
    assert rows[0].tolist() == [0, 1]
    assert np.isnan(rows[1:]).all()
    assert MeteorNltk().statistics([], []).shape == (0, 2)


def test_values_are_means_and_nan_where_nothing_was_scored():
    values = MeteorNltk().values(np.array([[[1.0, 4.0], [0.0, 0.0]]]))
    assert values["mean"].shape == (1, 2)
    assert values["mean"][0, 0] == 0.25
    assert np.isnan(values["mean"][0, 1])

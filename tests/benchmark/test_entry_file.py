"""The file of an index gives back what was put in, or is made again; and a stamp tells whether it is still true."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_trees import SILVER, Tree

from benchmark.datasets import gathering
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.entries import Entry
from benchmark.datasets.entry_file import load, save
from benchmark.datasets.gathering import Task, gather, load_parts, portions, read_all, sweep_unused
from benchmark.vocabulary import REGIONS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["", "\0", '"', "\r\n", "_x0041_", "None", "𝄞", "e\u0301"])
NAMES = st.sampled_from(REGIONS) | TEXT
NUMBER = st.floats(allow_nan=False)
ENTRIES = st.builds(
    Entry,
    *[TEXT] * 5,
    problems=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3),
    image=TEXT,
    others=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3),
    findings=TEXT,
    sentences=st.dictionaries(NAMES, TEXT, max_size=3),
    boxes=st.dictionaries(NAMES, st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), max_size=3),
    lesions=st.lists(TEXT, max_size=3),
)


def entry(name, **fields):
    return Entry("10000032", "50000001", name, **fields)


def read(names, suffix=""):
    """What a dataset reads: an entry per name."""
    return [entry(name + suffix) for name in names]


def tasks(*portions_of_names):
    return lambda: [Task(len(names), (names,)) for names in portions_of_names]


THREE = tasks(["a", "b"], ["c"], ["d"])


def gathered(folder, todo=THREE, reads=read, workers=1, **how):
    return [one.dicom for one in gather(folder, todo, reads, label="read", workers=workers, **how)]


# --- one file ---


@settings(deadline=None, max_examples=40)
@given(st.lists(ENTRIES, max_size=6))
def test_what_is_saved_comes_back_exactly(tmp_path_factory, entries):
    file = tmp_path_factory.mktemp("index") / "entries.parquet"
    save(entries, file)
    assert load(file) == entries
    loaded = load(file)
    assert [list(one.boxes.items()) for one in loaded] == [list(one.boxes.items()) for one in entries]  # the order too
    assert [list(one.sentences.items()) for one in loaded] == [list(one.sentences.items()) for one in entries]


def test_boxes_of_a_file_are_as_good_as_a_dict(tmp_path):
    boxes = {"left lung": (1.5, 2.0, 3.0, 4.0), "spine": (0.0, 0.0, 9.0, 9.0)}
    save([entry("a"), entry("b", boxes=boxes), entry("c", boxes=boxes)], tmp_path / "x")
    none, found, _ = (one.boxes for one in load(tmp_path / "x"))
    assert found == boxes
    assert boxes == found
    assert found["spine"] == boxes["spine"]
    assert "carina" not in found
    assert found.get("carina") is None
    assert (len(none), dict(none)) == (0, {})
    assert repr(found) == repr(boxes)
    assert json.dumps({name: list(box) for name, box in found.items()}) == json.dumps(boxes)
    assert type(pickle.loads(pickle.dumps(found))) is dict, "to a worker goes one image's boxes, not the file's"


def test_half_a_character_of_a_scene_graph_does_not_stop_a_whole_reading(tmp_path):
    r"""JSON may hold "\ud83d" without its second half; no file of text can."""
    save([entry("a", findings=json.loads(r'"clear \ud83d"')), entry("b", findings="größer")], tmp_path / "x")
    assert [one.findings for one in load(tmp_path / "x")] == ["clear ?", "größer"]


@pytest.mark.parametrize("spoil", [lambda data: data[:100], lambda data: data[:-20], lambda data: b"", lambda data: b"x" * len(data)])
def test_a_file_that_was_cut_or_overwritten_is_no_file(tmp_path, spoil):
    save([entry("a")], tmp_path / "x")
    (tmp_path / "x").write_bytes(spoil((tmp_path / "x").read_bytes()))
    assert load(tmp_path / "x") is None


def test_a_flipped_bit_is_noticed(tmp_path):
    """Without checksums, a report with another letter in it."""
    save([entry("a", findings="no pneumothorax, no effusion, no fracture of the ribs")], tmp_path / "x")
    data = bytearray((tmp_path / "x").read_bytes())
    at = data.index(b"pneumothorax")
    data[at] ^= 1
    (tmp_path / "x").write_bytes(data)
    assert load(tmp_path / "x") is None


def test_a_file_with_other_columns_is_no_file(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"subject": ["1"]}), tmp_path / "x")
    assert load(tmp_path / "x") is None
    assert load(tmp_path / "not there") is None


def test_a_file_of_another_layout_is_no_file(tmp_path):
    """A program of another day kept two parts of what is three now, or a number where there is a text: it is read anew, and nobody is stopped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    save([entry("a", others=[("a.jpg", "LATERAL", "b")])], tmp_path / "x")
    table = pq.read_table(tmp_path / "x")
    place = table.schema.get_field_index("others")
    for other in (pa.array([[{"path": "a.jpg", "view": "LATERAL"}]]), pa.array(["a.jpg"]), pa.array([[{"path": 1, "view": 2, "dicom": 3}]])):
        pq.write_table(table.set_column(place, "others", other), tmp_path / "x")
        assert load(tmp_path / "x") is None
    pq.write_table(table.set_column(0, "subject", pa.array([10000032])), tmp_path / "x")
    assert load(tmp_path / "x") is None


def test_what_cannot_be_saved_leaves_nothing(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="directory"):
        save([entry("a")], tmp_path / "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_reports_are_for_the_user_alone(tmp_path):
    gathered(tmp_path / "index")
    assert (tmp_path / "index").stat().st_mode & 0o077 == 0


OPENED = """
import sys
from pathlib import Path
from benchmark.datasets.entry_file import load
print(len(load(Path(sys.argv[1]))), 'pandas' in sys.modules)
"""


def test_opening_does_not_import_pandas(tmp_path):
    """It takes longer than reading a split's file."""
    save([entry("a", boxes={"spine": (1, 2, 3, 4)}, findings="größer")], tmp_path / "x")
    done = subprocess.run([sys.executable, "-c", OPENED, str(tmp_path / "x")], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "False"]


# --- a folder of parts ---


def test_a_second_gathering_reads_nothing(tmp_path):
    assert gathered(tmp_path) == ["a", "b", "c", "d"]
    assert gathered(tmp_path, todo=lambda: pytest.fail("asked for tasks")) == ["a", "b", "c", "d"]


def test_only_the_damaged_part_is_made_again(tmp_path):
    gathered(tmp_path)
    second = sorted(tmp_path.iterdir())[1]
    second.write_bytes(second.read_bytes()[:-9])
    asked = []
    assert gathered(tmp_path, reads=lambda names: asked.append(names) or read(names)) == ["a", "b", "c", "d"]
    assert asked == [["c"]]


def test_parts_that_were_cut_otherwise_are_not_mixed_in(tmp_path, monkeypatch):
    gathered(tmp_path, todo=tasks(["a"], ["b", "c"], ["d"]))
    next(path for path in tmp_path.iterdir() if path.name.startswith("00002")).unlink()
    monkeypatch.setattr(gathering, "IMAGES_PER_PART", 3)
    assert gathered(tmp_path, todo=tasks(["a", "b"], ["c"], ["d"])) == ["a", "b", "c", "d"]
    assert len(list(tmp_path.iterdir())) == 3


def test_an_empty_split_is_no_endless_loop(tmp_path):
    assert gathered(tmp_path, todo=list) == []


def test_a_disk_that_gives_back_something_else_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "save", lambda entries, path: path.write_bytes(b"rubbish"))
    with pytest.raises(OSError, match="could not be read again"):
        gathered(tmp_path)


def test_any_number_of_processes_gives_the_same(tmp_path, capfd):
    """The workers read with ``load``: they need not import this file and all that tests are made with."""
    for name in "abcde":
        save(read([f"{name}{number}" for number in range(3)]), tmp_path / name)
    todo = [Task(3000, (tmp_path / name,)) for name in "abcde"]  # so many that a pool is worth it
    expected = [f"{name}{number}" for name in "abcde" for number in range(3)]
    assert gathered(tmp_path / "two", todo=lambda: todo, reads=load, workers=2) == expected
    assert "read: 15000/15000 images" in capfd.readouterr().err
    assert gathered(tmp_path / "one", todo=lambda: todo, reads=load, workers=1) == expected


def test_without_a_cache_the_entries_are_the_same():
    assert [one.dicom for one in read_all(THREE(), read, label="read", workers=1, shared=("!",))] == ["a!", "b!", "c!", "d!"]


KILLED = """
import sys, time
from pathlib import Path
from benchmark.datasets.entries import Entry
from benchmark.datasets.gathering import Task, gather
def read(name):
    if name == "c":
        time.sleep(600)
    return [Entry("1", "2", name)]
gather(Path(sys.argv[1]), lambda: [Task(1, (name,)) for name in "abcd"], read, label="read", workers=1)
"""


def test_a_killed_reading_leaves_nothing_half_and_goes_on(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert load_parts(tmp_path) is None, "half of the parts are no index"
    asked = []
    assert gathered(tmp_path, todo=tasks("a", "b", "c", "d"), reads=lambda name: asked.append(name) or read([name])) == ["a", "b", "c", "d"]
    assert asked == ["c", "d"]


def test_what_a_killed_reading_left_is_swept_a_day_later(tmp_path):
    for name, age in ((".00001.77.part", 2 * 24 * 3600), (".00002.78.part", 60)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    gathered(tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [".00002.78.part"], "another process may be writing the younger one"


def test_an_index_that_nobody_opens_for_weeks_is_swept(tmp_path):
    """Of a stamp that the files no longer have, say; one of another copy that is in use stays, and so does what is no index."""
    names = {"test-" + "a" * 32: 40, "train-" + "b" * 32 + "-01234567": 40, "test-" + "c" * 32: 20, "notes": 40}
    for name, days in names.items():
        (tmp_path / name).mkdir()
        save([entry("a")], tmp_path / name / "00000-of-00001-by-2000.parquet")
        os.utime(tmp_path / name, (time.time() - days * 24 * 3600,) * 2)
    own = tmp_path / ("validate-" + "d" * 32)
    gathered(own)
    os.utime(own, (0, 0))
    sweep_unused(own)
    assert {path.name for path in tmp_path.iterdir()} == {"test-" + "c" * 32, "notes", own.name}
    assert time.time() - own.stat().st_mtime < 3600, "it is in use"
    assert gathered(own, todo=lambda: pytest.fail("asked for tasks")) == ["a", "b", "c", "d"]


def test_a_patient_is_not_cut_in_two(monkeypatch):
    monkeypatch.setattr(gathering, "IMAGES_PER_PART", 3)
    patients = [("a", [1, 2]), ("b", [3, 4]), ("c", [5]), ("d", [6, 7, 8, 9]), ("e", [])]
    assert [[name for name, _ in portion] for portion in portions(patients)] == [["a", "b"], ["c", "d"], ["e"]]


# --- the stamp: what is noticed ---


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))


def make_tree(root):
    tree = Tree(root)
    tree.image("old", "10000032", "50000002", day=1)
    tree.image("new", "10000032", "50000001", day=5, view="AP")
    tree.image("else", "10000898", "50000004", split="train")
    return tree.write()


@pytest.fixture
def folders(tmp_path):
    return make_tree(tmp_path / "unpacked")


@pytest.fixture
def archives(tmp_path):
    """The same with reports and scene graphs in archives."""
    root = make_tree(tmp_path / "packed")
    with zipfile.ZipFile(root / "mimic-cxr-reports.zip", "w") as packed:
        for file in sorted(root.glob("files/p10/*/*.txt")):
            packed.write(file, str(file.relative_to(root)))
            file.unlink()
    graphs = root / SILVER / "scene_graph"
    with zipfile.ZipFile(root / SILVER / "scene_graph.zip", "w") as packed:
        for file in sorted(graphs.iterdir()):
            packed.write(file, f"scene_graph/{file.name}")
    shutil.rmtree(graphs)
    return root


def stamp(root):
    return ChestImaGenome(str(root)).fingerprint("test")


PATIENT = "files/p10/p10000032"
GRAPHS = f"{SILVER}/scene_graph"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: append(root / f"{PATIENT}/s50000001.txt", b" "), id="a report of another length"),
        pytest.param(lambda root: append(root / f"{PATIENT}/s50000002/old.jpg", b"0"), id="an image of another size, written over in place"),
        pytest.param(lambda root: append(root / f"{GRAPHS}/new_SceneGraph.json", b" "), id="a scene graph"),
        pytest.param(lambda root: flip(root / "mimic-cxr-2.0.0-metadata.csv.gz"), id="one bit of the metadata"),
        pytest.param(lambda root: flip(root / f"{SILVER}/splits/test.csv"), id="one bit of the list"),
        pytest.param(lambda root: append(root / f"{SILVER}/splits/train.csv", b"9,1,1,new,,AP\n"), id="a row of another split's list"),
        pytest.param(lambda root: append(root / f"{SILVER}/splits/images_to_avoid.csv", b"1,1,old,,AP\n"), id="an image to avoid"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000001/lateral.jpg").write_bytes(b"0"), id="another view"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000009").mkdir() or append(root / f"{PATIENT}/s50000009.txt", b"0"), id="another report"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000002/old.jpg").unlink(), id="an image gone"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000002.txt").unlink(), id="a report gone"),
        pytest.param(lambda root: (root / f"{GRAPHS}/old_SceneGraph.json").unlink(), id="a scene graph gone"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000002/old.jpg").rename(root / f"{PATIENT}/s50000002/older.jpg"), id="an image renamed"),
        pytest.param(lambda root: (root / f"{PATIENT}/s50000002").rename(root / f"{PATIENT}/s50000003"), id="a study renamed"),
    ],
)
def test_the_fingerprint_changes_with(folders, change):
    before = stamp(folders)
    change(folders)
    assert stamp(folders) != before


@pytest.mark.parametrize(
    ("archive", "member"), [("mimic-cxr-reports.zip", f"{PATIENT}/s50000001.txt"), (f"{GRAPHS}.zip", "scene_graph/new_SceneGraph.json")]
)
def test_a_letter_in_an_archive_changes_the_fingerprint(archives, archive, member):
    """Of the same length, and the archive too: only the member's checksum differs."""
    before, length = stamp(archives), (archives / archive).stat().st_size
    rewrite(archives / archive, member, lambda data: data.replace(b"e", b"a", 1))
    assert (archives / archive).stat().st_size == length
    assert stamp(archives) != before


def test_a_copy_has_the_same_fingerprint(folders, archives, tmp_path):
    """Dates, places and files of the desktop are not the data."""
    for number, root in enumerate((folders, archives)):
        before = stamp(root)
        (root / PATIENT / "Thumbs.db").write_bytes(b"0")
        copy = tmp_path / f"copy{number}"
        shutil.copytree(root, copy, copy_function=shutil.copyfile)
        assert stamp(copy) == before


def test_the_files_of_another_splits_patients_do_not_matter(folders):
    before = stamp(folders)
    append(folders / "files/p10/p10000898/s50000004.txt", b" ")
    assert stamp(folders) == before


def test_a_link_that_leads_nowhere_stops_nobody(folders):
    before = stamp(folders)
    (folders / PATIENT / "s50000001/gone.jpg").symlink_to(folders / "nowhere.jpg")
    assert stamp(folders) != before


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def flip(path: Path) -> None:
    """Change the case of a letter, or in a gzip its time stamp."""
    data = bytearray(path.read_bytes())
    data[4 if data[0] == 0x1F else -2] ^= 32
    path.write_bytes(data)


def rewrite(archive: Path, name: str, change) -> None:
    with zipfile.ZipFile(archive) as old:
        members = [(member, old.read(member)) for member in old.infolist()]
    with zipfile.ZipFile(archive, "w") as new:
        for member, data in members:
            new.writestr(member, change(data) if member.filename == name else data)

"""Where the parts of MIMIC-CXR-JPG lie: copies side by side, links in circles, and what this user may not read.

All patients and reports are invented.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mimic_trees import SILVER, Tree

from benchmark.datasets import mimic_splits
from benchmark.datasets.chest_imagenome import ChestImaGenome
from benchmark.datasets.columns import BadTable
from benchmark.datasets.gathering import Task
from benchmark.datasets.mimic_cxr import MimicCXR
from benchmark.datasets.mimic_splits import UnreadableData
from benchmark.datasets.mimic_tree import NoSuchTree, locate
from benchmark.datasets.stores import BadArchive

NOBODY = 65534
PATIENT = "files/p10/p10000032"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path / "cache"))


def small(root: Path) -> Tree:
    """Two test patients of one image each, and one of train."""
    tree = Tree(root)
    tree.image("a-one", "10000032", "50000001")
    tree.image("b-one", "10000764", "50000002")
    tree.image("c-one", "11000898", "50000003", split="train")
    tree.official["c-one"] = "train"
    tree.write()
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return small(tmp_path / "data")


@pytest.fixture
def reachable() -> Iterator[Tree]:
    """A tree in a folder that every user may enter: pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield small(Path(folder) / "data")


@contextmanager
def as_anybody() -> Iterator[None]:
    """Without the right of root to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def ids(dataset: ChestImaGenome | MimicCXR) -> list[str]:
    return [case.id for case in dataset.cases("test")]


def close(path: Path) -> None:
    path.chmod(0)


# --- links ---


@pytest.mark.parametrize("place", [".", SILVER, "files/p10", PATIENT])
def test_a_link_to_itself_is_stepped_over(tree: Tree, place: str) -> None:
    for name in ("p19", "s59999999", "loop", "mimic-cxr-loop-metadata.csv.gz"):
        (tree.root / place / name).symlink_to(tree.root / place / name)
    assert ids(ChestImaGenome(root=tree.root)) == ["a-one", "b-one"]


@pytest.mark.parametrize("place", [".", "files", "files/p10", PATIENT])
def test_a_link_into_what_belongs_to_somebody_else_is_stepped_over(reachable: Tree, place: str) -> None:
    private = reachable.root.parent / "private"
    (private / "inside").mkdir(parents=True)
    for name in ("p19", "p10000999", "s59999999", "annotation.json"):
        (reachable.root / place / name).symlink_to(private / "inside")
    close(private)
    with as_anybody():
        found = ids(ChestImaGenome(root=reachable.root))
    private.chmod(0o700)
    assert found == ["a-one", "b-one"]


def test_what_is_reached_over_a_link_too_is_one_thing(tree: Tree) -> None:
    (tree.root / "annotation.json").write_text("{}")
    (tree.root / "latest").symlink_to(".")
    (tree.root / "deeper").mkdir()
    (tree.root / "deeper" / "again").symlink_to(tree.root)
    (tree.root / "annotations.json").symlink_to("annotation.json")
    found = locate(tree.root)
    assert [len(part) for part in (found.reports, found.scene_graphs, found.annotations, found.passed_over)] == [1, 1, 1, 0]
    assert (found.images, found.annotations) == (tree.root / "files", (tree.root / "annotation.json",))


def test_a_folder_is_called_by_its_own_name_where_a_link_leads_to_it_too(tree: Tree) -> None:
    (tree.root / "mimic-cxr-jpg-2.1.0").mkdir()
    (tree.root / "files").rename(tree.root / "mimic-cxr-jpg-2.1.0" / "files")
    (tree.root / "current").symlink_to("mimic-cxr-jpg-2.1.0")
    assert locate(tree.root).images == tree.root / "mimic-cxr-jpg-2.1.0" / "files"


# --- copies side by side ---


def two_copies(tree: Tree) -> tuple[Path, Path]:
    """2.0.0 and 2.1.0, the same patients and tables in both."""
    older, newer = tree.root / "mimic-cxr-jpg" / "2.0.0", tree.root / "mimic-cxr-jpg" / "2.1.0"
    older.mkdir(parents=True)
    for path in [tree.root / "files", *tree.root.glob("mimic-cxr-2.0.0-*.csv.gz")]:
        path.rename(older / path.name)
    shutil.copytree(older, newer)
    return older, newer


def test_of_two_copies_the_newer_is_read_with_its_own_tables(tree: Tree) -> None:
    older, newer = two_copies(tree)
    found = locate(tree.root)
    assert (found.images, found.passed_over) == (newer / "files", (older / "files",))
    assert found.metadata == newer / "mimic-cxr-2.0.0-metadata.csv.gz"


def test_of_tables_beside_no_images_the_newer_is_read(tree: Tree) -> None:
    """Both are called 2.0.0; which is newer is said by their folders alone."""
    older, newer = two_copies(tree)
    (newer / "files").rename(tree.root / "files")
    shutil.rmtree(older / "files")
    assert locate(tree.root).metadata == newer / "mimic-cxr-2.0.0-metadata.csv.gz"
    newer.rename(newer.with_name("1.9.0"))
    assert locate(tree.root).metadata == older / "mimic-cxr-2.0.0-metadata.csv.gz"


def test_the_fuller_copy_is_read_though_the_metadata_lie_beside_the_other(tree: Tree) -> None:
    older, newer = two_copies(tree)
    shutil.rmtree(older / PATIENT)
    for table in newer.glob("*.csv.gz"):
        table.unlink()
    found = locate(tree.root)
    assert (found.images, found.passed_over) == (newer / "files", (older / "files",))
    assert found.metadata == older / "mimic-cxr-2.0.0-metadata.csv.gz"
    read, part = MimicCXR(root=tree.root).account(["test"]).parts[:2]
    assert read.what.startswith("MIMIC-CXR-JPG 2.1.0, 3 patients in p10, p11, not p12")
    assert (part.where, part.what) == (older / "files", "passed over, nothing of it is read; 2 patients in p10, p11")


def test_radiographs_are_read_from_jpgs_though_the_dicom_files_are_more(tree: Tree) -> None:
    for number in range(5):
        folder = tree.root / f"mimic-cxr/files/p12/p1200000{number}/s5100000{number}"
        folder.mkdir(parents=True)
        (folder / "d.dcm").write_bytes(b"")
    assert locate(tree.root).images == tree.root / "files"


# --- what this user may not read ---


def test_a_table_that_may_not_be_read_is_one_message(reachable: Tree) -> None:
    for name in ("mimic-cxr-2.0.0-metadata.csv.gz", f"{SILVER}/splits/train.csv"):
        close(reachable.root / name)
        with (
            as_anybody(),
            pytest.raises(BadTable, match=r"the table cannot be read \(.*Permission denied.*\); check the path, or fetch the file again"),
        ):
            ChestImaGenome(root=reachable.root).cases("test")
        (reachable.root / name).chmod(0o644)


def test_an_archive_that_may_not_be_read_is_one_message(reachable: Tree) -> None:
    archive = reachable.root / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(reachable.report_file("10000032", "50000001"), f"{PATIENT}/s50000001.txt")
    close(archive)
    with as_anybody(), pytest.raises(BadArchive, match=r"mimic-cxr-reports\.zip: the archive cannot be read \(Permission denied\); check its perm"):
        MimicCXR(root=reachable.root).cases("test")


def test_an_image_or_report_that_may_not_be_read_is_a_problem_of_its_own(reachable: Tree) -> None:
    close(reachable.root / PATIENT / "s50000001" / "a-one.jpg")
    close(reachable.report_file("10000764", "50000002"))
    dataset = MimicCXR(root=reachable.root)
    with as_anybody():
        assert dataset.cases("test") == []
    assert {problem.kind for problem in dataset.problems()} == {"unreadable image", "unreadable report", "cache not written"}


def test_a_root_that_may_not_be_entered_says_so(reachable: Tree) -> None:
    close(reachable.root)
    for root in (reachable.root, reachable.root / "files"):
        with as_anybody(), pytest.raises(NoSuchTree, match=r"cannot be entered \(Permission denied\); name the folder"):
            locate(root)
    reachable.root.chmod(0o755)


def failing(*_: object) -> list[object]:
    raise OSError(errno.EIO, "Input/output error", "files/p10/one.jpg")


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_failing_disk_of_the_data_is_not_taken_for_a_full_cache(tmp_path: Path, is_kept: bool) -> None:
    if not is_kept:
        (tmp_path / "cache").write_text("a file where the folder should be")
    words = r"mimic_cxr: the files of test were to be read, but files/p10/one\.jpg cannot be read \(Input/output error\); check its permissions"
    with pytest.raises(UnreadableData, match=words):
        mimic_splits.gather("mimic_cxr", "test", "0" * 64, lambda: [Task(1, ())], failing, workers=1, shared=())  # type: ignore[arg-type]

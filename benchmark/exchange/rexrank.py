"""ReXrank (rajpurkarlab/ReXrank, ``example_files/evaluation_script.md`` and ``prediction.json`` read at 06534b3): study -> what is known of it.

Its script reads ``section_findings``, ``section_impression`` and ``model_prediction``. Our reference is one text: it stands in ``section_findings``
beside an empty impression. A key is the study where each case has a study of its own, else the case; ``case_id`` always says the case. A case that
failed has a ``failure`` and no ``model_prediction``: ReXrank's script stops there, where an empty text would be scored.

Read are also files of theirs. Of two sections the reference is made as their script makes it, but a section that is not there stays away, where the
script writes the word None.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.exchange.contents import Contents, Gathered, parsed, text_or_none, wrong_shape

ENDING = ".json"
SHAPE = "ReXrank"


def written(contents: Contents) -> str:
    """The text of the file."""
    studies = [contents.studies.get(case_id) or case_id for case_id in contents.order]
    keys = studies if len(set(studies)) == len(studies) else list(contents.order)
    value: dict[str, dict[str, str]] = {}
    for key, study, case_id in zip(keys, studies, contents.order, strict=True):
        answer = {"model_prediction": contents.texts[case_id]} if case_id in contents.texts else {"failure": contents.failures[case_id]}
        value[key] = {"case_id": case_id, "study_id": study, "section_findings": contents.references[case_id], "section_impression": "", **answer}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def read(text: str, path: Path) -> Contents:
    """What a file holds. Raises ``UnreadableExchange``."""
    value = parsed(text, path)
    if not isinstance(value, dict) or not all(isinstance(about, dict) for about in value.values()):
        raise wrong_shape(path, SHAPE, "is no object of objects", "study id -> model_prediction and sections")
    if value and not any({"model_prediction", "failure"} & about.keys() for about in value.values()):
        raise wrong_shape(path, SHAPE, "no study in it has a model_prediction", "the file that a model's inference wrote")
    gathered = Gathered(path)
    for key, about in value.items():

        def of(*names: str, key: str = key, about: dict[str, Any] = about) -> str | None:
            return next((text_or_none(about[name], path, f"{name} of {key!r}") for name in names if name in about), None)

        sections = of("section_findings", "findings"), of("section_impression", "impression")
        gathered.add(of("case_id") or key, of("model_prediction"), of("failure"), _reference(*sections))
    return gathered.contents()


def _reference(findings: str | None, impression: str | None) -> str | None:
    if findings and impression:
        return f"Findings: {findings} Impression: {impression}"
    return findings or impression if findings or impression else ("" if findings is not None or impression is not None else None)

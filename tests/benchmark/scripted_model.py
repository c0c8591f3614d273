"""A language model that answers by a script, and behaves towards what asks it as the real client does: in order, lazily, one question to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from benchmark.llm.questions import Answered, Failed, Question, Unusable

T = TypeVar("T")
Script = Callable[[Question, str], str | Failed]
"""(question, what was wrong with the answer before, or nothing) -> answer"""


class ScriptedModel:
    """Asks a script."""

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self.script, self.name = script, name
        self.asked: list[Question] = []
        self.mended: list[str] = []
        """what was said to be wrong, of every answer that was"""

    def __call__(self, questions: Iterable[Question], read: Callable[[str], T]) -> Iterator[Answered[T] | Failed]:
        for question in questions:
            self.asked.append(question)
            yield self._one(question, read)

    def signature(self) -> str:
        return f"{self.name}|temperature:0"

    def _one(self, question: Question, read: Callable[[str], T]) -> Answered[T] | Failed:
        problem = ""
        for _ in range(2):
            answer = self.script(question, problem)
            if isinstance(answer, Failed):
                return answer
            try:
                return Answered(read(answer), answer)
            except Unusable as error:
                problem = str(error)
                self.mended.append(problem)
        return Failed("unusable", problem)


class ScriptedModels:
    """Hands out one scripted model per name, as the maker of clients does."""

    def __init__(self, script: Script, **scripts: Script) -> None:
        self._scripts = {"scripted": script, **scripts}
        self.made: dict[str, ScriptedModel] = {}
        self.tasks: list[str] = []

    def asking(self, task: str, model: str | None = None) -> ScriptedModel:
        self.tasks.append(task)
        name = model or "scripted"
        return self.made.setdefault(name, ScriptedModel(self._scripts[name], name))

    @property
    def asked(self) -> list[Question]:
        return [question for model in self.made.values() for question in model.asked]

    @property
    def mended(self) -> list[str]:
        return [problem for model in self.made.values() for problem in model.mended]

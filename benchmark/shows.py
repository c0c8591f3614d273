"""What a person reads in the terminal."""

from __future__ import annotations

import math
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from benchmark.screen import say_as_file, screen
from benchmark.vocabulary import LESIONS, PAPER_REGIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from benchmark.agreement import Agreement
    from benchmark.audit.run import Audit
    from benchmark.consistency.check import TableCheck
    from benchmark.data_check import DataCheck
    from benchmark.datasets.account import Beside, Part
    from benchmark.doctor import Finding
    from benchmark.estimates import Estimated
    from benchmark.evaluator import Outcome
    from benchmark.labels import Labelled
    from benchmark.llm.cache import Size
    from benchmark.meta_eval.run import MetaEval
    from benchmark.tables.table import Table as PrintableTable
    from benchmark.training import Trained

MARKS = {"ok": "[green]ok[/]", "missing": "[red]missing[/]", "note": "[yellow]note[/]", "in part": "[yellow]in part[/]"}


def console() -> Console:
    """A console as wide as the terminal, and wide enough for a table where there is none (a log)."""
    out = screen()
    return out if out.is_terminal else screen(width=140)


def show_outcome(outcome: Outcome) -> None:
    """The summary of a run: what was measured on what, the headline numbers, what went wrong, where the rest lies."""
    from benchmark.tables import print_summary
    from benchmark.tables.material import said_count

    out = console()
    data = outcome.data
    whose = (
        f" of {said_count(data.counts['patients'], 'patients')}" if data.names_patients else "; whose they are was not said, each is drawn on its own"
    )
    out.print(f"\n[bold]{escape(data.name)}[/]: {said_count(len(data.cases), 'cases')}{whose}")
    if data.problems:
        counts = ", ".join(f"{count} x {escape(kind)}" for kind, count in data.problem_counts().items())
        out.print(f"stepped over in the dataset: {counts}; each of them in problems.csv", style="yellow")
    for note in outcome.notes:
        out.print(escape(note), style="yellow")
    for model, reports in outcome.reports.items():
        failures = [report for report in reports if report.failure]
        empty = sum(not report.failure and not report.text.strip() for report in reports)
        if failures:
            out.print(
                f"{escape(model)}: {len(failures)} cases failed, the first {escape(failures[0].case_id)}: {escape(failures[0].failure)}",
                style="yellow",
            )
        if empty:
            out.print(f"{escape(model)}: {empty} reports are empty, and scored as such", style="yellow")
    print_summary([*outcome.scored.rows, *outcome.scored.differences], out, **outcome.for_tables())
    for line in outcome.asked:
        out.print(f"language model, {escape(line)}", soft_wrap=True)
    if outcome.page and outcome.page.absent:
        out.print(escape(absent_in_words(outcome.page.absent)), style="yellow")
    page = f"; its page: python -m benchmark view {escape(str(outcome.folder))}" if outcome.page else ""
    out.print(f"tables, reports and everything else: [bold]{escape(str(outcome.folder))}[/]{page}")


def absent_in_words(absent: Mapping[str, str]) -> str:
    """One line on images that are missing from a page."""
    return f"{len(absent):,} images could not be copied; the page says so in their place, the first: {next(iter(absent.values()))}"


def show_tables(tables: Sequence[PrintableTable], formats: Sequence[str] = ()) -> None:
    """Tables as they read best here, or in one format as its file would be."""
    from benchmark.tables import as_text
    from benchmark.tables.terminal import show

    for table in tables:
        if formats:
            say_as_file(as_text(table, formats[0]))
        else:
            show(table, console())


def show_reports(outcome: Outcome, count: int = 3) -> None:
    """The first few reports of each model."""
    out = console()
    for note in (*outcome.taken_out, *outcome.told):
        out.print(escape(note), style="yellow")
    for model, reports in outcome.reports.items():
        failures = sum(bool(report.failure) for report in reports)
        out.print(f"\n[bold]{escape(model)}[/]: {len(reports) - failures} reports, {failures} failed")
        for report in reports[:count]:
            text = report.text if not report.failure else f"(failed: {report.failure})"
            out.print(escape(textwrap.fill(f"{report.case_id}: {text}", out.width - 4, initial_indent="  ", subsequent_indent="    ")))
    for model, why in outcome.failed.items():
        out.print(f"{escape(model)} failed: {escape(why)}", style="red")
    out.print(f"\nreports: [bold]{escape(str(outcome.folder))}[/]")


def show_labels(labelled: Labelled) -> None:
    """How often each lesion was affirmed."""
    out = console()
    for warning in labelled.warnings:
        out.print(f"note: {escape(warning)}", style="yellow")
    out.print(f"{labelled.reports:,} reports ({labelled.empty} without text), labelled by {escape(labelled.signature)}", soft_wrap=True)
    table = Table()
    table.add_column("lesion")
    table.add_column("positive", justify="right")
    table.add_column("share", justify="right")
    answered = labelled.reports - labelled.unanswered
    for lesion in LESIONS:
        count = labelled.positives.get(lesion, 0)
        table.add_row(lesion, f"{count:,}", f"{count / answered:.1%}" if answered else "")
    out.print(table)
    if labelled.unanswered:
        out.print(
            f"{labelled.unanswered:,} reports have no labels; the same command asks again, but for answers that could not be used: --refresh",
            style="yellow",
        )
    if labelled.unbacked:
        first, claimed = labelled.unbacked[0]
        affirmed = sum(labelled.positives.values())
        out.print(
            f"{len(labelled.unbacked):,} of {affirmed:,} lesions are affirmed by words that the report does not have, the first in "
            f"{escape(first)}: {claimed.name}, {escape(claimed.rationale) or 'no words at all'}; read them before you trust these labels",
            style="yellow",
        )
    for line in labelled.said:
        out.print(escape(line), soft_wrap=True)
    out.print(f"labels: [bold]{escape(str(labelled.out))}[/]")


def show_agreement(found: Agreement, count: int = 5) -> None:
    """How far labellers agree, and the first few cases in which they do not."""
    from benchmark.tables.agreement import for_terminal
    from benchmark.tables.terminal import show

    out = console()
    counted = " of ".join(f"{number:,} {name}" for name, number in found.counts.items())
    out.print(f"\n[bold]{escape(', '.join(found.names))}[/]: {counted}")
    for note in found.notes:
        out.print(escape(note), style="yellow")
    show(for_terminal(found.table), out)
    out.print(f"\ndisagreements: [bold]{len(found.differing):,}[/]{', the lesion with the worst agreement first' if found.differing else ''}")
    for one in found.differing[:count]:
        out.print(escape(f"  {one.case_id}: {one.lesion}"), style="bold")
        for name, lesion in zip(found.names, one.said, strict=True):
            said = f"{lesion.status}, side {lesion.side}, {lesion.certainty}" if lesion else "no answer"
            quoted = f": {lesion.rationale}" if lesion and lesion.rationale else ""
            out.print(escape(textwrap.fill(f"{name} {said}{quoted}", out.width - 4, initial_indent="    ", subsequent_indent="      ")))
        if one.sentence:
            out.print(escape(textwrap.fill(f"the report: {one.sentence}", out.width - 4, initial_indent="    ", subsequent_indent="      ")))
    out.print(f"tables and all disagreements: [bold]{escape(str(found.folder))}[/]")


def show_audit(found: Audit) -> None:
    """Which of two candidates the metrics prefer, and where the pairs lie to be read."""
    from benchmark.audit.table import for_terminal
    from benchmark.tables.terminal import show

    out = console()
    out.print(f"\n[bold]{escape(found.data.name)}[/]: {len(found.data.cases):,} reports, {sum(found.made.values()):,} candidates")
    show(for_terminal(found.table), out)
    for line in found.asked:
        out.print(f"language model, {escape(line)}", soft_wrap=True)
    for note in found.notes:
        out.print(escape(note), style="yellow", soft_wrap=True)
    out.print(f"every pair, score and table: [bold]{escape(str(found.folder))}[/]")


def show_meta_eval(found: MetaEval) -> None:
    """How far metrics agree with radiologists."""
    from benchmark.tables.terminal import show

    out = console()
    show(found.table, out)
    for line in found.asked:
        out.print(f"language model, {escape(line)}", soft_wrap=True)
    out.print(f"tables and the scores of every candidate: [bold]{escape(str(found.folder))}[/]")


def show_estimate(estimated: Estimated) -> None:
    """Questions, tokens and dollars by task and model; nothing was asked."""
    out = console()
    if not estimated.rows:
        out.print("nothing here asks a language model: no call, no cost")
        return
    table = Table()
    for name in ("task", "model", "calls", "in the cache", "tokens in", "tokens out", "dollars", "as a batch"):
        table.add_column(name, justify="left" if name in ("task", "model") else "right")
    for row in estimated.rows:
        counts = (f"{count:,}" for count in (row.calls, row.cached, row.prompt_tokens, row.completion_tokens))
        prices = ("unknown" if cost is None else _dollars(cost) for cost in (row.cost, row.batch_cost))
        table.add_row(row.task, escape(row.model), *counts, *prices)
    out.print(table)
    for row in estimated.rows:
        price = f"; price: {row.price}" if row.price else "; no price is known: give llm.input_price and llm.output_price, dollars per million tokens"
        out.print(f"{row.task}: {row.basis}{price}", style="dim", soft_wrap=True)
    for note in estimated.notes:
        out.print(f"note: {escape(note)}", style="yellow", soft_wrap=True)
    total = "an unknown sum" if estimated.cost is None else f"{_dollars(estimated.cost)} dollars"
    out.print(f"nothing was asked; asking would cost about [bold]{total}[/], further tries not counted", soft_wrap=True)


def _dollars(amount: float) -> str:
    """To the cent, and to a hundredth of one where it is less: a try with ten reports is not free."""
    return f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.4f}"


def show_answers(sizes: Sequence[Size], file: Path) -> None:
    """What is kept of language models' answers, by task and model."""
    out = console()
    if not sizes:
        out.print(f"no answers are kept in {escape(str(file))}", soft_wrap=True)
        return
    table = Table()
    for name in ("task", "model", "answers", "tokens in", "tokens out", "dollars", "MiB of text"):
        table.add_column(name, justify="left" if name in ("task", "model") else "right")
    for size in sizes:
        counts = (f"{count:,}" for count in (size.answers, size.prompt_tokens, size.completion_tokens))
        unknown = f" ({size.unpriced:,} of unknown price)" if size.unpriced else ""
        table.add_row(size.task, escape(size.model), *counts, f"{_dollars(size.cost)}{unknown}", f"{size.bytes / 2**20:,.1f}")
    out.print(table)
    out.print(f"kept in [bold]{escape(str(file))}[/], readable by you alone: answers quote reports", soft_wrap=True)


def show_data_check(check: DataCheck, folder: Path | None) -> None:
    """What a dataset is made of, what its cases have, how that compares with what was published, and what was left out and why."""
    out = console()
    out.print(f"\n[bold]{escape(check.dataset)}[/]{': its texts may not leave this machine' if check.is_private else ''}", soft_wrap=True)
    if check.account.parts:
        common = os.path.commonpath([part.where.parent for part in check.account.parts if part.where] or [Path()])
        _print_table(out, f"what is there, below {common}", _parts_table(check.account.parts, Path(common)))
    _print_table(out, "what the cases have", _splits_table(check))
    _print_table(out, "in how many cases the report speaks of a region", _regions_table(check))
    _print_table(out, "beside what was published", _besides_table(check.account.besides))
    _print_table(out, "left out or mended", _kinds_table(check))
    out.print()
    for note in (*check.account.notes, *filter(None, [check.note])):
        out.print(escape(note), style="yellow")
    by_rule = sum(kind.count for kind in check.kinds) - check.faults
    said = f"{check.faults:,} faults of the files" if check.faults != 1 else "1 fault of the files"
    times = "once" if by_rule == 1 else f"{by_rule:,} times"
    out.print(f"{said}; {times} the dataset's stated rules left something out or mended it", style="red" if check.faults else "green")
    if folder:
        files = "counts.json and problems.csv" if check.kinds else "counts.json (there is no problem to list)"
        out.print(f"{files}: [bold]{escape(str(folder))}[/]", soft_wrap=True)
    elif check.kinds:
        out.print("every one of them, with its file: --out FOLDER")


def _print_table(out: Console, title: str, table: Table | None) -> None:
    """The table under its title; nothing where there is none."""
    if table is not None:
        out.print(f"\n[bold]{escape(title)}[/]", soft_wrap=True)
        out.print(table)


def _table(*columns: str) -> Table:
    """A table without lines; a column that ends in # holds numbers."""
    table = Table(box=None, pad_edge=False, header_style="cyan", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    return table


def _parts_table(parts: Sequence[Part], common: Path) -> Table:
    """Each part of the dataset and where it lies, below the folder that all have in common."""
    table = _table("part", "", "what", "where")
    for part in parts:
        where = str(part.where.relative_to(common)) if part.where else ""
        state = "missing" if part.where is None else "ok" if part.is_whole else "in part"
        table.add_row(part.name, MARKS[state], escape(part.what), escape(where))
    return table


def _splits_table(check: DataCheck) -> Table:
    """What the cases of each split have; a share is of its cases."""
    table = _table("", *(f"{split}#" for split in check.splits))
    found = list(check.splits.values())
    if listed := check.account.listed:
        table.add_row(check.account.listed_as, *(f"{listed[split]:,}" if split in listed else "" for split in check.splits))
    for name in ("cases", "patients", "studies"):
        table.add_row(name, *(f"{getattr(one, name):,}" for one in found))
    for name, says in (
        ("with_report", "with a reference report"),
        ("with_indication", "with an indication"),
        ("with_lateral", "with a lateral view"),
        ("with_prior", "with a prior report or image"),
        ("with_lesions", "with lesion labels of its own"),
    ):
        table.add_row(says, *(_share(getattr(one, name), one.cases) for one in found))
    means = [("words", "words of a report (median)")]
    if any(one.boxes > 0 for one in found):
        means += [("boxes", "boxes per image (of 29)"), ("paper_boxes", "boxes per image (of the 11)")]
    for name, says in means:
        table.add_row(says, *("" if math.isnan(value := getattr(one, name)) else f"{value:,.{0 if name == 'words' else 2}f}" for one in found))
    return table


def _regions_table(check: DataCheck) -> Table | None:
    """How many cases' reports say something of a region: the paper's 11, and the others together; None where nobody says anything of any."""
    if not any(one.with_sentence for one in check.splits.values()):
        return None
    table = _table("cases with a sentence on", *(f"{split}#" for split in check.splits))
    for region in PAPER_REGIONS:
        table.add_row(f"the {region}", *(_share(one.with_sentence.get(region, 0), one.cases) for one in check.splits.values()))
    others = [sum(count for region, count in one.with_sentence.items() if region not in PAPER_REGIONS) for one in check.splits.values()]
    table.add_row("sentences on the other 18, all together", *(f"{count:,}" for count in others))
    return table


def _besides_table(besides: Sequence[Beside]) -> Table | None:
    """Counts of this copy beside published ones."""
    if not besides:
        return None
    table = _table("count", "split", "here#", "published#", "difference#", "share#", "by whom")
    last = ""
    for one in besides:
        published, difference = f"{'>= ' * one.is_at_least}{one.published:,}", f"{one.found - one.published:+,}"
        share = f"{one.found / one.published:.1%}" if one.published else ""
        table.add_row("" if one.what == last else one.what, one.split or "all", f"{one.found:,}", published, difference, share, one.source)
        last = one.what
    return table


def _kinds_table(check: DataCheck) -> Table | None:
    """What was left out or mended, and why."""
    if not check.kinds:
        return None
    by_split = [split for split in check.splits if any(kind.by_split for kind in check.kinds)]
    table = _table("why", "", "count#", *(f"{split}#" for split in by_split), "the first of them")
    for kind in check.kinds:
        first = f"{kind.first.where}{f' ({kind.first.what})' if kind.first.what else ''}"
        counts = (f"{kind.by_split[split]:,}" if split in kind.by_split else "" for split in by_split)
        mark = "[red]fault[/]" if kind.is_fault else "[dim]rule[/]"
        table.add_row(escape(kind.name), mark, f"{kind.count:,}", *counts, escape(textwrap.shorten(first, 160)))
    return table


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.0%})" if of and count else f"{count:,}"


def show_trained(trained: Trained) -> None:
    """How long it took, what the weights scored, where they lie: one line, of any length."""
    minutes, seconds = divmod(round(trained.seconds), 60)
    scores = ", ".join(f"{name} {value:.4g}" for name, value in trained.summary.items())
    took = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    line = f"trained in {took}{': ' if scores else ''}{escape(scores)}; weights in [bold]{escape(str(trained.folder))}[/]"
    if trained.folder.is_file():  # a trainer that was asked to stop before it trains names what it made
        line = f"prepared in {took}; what is to be learnt from stands in [bold]{escape(str(trained.folder))}[/]"
    console().print(line, soft_wrap=True)


def show_findings(findings: Sequence[Finding]) -> None:
    """One table of what is there and what is not."""
    out = console()
    table = Table(box=None, pad_edge=False)
    for name in ("", "name", "", "what"):
        table.add_column(name, overflow="fold")
    group = ""
    for finding in findings:
        table.add_row("" if finding.group == group else f"[bold]{finding.group}[/]", escape(finding.name), MARKS[finding.state], escape(finding.what))
        group = finding.group
    out.print(table)


def show_table_check(check: TableCheck) -> None:
    """What disagrees in printed tables, what a reader must know of them, and what was looked at."""
    from benchmark.consistency.findings import CHECKS

    out = console()
    for name, asked in CHECKS.items():
        found = [finding for finding in check.findings if finding.check == name]
        if not found:
            continue
        out.print(f"\n[bold]{escape(asked.title)}[/]")
        rows = [finding for finding in found if finding.line]
        if rows:
            table = _table("where", "what")
            for finding in rows:
                table.add_row(escape(finding.where), escape(finding.says))
            out.print(table)
        for finding in found:
            if not finding.line:
                place = f"{finding.id}: " if finding.id else f"{finding.table}: "
                mark, style = ("note, ", "yellow") if finding.is_note else ("", "")
                out.print(escape(f"- {mark}{place}{finding.says}"), style=style)
    out.print(f"\n[bold]looked at[/] in {', '.join(table.name for table in check.tables)}")
    table = _table("", "#", "tolerance")
    for name, count in check.counts.items():
        table.add_row(CHECKS[name].title, f"{count:,}" if count else "nothing", escape(CHECKS[name].tolerance) if count else "")
    out.print(table)
    if check.told:
        verdicts = [told.verdict for told in check.told]
        said = {"holds": "hold", "tie": "tie in print", "fails": "fail", "not given": "about tables that are not here"}
        counts = ", ".join(f"{words} {verdicts.count(name)}" for name, words in said.items() if name in verdicts)
        out.print(f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {counts}")
    elif check.claims.path is None:
        out.print("nothing was said of these tables: a claims.toml beside them, or --claims FILE, is held against them too")
    faults, notes = len(check.faults), len(check.findings) - len(check.faults)
    said_faults = "1 inconsistency" if faults == 1 else f"{faults:,} inconsistencies" if faults else "no inconsistency"
    said_notes = f", {notes} note{'s' * (notes != 1)}" if notes else ""
    out.print(f"{said_faults}{said_notes}", style="red" if faults else "green")

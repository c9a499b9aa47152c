"""The command about a deployment: check-deploy."""

from __future__ import annotations

import os
from typing import Any

from interlock.app import deploy, loading
from interlock.app.deploy import Checked, Report, Verdict
from interlock.app.session import Session
from interlock.cli import context, glyphs
from interlock.cli.output import answer
from interlock.flow.python.lint import Finding
from interlock.model import json

BREAKS = 1
_GLYPHS = {Verdict.FITS: "✓", Verdict.CHANGES: "~", Verdict.BREAKS: "✕"}


async def check(modules: list[str], *, strict: bool, as_json: bool) -> int:
    """Say which live runs the code of this folder would break; exit code 1 when there is one, or with `strict` a finding."""
    loading.load(modules, context.folder())
    async with context.existing(Session) as app:
        report = await deploy.check(app, importing=not modules)
    if as_json:
        answer(json.encode(_described(report)).decode())
    else:
        _print(report)
    return BREAKS if report.breaks or (strict and report.findings) else 0


def _described(report: Report) -> dict[str, Any]:
    return {
        "runs": [
            {
                "id": run.row.id,
                "namespace": run.row.namespace,
                "workflow": f"{run.row.workflow}:{run.row.version}",
                "status": run.row.status,
                "verdict": run.verdict,
                "reasons": run.reasons,
            }
            for run in report.runs
        ],
        "findings": [
            {
                "code": finding.code,
                "file": _place(finding),
                "line": finding.line,
                "column": finding.column,
                "function": finding.function,
                "message": finding.message,
                "suggestion": finding.suggestion,
            }
            for finding in report.findings
        ],
    }


def _print(report: Report) -> None:
    for finding in report.findings:
        answer(f"{_place(finding)}:{finding.line}:{finding.column}  {finding.code}  in `{finding.function}`")
        answer(f"    {finding.message}; {finding.suggestion}")
    for run in report.runs:
        if run.verdict is not Verdict.FITS:
            _print_run(run)
    counts = {verdict: sum(run.verdict is verdict for run in report.runs) for verdict in Verdict}
    told = [
        f"{count} {'fit' if verdict is Verdict.FITS else str(verdict)}" for verdict, count in counts.items() if count
    ]
    found = f", {glyphs.counted(len(report.findings), 'finding')}" if report.findings else ""
    answer(f"{glyphs.counted(len(report.runs), 'live run')}{': ' if told else ''}{', '.join(told)}{found}")


def _print_run(run: Checked) -> None:
    row = run.row
    answer(
        f"{_GLYPHS[run.verdict]} {run.verdict}  {row.id}  {row.namespace}/{row.workflow}:{row.version}, {row.status}"
    )
    for reason in run.reasons:
        answer(f"    {reason}")


def _place(finding: Finding) -> str:
    """Give the file of a finding as one types it from here."""
    near = os.path.relpath(finding.file)
    return finding.file if near.startswith("..") else near

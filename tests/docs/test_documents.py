"""The documentation is true: links lead somewhere, definitions are valid, commands exist (OP-15), tables are whole."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from interlock import config
from interlock.flow import check

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text("utf-8")) if language in languages]


def commands(page: Path, program: str) -> list[str]:
    """Give the lines of a page's blocks that a reader would type to start `program`."""
    typed = [line.removeprefix("$ ") for text in blocks(page, "console", "bash") for line in text.splitlines()]
    return [line for line in typed if line.split(" ")[0] == program]


def definitions() -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}-{number}", text)
        for page in PAGES
        for number, text in enumerate(blocks(page, "yaml"))
        if text.startswith("document:")
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text("utf-8"))]

    missing = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]

    assert missing == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]

    assert [str(page) for page in pages if str(page) not in index and page.name != "README.md"] == []


@pytest.mark.parametrize(("where", "text"), definitions(), ids=[where for where, _ in definitions()])
def test_every_definition_can_be_executed(where: str, text: str) -> None:
    assert [str(problem) for problem in check.load(text, where).problems] == []


def test_every_yaml_block_is_yaml() -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            yaml.safe_load(text)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

    assert {line.split()[1] for page in PAGES for line in commands(page, "make")} <= targets
    assert set(re.findall(r"^\| `make ([a-z]+)`", contributing, re.MULTILINE)) == targets


def test_every_setting_is_listed_with_its_meaning() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.+?) \| (.+) \|$", text, re.MULTILINE)

    explained = config.explain({}, {}, Path("/nowhere"), Path("/nowhere"))

    assert [(key, meaning) for key, _, meaning in listed] == [(each.key, each.meaning) for each in explained]


def test_the_defaults_that_are_listed_are_the_defaults(tmp_path: Path) -> None:
    """What the table says is written into a file and read back: that must change nothing."""
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    variables = {}
    for key, default in re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.+?) \|", text, re.MULTILINE):
        if key != "node.slots" and default != '""':  # the cores of the machine; nothing, which nobody can write
            plain = default.replace(" s", "s") if default.endswith(" s") else re.sub(r'\[\]|\{\}|""', "", default)
            variables["INTERLOCK_" + key.replace(".", "_").upper()] = plain

    assert config.load({}, variables, tmp_path, tmp_path) == config.Settings()


def test_every_code_of_a_definition_is_listed() -> None:
    listed = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)*)`", (ROOT / "docs" / "reference" / "error-codes.md").read_text("utf-8"))
    )
    used = set()
    for source in (ROOT / "src" / "interlock" / "flow").rglob("*.py"):
        used |= set(re.findall(r'findings\.(?:add|warn)\(\s*"([a-z-]+)"', source.read_text("utf-8")))

    assert len(used) > 30
    assert used <= listed


def test_what_origins_says_is_here_is_here() -> None:
    text = (ROOT / "docs" / "reference" / "origins.md").read_text("utf-8")

    modules = set(re.findall(r"`(interlock(?:\.[a-z_]+)+)`", text))

    assert modules
    assert {module for module in modules if importlib.util.find_spec(module) is None} == set()


OPERATIONS = re.findall(r"\S+", """
acquireLock releaseLock isLocked getLock cleanupStaleLocks listLocks releaseWorkerLocks recoverStaleLocks
register deregister updateStatus getWorker listWorkers markStale cleanupStaleWorkers
set get delete list sync watch getNextTask selectWorker setStrategy getLoadDistribution rebalance
start stop sendHeartbeat checkStaleWorkers
registerWorkflow executeWorkflow getExecutionStatus cancelExecution pauseExecution resumeExecution getActiveExecutions
cleanupExecutions saveWorkflow loadWorkflow loadWorkflowByNameVersion updateWorkflow listWorkflows createExecution
updateExecution loadExecution listExecutions saveState loadState createCheckpoint createStepExecution
updateStepExecution addLog saveMetrics recoverExecution cleanupOldExecutions healthCheck createWorkflowFromTemplate
WorkflowEngine WorkflowStateManager ProgressTracker DecisionEngine VariableSubstitution WorkflowRouter ExecutionEngine
MonitoringEngine WorkflowAnalytics DispatcherCore get_status handle_runner_completion handle_task_failure
check_deadlock_now TaskMonitor poll_ready_tasks TaskQueue enqueue dequeue peek Scheduler AgentPoolManager
get_pool_for_skill RunnerLauncher RunnerMonitor RetryManager should_retry DeadlockDetector EventRecorder
MetricsCollector export_prometheus callback_token completeExternalActivity failExternalActivity
CIRCULAR_DEPENDENCY DUPLICATE_STEP_ID MISSING_COMMAND UNNECESSARY_CONCURRENCY_LIMIT
workflows workflow_templates workflow_executions workflow_step_executions workflow_execution_logs workflow_states
workflow_state_checkpoints workflow_metrics workflow_schedules
""")  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_of_the_source_systems_has_its_place(operation: str) -> None:
    text = (ROOT / "docs" / "reference" / "origins.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("|")]

    assert any(re.search(rf"\b{operation}\b", row) for row in rows)

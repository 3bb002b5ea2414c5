"""Tasks whose workers die, with a cluster that does what the test says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from striata.errors import ClusterError, StudyError
from striata.scale.tasks import complete


class RayError(Exception):
    """A worker or its machine is gone."""


class RayTaskError(RayError):
    """The task's own code raised."""


class Cluster(ModuleType):
    """As much of Ray as is used here: a task is the list of what comes of its tries, of which the first is taken."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        super().__init__("ray")
        self.under_way, self.cancelled = 0, list[object]()
        self.most = 0

    def wait(self, references: list[Any], num_returns: int = 1, timeout: float | None = None) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(references))
        return references[:num_returns], references[num_returns:]

    def get(self, reference: tuple[str, Any]) -> Any:
        result = reference[1]
        if isinstance(result, RayError):
            raise result
        return result

    def cancel(self, reference: object, *, force: bool) -> None:
        assert not force
        self.cancelled.append(reference)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setitem(sys.modules, "ray", cluster)
    return cluster


def through(
    tries: dict[str, list[Any]], *, at_once: int = 2, progress: Callable[[str], object] = lambda _: 0
) -> tuple[Iterable[Any], list[str]]:
    died: list[str] = []
    number = iter(range(100))

    def begin(name: str) -> tuple[str, Any, int]:
        return name, tries[name].pop(0), next(number)

    return complete(list(tries), begin, at_once=at_once, progress=progress, died=lambda name, _: died.append(name)), died


def test_a_task_begins_again_when_its_worker_has_died(cluster: Cluster) -> None:
    results, died = through({"a": [RayError("killed"), RayError("killed"), 1], "b": [2], "c": [3]})
    assert sorted(results) == [("a", 1), ("b", 2), ("c", 3)]
    assert died == ["a", "a"]
    assert cluster.most == 2
    assert not cluster.cancelled


def test_it_is_given_up_when_it_makes_no_progress(cluster: Cluster) -> None:
    results, died = through({"a": [RayError("out of memory")] * 3, "b": [2]}, at_once=1)
    with pytest.raises(
        ClusterError, match="the worker of a died 3 times without progress, at last so: out of memory; give it more"
    ):
        list(results)
    assert died == ["a", "a"]


def test_deaths_count_only_without_progress(cluster: Cluster) -> None:
    step = iter(range(100))
    results, died = through({"a": [*[RayError("killed")] * 9, 1]}, progress=lambda _: next(step))
    assert list(results) == [("a", 1)]
    assert len(died) == 9


def test_an_error_stops_the_others(cluster: Cluster) -> None:
    results, _ = through({"a": [StudyError("wrong")], "b": [2], "c": [3]})
    with pytest.raises(StudyError, match="wrong"):
        list(results)
    assert [reference[0] for reference in cluster.cancelled] == ["b"]
    results, died = through({"a": [RayTaskError("a mistake")]})
    with pytest.raises(RayTaskError):
        list(results)
    assert not died


def test_who_takes_no_more_results_stops_the_tasks(cluster: Cluster) -> None:
    results, _ = through({"a": [1], "b": [2], "c": [3]}, at_once=3)
    assert next(iter(results)) == ("a", 1)
    results.close()  # type: ignore[attr-defined]
    assert [reference[0] for reference in cluster.cancelled] == ["b", "c"]

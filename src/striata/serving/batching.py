"""Texts that wait, answered together: asyncio in front, one thread with the models behind."""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..errors import DataError
from .limits import Limits
from .metrics import Metrics
from .refusals import Refusal
from .served import Answers, Served, answers_of

_LONGEST_RETRY = 60  # seconds
_MOST_ALONE = 4  # explanations that wait, each of which takes as long as dozens of texts
Result = Answers | Exception
T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """Texts of one request that are answered in one pass.

    Args:
        served: the model in use when they came.
        texts: no more than a batch.
        pairs: as many second texts, or None.
        coverage: of the label sets; None for none.
        answer: comes here.
        since: when they came, in the time of `time.perf_counter`.
    """

    served: Served
    texts: Sequence[str]
    pairs: Sequence[str] | None
    coverage: float | None
    answer: asyncio.Future[Answers]
    since: float

    def goes_with(self, other: _Job) -> bool:
        return self.served is other.served and (self.pairs is None) == (other.pairs is None)


class Batcher:
    """Answers requests in the order they come, as many texts in one pass as wait for one model.

    Args:
        limits: of the queue and the batches.
        metrics: that count.
        tell: told in a sentence of a model's failure.
    """

    def __init__(self, limits: Limits, metrics: Metrics, tell: Callable[[str], None]) -> None:
        self._limits, self._metrics, self._tell = limits, metrics, tell
        self._jobs: dict[_Job, None] = {}  # in the order they came
        self._waiting, self._alone, self._closing = 0, 0, False
        self._seconds_per_text = 0.01
        self._news: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Begins to answer; in the running event loop."""
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "striata-model")
        self._task = asyncio.create_task(self._work(self._news, self._thread))

    async def stop(self) -> None:
        """Answers what waits, and ends."""
        if self._task is None or self._thread is None:
            return
        assert self._news is not None
        self._closing = True
        self._news.set()
        await self._task
        self._thread.shutdown()
        self._task = None

    async def answer(
        self, served: Served, texts: Sequence[str], pairs: Sequence[str] | None, *, coverage: float | None = None
    ) -> Answers:
        """What a model says of texts, once it is their turn.

        Args:
            served: the model.
            texts: at least one, none of them blank.
            pairs: as many second texts, or None.
            coverage: of the label sets or intervals; None for none.

        Raises:
            Refusal: they do not fit into the queue, the coverage cannot be promised, or the model fails.
        """
        assert self._news is not None, "the batcher has not been started"
        self._admit(len(texts))
        size, loop, now = self._limits.max_batch, asyncio.get_running_loop(), time.perf_counter()
        jobs = [
            _Job(
                served=served,
                texts=texts[at : at + size],
                pairs=None if pairs is None else pairs[at : at + size],
                coverage=coverage,
                answer=loop.create_future(),
                since=now,
            )
            for at in range(0, len(texts), size)
        ]
        self._jobs.update(dict.fromkeys(jobs))
        self._count(len(texts))
        self._news.set()
        try:
            return Answers.join(await asyncio.gather(*(job.answer for job in jobs)))
        finally:  # after a timeout, what still waits is not answered any more
            for job in jobs:
                job.answer.cancel()
                if job in self._jobs:
                    del self._jobs[job]
                    self._count(-len(job.texts))

    async def alone(self, served: Served, work: Callable[[], T]) -> T:
        """What a function with a model gives, once the batch under way is through; it is no text of a batch.

        Args:
            served: the model.
            work: runs in the models' thread.

        Raises:
            Refusal: several wait already, or it fails.
        """
        assert self._thread is not None, "the batcher has not been started"
        if self._alone >= _MOST_ALONE:
            raise Refusal(429, "queue_full", f"{self._alone} of these wait; come again", headers={"Retry-After": "2"})
        self._alone += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._let_in)
        try:
            return await asyncio.shield(future)
        except Exception as error:  # whatever it is, the server goes on
            raise self._failure(served, error) from None

    def _let_in(self, future: asyncio.Future[Any]) -> None:
        self._alone -= 1
        if not future.cancelled():
            future.exception()  # seen, also where nobody waits for it any more

    def _admit(self, texts: int) -> None:
        most = self._limits.max_queue
        if texts > most:
            raise Refusal(413, "too_many_texts", f"there are {texts:,} texts; expected at most {most:,} in one request")
        if self._waiting + texts > most:
            self._metrics.refused.inc(texts)
            seconds = min(max(math.ceil(self._waiting * self._seconds_per_text), 1), _LONGEST_RETRY)
            message = f"{self._waiting:,} of at most {most:,} texts wait; come again in {seconds} s"
            raise Refusal(429, "queue_full", message, headers={"Retry-After": str(seconds)})

    def _count(self, texts: int) -> None:
        self._waiting += texts
        self._metrics.waiting.set(self._waiting)

    async def _work(self, news: asyncio.Event, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await news.wait()
            await self._gather(news)
            batch = self._take()
            if not batch:
                if self._closing:
                    return
                news.clear()
                continue
            begin = time.perf_counter()
            results = await loop.run_in_executor(thread, self._answers, batch)
            seconds, texts = time.perf_counter() - begin, sum(len(job.texts) for job in batch)
            self._seconds_per_text += 0.2 * (seconds / texts - self._seconds_per_text)
            self._metrics.batches.observe(texts)
            self._metrics.pass_seconds.observe(seconds)
            for job, result in zip(batch, results, strict=True):
                if job.answer.done():  # nobody waits for it any more
                    continue
                if isinstance(result, Exception):
                    job.answer.set_exception(result)
                else:
                    job.answer.set_result(result)

    async def _gather(self, news: asyncio.Event) -> None:
        """Gives other texts time to come, counted from when the first did."""
        end = min((job.since for job in self._jobs), default=0.0) + self._limits.wait_ms / 1000
        while self._waiting < self._limits.max_batch and (rest := end - time.perf_counter()) > 0:
            news.clear()
            try:
                await asyncio.wait_for(news.wait(), rest)
            except TimeoutError:
                break
        news.set()

    def _take(self) -> list[_Job]:
        """The job that waits longest, and those behind it that go with it and fit."""
        batch: list[_Job] = []
        texts = 0
        for job in self._jobs:
            fits = not batch or (job.goes_with(batch[0]) and texts + len(job.texts) <= self._limits.max_batch)
            if fits:
                batch.append(job)
                texts += len(job.texts)
        for job in batch:
            del self._jobs[job]
        self._count(-texts)
        return batch

    def _answers(self, batch: Sequence[_Job]) -> list[Result]:
        """What each job gets; in the models' thread. Where a model fails, each job is tried alone, so that only one is lost."""
        texts = [text for job in batch for text in job.texts]
        pairs = None if batch[0].pairs is None else [pair for job in batch for pair in job.pairs or ()]
        try:
            whole = answers_of(batch[0].served, texts, pairs)
        except Exception as error:  # whatever it is, the server goes on
            if len(batch) > 1:
                return [result for job in batch for result in self._answers([job])]
            return [self._failure(batch[0].served, error)]
        results: list[Result] = []
        at = 0
        for job in batch:
            results.append(self._finished(whole.part(slice(at, at + len(job.texts))), job.coverage))
            at += len(job.texts)
        return results

    def _finished(self, answers: Answers, coverage: float | None) -> Result:
        if coverage is None:
            return answers
        model = answers.served.model
        try:
            if model.task.numeric:
                return replace(answers, intervals=model.intervals(answers.logits, coverage))
            sets = model.label_sets(answers.logits, coverage)
        except DataError as error:
            return Refusal(409, "coverage", str(error), field="coverage")
        except Exception as error:
            return self._failure(answers.served, error)
        return replace(answers, sets=sets)

    def _failure(self, served: Served, error: Exception) -> Refusal:
        self._metrics.failures.labels(served.name).inc()
        self._tell(f"model {served.name} failed: {where_of(error)}")
        return Refusal(500, "model_failed", "the model failed at these texts; the server's log says where")


def where_of(error: BaseException) -> str:
    """What kind of error it is and where it came from; not its message, which may hold a text."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"

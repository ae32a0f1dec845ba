"""The handlers behind the page and behind its API: an upload and some settings in, HTML or plain values out.

No web framework here: a handler for the page is a generator of `Update`, one for the API a function. What a visitor gets
depends on his own arguments and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hawkeye.demo import service
from hawkeye.demo.jobs import Job, Jobs, Stopped, run
from hawkeye.demo.panels import message_html, progress_html
from hawkeye.demo.service import AUTO, Models, Search
from hawkeye.demo.uploads import Uploads
from hawkeye.errors import HawkEyeError

T = TypeVar("T")


class Update(NamedTuple):
    """What changes on the page; None leaves a part as it is."""

    status: str | None = None
    results: str | None = None
    files: list[str] | None = None


Updates = Generator[Update, None, None]


class Page:
    """Shares the models, the upload folder and the list of running jobs between visitors; nothing else."""

    def __init__(self, models: Models, uploads: Uploads) -> None:
        self.models, self.uploads, self.jobs = models, uploads, Jobs()

    def find(self, visitor: str, video: str | None, sentences: str, model: str, strategy: str, turns: float) -> Updates:
        """The spans first, the downloads when they are ready."""

        def search(path: Path, job: Job) -> tuple[Path, list, str]:
            queries = service.read_sentences(sentences)
            results = service.ground(self.models, path, queries, Search(model, strategy, int(turns)), job)
            return path, results, service.show(path, results, job)

        found = yield from self._watch(visitor, video, search)
        if found is None:
            return
        path, results, html = found
        yield Update(progress_html("Preparing the downloads"), html)
        files = yield from self._watch(
            visitor, video, lambda _, job: service.write_downloads(path, results, self.uploads.new_folder(), job)
        )
        if files is not None:
            yield Update("", None, [str(file) for file in files])

    def compare(
        self, visitor: str, video: str | None, sentences: str, model_a: str, how_a: str, model_b: str, how_b: str
    ) -> Updates:
        """Two ways to search side by side."""
        searches = [Search(model_a, how_a), Search(model_b, how_b)]
        yield from self._show(
            visitor,
            video,
            lambda path, job: service.compare(self.models, path, service.read_sentences(sentences), searches, job),
        )

    def ask(
        self,
        visitor: str,
        video: str | None,
        question: str,
        options: str,
        start: float | None,
        end: float | None,
        evidence: bool,
        model: str,
    ) -> Updates:
        """An answer, with the options' probabilities where there are options."""
        yield from self._show(
            visitor,
            video,
            lambda path, job: service.answer(
                self.models, path, question, options, start, end, evidence, model, job
            )[1],
        )  # fmt: skip

    def caption(self, visitor: str, video: str | None, start: float | None, end: float | None, model: str) -> Updates:
        """A description of a stretch."""
        yield from self._show(
            visitor, video, lambda path, job: service.describe(self.models, path, start, end, model, job)[1]
        )

    def cancel(self, visitor: str) -> Update:
        """Stop what the visitor has running, if anything."""
        return Update(message_html("Cancelled." if self.jobs.stop(visitor) else "Nothing is running."))

    def _show(self, visitor: str, video: str | None, work: Callable[[Path, Job], str]) -> Updates:
        html = yield from self._watch(visitor, video, work)
        if html is not None:
            yield Update("", html, [])

    def _watch(
        self, visitor: str, video: str | None, work: Callable[[Path, Job], T]
    ) -> Generator[Update, None, T | None]:
        """Run ``work``, yielding its progress; returns what it returns, or None after saying why there is nothing."""
        job, path = self.jobs.begin(visitor), None
        try:
            path = file = self.uploads.check(video)
            steps = run(job, lambda: work(file, job))
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value
                yield Update(progress_html(job.words, job.fraction))
        except Stopped:
            yield Update(message_html("Cancelled."))
        except HawkEyeError as error:
            yield Update(message_html(self.uploads.plain(error, path), "error"))
        finally:
            job.stop()
            self.jobs.end(visitor, job)
        return None


class Api:
    """The same functions for programs. Values are what `to_dict` of a result gives, with the video's bare name."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def ground(
        self, video: str, sentences: str, model: str, strategy: str = AUTO, max_turns: float = 4
    ) -> list[dict[str, Any]]:
        """When do these sentences (one a line) happen in the video? A list of results in the order of the sentences."""
        path = self._page.uploads.check(video)
        search = Search(model, strategy, int(max_turns))
        results = service.ground(self._page.models, path, service.read_sentences(sentences), search, Job())
        return [result.to_dict() for result in results]

    def ask(
        self,
        video: str,
        question: str,
        options: str,
        model: str,
        start: float | None = None,
        end: float | None = None,
        evidence: bool = False,
    ) -> dict[str, Any]:
        """A question about the video, or about seconds ``start`` to ``end``; ``options``: one a line, or empty."""
        path = self._page.uploads.check(video)
        models = self._page.models
        reply, _ = service.answer(models, path, question, options, start, end, evidence, model, Job())
        return {**reply.to_dict(), "video": path.name}

    def caption(self, video: str, model: str, start: float | None = None, end: float | None = None) -> dict[str, Any]:
        """What happens between ``start`` and ``end`` seconds (the whole video if they are left out)?"""
        path = self._page.uploads.check(video)
        reply, _ = service.describe(self._page.models, path, start, end, model, Job())
        return {**reply.to_dict(), "video": path.name}

    def clip(self, video: str, start: float, end: float) -> str:
        """Seconds ``start`` to ``end`` as an mp4 file, exact to the frame."""
        path = self._page.uploads.check(video)
        return str(service.clip(path, start, end, self._page.uploads.new_folder()))

    def plain(self, error: HawkEyeError, video: str | None) -> str:
        """The error's words without paths of this machine."""
        return self._page.uploads.plain(error, Path(video) if video else None)
